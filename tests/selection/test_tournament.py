"""Tournaments: they agree with a judge who is sure, count their comparisons, and name who can't be compared."""

import random

import pytest
import torch

from avreward import Clip
from avreward.errors import ArgumentError
from avreward.preferences.group_rewards import Tournament
from avreward.preferences.preference import FromModel, Preference
from avreward.rewards.results import MissingScore
from avreward.selection.tournament import by_sorting, round_robin, swiss

ALL = (round_robin, swiss, by_sorting)


def clips(strengths):
    return [Clip(audio=torch.full((1, 8), float(s) / 1000), sample_rate=8000) for s in strengths]


class Judge(Preference):
    """Prefers the louder one, with the given accuracy; silence can't be compared."""

    def __init__(self, accuracy: float = 1.0, seed: int = 0) -> None:
        self.accuracy, self.rng, self.prepared, self.asked = accuracy, random.Random(seed), 0, 0

    def prepare(self, clips, batch_size=None):
        self.prepared += len(clips)
        levels = [round(float(clip.audio.mean()) * 1000, 3) for clip in clips]
        return levels, {i: "it is silent" for i, level in enumerate(levels) if level == 0}

    def decide(self, prepared, pairs):
        self.asked += len(pairs)
        rows = []
        for i, j in pairs:
            win = 0.5 if prepared[i] == prepared[j] else float(prepared[i] > prepared[j])
            rows.append(1 - win if self.rng.random() > self.accuracy else win)
        won = torch.tensor(rows)
        return torch.stack([(won == 1).float(), (won == 0.5).float(), (won == 0).float()], dim=1)


@pytest.mark.parametrize("tournament", ALL)
@pytest.mark.parametrize("n", [2, 3, 5, 8, 13])
def test_the_best_is_first_and_comparisons_are_counted(tournament, n):
    for seed in range(5):
        strengths = random.Random(seed).sample(range(1, 900), n)
        judge = Judge()
        played = tournament(clips(strengths), judge)
        assert played.ranking.best_index == strengths.index(max(strengths))
        assert played.comparisons == judge.asked
        assert judge.prepared == n  # once each, however many comparisons
        if tournament is not swiss:
            assert list(played.ranking.order) == sorted(range(n), key=lambda i: -strengths[i])
    levels = (n - 1).bit_length()
    limits = {round_robin: n * (n - 1) // 2, swiss: levels * (n // 2), by_sorting: n * levels}
    assert played.comparisons <= limits[tournament]


def test_round_robin_is_the_group_reward():
    def louder(first, second):
        apart = [one.audio.sum() - other.audio.sum() for one, other in zip(first, second, strict=True)]
        return torch.sigmoid(torch.stack(apart))

    candidates = clips([5, 9, 1, 7])
    played = round_robin(candidates, FromModel(louder))
    assert torch.equal(played.ranking.rewards.values, Tournament(FromModel(louder))(candidates))
    assert played.ranking.order == (1, 3, 0, 2)


def test_swiss_is_better_than_chance_between_the_ends_and_all_rounds_are_a_round_robin():
    strengths = random.Random(3).sample(range(1, 900), 16)
    played = swiss(clips(strengths), Judge())
    place = {i: p for p, i in enumerate(played.ranking.order)}
    truth = sorted(range(16), key=lambda i: -strengths[i])
    assert sum(abs(place[i] - p) for p, i in enumerate(truth)) / 16 < 3  # 5.3 by chance
    full = swiss(clips(strengths[:7]), Judge(), rounds=7)
    assert full.comparisons == 21
    every = round_robin(clips(strengths[:7]), Judge()).ranking.rewards.values
    torch.testing.assert_close(full.ranking.rewards.values, every, check_dtype=False)


@pytest.mark.parametrize("tournament", ALL)
def test_of_equals_the_earliest_wins(tournament):
    played = tournament(clips([4, 4, 4, 4, 4]), Judge())
    assert played.ranking.best_index == 0
    assert by_sorting(clips([4, 4, 4]), Judge()).ranking.order == (0, 1, 2)


@pytest.mark.parametrize("tournament", ALL)
def test_who_cannot_be_compared_is_missing(tournament):
    played = tournament(clips([3, 0, 8, 5]), Judge())
    assert played.ranking.order[0] == 2
    assert len(played.ranking.order) == 3
    assert played.ranking.missing == {1: "it is silent"}
    assert played.ranking.rewards.present.tolist() == [True, False, True, True]
    with pytest.raises(MissingScore, match="it is silent"):
        tournament(clips([0, 0]), Judge())


@pytest.mark.parametrize("tournament", ALL)
@pytest.mark.parametrize("strengths", [[5], [0, 5, 0]])
def test_a_single_candidate_is_the_best(tournament, strengths):
    played = tournament(clips(strengths), Judge())
    assert played.ranking.best_index == strengths.index(5)
    assert played.comparisons == 0


@pytest.mark.parametrize("tournament", ALL)
def test_bad_candidates(tournament):
    with pytest.raises(ArgumentError, match="candidates: expected at least one, got none"):
        tournament([], Judge())
    with pytest.raises(ArgumentError, match="candidates: expected a list of clips, or a Group, got a single Clip"):
        tournament(clips([1])[0], Judge())


def test_repeats_hold_the_stated_error():
    missed = 0
    for seed in range(200):
        strengths = random.Random(seed).sample(range(1, 900), 8)
        played = by_sorting(clips(strengths), Judge(0.7, seed), accuracy=0.7, error=0.1)
        missed += played.ranking.best_index != strengths.index(max(strengths))
    assert played.error <= 0.1
    assert missed / 200 <= 0.1 + 3 * (0.1 * 0.9 / 200) ** 0.5
    once = sum(
        by_sorting(clips(s), Judge(0.7, seed)).ranking.best_index != s.index(max(s))
        for seed in range(100)
        for s in [random.Random(seed).sample(range(1, 900), 8)]
    )
    assert once > 30  # asked once, such a judge misses the best often
    assert by_sorting(clips([1, 2]), Judge()).error is None


@pytest.mark.parametrize(("rounds", "n"), [(0, 4), (4, 4), (6, 5)])
def test_bad_rounds(rounds, n):
    with pytest.raises(ArgumentError, match=f"rounds: expected 1 to .*, got {rounds}"):
        swiss(clips(range(1, n + 1)), Judge(), rounds=rounds)
