"""The adapter that the guide shows, on the tiny video-to-audio model: the model's own audio, gradients, a loop."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from tiny_mmaudio import RATE, tiny_mmaudio
from torch import Tensor

from avreward import Clip, term
from avreward.generators import Condition, FlowGenerator, Noise, sample_flow
from avreward.training import DiffusionNft, Draft, add_lora

PAGE = Path(__file__).parents[2] / "docs" / "guides" / "tune_v2a.md"


@term(needs="audio", low=-1, high=1)
def level(clip: Clip) -> Tensor:
    """The mean sample."""
    return clip.audio.mean()


def adapted(guidance: float = 1.0) -> tuple[Any, Any]:
    """The adapter of the page, and the model."""
    names: dict[str, Any] = {}
    exec(PAGE.read_text(encoding="utf-8").split("```python\n")[1].split("```")[0], names)
    model = tiny_mmaudio()

    def waveform(latents: Tensor) -> Tensor:
        return model.features.vocode(model.features.decode(latents))

    return names["VideoToAudio"](model.net, model.features, waveform, RATE, 1.0, guidance), model


def silent() -> Clip:
    frames = torch.rand(12, 3, 20, 30, generator=torch.Generator().manual_seed(0))
    return Clip(video=frames, fps=12, prompt="rain on tin")


@pytest.mark.parametrize("guidance", [1.0, 4.5])
def test_the_adapter_makes_the_models_own_audio(guidance: float) -> None:
    generator, model = adapted(guidance)
    assert isinstance(generator, FlowGenerator)
    encoded, clip = generator.encode(Condition(clip=silent())), silent()
    with torch.no_grad():
        found = sample_flow(generator, encoded, [Noise.of(3), Noise.of(4)], generator.sigmas(5, encoded))
        made = generator.decode(found, encoded)
        seen = generator.frames(clip, 8, 1.0, 384), 2 * generator.frames(clip, 25, 1.0, 224) - 1
        noise = generator.start(encoded, [Noise.of(3), Noise.of(4)])["audio"]
        expected = model.generate(*seen, clip.prompt, noise, steps=5, cfg=guidance)
    for clip, wave in zip(made, expected, strict=True):
        torch.testing.assert_close(clip.audio, wave, rtol=1e-5, atol=1e-5)
        assert (clip.sample_rate, clip.video.shape, clip.prompt) == (RATE, (12, 3, 20, 30), "rain on tin")


def test_frames_are_those_on_display() -> None:
    generator, _ = adapted()
    video = torch.arange(4.0)[:, None, None, None].expand(4, 3, 8, 8) / 4
    [frames] = generator.frames(Clip(video=video, fps=4), 8, 1.0, 8)
    torch.testing.assert_close(frames.mean((1, 2, 3)), torch.arange(4.0).repeat_interleave(2) / 4)


def test_loops_train_it() -> None:
    generator, _ = adapted()
    add_lora(generator.network, rank=4, targets=["audio_proj", "hidden", "final"])
    condition = Condition(clip=silent())
    loop = Draft(generator, level["level"], steps=3, truncation=3, learning_rate=2e-2, kl_weight=0.0)
    rewards = [float(loop.update([condition], [Noise.of(0)]).rewards) for _ in range(8)]
    assert rewards[-1] > rewards[0] + 0.005
    step = DiffusionNft(generator, level["level"], steps=2, times=1).update([condition], [[Noise.of(0), Noise.of(1)]])
    assert step.gradient_norm > 0


class Published:
    """MMAudio's package as the factory calls it, with the tiny model in it; features are made in inference mode."""

    def __init__(self, seconds: float) -> None:
        self.model, self.asked = tiny_mmaudio(seconds), dict[str, Any]()
        net, own = self.model.net, self.model.features
        net.load_weights = lambda state: self.asked.update(weights=state)  # type: ignore[assignment]
        net.update_seq_lengths = lambda *lengths: self.asked.update(lengths=lengths)  # type: ignore[assignment]
        self.lengths = SimpleNamespace(latent_seq_len=1, clip_seq_len=2, sync_seq_len=3, sampling_rate=RATE)
        names = "model_path", "vae_path", "synchformer_ckpt", "bigvgan_16k_path"
        self.files = SimpleNamespace(
            model_name="tiny",
            mode="16k",
            seq_cfg=self.lengths,
            download_if_needed=lambda: None,
            **{n: n for n in names},
        )
        vae = SimpleNamespace(decode=lambda z: own.autoencoder(z.transpose(1, 2)).transpose(1, 2))
        own.tod = SimpleNamespace(vae=vae, vocoder=lambda x: torch.tanh(own.vocoder(x)))  # type: ignore[assignment]
        for name in ("encode_video_with_clip", "encode_video_with_sync", "encode_text", "decode", "vocode"):
            setattr(own, name, torch.inference_mode()(getattr(own, name)))

    def features(self, **options: Any) -> Any:
        self.asked.update(options)
        return self.model.features


def test_the_factory_of_the_page_makes_a_generator_that_can_be_trained(monkeypatch: pytest.MonkeyPatch) -> None:
    names: dict[str, Any] = {}
    blocks = [block.split("```")[0] for block in PAGE.read_text(encoding="utf-8").split("```python\n")[1:]]
    exec(blocks[0] + next(block for block in blocks if "def video_to_audio" in block), names)
    published = Published(1.0)
    for name, content in {
        "mmaudio": {}, "mmaudio.model": {}, "mmaudio.model.utils": {},
        "mmaudio.eval_utils": {"all_model_cfg": {"tiny": published.files}},
        "mmaudio.model.networks": {"get_my_mmaudio": lambda name: published.model.net},
        "mmaudio.model.utils.features_utils": {"FeaturesUtils": published.features},
    }.items():  # fmt: skip
        monkeypatch.setitem(sys.modules, name, SimpleNamespace(**content))
    monkeypatch.setattr(torch, "load", lambda path, **options: (path, options["weights_only"]))
    generator = names["video_to_audio"]("tiny", 1.0, "cpu")
    assert published.asked["weights"] == ("model_path", True)
    assert (published.asked["lengths"], published.lengths.duration) == ((1, 2, 3), 1.0)
    assert isinstance(generator, FlowGenerator)
    add_lora(generator.network, rank=2, targets=["clip_proj", "sync_proj", "text_proj", "final"])
    silent = Clip(video=torch.rand(10, 3, 32, 32), fps=10, prompt="rain on a roof")
    step = Draft(generator, level["level"], steps=2).update([Condition(clip=silent)], [Noise.of(0)])
    assert step.gradient_norm > 0
