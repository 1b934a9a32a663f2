"""A head on latents in place of a rater: fitted and measured, used without decoding, checked and dropped."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from tiny.flow import JointGenerator
from torch import Tensor

from avreward import Clip, term
from avreward.errors import ArgumentError, AvrewardError
from avreward.generators import Condition, Noise, sample_flow
from avreward.rewards import HeadError, LatentHead, Reward
from avreward.training import Draft, HeadGuard, add_lora, load_tuning, sample_latent_head, save_tuning
from avreward.training.generator._rated import RatedBatch


@term(needs="video", low=0, high=1)
def warmth(clip: Clip) -> Tensor:
    """Red less blue."""
    return 0.5 + 0.5 * (clip.video[:, 0].mean() - clip.video[:, 2].mean())


@term(needs="video", low=0, high=1, differentiable=False)
def counted(clip: Clip) -> float:
    """The same without a gradient."""
    return float(0.5 + 0.5 * (clip.video[:, 0].mean() - clip.video[:, 2].mean()))


@term(needs="audio", low=-1, high=1)
def level(clip: Clip) -> Tensor:
    """The mean sample."""
    return clip.audio.mean()


WARM = warmth["warmth"]


def tuned() -> JointGenerator:
    generator = JointGenerator()
    add_lora(generator.network, rank=4)
    return generator


def fitted(generator: JointGenerator, reward: Reward = WARM, count: int = 96) -> LatentHead:
    noises = [[Noise.of(1000 * c + i) for i in range(count // 4)] for c in range(4)]
    return sample_latent_head(generator, reward, [Condition()] * 4, noises, steps=6, epochs=40, learning_rate=1e-2)


def decodes(generator: JointGenerator) -> list[int]:
    seen: list[int] = []
    own = generator.decode
    generator.decode = lambda x, e: (seen.append(1), own(x, e))[1]  # type: ignore[method-assign]
    return seen


def mean_reward(generator: JointGenerator) -> float:
    with torch.no_grad():
        noises = [Noise.of(10**6 + i) for i in range(64)]
        return float(WARM(generator.decode(sample_flow(generator, 0.0, noises, generator.sigmas(6, 0.0)), 0.0)).mean())


def run(loop: Draft, updates: int, start: int = 0) -> list[dict[str, float]]:
    return [
        dict(loop.update([Condition()] * 4, [Noise.of(4 * n + i) for i in range(4)]).parts)
        for n in range(start, start + updates)
    ]


def test_a_loop_trains_on_the_head_and_decodes_in_its_checks_alone() -> None:
    generator = tuned()
    guard = HeadGuard(fitted(generator), every=5, largest=1e6)
    loop = Draft(generator, WARM, steps=6, truncation=2, learning_rate=2e-2, kl_weight=0.0, head=guard)
    before, seen = mean_reward(generator), decodes(generator)
    parts = run(loop, 25)
    assert [one["head"] for one in parts] == [float(n % 5 != 0) for n in range(25)]
    assert len(seen) == 5 * 4
    assert all(one["drift"] > 0 for one in parts)
    assert mean_reward(generator) > before + 0.05


def test_a_rater_without_a_gradient_is_trained_on_through_the_head() -> None:
    generator, reward = tuned(), counted["counted"]
    with pytest.raises(AvrewardError, match="no gradient reaches the clip"):
        Draft(generator, reward, steps=6)
    guard = HeadGuard(fitted(generator, reward), every=4, largest=1e6)
    loop = Draft(generator, reward, steps=6, truncation=2, learning_rate=2e-2, kl_weight=0.0, head=guard)
    before = mean_reward(generator)
    run(loop, 25)
    assert mean_reward(generator) > before + 0.05
    guard.largest, guard.error = 1.5, HeadError(4, 0.9, 1e-9, 1.0)
    with pytest.raises(AvrewardError, match=r"latent head: expected an error of at most 1\.5 times"):
        run(loop, 4, start=25)


def test_a_head_that_drifts_is_dropped_for_good(tmp_path: Path) -> None:
    generator = tuned()
    head = fitted(generator)
    guard = HeadGuard(head, every=3)
    loop = Draft(generator, WARM, steps=4, head=guard)
    assert [one["head"] for one in run(loop, 3)] == [0.0, 1.0, 1.0]
    head.shift += 10  # the rater and the head disagree from here on
    parts = run(loop, 4, start=3)
    assert [one["head"] for one in parts] == [0.0] * 4
    assert not guard.active
    assert parts[0]["drift"] > 2
    save_tuning(loop, tmp_path / "run.pt")
    resumed = Draft(tuned(), WARM, steps=4, head=HeadGuard(fitted(tuned()), every=3))
    load_tuning(resumed, tmp_path / "run.pt")
    assert resumed.head is not None
    assert not resumed.head.active
    assert resumed.head.state() == guard.state()


def test_a_clip_without_a_reward_is_no_check_and_many_of_them_drop_the_head() -> None:
    generator = tuned()
    guard = HeadGuard(fitted(generator))
    latents = generator.start(0.0, [Noise.of(0)])
    none = torch.full((1,), math.nan)
    for number in range(20):
        assert guard.active == (number < 16)
        guard.check(latents, RatedBatch(none, none.isfinite(), {}, ["none"]))
    mixed = HeadGuard(fitted(generator))
    for number in range(20):
        values = mixed.head(latents).detach() if number % 10 == 0 else none
        mixed.check(latents, RatedBatch(values, values.isfinite(), {}, []))
    assert mixed.active
    assert mixed.drift == pytest.approx(0, abs=1e-3)


def test_the_head_moves_the_streams_of_the_rewards_terms_alone() -> None:
    generator = tuned()
    guard = HeadGuard(fitted(generator))
    assert guard.head.streams == ("video", "audio")
    latents = {name: x.requires_grad_() for name, x in generator.start(0.0, [Noise.of(0)]).items()}
    guard.predicted(latents, {"video"}).values.sum().backward()
    assert latents["video"].grad is not None
    assert float(latents["video"].grad.abs().max()) > 0
    assert latents["audio"].grad is None
    with pytest.raises(ArgumentError, match="head: expected a reward whose terms move the same streams"):
        Draft(generator, WARM + level["level"], head=guard)
    guard.head.error = HeadError(40, 0.1, 1.1, 1.0)
    with pytest.raises(ArgumentError, match="head: expected one whose held-out error is smaller"):
        HeadGuard(guard.head)
    guard.head.error = HeadError(40, 0.9, 0.1, 1.0)
    with pytest.raises(ArgumentError, match="every: expected a positive integer"):
        HeadGuard(guard.head, every=0)
    with pytest.raises(ArgumentError, match="largest: expected a number above 1"):
        HeadGuard(guard.head, largest=1.0)
