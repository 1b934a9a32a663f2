"""Several processes make the update of one with the whole batch, also where one of them has nothing to train on."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tiny.flow import JointGenerator
from torch import Tensor, distributed, multiprocessing

from avreward import Clip, term
from avreward.generators import Condition, Noise
from avreward.training import (
    ClipPair,
    DiffusionNft,
    Draft,
    FlowGrpo,
    OfflineDpo,
    OnlineDpo,
    Raft,
    TuningStep,
    add_lora,
)
from avreward.training.generator._processes import condition_draw, from_all, process_count
from avreward.training.generator.lora import lora_state

UPDATES, BATCH, GROUP = 3, 4, 3


@term(needs="video", low=0, high=1)
def cold(clip: Clip) -> Tensor:
    """Blue less red; none where the shift of its condition is 3, as the prompt says."""
    return 0.5 + 0.5 * (clip.video[:, 2].mean() - clip.video[:, 0].mean()) + (math.nan if clip.prompt == "3" else 0.0)


COLD = cold["cold"]
LOOPS = {
    "draft": lambda g: Draft(g, COLD, steps=4, truncation="random"),
    "nft": lambda g: DiffusionNft(g, COLD, steps=4),
    "flow_grpo": lambda g: FlowGrpo(g, COLD, steps=4, clip_range=0.1),
    "dpo": lambda g: OnlineDpo(g, COLD, steps=4, beta=10),
    "raft": lambda g: Raft(g, COLD, weights="exponential", steps=4),
}


class PromptedGenerator(JointGenerator):
    """The clips carry their condition's number as a prompt."""

    def decode(self, latents: dict[str, Tensor], encoded: float) -> list[Clip]:
        return [clip.with_prompt(f"{encoded:g}") for clip in super().decode(latents, encoded)]


def run(name: str, rank: int, processes: int) -> tuple[dict[str, Tensor], TuningStep]:
    generator = PromptedGenerator()
    add_lora(generator.network, rank=2, targets=["hidden", "video", "audio"])
    loop = LOOPS[name](generator)
    mine = range(rank * BATCH // processes, (rank + 1) * BATCH // processes)
    for update in range(UPDATES):
        # in the second update no clip has a reward, in the third one none of the second process
        none = [BATCH, 0, BATCH // 2][update]
        conditions = [Condition(arguments={"shift": 3 if i >= none else 0.1 * i}) for i in mine]
        seeds = [100 * update + 10 * i for i in mine]
        noises = [[Noise.of(seed + j) for j in range(GROUP)] for seed in seeds]
        step = loop.update(conditions, [group[0] for group in noises] if name == "draft" else noises)
    return lora_state(generator.network), TuningStep.together(from_all(step))


def run_on_pairs(rank: int, processes: int) -> tuple[dict[str, Tensor], TuningStep]:
    """Four pairs an update; of the first update one can't be read, of the second none of the second process."""
    generator = JointGenerator()
    add_lora(generator.network, rank=2, targets=["hidden", "video", "audio"])
    loop = OfflineDpo(generator, beta=10)
    for update in range(2):
        clips = generator.decode(generator.start(0.0, [Noise.of(10 * update + i) for i in range(2 * BATCH)]), 0.0)
        pairs = [ClipPair(Condition(), *clips[2 * i : 2 * i + 2]) for i in range(BATCH)]
        for gone in range(1, 2) if not update else range(BATCH // 2, BATCH):
            pairs[gone] = replace(pairs[gone], rejected="gone.mp4")
        step = loop.update(pairs[rank * BATCH // processes : (rank + 1) * BATCH // processes])
    return lora_state(generator.network), TuningStep.together(from_all(step))


def work(rank: int, place: str) -> None:
    torch.set_num_threads(1)
    distributed.init_process_group("gloo", init_method=f"file://{place}/store", rank=rank, world_size=2)
    assert process_count() == 2
    for name in LOOPS:
        state, step = run(name, rank, 2)
        torch.save((state, step.every_reward, step.loss, step.kl, step.clips), f"{place}/{name}-{rank}.pt")
    state, step = run_on_pairs(rank, 2)
    torch.save((state, step.loss, step.kl, dict(step.parts), len(step.missing)), f"{place}/pairs-{rank}.pt")
    distributed.destroy_process_group()


@pytest.mark.slow
def test_two_processes_make_the_update_of_one_with_twice_the_batch(tmp_path: Path) -> None:
    multiprocessing.spawn(work, (str(tmp_path),), nprocs=2)
    for name in LOOPS:
        state, step = run(name, 0, 1)
        assert step.every_reward.isnan().sum() == len(step.every_reward) // 2
        for rank in range(2):
            other, rewards, loss, kl, clips = torch.load(tmp_path / f"{name}-{rank}.pt", weights_only=True)
            torch.testing.assert_close(other, state, rtol=1e-4, atol=1e-6)
            torch.testing.assert_close(rewards, step.every_reward, equal_nan=True)
            assert (loss, kl, clips) == (pytest.approx(step.loss), pytest.approx(step.kl), step.clips)
    state, step = run_on_pairs(0, 1)
    assert (step.parts["pairs"], len(step.missing)) == (2, 2)
    for rank in range(2):
        other, loss, kl, parts, missing = torch.load(tmp_path / f"pairs-{rank}.pt", weights_only=True)
        torch.testing.assert_close(other, state, rtol=1e-4, atol=1e-6)
        assert (loss, kl, missing) == (pytest.approx(step.loss), pytest.approx(step.kl), 2)
        assert parts == pytest.approx(step.parts)


def test_each_condition_has_draws_of_its_own() -> None:
    draw = torch.Generator().manual_seed(5)
    first, second, again = (torch.rand(3, generator=condition_draw(draw, number, 2)) for number in (0, 1, 0))
    assert torch.equal(first, again)
    assert not torch.equal(first, second)
