"""The leaderboard of rewards: who agrees with people, who can be hacked, who is stable; and its attacks."""

import math

import pytest
import torch

from avreward.audit import leaderboard
from avreward.audit._attacks import edit_attack, search_attack, unheard
from avreward.clip import Clip
from avreward.errors import ArgumentError, AvrewardError
from avreward.raters import term

RATE = 8000


@term(needs="audio", low=0, high=1)
def level(clip):
    """Root mean square of the sound."""
    return clip.sound().square().mean().add(1e-12).sqrt()


@term(needs="audio", low=0, high=1)
def calm(clip):
    """Little change from sample to sample."""
    return 1 - clip.sound().diff(dim=1).abs().mean()


@term(needs="audio", low=-10, high=10)
def rough(clip):
    """The opposite of calm, and of no gradient."""
    return torch.tensor(10 * float(clip.sound().diff(dim=1).abs().mean()))


rough.differentiable = False


def sounds(groups=6, each=3):
    generator = torch.Generator().manual_seed(0)
    clips, names = [], []
    for group in range(groups):
        for _ in range(each):
            size, noise = (0.05 + 0.4 * torch.rand(2, generator=generator)).tolist()
            wave = size * torch.sin(torch.arange(RATE // 8) * 0.1)
            wave += 0.2 * noise * torch.randn(len(wave), generator=generator)
            clips.append(Clip(audio=wave.clamp(-1, 1)[None], sample_rate=RATE))
            names.append(group)
    return clips, names


@pytest.fixture(scope="module")
def board():
    clips, groups = sounds()
    values = calm(clips)["calm"].tolist()
    # people prefer calm
    pairs = [(a, b) if values[a] > values[b] else (b, a) for a, b in zip(range(0, 18, 3), range(1, 18, 3), strict=True)]
    rewards = {"calm": calm["calm"], "level": level["level"], "rough": rough["rough"]}
    steps = []
    found = leaderboard(rewards, clips, groups, preferences=pairs, attacked=2, step=steps.append)
    assert len(steps) == 3 * (18 + 4 * 2)
    return found


def test_people_agree_with_the_reward_that_says_what_they_prefer(board):
    by = {row.name: row for row in board.rows}
    assert by["calm"].agreement[0] == 1.0
    assert by["rough"].agreement[0] == 0.0
    assert by["level"].agreement[1] <= by["level"].agreement[0] <= by["level"].agreement[2]
    assert [row.pairs for row in board.rows] == [6, 6, 6]
    assert by["calm"].held_out == ("level", "rough")


def test_choosing_by_the_opposite_loses_under_the_others(board):
    by = {row.name: row for row in board.rows}
    assert by["rough"].groups == 6
    assert math.isfinite(by["calm"].best_of[0])
    two = leaderboard({"calm": calm["calm"], "rough": rough["rough"]}, *sounds(), attacked=0)
    assert two.rows[0].best_of[0] < -0.3
    assert two.rows[0].best_of[2] < 0
    assert "With one held-out reward" in " ".join(two.notes)
    assert "No preferences of people" in " ".join(two.notes)


def test_attacks_raise_the_reward_and_the_held_out_ones_tell(board):
    by = {row.name: row for row in board.rows}
    for name in ("calm", "level"):
        gradient = by[name].exploits["gradient"]
        assert gradient.gain > 0
        assert gradient.clips == 2
    assert by["calm"].exploits["gradient"].held_out < 0  # rough falls with it
    assert by["calm"].exploits["gradient"].gap > by["calm"].exploits["gradient"].gain
    blocked = by["rough"].exploits["gradient"]
    assert math.isnan(blocked.gain)
    assert "not differentiable: rough.rough" in blocked.why
    assert by["rough"].exploits["search"].gain > 0
    assert by["rough"].exploits["edits"].gain > 0  # noise makes it rougher
    assert by["rough"].exploits["edits"].honest >= 0
    assert all(0 <= row.shift < 1 for row in board.rows)
    assert all(row.seconds > 0 for row in board.rows)


def test_search_never_loses_and_moves_within_the_range():
    frames = torch.rand(3, 3, 10, 12, generator=torch.Generator().manual_seed(0))
    clip = Clip(video=frames, fps=4, audio=torch.zeros(1, 800), sample_rate=RATE)
    reward = level["level"]
    way = search_attack(reward, calm["calm"], clip, steps=3)
    assert len(way.trained) == len(way.held_out) == 4
    assert list(way.trained) == sorted(way.trained)
    assert way.trained[-1] > way.trained[0]
    assert way == search_attack(reward, calm["calm"], clip, steps=3)
    silent = search_attack(reward, None, Clip(video=frames, fps=4))
    assert not silent.trained
    assert silent.reason
    assert edit_attack(reward, None, clip).trained[1] >= edit_attack(reward, None, clip).trained[0]


def test_what_nobody_hears_or_sees_is_small():
    frames = torch.rand(3, 3, 10, 12, generator=torch.Generator().manual_seed(0))
    clip = Clip(video=frames, fps=4, audio=0.5 * torch.ones(2, 800), sample_rate=RATE)
    copies = unheard(clip)
    assert len(copies) == 4
    assert max(float((one.video - frames).abs().max()) for one in copies) <= 1.01 / 255
    assert max(float((one.sound() - clip.sound()).abs().max()) for one in copies) < 0.006
    assert all(one.audio.shape == (2, 800) for one in copies)


def test_rewards_of_one_rater_are_not_held_out_from_each_other():
    clips, groups = sounds(2, 2)
    found = leaderboard({"a": calm["calm"], "b": 2 * calm["calm"]}, clips, groups, attacked=0)
    assert found.rows[0].held_out == ()
    assert math.isnan(found.rows[0].best_of[0])
    assert "nothing is held out from a, b" in found.notes[0]
    assert found.records()[0]["agreement"] is None


def test_what_is_refused():
    clips, groups = sounds(2, 2)
    for arguments, match in (
        (({}, clips, groups), "rewards: expected at least one reward"),
        (({"a": calm["calm"]}, clips, groups[:2]), "groups: expected one for each"),
        (({"a": calm["calm"]}, [], []), "groups: expected one for each"),
    ):
        with pytest.raises(ArgumentError, match=match):
            leaderboard(*arguments)
    with pytest.raises(ArgumentError, match="preferences: expected pairs of indices below 4"):
        leaderboard({"a": calm["calm"]}, clips, groups, preferences=[(0, 9)])
    with pytest.raises(AvrewardError, match="a: expected a reward for some clip, got none"):
        leaderboard({"a": calm["calm"]}, [Clip(video=torch.rand(2, 3, 8, 8), fps=4)], ["x"])


def test_clips_of_one_name_are_all_told():
    clips, groups = sounds(2, 2)
    mute = [Clip(video=torch.rand(2, 3, 8, 8), fps=4) for _ in range(3)]
    found = leaderboard({"calm": calm["calm"]}, [*clips, *mute], [*groups, 2, 3, 4], attacked=0)
    assert [name for name, _ in found.failed] == [clip.name for clip in mute]
    assert all("no audio" in why for _, why in found.failed)
