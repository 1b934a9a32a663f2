"""Best-of-N and the strategies on a plain callable and on a landscape whose optimum is known."""

from __future__ import annotations

import json
import weakref
from pathlib import Path
from typing import Any

import pytest
import torch
from landscape import Distance, Landscape, Walk
from toy_raters import Toy, picture, sound

from avreward.clip import Clip
from avreward.errors import ArgumentError, AvrewardError, MediaError
from avreward.generators.base import Condition, Cost, GeneratorStopped, Noise
from avreward.rewards.base import MissingScore
from avreward.rewards.expression import ExpressionError
from avreward.selection import best_of_n
from avreward.selection.search.adaptive import AdaptiveN, expected_gain
from avreward.selection.search.noise_search import Evolution, ZeroOrder
from avreward.selection.search.pruning import Drafts, Halving
from avreward.selection.search.search import BestOfN, Search
from avreward.selection.search.steering import Beam, Steering
from avreward.selection.search.strategies import STRATEGIES, Independent

LEVELS = (0.25, 0.75, 0.5, 0.125, 0.75, 0.375)


def noisy(condition: Clip | None, seed: int, levels: tuple[float, ...] = LEVELS) -> Clip:
    """A dub whose power is known: the seed counts in `levels`."""
    dub = sound(levels[seed % len(levels)])
    return dub if condition is None else condition.with_audio(dub)


class Fragile(Toy):
    """Raises, or gives NaN, for sounds of some powers."""

    def row(self, sample: Any) -> Any:
        values, reasons, basis = super().row(sample)
        if abs(float(values["power"]) - 0.25) < 1e-6:
            raise RuntimeError("the network\nfell over")
        if abs(float(values["power"]) - 0.5) < 1e-6:
            values["power"] = values["power"] * float("nan")
        return values, reasons, basis


@pytest.mark.parametrize("batch_size", [1, 4, 9])
def test_the_best_of_six(batch_size: int) -> None:
    found = BestOfN(noisy, Toy()["power"], n=6, batch_size=batch_size, keep=2)()
    assert [c.seed for c in found.ranked] == [1, 4, 2, 5, 0, 3]  # of equal rewards the earlier one
    assert found.rewards.values.tolist() == pytest.approx(list(LEVELS))
    assert [float(clip.audio.square().mean()) for clip in found.clips] == pytest.approx([0.75, 0.75])
    assert found.best is found.clips[0]
    assert sorted(found.kept) == [1, 4]
    assert (found.cost.decodes, found.cost.rewards, found.missing) == (6, 6, {})
    assert float(found.clip(3).audio.square().mean()) == pytest.approx(0.125)


def test_one_candidate_and_another_first_seed() -> None:
    assert BestOfN(noisy, Toy()["power"], n=1, seed=5)().seeds == [5]
    with pytest.raises(ValueError, match="n: expected an integer of at least 1, got 0"):
        BestOfN(noisy, Toy()["power"], n=0)
    with pytest.raises(ValueError, match="keep: expected an integer of at least 1, got 0"):
        BestOfN(noisy, Toy()["power"], keep=0)
    with pytest.raises(ArgumentError, match=r"reward: expected a reward or an expression, got a Toy; choose a dim"):
        BestOfN(noisy, Toy())  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"strategy: expected one of best_of_n, adaptive_n, .*got 'best'"):
        Search(noisy, Toy()["power"], "best")


@pytest.mark.parametrize("batch_size", [1, 3])
def test_what_fails_is_missing_and_the_rest_goes_on(batch_size: int) -> None:
    def generate(condition: Any, seed: int) -> Clip:
        if seed == 4:
            raise RuntimeError("out of luck")
        return noisy(condition, seed)

    found = BestOfN(generate, Fragile()["power"], n=6, batch_size=batch_size)()
    assert [c.seed for c in found.ranked] == [1, 5, 3]
    assert found.missing[0] == "toy.power: the rater failed: RuntimeError: the network fell over"
    assert "power" in found.missing[2]  # which score was NaN
    assert found.missing[4] == "the generator failed: RuntimeError: out of luck"


@pytest.mark.parametrize("batch_size", [1, 2, 3])
@pytest.mark.parametrize("kept", ["memory", "disk"])
def test_a_generator_that_gives_up_ends_it_and_what_was_made_stays(tmp_path, batch_size: int, kept: str) -> None:
    asked: list[int] = []

    def generate(condition: Any, seed: int) -> Clip:
        asked.append(seed)
        if credits <= seed:
            raise GeneratorStopped("budget: all credits are spent")
        return noisy(condition, seed)

    credits = 2
    out = {"out": tmp_path / "run"} if kept == "disk" else {}
    search = BestOfN(generate, Toy()["power"], n=6, batch_size=batch_size, **out)
    with pytest.raises(GeneratorStopped, match=r"^budget: all credits are spent$"):
        search()
    assert asked == [0, 1, 2]
    credits = 6
    again = search if kept == "memory" else BestOfN(generate, Toy()["power"], n=6, **out)
    assert again().rewards.values.tolist() == pytest.approx(list(LEVELS))
    assert asked == [0, 1, 2, 2, 3, 4, 5]


@pytest.mark.parametrize("name", ["steering", "beam", "halving"])
@pytest.mark.parametrize("where", ["advance", "finish"])
def test_a_sampler_that_gives_up_on_the_way_ends_it(monkeypatch, name: str, where: str) -> None:
    def given_up(*_: Any) -> None:
        raise GeneratorStopped("the key is refused")

    monkeypatch.setattr(Walk, where, given_up)
    with pytest.raises(GeneratorStopped, match="the key is refused"):
        search(name, 0)


def test_all_missing_is_an_error_with_the_reasons() -> None:
    def generate(condition: Any, seed: int) -> Clip:
        raise RuntimeError(f"seed {seed} is broken")

    for strategy, count in ((Independent(2), "all 2 candidates"), (AdaptiveN(most=4), "all 4 candidates"),
                            (Independent(1), "its only candidate")):  # fmt: skip
        text = rf"^the generator failed on {count}: RuntimeError: seed 0 is broken \(seed 0\); fix the generator .*"
        with pytest.raises(MissingScore, match=text):
            Search(generate, Toy()["power"], strategy)()


def test_dubs_of_one_video_encode_it_once() -> None:
    toy = Toy(per_clip=False)
    found = BestOfN(noisy, toy["overall"], n=6, batch_size=2)(picture(0.5))
    assert [track for track, _ in toy.loads].count("video") == 1
    assert found.best.keys["video"] == picture(0.5).keys["video"]


def test_only_the_kept_clips_stay_in_memory() -> None:
    made: list[weakref.ref[Clip]] = []
    alive: list[int] = []

    def generate(condition: Any, seed: int) -> Clip:
        alive.append(sum(ref() is not None for ref in made))
        clip = sound(seed / 100, samples=64 + seed)
        made.append(weakref.ref(clip))
        return clip

    found = BestOfN(generate, Toy()["power"], n=40, batch_size=2, keep=3)()
    assert sum(ref() is not None for ref in made) == 3
    # Besides the kept ones: those of the batch at hand, and four decoded tracks that a rater remembers.
    assert max(alive) <= 3 + 2 + 4 + 1
    assert found.ranked[0].seed == 39


def test_a_run_is_taken_up_again(tmp_path) -> None:
    asked: list[int] = []

    def generate(condition: Any, seed: int) -> Clip:
        asked.append(seed)
        if len(asked) == 4:
            raise KeyboardInterrupt
        return noisy(condition, seed)

    search = BestOfN(generate, Toy()["power"], n=6, keep=2, out=tmp_path / "run")
    with pytest.raises(KeyboardInterrupt):
        search()
    lines = (tmp_path / "run" / "candidates.jsonl").read_text().splitlines()
    assert len(lines) == 4  # the run, and three candidates
    (tmp_path / "run" / "candidates.jsonl").write_text("\n".join(lines)[:-5])  # killed while the third was written
    again = BestOfN(generate, Toy()["power"], n=6, keep=2, out=tmp_path / "run")()
    assert asked == [0, 1, 2, 3, 2, 3, 4, 5]
    assert [c.known for c in again.candidates] == [True, True, False, False, False, False]
    assert [c.seed for c in again.ranked] == [1, 4, 2, 5, 0, 3]
    assert again.cost.rewards == 4
    assert sorted(path.name for path in (tmp_path / "run").glob("*.wav")) == ["seed-1.wav", "seed-4.wav"]
    assert float(again.clips[0].sound().square().mean()) == pytest.approx(0.75, rel=1e-3)
    assert BestOfN(generate, Toy()["power"], n=6, out=tmp_path / "run")().cost.rewards == 0
    assert len(asked) == 8


def test_without_a_folder_the_same_object_goes_on() -> None:
    asked: list[int] = []

    def generate(condition: Any, seed: int) -> Clip:
        asked.append(seed)
        if len(asked) == 3:
            raise KeyboardInterrupt
        return noisy(condition, seed)

    search = BestOfN(generate, Toy()["power"], n=4)
    with pytest.raises(KeyboardInterrupt):
        search()
    found = search()
    assert asked == [0, 1, 2, 2, 3]
    assert float(found.best.audio.square().mean()) == pytest.approx(0.75)
    search()
    assert asked[5:] == [1, 0, 1, 2, 3]  # the best made again, and a run of its own


def test_a_folder_belongs_to_one_run(tmp_path) -> None:
    BestOfN(noisy, Toy()["power"], n=1, out=tmp_path)(picture(0.5))
    BestOfN(noisy, Toy()["power"], n=2, out=tmp_path)(picture(0.5))
    for other in (picture(0.25), None):
        with pytest.raises(
            AvrewardError,
            match=r"out: expected a new folder .*, got .* of another run",
        ):
            BestOfN(noisy, Toy()["power"], n=1, out=tmp_path)(other)
    with pytest.raises(ArgumentError, match="with candidates of another run"):
        BestOfN(noisy, Toy()["overall"], n=1, out=tmp_path)(picture(0.5))


def test_a_full_disk_costs_the_record_and_not_the_run(tmp_path, monkeypatch) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    def save(*_: Any, **__: Any) -> None:
        raise MediaError("x.wav", "No space left on device", "make room")

    with monkeypatch.context() as patch:
        patch.setattr(Clip, "save", save)
        with pytest.warns(UserWarning, match="No space left on device.*the run continues in memory"):
            assert BestOfN(noisy, Toy()["power"], n=4, out=tmp_path / "a")().ranked[0].seed == 1
    real = Path.open
    monkeypatch.setattr(Path, "open", lambda self, mode="r", **o: full() if "a" in mode else real(self, mode, **o))
    with pytest.warns(UserWarning, match="No space left on device") as told:
        found = BestOfN(noisy, Toy()["power"], n=4, out=tmp_path / "b")()
    assert len(told) == 1
    assert found.ranked[0].seed == 1


def test_the_table(tmp_path) -> None:
    from pyarrow import parquet

    found = BestOfN(noisy, Fragile()["power"], n=4)(picture(0.5, prompt="rain"))
    table = parquet.read_table(found.table(tmp_path / "scores.parquet"))
    rows = table.to_pylist()
    assert [row["seed"] for row in rows] == [0, 1, 2, 3]
    assert [row["reward"] for row in rows] == [None, pytest.approx(0.75), None, pytest.approx(0.125)]
    assert rows[0]["reasons"] == [
        {"dimension": f"toy.{name}", "reason": "the rater failed: RuntimeError: the network fell over"}
        for name in ("power", "brightness", "overall", "peak")
    ]
    assert {row["prompt"] for row in rows} == {"rain"}
    assert len({row["group"] for row in rows}) == 1
    assert rows[1]["toy.brightness"] == pytest.approx(0.5)
    assert json.loads(table.schema.metadata[b"avreward"])["strategy"] == "Independent(n=4)"


# Strategies, on a landscape whose optimum is 0.


def search(strategy: Any, seed: int, steps: int = 20, **options: Any) -> Any:
    landscape = Landscape(seed, steps)
    return Search(landscape, Distance(landscape, seed)["reward"], strategy, seed=1000 * seed, **options)()


@pytest.mark.parametrize("name", STRATEGIES)
def test_every_strategy_by_its_name(name: str) -> None:
    first, again = search(name, 3), search(name, 3, batch_size=3)
    assert first.ranked[0].reward == pytest.approx(again.ranked[0].reward, abs=1e-12)  # whatever the batch
    assert [c.noise for c in first.candidates] == [c.noise for c in again.candidates]
    assert first.best is first.kept[first.ranked[0].index]
    one = search(Independent(1), 3)
    assert first.ranked[0].reward <= 0
    assert first.cost.steps > one.cost.steps
    for candidate in first.ranked:
        if candidate.noise is not None:
            alone = Landscape(3).make(Condition(), [candidate.noise], Cost())[0]
            assert float(Distance(Landscape(3), 3)["reward"]([alone])) == pytest.approx(candidate.reward, abs=1e-9)


def test_what_each_costs() -> None:
    costs = {
        Independent(6): (120, 6, 6),
        ZeroOrder(2, 2, 2): (120, 6, 6),
        Evolution(4, 1, 2): (120, 6, 6),
        Drafts(6, 0.5, 2): (6 * 10 + 2 * 20, 8, 8),
        Halving(6, (0.25, 0.5), 0.5): (6 * 5 + 3 * 5 + 2 * 10, 6 + 3 + 2, 6 + 3 + 2),
        Steering(4, (0.5,)): (80, 8, 8),
        Beam(2, 2, (0.5,)): (80, 8, 8),
    }
    for strategy, expected in costs.items():
        found = search(strategy, 1)
        assert (found.cost.steps, found.cost.decodes, found.cost.rewards) == expected, strategy
        assert len(found.candidates) == strategy.total


def test_neighbours_search_near_the_best() -> None:
    found = search(ZeroOrder(3, 2, 4, 0.2), 5)
    for turn in range(2):
        centre = max(found.candidates[: 3 + 4 * turn], key=lambda c: c.reward)
        for child in found.candidates[3 + 4 * turn : 7 + 4 * turn]:
            weights = dict(child.noise.parts)
            shared = sum(weight * weights.get(seed, 0) for seed, weight in centre.noise.parts)
            assert shared == pytest.approx((1 - 0.04) ** 0.5, abs=1e-6)


def test_children_have_two_parents_among_the_best() -> None:
    found = search(Evolution(4, 3, 3, 0.0), 5)
    for generation in range(3):
        parents = sorted(found.candidates[: 4 + 3 * generation], key=lambda c: -c.reward)[:4]
        allowed = {seed for parent in parents for seed, _ in parent.noise.parts}
        for child in found.candidates[4 + 3 * generation : 7 + 3 * generation]:
            assert {seed for seed, _ in child.noise.parts} <= allowed
            assert len(child.noise.parts) > 1


@pytest.mark.parametrize("strategy", [Steering(8), pytest.param(Beam(2, 4), marks=pytest.mark.slow)])
def test_steering_beats_as_many_free_particles(strategy: Any) -> None:
    # Free: the same stochastic steps, nothing chosen before the end.
    gains = []
    for seed in range(40):
        free = search(Steering(8, strength=0.0), seed)
        gains.append(search(strategy, seed).ranked[0].reward - free.ranked[0].reward)
    gain = torch.tensor(gains)
    assert float(gain.mean()) > 0.02
    assert float(gain.mean() / gain.std() * len(gains) ** 0.5) > 2


def test_copies_part_and_their_rewards_differ() -> None:
    found = search(Steering(6, (0.5,), strength=50.0, threshold=1.0), 2)  # one particle takes all places
    assert len({round(c.reward, 9) for c in found.ranked}) == 6
    found = search(Beam(1, 6, (0.9,)), 2)
    assert len({round(c.reward, 9) for c in found.ranked}) == 6


def test_steered_candidates_are_kept_or_gone(tmp_path) -> None:
    found = search(Steering(4), 1)
    assert found.seeds == [None] * 4
    with pytest.raises(AvrewardError, match="got one that depends on others; search again with a larger keep"):
        found.clip(found.ranked[-1])
    assert found.table(tmp_path / "t.jsonl").exists()


def test_what_halving_loses() -> None:
    """With previews at 0.3 and 0.6 of the steps the best of 8 is found at 55 % of the steps, nearly always."""
    lost, same = [], 0
    for seed in range(40):
        full, halved = search(Independent(8), seed), search(Halving(8, (0.3, 0.6)), seed)
        lost.append(full.ranked[0].reward - halved.ranked[0].reward)
        same += full.ranked[0].seed == halved.ranked[0].seed
        assert halved.cost.steps == 88
    assert min(lost) >= -1e-12  # of the same eight, none is better than the best
    assert same >= 32
    assert sum(lost) / 40 < 0.03


def test_a_useless_preview_halves_at_random() -> None:
    """At the first step every preview is about the same blur: what is found is hardly better than the best of two."""
    two, late = (
        sum(search(strategy, seed).ranked[0].reward for seed in range(40)) / 40
        for strategy in (Independent(8), Halving(8, (0.01, 0.02), 0.5))
    )
    assert two - late > 0.05


@pytest.mark.parametrize("strategy", [Halving(6), Steering(6), Beam(3, 2), Drafts(6), ZeroOrder(), Evolution()])
def test_a_seed_that_fails_on_the_way(strategy: Any) -> None:
    landscape = Landscape(4)
    landscape.failing = {0, 2}
    found = Search(landscape, Distance(landscape, 4)["reward"], strategy)()
    assert found.ranked[0].reward <= 0
    reasons = [c.reason for c in found.candidates if c.reason]
    assert any("this seed never works" in reason for reason in reasons)
    assert len(found.ranked) < len(found.candidates)
    landscape.failing = set(range(10))
    if not isinstance(strategy, ZeroOrder | Evolution):
        with pytest.raises(MissingScore, match="this seed never works"):
            Search(landscape, Distance(landscape, 4)["reward"], strategy)()


def test_previews_that_cannot_be_judged() -> None:
    class Late(Distance):
        """Sees nothing in the first six clips."""

        seen = 0

        def rate(self, samples: Any, work: Any = None) -> Any:
            self.seen += 1
            if self.seen <= 6:
                raise RuntimeError("too blurred")
            return super().rate(samples, work)

    landscape = Landscape(1)
    for strategy in (Halving(6, (0.05,)), Steering(6, (0.05,))):
        found = Search(landscape, Late(landscape, 1)["reward"], strategy)()
        assert len(found.ranked) == 6  # nothing was known at the first look, so nothing was dropped


@pytest.mark.parametrize("strategy", [Halving(6, (0.3,)), Steering(6, (0.3,), threshold=1.0), Beam(2, 3, (0.3,))])
def test_a_preview_that_cannot_be_shown(strategy: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    shown = Walk.preview

    def blank(self: Walk, row: int) -> Clip:
        if self.seeds[row] == 1:
            raise MediaError("video", "it contains NaN or infinity", "look for the step that made them")
        return shown(self, row)

    monkeypatch.setattr(Walk, "preview", blank)
    landscape = Landscape(1)
    found = Search(landscape, Distance(landscape, 1)["reward"], strategy, batch_size=2)()
    assert len(found.candidates) == 6
    assert found.ranked
    if isinstance(strategy, Halving):
        assert "it contains NaN" in (found.candidates[[c.seed for c in found.candidates].index(1)].reason or "")


def test_drafts_take_the_same_noise() -> None:
    found = search(Drafts(5, 0.5, 2), 7)
    drafts, finals = found.candidates[:5], found.candidates[5:]
    best = sorted(drafts, key=lambda c: -c.reward)[:2]
    assert [c.noise for c in finals] == [c.noise for c in best]
    assert [c.steps for c in drafts] == [10] * 5
    assert [c.final for c in found.candidates] == [False] * 5 + [True] * 2
    assert set(found.kept) <= {5, 6}


def test_adaptive_n_stops_when_one_more_is_not_worth_it() -> None:
    free = search(AdaptiveN(price=0.0, most=12), 2)
    assert len(free.candidates) == 12
    assert len(search(AdaptiveN(price=100.0), 2).candidates) == 4
    cheap, dear = (sum(len(search(AdaptiveN(price=p), s).candidates) for s in range(15)) for p in (0.002, 0.05))
    assert cheap > dear
    found = search(AdaptiveN(), 2)
    rewards = found.rewards.values.tolist()
    spread = torch.tensor(rewards, dtype=torch.float64).std()
    assert len(rewards) == 32 or expected_gain(rewards) <= 0.1 * float(spread) + 1e-12
    assert len(BestOfN(noisy, Toy()["brightness"], 1)(picture(0.5)).candidates) == 1
    same = Search(lambda c, s: picture(0.5), Toy()["brightness"], AdaptiveN())()
    assert len(same.candidates) == 4  # equal rewards: nothing more is expected


def test_expected_gain_against_draws() -> None:
    rewards = [0.3, -0.2, 1.1, 0.4, 0.0]
    generator = torch.Generator().manual_seed(0)
    values = torch.tensor(rewards, dtype=torch.float64)
    normal = torch.randn(2_000_000, 5, generator=generator, dtype=torch.float64)
    drawn = normal[:, 0] / (normal[:, 1:].square().sum(1) / 4).sqrt()  # Student's t, 4 degrees of freedom
    following = values.mean() + values.std() * (1 + 1 / 5) ** 0.5 * drawn
    assert expected_gain(rewards) == pytest.approx(float((following - 1.1).clamp(min=0).mean()), rel=0.02)
    with pytest.raises(ValueError, match="rewards: expected at least 3, got 2"):
        expected_gain([1.0, 2.0])


def test_settings_that_make_no_sense() -> None:
    for make, message in (
        (lambda: Steering(1), "particles: expected an integer of at least 2, got 1"),
        (lambda: Steering(at=(0.0,)), "at: expected shares of the steps between 0 and 1, got"),
        (lambda: Beam(spread=0.0), "spread: .* got 0.0; copies stay equal without noise"),
        (lambda: Halving(at=(0.6, 0.3)), "at: expected ascending shares"),
        (lambda: Halving(at=(0.0, 0.3)), "at: .* between 0 and 1"),  # only noise: nothing to preview
        (lambda: Halving(at=(0.3, 1.0)), "at: .* between 0 and 1"),
        (lambda: Halving(share=1.0), "share: expected a number between 0 and 1, got 1.0"),
        (lambda: Drafts(steps=1.0), "steps: expected a share .* between 0 and 1, got 1.0"),
        (lambda: AdaptiveN(least=2), "least: expected an integer of at least 3, got 2"),
        (lambda: AdaptiveN(least=5, most=4), "most: expected an integer of at least 5, got 4"),
        (lambda: ZeroOrder(distance=-1.0), "distance: expected a number of at least 0, got -1.0"),
    ):
        with pytest.raises(ArgumentError, match=message):
            make()


def test_noise_of_a_batch_is_each_its_own() -> None:
    landscape, cost = Landscape(0), Cost()
    noises = [Noise.of(1), Noise.of(2).near(3, 0.5)]
    together = landscape.make(Condition(), noises, cost)
    for noise, clip in zip(noises, together, strict=True):
        assert torch.allclose(landscape.make(Condition(), [noise], cost)[0].audio, clip.audio)


def test_a_search_and_a_ranking_of_its_clips_say_the_same() -> None:
    reward = 2 * Toy()["power"] + Toy()["brightness"]
    condition = picture(0.5, prompt="rain")
    found = Search(noisy, reward, "best_of_n", keep=8)(condition)
    picked = best_of_n([found.clip(i) for i in range(8)], reward)
    assert type(found) is type(picked)
    assert found.order == picked.order
    assert found.best_index == picked.best_index
    assert found.missing == picked.missing == {}
    for ours, theirs in ((found.rewards, picked.rewards), (found.rewards.scores["toy"], picked.rewards.scores["toy"])):
        torch.testing.assert_close(ours.values, theirs.values, check_dtype=False, equal_nan=True)
        assert ours.reasons == theirs.reasons
        assert torch.equal(ours.present, theirs.present)
    assert list(found.rewards.terms) == list(picked.rewards.terms)
    for ours, theirs in zip(found.rewards.terms.values(), picked.rewards.terms.values(), strict=True):
        torch.testing.assert_close(ours, theirs, check_dtype=False)


def test_an_expression_is_a_reward() -> None:
    def generate(condition: Any, seed: int) -> Clip:
        return Clip(audio=0.1 * torch.randn(1, 16000, generator=torch.Generator().manual_seed(seed)), sample_rate=16000)

    found = BestOfN(generate, "0.5*loudness", n=2)()
    assert found.metadata["reward"] == "0.5*signals.loudness"
    with pytest.raises(ExpressionError, match="unknown score 'loudnes'; did you mean"):
        BestOfN(noisy, "loudnes", n=2)


def test_what_was_never_made_has_no_row_and_no_clip() -> None:
    def generate(condition: Any, seed: int) -> Clip:
        if seed == 1:
            raise RuntimeError("out of luck")
        return noisy(condition, seed)

    found = BestOfN(generate, Toy()["power"], n=3)()
    assert found.rewards.present.tolist() == [True, False, True]
    assert found.rewards.reasons[1] == found.missing[1] == "the generator failed: RuntimeError: out of luck"
    assert found.rewards.scores["toy"].reasons[1]["power"] == found.missing[1]
    assert "out of luck" in repr(found)
