"""Training on pairs of clips that were made before: from a folder of pairs, by stream, and from a loss of log 2."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from scored_tables import write
from tiny.flow import JointGenerator

from avreward import Clip
from avreward.errors import ArgumentError
from avreward.generators import ClipEncoder, Condition, Noise, sample_flow
from avreward.scoring import read_table
from avreward.selection import candidates_of, export_pairs, make_pairs
from avreward.training import ClipPair, OfflineDpo, add_lora, load_tuning, read_clip_pairs, save_tuning
from avreward.training.generator.lora import lora_state


def tuned() -> JointGenerator:
    generator = JointGenerator()
    add_lora(generator.network, rank=4)
    return generator


def made(generator: JointGenerator, seeds: range) -> list[Clip]:
    with torch.no_grad():
        noises = [Noise.of(seed) for seed in seeds]
        return generator.decode(sample_flow(generator, 0.0, noises, generator.sigmas(6, 0.0)), 0.0)


def red_before_blue(generator: JointGenerator, count: int = 8) -> list[ClipPair]:
    """Pairs of its own clips, the redder one chosen."""
    clips = sorted(made(generator, range(2 * count)), key=lambda c: float(c.video[:, 0].mean() - c.video[:, 2].mean()))
    return [ClipPair(Condition(), clips[-1 - i], clips[i]) for i in range(count)]


def redness(generator: JointGenerator) -> float:
    clips = made(generator, range(1000, 1064))
    return float(torch.stack([c.video[:, 0].mean() - c.video[:, 2].mean() for c in clips]).mean())


def test_clips_come_back_from_their_latents() -> None:
    generator = JointGenerator()
    assert isinstance(generator, ClipEncoder)
    [clip] = made(generator, range(1))
    [again] = generator.decode(generator.encode_clip(clip, 0.0), 0.0)
    torch.testing.assert_close(again.video, clip.video)
    torch.testing.assert_close(again.audio, clip.audio)


def test_the_loss_begins_at_log_2_and_the_generator_follows_the_chosen_clips() -> None:
    generator = tuned()
    pairs, before = red_before_blue(generator), redness(generator)
    loop = OfflineDpo(generator, beta=10, learning_rate=1e-2)
    first = loop.update(pairs)
    assert first.loss == pytest.approx(math.log(2), abs=1e-6)
    assert (first.kl, first.parts["pairs"], first.clips) == (0.0, 8.0, 0)
    assert first.gradient_norm > 0
    for _ in range(25):
        last = loop.update(pairs)
    assert last.loss < 0.6
    assert last.parts["accuracy"] > 0.8
    assert last.kl > 0
    assert redness(generator) > before + 0.05


@pytest.mark.parametrize(("stream", "other"), [("video", "audio"), ("audio", "video")])
def test_a_stream_whose_preference_the_pairs_are_not_gets_no_gradient(stream: str, other: str) -> None:
    generator = tuned()
    before = {n: p.detach().clone() for n, p in generator.network.named_parameters() if p.requires_grad}
    pairs = red_before_blue(generator, 2)
    loop = OfflineDpo(generator, streams=[stream])
    for _ in range(2):  # the first factors of a LoRA move in the second update
        loop.update(pairs)
    moved = {n for n, p in generator.network.named_parameters() if n in before and not torch.equal(p, before[n])}
    assert moved == {n for n in before if not n.startswith(other)}


def test_pairs_from_a_folder(tmp_path: Path) -> None:
    generator, rows = tuned(), []
    for number in range(3):
        path = tmp_path / f"{number}.mp4"
        video = torch.full((8, 3, 32, 32), 0.2 + 0.2 * number)
        audio = 0.1 * torch.randn(1, 8000, generator=torch.Generator().manual_seed(number))
        Clip(video=video, fps=8, audio=audio, sample_rate=8000).save(path)
        rows.append({"clip": str(path), "clip_key": f"{number:032x}", "prompt": "rain", "reward": number / 4})
    table = read_table(write(tmp_path / "scores.parquet", rows))
    export_pairs(make_pairs(candidates_of(table)), tmp_path / "pairs", copy=True)
    for file in tmp_path.glob("*.mp4"):
        file.unlink()  # the copies in the folder remain
    [pair] = read_clip_pairs(tmp_path / "pairs")
    assert pair.condition.arguments == {"prompt": "rain"}
    gone = ClipPair(pair.condition, pair.chosen, str(tmp_path / "gone.mp4"))
    loop = OfflineDpo(generator)
    step = loop.update([pair, gone])
    assert step.parts["pairs"] == 1
    assert len(step.missing) == 1
    assert "gone.mp4" in step.missing[0]
    weights = lora_state(generator.network)
    none = loop.update([gone])
    assert (none.parts["pairs"], none.loss, none.gradient_norm, len(none.missing)) == (0, 0, 0, 1)
    assert all(torch.equal(value, weights[name]) for name, value in lora_state(generator.network).items())
    assert loop.updates == 2


def test_a_stopped_run_goes_on_with_the_same_result(tmp_path: Path) -> None:
    pairs = red_before_blue(JointGenerator(), 2)
    whole, stopped, again = tuned(), tuned(), tuned()
    one, two, three = OfflineDpo(whole), OfflineDpo(stopped), OfflineDpo(again)
    for _ in range(3):
        one.update(pairs)
    two.update(pairs)
    save_tuning(two, tmp_path / "run.pt")
    load_tuning(three, tmp_path / "run.pt")
    for _ in range(2):
        three.update(pairs)
    for mine, theirs in zip(whole.network.parameters(), again.network.parameters(), strict=True):
        assert torch.equal(mine, theirs)


def test_what_cannot_be_trained_on_is_refused() -> None:
    generator = tuned()
    with pytest.raises(ArgumentError, match="streams: expected some of video, audio, got"):
        OfflineDpo(generator, streams=["text"])
    with pytest.raises(ArgumentError, match="pairs: expected at least one, got none"):
        OfflineDpo(generator).update([])

    plain = type("Plain", (), {k: v for k, v in vars(JointGenerator).items() if k != "encode_clip"})()
    add_lora(plain.network, rank=2)
    with pytest.raises(ArgumentError, match="generator: expected one that encodes clips, got a Plain; add a method"):
        OfflineDpo(plain)
