"""The small video-to-audio generator: vocoder, pipeline, training, and what choosing among its dubs gains."""

from __future__ import annotations

import importlib

import pytest
import torch
from tiny_v2a import random_pipeline, tiny_v2a
from tiny_v2a.codec import BandVocoder
from tiny_v2a.held_out import envelope_match
from tiny_v2a.network import seen
from tiny_v2a.train import train

from avreward import Clip, load_rater
from avreward.datasets.synthetic.scenes import scene
from avreward.generators.diffusers.sampler import DiffusersSampler

RATE = 16000


def film(frames: int = 12, seed: int = 0) -> torch.Tensor:
    return torch.rand(frames, 3, 20, 30, generator=torch.Generator().manual_seed(seed))


def generators(*seeds: int) -> list[torch.Generator]:
    return [torch.Generator().manual_seed(seed) for seed in seeds]


def test_the_vocoder_gives_back_what_rises_and_falls() -> None:
    vocoder = BandVocoder(bands=12)
    times = torch.linspace(0, 6.28, 101)
    energies = torch.stack([1.5 * torch.sin(times * (1 + i % 3)) for i in range(12)])[None] + 1
    wave = vocoder(energies)
    assert wave.shape == (1, 1, 32000)
    again = vocoder.encode(wave[0])
    for band in range(1, 12):
        assert torch.corrcoef(torch.stack([energies[0, band], again[0, band]]))[0, 1] > 0.6
    assert float((again - energies).abs().mean()) < 0.7  # noise of a few bins in each band
    assert torch.equal(wave, vocoder(energies))


def test_gradients_reach_the_energies_and_the_film() -> None:
    pipe = random_pipeline(width=16, blocks=2)
    energies = torch.zeros(1, 24, 26, requires_grad=True)
    wave = pipe.vocoder(energies, 8000)
    direction = torch.randn(1, 24, 26, generator=torch.Generator().manual_seed(0))
    weights = torch.randn(wave.shape, generator=torch.Generator().manual_seed(1))
    [gradient] = torch.autograd.grad((wave * weights).sum(), energies)
    with torch.no_grad():
        up, down = ((pipe.vocoder(s * 1e-2 * direction, 8000) * weights).sum() for s in (1, -1))
    assert float((gradient * direction).sum()) == pytest.approx(float(up - down) / 2e-2, rel=2e-2)
    frames = film().requires_grad_()
    watched = pipe.watched(frames, 12.0, RATE)
    assert watched.shape == (1, 16, 51)
    watched.sum().backward()
    assert frames.grad.abs().sum() > 0


def test_a_seed_is_a_dub_whatever_the_batch() -> None:
    pipe = random_pipeline(width=16, blocks=2)
    call = {"video": film(), "frame_rate": 12.0, "num_inference_steps": 3}
    together = pipe(**call, generator=generators(3, 4, 5)).audios
    assert together.shape == (3, 1, RATE)
    for row, seed in enumerate((3, 4, 5)):
        torch.testing.assert_close(pipe(**call, generator=generators(seed)).audios[0], together[row], rtol=0, atol=1e-5)
    assert not torch.allclose(together[0], together[1], atol=1e-3)
    latent = pipe(**call, generator=generators(3), output_type="latent").audios
    torch.testing.assert_close(pipe.vocoder(latent, RATE)[0], together[0], rtol=0, atol=1e-5)
    assert DiffusersSampler(pipe).difference(1, 2, video=film(), frame_rate=12.0, num_inference_steps=2) < 1e-5


def test_a_step_is_eulers() -> None:
    """One step from the noise: noise less velocity."""
    pipe = random_pipeline(width=16, blocks=2)
    noise = torch.randn(1, 24, 51, generator=torch.Generator().manual_seed(0))
    call = {"video": film(), "frame_rate": 12.0, "num_inference_steps": 1, "output_type": "latent"}
    watched = pipe.watched(film(), 12.0, RATE)
    with torch.no_grad():
        for scale in (1.0, 2.0):
            velocity = pipe.velocity(noise, torch.tensor([1000.0]), watched, scale)
            found = pipe(**call, latents=noise.clone(), guidance_scale=scale).audios
            torch.testing.assert_close(found, noise - velocity, rtol=1e-4, atol=1e-4)


def test_what_is_seen_is_brightness_and_change() -> None:
    still = torch.full((3, 3, 32, 32), 0.5)
    assert not seen(still)[:, 1].any()
    still[2, :, :16] = 1.0
    change = seen(still)[2, 1]
    assert change[:8].min() > 0 == change[8:].max()


def test_training_lowers_the_loss() -> None:
    pipe = random_pipeline(width=16, blocks=2)
    losses = train(pipe, scenes=4, steps=60, batch=8)
    assert sum(losses[-10:]) < 0.85 * sum(losses[:10])
    assert not any(p.requires_grad for p in pipe.transformer.parameters())


@pytest.mark.slow
def test_the_best_of_eight_dubs_fits_better_by_another_measure() -> None:
    """Chosen by `signals`, judged by the true sound of scenes that training never saw."""
    pipe, reward = tiny_v2a(), load_rater("signals")["overall"]
    gains = []
    for seed in range(10_000, 10_006):
        true = scene(seed, ("strike", "bursts", "keys")[seed % 3], 4.0).clip
        sounds = pipe(video=true.video, frame_rate=true.fps, generator=generators(*range(8))).audios
        silent = Clip(video=true.video, fps=true.fps)
        chosen = int(reward([silent.with_audio(sound, RATE) for sound in sounds]).argmax())
        fits = envelope_match(sounds[:, 0], true.sound(RATE, 1)[0])
        assert float(fits.std()) > 0.02  # they differ
        gains.append(float(fits[chosen] - fits.mean()))
    assert sum(gains) / len(gains) > 0.02


def test_the_recipe_dubs_a_scene(tmp_path, capsys) -> None:
    recipe = importlib.import_module("best_of_n_v2a")
    recipe.main(["--n", "3", "--out", str(tmp_path)])
    assert "36 denoising steps, 3 decodes, 3 rewards" in capsys.readouterr().out
    best = Clip.open(tmp_path / "best.mp4")
    assert best.has_video
    assert best.has_audio
    recipe.main(["--n", "4", "--out", str(tmp_path)])
    assert "12 denoising steps, 1 decodes, 1 rewards" in capsys.readouterr().out
