"""Rewards on latents: decoded as the pipelines do, with gradients, and with bounded memory."""

from __future__ import annotations

import weakref
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("diffusers")

import torch
from tiny import pipelines
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from toy_raters import Reading, Toy

from avreward.clip import Clip
from avreward.errors import ArgumentError, AvrewardError
from avreward.rewards.latent.reward import LatentReward

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning")

FAMILIES = ("wan", "ltx", "ltx2", "cogvideox", "hunyuan", "mochi", "stable_audio", "audioldm2")


def look(clips: list[Clip]) -> Tensor:
    """A reward to which every frame and sample matters, each in its own way."""
    tracks = [[t for t in (c.has_video and c.video, c.has_audio and c.audio) if t is not False] for c in clips]
    return torch.stack([sum((wave(t) * t.square()).mean() for t in some) for some in tracks])


def wave(track: Tensor) -> Tensor:
    return torch.arange(track.numel(), dtype=track.dtype).view_as(track).sin() + 1.5


def noise(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def video_of(vae: Any, latents: Tensor, **options: Any) -> Tensor:
    return LatentReward(vae, look, fps=8, **options).clips(latents)[0].video


class Peak(TorchDispatchMode):
    """The most bytes that tensors made within it hold at one time."""

    def __init__(self) -> None:
        super().__init__()
        self.now = self.most = 0
        self.seen: dict[int, Any] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(out):
            if isinstance(tensor, Tensor) and tensor.untyped_storage()._cdata not in self.seen:
                storage = tensor.untyped_storage()
                self.seen[storage._cdata] = weakref.finalize(storage, self.gone, storage._cdata, storage.nbytes())
                self.now += storage.nbytes()
                self.most = max(self.most, self.now)
        return out

    def gone(self, key: int, size: int) -> None:
        self.seen.pop(key, None)
        self.now -= size


@pytest.fixture(scope="module", params=FAMILIES)
def case(request: pytest.FixtureRequest) -> Any:
    return getattr(pipelines, request.param)()


def test_decodes_what_the_pipeline_decodes(case):
    """Scaling, packing, vocoder and cutting are the pipeline's own, but for the clamp at the end."""
    clips = LatentReward(case.pipeline, look, **case.options).clips(*case.run("latent"))
    decoded = case.run("pt")
    tracks = [c for c in (("video", (0, 1)), ("audio", (-1, 1))) if getattr(clips[0], f"has_{c[0]}")]
    assert len(tracks) == len(decoded)
    for (track, bounds), theirs in zip(tracks, decoded, strict=True):
        ours = torch.stack([getattr(clip, track) for clip in clips]).clamp(*bounds)
        theirs = theirs.clamp(*bounds).view_as(ours)
        assert theirs.std() > 1e-3  # it is not empty
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)


def test_gradients_reach_every_latent(case):
    latents = [track.detach().clone().requires_grad_() for track in case.run("latent")]
    reward = LatentReward(case.pipeline, look, **case.options)
    reward(*latents).sum().backward()
    for track in latents:
        share = (track.grad != 0).double().mean()
        assert share > 0.7 if reward.seconds else share == 1  # what is cut off at the end has none


@pytest.mark.parametrize("frames", ["all", "random"])
def test_slices_and_checkpoints_change_no_value_and_no_gradient(case, frames):
    found = []
    for options in ({"checkpointing": False, "slice_size": 2}, {"checkpointing": True}, {"slice_size": 5}):
        latents = [track.detach().clone().requires_grad_() for track in case.run("latent")]
        values = LatentReward(case.pipeline, look, frames=frames, count=2, **case.options, **options)(*latents)
        values.square().sum().backward()
        found.append([values.detach(), *(track.grad for track in latents)])
    for other in found[1:]:
        for one, two in zip(found[0], other, strict=True):
            torch.testing.assert_close(one, two, rtol=1e-4, atol=1e-6 * float(one.abs().max()))


def test_loop_latents_of_ltx2_decode_like_returned_ones():
    """What the denoising loop holds is packed and normalised, what the call returns is neither."""
    case, held = pipelines.ltx2(), {}

    def keep(pipe: Any, step: int, time: Tensor, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
        held.update(tensors)
        return {}

    case.pipeline._callback_tensor_inputs = ["latents", "audio_latents"]
    case.call.update(callback_on_step_end=keep, callback_on_step_end_tensor_inputs=["latents", "audio_latents"])
    returned = case.run("latent")
    assert held["latents"].ndim == held["audio_latents"].ndim == 3
    reward = LatentReward(case.pipeline, look, fps=8, size=(9, 32, 32))
    torch.testing.assert_close(reward(*held.values()), reward(*returned))
    decoders = reward.video_decoder, reward.audio_decoder
    for decoder, packed, plain in zip(decoders, held.values(), returned, strict=True):
        torch.testing.assert_close(decoder.prepare(packed), plain)


def test_gradients_by_finite_differences():
    reward = LatentReward(pipelines.image_vae().double(), look)
    latents = noise(1, 4, 2, 3, dtype=torch.float64).requires_grad_()
    assert torch.autograd.gradcheck(reward, (latents,), eps=1e-6, atol=1e-8, rtol=1e-5, fast_mode=True)


@pytest.mark.parametrize("vae", [pipelines.wan_vae, pipelines.ltx_vae])
def test_gradients_of_film_by_finite_differences(vae):
    """Parts of these autoencoders compute in float32 whatever the type, so the step is a coarse one."""
    reward = LatentReward(vae().double(), lambda clips: 1e3 * look(clips), fps=8)
    latents = noise(1, 4, 2, 2, 2, dtype=torch.float64).requires_grad_()
    (slope,) = torch.autograd.grad(reward(latents), latents)
    way = noise(*latents.shape, seed=1, dtype=torch.float64)
    up, down = (reward(latents.detach() + step * way) for step in (1e-3, -1e-3))
    assert float((up - down) / 2e-3) == pytest.approx(float((slope * way).sum()), rel=2e-3)


@pytest.mark.parametrize("options", [{}, {"scaling_factor": 0.2, "shift_factor": 0.3}])
def test_still_pictures_are_scaled_as_stable_diffusion_does(options):
    vae, latents = pipelines.image_vae(**options), noise(2, 4, 3, 5)
    expected = vae.decode(latents / vae.config.scaling_factor + (vae.config.shift_factor or 0)).sample / 2 + 0.5
    clips = LatentReward(vae, look).clips(latents)
    torch.testing.assert_close(torch.cat([clip.video for clip in clips]), expected.detach())
    assert [clip.seconds for clip in clips] == [0, 0]


def test_still_pictures_with_statistics():
    vae = pipelines.image_vae(latents_mean=[0.5, 0.0, -0.5, 1.0], latents_std=[1.0, 2.0, 3.0, 0.5])
    latents = noise(1, 4, 3, 5)
    mean, std = (torch.tensor(s).view(1, 4, 1, 1) for s in (vae.config.latents_mean, vae.config.latents_std))
    expected = vae.decode(latents * std / vae.config.scaling_factor + mean).sample / 2 + 0.5
    torch.testing.assert_close(video_of(vae, latents), expected.detach())


@pytest.mark.parametrize("frames", ["first", "last", "uniform", "random"])
@pytest.mark.parametrize(
    ("vae", "shape"),
    [
        (pipelines.image_vae, (1, 4, 7, 3, 3)),
        (pipelines.wan_vae, (1, 4, 4, 2, 2)),
        (pipelines.ltx_vae, (1, 4, 3, 2, 2)),
        (lambda: pipelines.ltx_vae(causal=True), (1, 4, 3, 2, 2)),
    ],
)
def test_chosen_frames_are_those_of_the_whole(vae, shape, frames):
    """And they keep their times, whatever was decoded for them."""
    vae, latents = vae(), noise(*shape)
    whole = LatentReward(vae, look, fps=8).clips(latents)[0]
    some = LatentReward(vae, look, fps=8, frames=frames, count=3).clips(latents)[0]
    assert len(some.video) == (1 if frames in ("first", "last") else 3)
    places = (some.times * 8).round().long()
    assert places.tolist() == sorted(set(places.tolist()))
    torch.testing.assert_close(some.video, whole.video[places], rtol=1e-4, atol=1e-5)


def calls(vae: Any, latents: Tensor, **options: Any) -> list[int]:
    """How many latents each call of the decoder got."""
    found = []
    hook = vae.decoder.register_forward_pre_hook(lambda module, args: found.append(args[0].shape[2]))
    LatentReward(vae, look, fps=8, checkpointing=False, **options).clips(latents)
    hook.remove()
    return found


def test_only_what_the_chosen_frames_need_is_decoded():
    assert calls(pipelines.wan_vae(), noise(1, 4, 6, 2, 2), frames="first") == [1]  # a call a latent
    assert calls(pipelines.wan_vae(), noise(1, 4, 6, 2, 2), frames="last") == [1] * 6
    assert calls(pipelines.ltx_vae(causal=True), noise(1, 4, 6, 2, 2), frames="first") == [1]
    assert calls(pipelines.ltx_vae(), noise(1, 4, 6, 2, 2), frames="first") == [6]  # it looks ahead
    assert calls(pipelines.ltx_vae(), noise(1, 4, 9, 2, 2), frames="last", context=2) == [3]
    assert calls(pipelines.ltx_vae(), noise(1, 4, 9, 2, 2), frames="first", context=2) == [3]
    assert calls(pipelines.wan_vae(), noise(1, 4, 9, 2, 2), frames="first", context=2) == [1]
    assert calls(pipelines.wan_vae(), noise(1, 4, 9, 2, 2), frames="last", context=2) == [1] * 3
    assert len(calls(pipelines.image_vae(), noise(1, 4, 9, 4, 4), frames="uniform", count=2)) == 2


def test_context_errs_less_the_more_there_is():
    """Frames decoded from a window are not those of the whole, until the window covers all that they depend on."""
    vae, latents = pipelines.ltx_vae(), noise(1, 4, 14, 2, 2)
    whole = video_of(vae, latents, frames="last")
    errors = [float((video_of(vae, latents, frames="last", context=n) - whole).abs().max()) for n in (1, 3, 12)]
    assert errors[0] > errors[1] > 10 * errors[2]
    assert errors[2] < 1e-5


def test_random_frames_follow_the_generator():
    vae, latents = pipelines.image_vae(), noise(3, 4, 20, 2, 2)

    def times(seed: int | None) -> list[list[float]]:
        generator = None if seed is None else torch.Generator().manual_seed(seed)
        reward = LatentReward(vae, look, fps=8, frames="random", count=2, generator=generator)
        return [clip.times.tolist() for clip in reward.clips(latents) + reward.clips(latents)]

    assert times(5) == times(5)
    assert times(5) != times(6)
    assert times(None) == times(0)
    assert len({tuple(some) for some in times(5)}) > 3  # samples and calls draw anew


def test_prompts_reach_the_reward():
    seen = []

    def reward(clips: list[Clip]) -> Tensor:
        seen.extend(clip.prompt for clip in clips)
        return look(clips)

    LatentReward(pipelines.image_vae(), reward)(noise(2, 4, 2, 2), prompts=["rain", "sun"])
    assert seen == ["rain", "sun"]


def test_a_reward_of_the_algebra():
    toy = Toy()
    case = pipelines.ltx2()
    reward = LatentReward(case.pipeline, 2 * toy["power"] - toy["brightness"], fps=8)
    clips = reward.clips(*case.run("latent"))
    expected = [2 * clip.audio.square().mean() - clip.video.mean() for clip in clips]
    torch.testing.assert_close(reward(*case.run("latent")), torch.stack(expected).float())
    with pytest.raises(AvrewardError, match="the reward is missing"):
        reward(case.run("latent")[0])  # silent


def loud(vae: Any, gain: float) -> Any:
    """Decoded values far beyond the bounds."""
    with torch.no_grad():
        for parameter in vae.decoder.conv_out.parameters():
            parameter.mul_(gain)
    return vae


@pytest.mark.parametrize("vae", [pipelines.wan_vae, pipelines.image_vae])
def test_beyond_the_range_nothing_is_clamped(vae):
    """Wan's autoencoder clamps by itself; here it doesn't, and every pixel keeps a gradient."""
    vae = loud(vae(), 30.0)
    latents = noise(1, 4, 2, 3, 3)
    raw = {}
    vae.decoder.register_forward_hook(lambda module, args, out: raw.update(last=out))
    clip = LatentReward(vae, look, fps=8, frames="last").clips(latents.requires_grad_())[0]
    outside = (raw["last"].abs() > 1).double().mean()
    assert outside > 0.1
    assert clip.video.min() < 0
    assert clip.video.max() > 1
    (slope,) = torch.autograd.grad(clip.video.sum(), latents)
    assert (slope[:, :, -1] != 0).all()


def test_a_clamp_within_the_reward_stays():
    def reward(clips: list[Clip]) -> Tensor:
        return torch.stack([torch.clamp(5 * clip.video, -1, 1).max() for clip in clips])

    assert LatentReward(pipelines.image_vae(), reward)(noise(1, 4, 2, 2)).item() == 1


def test_tiles_are_the_pipelines_own_and_divide_the_memory():
    vae, latents = pipelines.wan_vae(), noise(1, 4, 2, 6, 6)
    vae.enable_tiling(16, 16, 12, 12)
    expected = vae.decode(latents * torch.tensor(vae.config.latents_std).view(1, 4, 1, 1, 1)
                          + torch.tensor(vae.config.latents_mean).view(1, 4, 1, 1, 1)).sample  # fmt: skip
    torch.testing.assert_close(video_of(vae, latents), (expected[0].transpose(0, 1) / 2 + 0.5).detach())
    assert calls(vae, latents) == [1] * 8  # four tiles of two latents


def peak(vae: Any, latents: Tensor, **options: Any) -> int:
    latents = latents.clone().requires_grad_()
    with Peak() as memory:
        LatentReward(vae, look, fps=8, **options)(latents).sum().backward()
    assert latents.grad is not None
    return memory.most


@pytest.mark.parametrize("vae", [pipelines.wan_vae, pipelines.image_vae])
def test_memory_falls_with_checkpoints_and_slices(vae):
    """The peak over forward and backward pass, of all tensors made in between."""
    vae, latents = vae(), noise(3, 4, 3, 4, 4)
    whole = peak(vae, latents, checkpointing=False, slice_size=3)
    together, single = (peak(vae, latents, slice_size=n) for n in (3, 1))
    assert together < 0.6 * whole
    assert single < 0.8 * together
    assert peak(vae, latents[:1]) > 0.8 * single  # more samples hardly cost more


def test_memory_falls_with_fewer_frames():
    vae, latents = pipelines.wan_vae(), noise(1, 4, 4, 4, 4)
    assert peak(vae, latents, frames="first") < 0.6 * peak(vae, latents)


def test_memory_falls_with_tiles():
    vae, latents = pipelines.ltx_vae(), noise(1, 4, 1, 12, 12)
    whole = peak(vae, latents)
    vae.enable_tiling(16, 16, 16, 16, 16, 16)
    assert peak(vae, latents) < 0.6 * whole


def test_nothing_stays_behind():
    """Networks are frozen, forwards restored, and only the latents are kept between the passes."""
    vae = pipelines.wan_vae().train()
    latents = noise(1, 4, 2, 3, 3).requires_grad_()
    kept: list[Tensor] = []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t) or t, lambda t: t):
        value = LatentReward(vae, look, fps=8)(latents)
    assert sum(t.numel() for t in kept) <= 3 * latents.numel()
    value.sum().backward()
    assert not vae.training
    assert "forward" not in vars(vae.decoder)
    assert all(p.grad is None and not p.requires_grad for p in vae.parameters())
    with pytest.raises(RuntimeError, match="broken"):
        LatentReward(vae, lambda clips: (_ for _ in ()).throw(RuntimeError("broken")), fps=8)(latents)
    assert "forward" not in vars(vae.decoder)


def test_the_autoencoders_own_checkpointing_goes_along():
    vae, latents = pipelines.ltx_vae(), noise(1, 4, 3, 3, 3)
    plain, lean = [], []
    for found in (plain, lean):
        given = latents.clone().requires_grad_()
        LatentReward(vae, look, fps=8)(given).sum().backward()
        found.append(given.grad)
        vae.enable_gradient_checkpointing()
    torch.testing.assert_close(plain, lean)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: LatentReward(pipelines.wan_vae(), look)(noise(1, 4, 2, 2, 2)),
            "fps: .* got None",
        ),
        (
            lambda: LatentReward(pipelines.wan_vae(), look, fps=8)(noise(1, 4, 2, 2)),
            r"latents: .* shape \(1, 4, 2, 2\)",
        ),
        (lambda: LatentReward(pipelines.ltx_vae(), look, fps=8)(noise(1, 8, 4)), "size: expected .*, got None"),
        (
            lambda: LatentReward(pipelines.ltx_vae(), look, fps=8, size=(9, 32, 32))(noise(1, 8, 4)),
            "latents: expected 3 x 8 x 8 tokens, by size, got 8; pass num_frames",
        ),
        (lambda: LatentReward(torch.nn.Linear(1, 1), look), "pipeline: .* AutoencoderKL.*, got Linear; decode"),
        (
            lambda: LatentReward(pipelines.image_vae(), look)(noise(1, 4, 2, 2), noise(1, 4, 2)),
            "audio_latents: expected None, as the pipeline has no decoder .*; leave them out",
        ),
        (
            lambda: LatentReward(pipelines.image_vae(), look)(noise(2, 4, 2, 2), prompts=["rain"]),
            r"batches of \[1, 2\]",
        ),
    ],
)
def test_errors_say_what_to_do(make, message):
    with pytest.raises(ArgumentError, match=message):
        make()


@pytest.mark.parametrize(
    "options", [{"frames": "middle"}, {"count": 0}, {"count": 2.5}, {"context": 0}, {"slice_size": 0}]
)
def test_settings_are_checked(options):
    with pytest.raises(ArgumentError, match=f"^{next(iter(options))}: expected"):
        LatentReward(pipelines.image_vae(), look, **options)


@pytest.mark.parametrize("reward", [Toy(), 3])
def test_what_is_not_a_reward_is_refused(reward):
    with pytest.raises(ArgumentError, match=r"^reward: expected a reward or an expression, got a"):
        LatentReward(pipelines.image_vae(), reward)


def test_parts_by_hand():
    """An autoencoder and its vocoder without a pipeline."""
    parts = SimpleNamespace(vae=pipelines.image_vae(in_channels=1, out_channels=1), vocoder=pipelines.vocoder())
    clip = LatentReward(parts, look).clips(noise(1, 4, 5, 4))[0]
    assert (clip.channels, clip.sample_rate) == (1, 1000)


def test_a_reward_that_needs_the_prompt():
    reward = LatentReward(pipelines.image_vae(), Reading()["faithful"])
    assert reward(noise(2, 4, 2, 2), prompts=["rain", "sun"]).tolist() == [0.25, 0.25]


def test_a_reward_that_ignores_the_prompts_warns(monkeypatch, recwarn):
    monkeypatch.setattr("avreward.rewards._prompt_warning._warned", set())
    case = pipelines.stable_audio()
    reward, latents = LatentReward(case.pipeline, Toy()["power"], **case.options), case.run("latent")
    recwarn.clear()
    reward(*latents)
    assert not [w for w in recwarn if "20th rollout" in str(w.message)]
    for _ in range(2):
        reward(*latents, prompts=["rain"] * len(latents[0]))
    assert len([w for w in recwarn if "20th rollout" in str(w.message)]) == 1
