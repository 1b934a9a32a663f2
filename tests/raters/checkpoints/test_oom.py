"""Batches that don't fit into memory."""

from __future__ import annotations

import gc
import warnings
import weakref
from dataclasses import dataclass

import pytest
import torch
from lmm_checks import check_alone, dubs, film, small_memory, sound
from torch import Tensor, nn
from toy_backbone import ToyBackbone, toy_rater

from avreward import Clip
from avreward.raters.checkpoints._oom import Batches, OutOfMemory, builds_graph


def sounds(count: int) -> list[Clip]:
    return [Clip(**sound(1200 + 400 * i, seed=i)) for i in range(count)]


def test_a_batch_is_halved_and_said_once() -> None:
    rater, clips = toy_rater(), sounds(11)
    with small_memory(rater, 3) as sizes, pytest.warns(RuntimeWarning) as said:
        scores = rater(clips, batch_size=8)
    assert len(said) == 1
    assert str(said[0].message) == (
        "out of memory with 8 clips at once; continuing with fewer (batch_size=4 avoids this)"
    )
    assert sizes == [8, 4, 2, 2, 2, 2, 2, 1]  # the size that fitted is kept for the next batch
    check_alone(rater, clips, scores)
    with small_memory(rater, 3), warnings.catch_warnings():
        warnings.simplefilter("error")
        again = rater(clips)
    torch.testing.assert_close(again.values, scores.values, rtol=1e-5, atol=0, equal_nan=True)


def test_dubs_of_one_video_go_on_sharing_it() -> None:
    rater, clips = toy_rater(), dubs(6)
    with small_memory(rater, 4), pytest.warns(RuntimeWarning):
        scores = rater(clips)
    assert rater.backbone.calls == {"video": 1, "audio": 6}
    check_alone(rater, clips, scores)


def test_one_clip_that_is_too_large() -> None:
    rater = toy_rater()
    with small_memory(rater, 0), pytest.warns(RuntimeWarning), pytest.raises(OutOfMemory) as caught:
        rater(sounds(2))
    assert str(caught.value) == (
        "out of memory with one clip: load the rater with dtype='bfloat16' or device_map='auto', or give a shorter "
        "or smaller clip"
    )
    assert isinstance(caught.value.__cause__, torch.OutOfMemoryError)


@pytest.mark.parametrize("count", [1, 3])
def test_with_gradients_the_error_says_what_to_lower(count: int) -> None:
    rater = toy_rater()
    clips = [Clip(audio=clip.audio.requires_grad_(), sample_rate=16000) for clip in sounds(count)]
    with small_memory(rater, 0) as sizes, pytest.raises(OutOfMemory) as caught:
        rater(clips)
    assert sizes == [count]
    for remedy in ("fewer clips at once", "checkpointing=True", "dtype='bfloat16'", "torch.no_grad()"):
        assert remedy in str(caught.value)


def test_what_no_gradient_is_wanted_of_is_halved_with_gradients_on() -> None:
    """Files, and tensors of a generator that was not recorded: no graph would be kept."""
    rater, clips = toy_rater(), sounds(4)
    assert torch.is_grad_enabled()
    with small_memory(rater, 2), pytest.warns(RuntimeWarning):
        scores = rater(clips)
    check_alone(rater, clips, scores)


def test_other_errors_pass() -> None:
    with pytest.raises(ZeroDivisionError):
        Batches().run(lambda part: [1 // 0], [1, 2], gradients=False)


class Leaky(ToyBackbone):
    """Runs out of memory when it encodes its third audio track, while it holds a large tensor."""

    held: weakref.ref

    def encode(self, track: str, loaded: Tensor):
        encoded = super().encode(track, loaded)
        if self.calls["audio"] == 3:
            large = torch.zeros(10)
            self.held = weakref.ref(large)
            raise torch.OutOfMemoryError("no more")
        if self.calls["audio"] > 3:
            assert self.held() is None, "the failed attempt still holds its tensors"
        return encoded


def test_what_the_failed_attempt_held_is_free_for_the_next() -> None:
    gc.disable()
    try:
        rater = toy_rater(backbone=Leaky())
        with torch.no_grad(), pytest.warns(RuntimeWarning):
            scores = rater(sounds(4))
    finally:
        gc.enable()
    check_alone(rater, sounds(4), scores)


@dataclass(frozen=True)
class Loaded:
    patches: Tensor
    grid: tuple[int, ...] = (1, 2)


def test_when_a_graph_is_built() -> None:
    module, plain, wanted = nn.Linear(2, 2).requires_grad_(False), torch.zeros(2), torch.zeros(2, requires_grad=True)
    assert not builds_graph(module, [plain, Loaded(plain)])
    assert builds_graph(module, [plain, wanted])
    assert builds_graph(module, [Loaded(wanted)])
    with torch.no_grad():
        assert not builds_graph(module, [wanted])
    module.requires_grad_(True)
    assert builds_graph(module, [])


def test_the_most_that_fits_is_a_raters_own() -> None:
    one, other = toy_rater(), toy_rater()
    with small_memory(one, 2), pytest.warns(RuntimeWarning):
        one(sounds(4))
    with small_memory(other, 8) as sizes:
        other([film(), *sounds(3)])
    assert max(sizes) > 2


@pytest.mark.parametrize(
    "error", [MemoryError(), RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried")]
)
def test_a_cpu_runs_out_of_memory_in_its_own_words(error) -> None:
    def step(items):
        if len(items) > 1:
            raise error
        return list(items)

    with pytest.warns(RuntimeWarning, match="out of memory with 3"):
        assert Batches().run(step, [1, 2, 3], False) == [1, 2, 3]


def test_another_error_is_not_one_of_memory() -> None:
    def step(items):
        raise RuntimeError("shapes differ")

    with pytest.raises(RuntimeError, match="shapes differ"):
        Batches().run(step, [1, 2], False)
