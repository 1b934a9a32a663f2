"""The small joint generator: scenes, network, generator, training, and what the trained one makes."""

from __future__ import annotations

import pytest
import torch
from tiny_joint import random_joint, tiny_joint
from tiny_joint.generator import LORA
from tiny_joint.scenes import FRAMES, RATE, SIDE, bounce, prompt_of
from tiny_joint.train import train

from avreward.generators import Condition, FlowGenerator, Noise, sample_flow
from avreward.training import add_lora

SIZES = {"width": 16, "blocks": 2}


def asked(colour: str) -> Condition:
    return Condition(arguments={"prompt": prompt_of(colour)})


def test_a_scene_is_seen_and_heard() -> None:
    video, audio = bounce("red", 5)
    assert video.shape == (FRAMES, 3, SIDE, SIDE)
    assert audio.shape == (RATE,)
    assert torch.equal(video, bounce("red", 5)[0])
    red, green, _ = video.amax((0, 2, 3))
    assert red > 2 * green
    changes, levels = [], []
    for seed in range(20):
        video, audio = bounce("blue", seed)
        changes.append((video[1:] - video[:-1]).abs().mean())
        levels.append(audio.square().mean().sqrt())
    assert torch.corrcoef(torch.stack([torch.stack(changes), torch.stack(levels)]))[0, 1] > 0.6  # what is fast is loud


def test_latents_are_decoded_to_what_was_encoded() -> None:
    generator = random_joint(**SIZES)
    video, audio = bounce("green", 1)
    latents = {name: x[None] for name, x in generator.latents(video, audio).items()}
    [clip] = generator.decode(latents, ("a green ball", 1))
    torch.testing.assert_close(clip.video, video.clamp(0.03, 0.97), rtol=0, atol=1e-4)
    heard = generator.vocoder.encode(clip.audio)
    assert torch.corrcoef(torch.stack([heard.flatten(), generator.vocoder.encode(audio[None]).flatten()]))[0, 1] > 0.8


def test_a_seed_is_a_clip_whatever_the_batch() -> None:
    generator = random_joint(**SIZES)
    assert isinstance(generator, FlowGenerator)
    encoded = generator.encode(asked("red"))
    sigmas = generator.sigmas(3, encoded)
    with torch.no_grad():
        together = sample_flow(generator, encoded, [Noise.of(0), Noise.of(1)], sigmas)
        for row in (0, 1):
            alone = sample_flow(generator, encoded, [Noise.of(row)], sigmas)
            for stream, x in alone.items():
                torch.testing.assert_close(x[0], together[stream][row], rtol=0, atol=1e-5)
    assert set(together) == set(generator.streams)


def test_each_stream_reads_the_other() -> None:
    generator = random_joint(**SIZES)
    for block in generator.network.layers:  # begin as zeros
        torch.nn.init.ones_(block.time.weight)
        torch.nn.init.ones_(block.second.weight)
    encoded, sigma = generator.encode(asked("red")), torch.tensor([0.5])
    start = generator.start(encoded, [Noise.of(0)])
    with torch.no_grad():
        first = generator.velocity(start, sigma, encoded)
        for changed, other in (("video", "audio"), ("audio", "video")):
            moved = generator.velocity(start | {changed: start[changed] + 1}, sigma, encoded)
            assert not torch.allclose(first[other], moved[other], atol=1e-4)


@pytest.mark.parametrize("prompt", ["a ball", "a red and blue ball"])
def test_a_prompt_without_one_colour_is_refused(prompt: str) -> None:
    with pytest.raises(ValueError, match="prompt: expected one of red, green, blue"):
        random_joint(**SIZES).encode(Condition(arguments={"prompt": prompt}))


def test_training_lowers_the_loss() -> None:
    generator = random_joint(**SIZES)
    losses = train(generator, scenes=3, steps=30, batch=3)
    assert sum(losses[-5:]) < 0.85 * sum(losses[:5])
    assert not any(p.requires_grad for p in generator.network.parameters())


def test_training_that_was_stopped_goes_on_to_the_same_weights(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("tiny_joint.train.EVERY", 2)
    whole, stopped, again = (random_joint(**SIZES) for _ in range(3))
    losses = train(whole, scenes=3, steps=5, batch=2)
    steps = []

    def interrupt(*_: object) -> None:
        steps.append(1)
        if len(steps) > 3:
            raise KeyboardInterrupt

    hook = stopped.network.register_forward_pre_hook(interrupt)
    with pytest.raises(KeyboardInterrupt):
        train(stopped, scenes=3, steps=5, batch=2, checkpoint=tmp_path / "training.pt")
    hook.remove()
    assert train(again, scenes=3, steps=5, batch=2, checkpoint=tmp_path / "training.pt") == losses
    for name, weight in whole.network.state_dict().items():
        assert torch.equal(weight, again.network.state_dict()[name])
    with pytest.raises(ValueError, match="expected a run with these settings"):
        train(again, scenes=3, steps=6, batch=2, checkpoint=tmp_path / "training.pt")


def test_a_trained_one_is_saved_and_loaded(tmp_path) -> None:
    generator = random_joint(**SIZES)
    generator.network.half().save_pretrained(tmp_path)
    loaded = tiny_joint(tmp_path)
    assert not any(p.requires_grad for p in loaded.network.parameters())
    for name, weight in loaded.network.state_dict().items():
        assert torch.equal(weight, generator.network.state_dict()[name].float())
    with pytest.raises(FileNotFoundError, match=r"run python recipes/tiny_joint/train\.py"):
        tiny_joint(tmp_path / "none")


def test_the_lora_has_layers_in_both_streams() -> None:
    generator = random_joint(**SIZES)
    add_lora(generator.network, rank=2, targets=LORA)
    names = [name for name, p in generator.network.named_parameters() if p.requires_grad]
    assert any(".space." in name for name in names)
    assert any(".second." in name for name in names)
