"""The loop that rates clips: order, batches, shared work, and what a failure costs."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Hashable, Sequence
from typing import Any

import pytest
import torch
from toy_raters import Toy, both, picture, sound

from avreward.clip import Clip
from avreward.errors import ArgumentError
from avreward.raters._loop import BATCH, alike, rate
from avreward.raters.base import Sample, Track, Work
from avreward.raters.checkpoints._oom import OutOfMemory
from avreward.raters.scores import Scores
from avreward.raters.shared import SharedWork
from avreward.rewards.base import MissingScore

LEVELS = [0.1, 0.4, 0.2, 0.3, 0.25]


class Fragile(Toy):
    """Raises for sounds of some powers; counts what it was asked to rate."""

    bad: frozenset[float] = frozenset({0.2})

    def row(self, sample: Sample) -> Any:
        found = super().row(sample)
        power = round(float(found[0]["power"].detach()), 4)
        if power in self.bad:
            raise RuntimeError(f"the network\nfell over {power:.2f}")
        return found


class Alike(Toy):
    """One of several raters that decode in one way."""

    @property
    def decoding(self) -> Hashable:
        return "as all of them"


def clips(levels: Sequence[float] = LEVELS) -> list[Clip]:
    return [sound(level) for level in levels]


@pytest.mark.parametrize("batch_size", [1, 2, 3, 7])
@pytest.mark.parametrize("per_clip", [True, False])
def test_scores_come_in_order_whatever_the_batch(batch_size: int, per_clip: bool) -> None:
    toy = Toy(per_clip=per_clip)
    scores = toy(clips(), batch_size)
    assert scores["power"].tolist() == pytest.approx(LEVELS)
    assert max(toy.calls) == min(batch_size, len(LEVELS))


def test_the_default_size_of_a_batch() -> None:
    together, alone = Toy(per_clip=False), Toy(per_clip=True)
    for toy in (together, alone):
        toy(clips([0.5] * (BATCH + 1)))
    assert together.calls == [BATCH, 1]
    assert alone.calls == [1] * (BATCH + 1)


@pytest.mark.parametrize("size", [0, -1, 1.5, True, "2"])
def test_the_size_of_a_batch_is_positive(size: Any) -> None:
    with pytest.raises(ArgumentError, match=r"^batch_size: expected a positive integer, got"):
        Toy()(clips(), size)


@pytest.mark.parametrize("batch_size", [1, 2, 8])
def test_a_clip_at_fault_costs_itself(batch_size: int) -> None:
    scores = Fragile(per_clip=False)(clips(), batch_size)
    assert scores.present[:, 0].tolist() == [True, True, False, True, True]
    assert scores["power"][[0, 1, 3, 4]].tolist() == pytest.approx([0.1, 0.4, 0.3, 0.25])
    assert scores["power"][2].isnan()
    assert scores.reasons[2] == dict.fromkeys(
        scores.names, "the rater failed: RuntimeError: the network fell over 0.20"
    )
    assert scores.reasons[3].keys() == {"brightness"}  # a sound has none


def test_a_clip_at_fault_has_no_reward_and_no_number() -> None:
    reward = 2 * Fragile(per_clip=False)["power"] + 1
    rewards = reward.evaluate(clips())
    assert rewards.present.tolist() == [True, True, False, True, True]
    assert rewards.values[2].isnan()
    with pytest.raises(MissingScore, match=r"1 of 5 rewards is missing: .*clip 2.*fell over"):
        reward(clips())


def test_a_clip_whose_loading_fails_costs_itself() -> None:
    class Unreadable(Toy):
        def load_track(self, clip: Clip, track: Track) -> Any:
            if clip.texts.get("id") == "bad":
                raise IndexError("no such stream")
            return super().load_track(clip, track)

    toy = Unreadable(per_clip=False)
    scores = toy([sound(0.1), sound(0.2).with_prompt("p", texts={"id": "bad"}), sound(0.3)])
    assert scores.present[:, 0].tolist() == [True, False, True]
    assert scores.reasons[1]["power"] == "the rater failed: IndexError: no such stream"
    assert toy.calls == [2]  # the others are still rated together


@pytest.mark.parametrize("count", [1, 3, 20])
@pytest.mark.parametrize("batch_size", [1, 4])
def test_a_broken_rater_raises_its_own_error(count: int, batch_size: int) -> None:
    broken = Fragile(per_clip=False)
    broken.bad = frozenset({0.5})
    with pytest.raises(RuntimeError, match=r"fell over 0\.50"):
        broken(clips([0.5] * count), batch_size)
    assert sum(size == 1 for size in broken.calls) <= BATCH + 4  # it gives up before all are tried
    with pytest.raises(RuntimeError, match=r"fell over 0\.50"):
        broken["power"].evaluate(clips([0.5] * count), batch_size)


def test_a_rater_that_recovers_is_not_broken() -> None:
    scores = Fragile()(clips([0.2] * (BATCH - 1) + [0.1]))
    assert scores.present[:, 0].tolist() == [False] * (BATCH - 1) + [True]


def test_without_strict_all_may_be_missing() -> None:
    (rated,) = rate([Fragile()], clips([0.2, 0.2]), strict=False)
    assert not rated.scores.present.any()
    assert sorted(rated.errors) == [0, 1]


def test_a_rater_that_fails_on_batches_alone_is_told() -> None:
    class Alone(Toy):
        def rate(self, samples: Sequence[Sample], work: Work | None = None) -> Scores:
            if len(samples) > 1:
                raise ValueError("sizes differ")
            return super().rate(samples, work)

    with pytest.warns(UserWarning, match=r"toy: failed on 5 clips together and on none alone \(ValueError: sizes diff"):
        scores = Alone(per_clip=False)(clips())
    assert scores["power"].tolist() == pytest.approx(LEVELS)


def test_rows_that_are_lost_are_an_error() -> None:
    class Short(Toy):
        def rate(self, samples: Sequence[Sample], work: Work | None = None) -> Scores:
            return super().rate(samples[:0], work)

    with pytest.raises(Exception, match=r"toy: expected one row of scores a clip \(5\), got 0|\(1\), got 0"):
        Short(per_clip=False)(clips())


def test_an_error_that_is_kept_holds_no_tensors() -> None:
    held: list[weakref.ref[torch.Tensor]] = []

    class Large(Fragile):
        def row(self, sample: Sample) -> Any:
            activation = torch.zeros(10)
            held.append(weakref.ref(activation))
            return super().row(sample)

    (rated,) = rate([Large(per_clip=False)], clips())
    gc.collect()
    assert rated.errors
    assert [ref() for ref in held] == [None] * len(held)


@pytest.mark.parametrize("gradients", [True, False])
def test_memory_that_runs_out_is_not_retried_with_gradients(gradients: bool) -> None:
    class Full(Toy):
        def rate(self, samples: Sequence[Sample], work: Work | None = None) -> Scores:
            if len(samples) > 1 or float(samples[0].tracks["audio"].square().mean()) > 0.39:
                self.calls.append(len(samples))
                raise OutOfMemory("out of memory; pass fewer clips")
            return super().rate(samples, work)

    full = Full(per_clip=False)
    with torch.set_grad_enabled(gradients):
        if gradients:
            with pytest.raises(OutOfMemory):
                full(clips())
            assert full.calls == [5]
        else:
            assert full(clips()).present[:, 0].tolist() == [True, False, True, True, True]


def test_raters_that_decode_alike_share_the_decoded_clip() -> None:
    first, second, other = Alike("first", per_clip=False), Alike("second", per_clip=False), Toy("other")
    reward = first["power"] + second["peak"] + other["power"]
    video = picture(0.5)
    dubs = [video.with_audio(sound(level).sound(), sample_rate=16000) for level in LEVELS]
    rewards = reward.evaluate(dubs)
    loads = [[track for track, _ in rater.loads] for rater in (first, second, other)]
    assert [own.count("audio") for own in loads] == [5, 0, 5]
    assert [len(own) for own in loads] == [6, 0, 6]  # and the picture once
    assert (first.calls, second.calls) == ([5], [5])
    alone = [rater["power"]([dub]) for rater in (first, other) for dub in dubs]
    assert rewards.terms["first.power"].tolist() == pytest.approx([float(x) for x in alone[:5]])


def test_raters_that_look_at_other_tracks_do_not_share_samples() -> None:
    class Ear(Alike):
        tracks = ("audio",)

    raters = [Ear("ear"), Alike("both"), Ear("other ear")]
    assert alike(raters) == [0, 1, 0]
    ear, seen, _ = rate(raters, [both(0.25, 0.5)])
    assert ear.scores.present[0].tolist() == [True, False, True, True]
    assert seen.scores.present[0].tolist() == [True] * 4


def test_work_is_shared_between_calls_that_are_given_it() -> None:
    toy, clip, work = Toy(), both(0.25, 0.5), SharedWork()
    for _ in range(3):
        toy["power"].evaluate([clip], work=work)
    assert len(toy.loads) == 2
    toy["power"].evaluate([clip])
    assert len(toy.loads) == 4


def test_gradients_pass_the_loop_and_the_failing_clip_does_not_spoil_them() -> None:
    waves = [torch.full((1, 64), level**0.5, requires_grad=True) for level in (0.1, 0.2, 0.3)]
    scores = Fragile(per_clip=False)([Clip(audio=wave, sample_rate=16000) for wave in waves])
    scores["power"][scores.present[:, 0]].sum().backward()
    grads = [wave.grad for wave in waves]
    assert grads[1] is None
    for wave, grad in ((waves[0], grads[0]), (waves[2], grads[2])):
        torch.testing.assert_close(grad, 2 * wave.detach() / 64)


def test_no_clips() -> None:
    assert len(Toy()([])) == 0
    assert len((Toy()["power"] + Toy("other")["power"]).evaluate([])) == 0


def test_causes_in_a_cycle_end() -> None:
    class Cyclic(Toy):
        def row(self, sample: Sample) -> Any:
            first, second = RuntimeError("first"), RuntimeError("second")
            first.__cause__, second.__cause__ = second, first
            raise first

    [rated] = rate([Cyclic()], clips(), strict=False)
    assert rated.scores.reasons[0]["power"] == "the rater failed: RuntimeError: first"


@pytest.mark.parametrize("gradients", [True, False])
def test_a_rate_that_returns_no_scores_is_named(gradients: bool) -> None:
    class Bare(Toy):
        def rate(self, samples: Sequence[Sample], work: Work | None = None) -> Any:
            return torch.zeros(len(samples))

    with torch.set_grad_enabled(gradients), pytest.raises(ArgumentError) as caught:
        Bare()(clips([0.5]))
    assert str(caught.value) == (
        "Bare.rate: expected a result of type Scores, got a Tensor of shape (1,) and type torch.float32; "
        "return Scores.collect(rows, self.dimensions)"
    )


@pytest.mark.parametrize("wrong", [None, 3, "a.mp4", (clip for clip in ())])
def test_what_is_no_list_of_clips(wrong: Any) -> None:
    with pytest.raises(ArgumentError, match=r"^clips: expected a list of clips, got"):
        Toy()(wrong)
    with pytest.raises(ArgumentError, match=r"^clips: expected a list of clips, got"):
        Toy()["power"].evaluate(wrong)
