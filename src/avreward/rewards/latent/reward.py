"""A reward on the latents of a diffusers pipeline: decoded, rated, with gradients to the latents."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor

from avreward.clip import Clip
from avreward.errors import ArgumentError, Described, unknown_name
from avreward.raters.base import Rater
from avreward.rewards._as_reward import as_reward
from avreward.rewards._prompt_warning import warn_ignores_prompt
from avreward.rewards.latent._decoders import AudioLatentDecoder, Size, VideoLatentDecoder, decoders
from avreward.rewards.latent._frames import FrameGrid, Frames, choose, windows
from avreward.rewards.latent._memory import Unclamped, bend, slim, slim_calls

FRAMES = ("all", "first", "last", "uniform", "random")
VIDEO_MARGIN = 0.25  # decoded values stay unchanged up to this far outside [0, 1]; `bend` limits them to twice as far
AUDIO_LIMIT = 4.0  # likewise unchanged up to ±4 and limited to ±8; `Clip` rejects larger values


class LatentReward:
    """A reward of a diffusers pipeline's latents: decode them, rate the clips, and pass gradients to the latents.

    The latents are those that the pipeline returns with ``output_type="latent"``, or those inside its denoising loop
    (packed for LTX and LTX-2). They are scaled and decoded by the pipeline's own autoencoder and vocoder, tile by tile
    if its tiling is enabled. The final clamp to [0, 1] and [-1, 1] is left out: values slightly outside stay
    unchanged, and those far outside are compressed smoothly, so that no gradient is lost.

    Samples are decoded and rated in slices. Only the latents are kept for the backward pass, which recomputes one slice
    at a time, and within a slice one call of the decoder at a time (a tile, a frame of Wan, an image).

    Args:
        pipeline: a diffusers pipeline of Wan, LTX, LTX-2, CogVideoX, HunyuanVideo, Mochi, Stable Audio, AudioLDM 2 or
            an image `AutoencoderKL`; its autoencoder; or an object with ``vae`` and, depending on the family,
            ``audio_vae`` and ``vocoder``. Its networks are frozen and put in evaluation mode.
        reward: clips → (clips,), such as a `Reward`, or an expression over `signals`.
        fps (`float`, *optional*): frames per second of the video; required unless each sample is a single image.
        frames: which frames the reward sees: ``"all"``, ``"first"``, ``"last"``, or `count` of them, ``"uniform"`` or
            ``"random"``. They keep their times, and the audio stays complete.
        count (`int`): number of frames for ``"uniform"`` and ``"random"``.
        context (`int`, *optional*): decode each chosen frame with this many latents around it (before it, if the
            decoder is causal) instead of all that it depends on. Cheaper, but the result differs from the pipeline's.
        size (`tuple[int, int, int]`, *optional*): num_frames, height, width of the pipeline's call, for packed latents.
        seconds (`float`, *optional*): cut the audio to this length, as the audio pipelines do.
        slice_size (`int`): samples that are rated together, and recomputed together.
        checkpointing (`bool`): `False` keeps everything for the backward pass: faster, but takes more memory.
        generator (`torch.Generator`, *optional*): draws the frames for ``"random"``; by default one with seed 0.

    Raises:
        ArgumentError: if the autoencoder isn't supported, an option is wrong, or the latents don't fit.

    Example:
        >>> from tiny_ltx2 import tiny_ltx2  # in recipes/
        >>> pipe = tiny_ltx2()
        >>> reward = LatentReward(pipe, load_rater("signals")["overall"], fps=8, frames="uniform", count=4)
        >>> video, audio = torch.randn(2, 4, 3, 8, 8), torch.randn(2, 2, 28, 4)
        >>> reward(video.requires_grad_(), audio).shape
        torch.Size([2])
    """

    def __init__(
        self,
        pipeline: Any,
        reward: Callable[[list[Clip]], Tensor] | str,
        *,
        fps: float | None = None,
        frames: Frames = "all",
        count: int = 8,
        context: int | None = None,
        size: Size | None = None,
        seconds: float | None = None,
        slice_size: int = 1,
        checkpointing: bool = True,
        generator: torch.Generator | None = None,
    ) -> None:
        if frames not in FRAMES:
            raise unknown_name("frames", frames, FRAMES)
        for name, number in {"count": count, "context": context, "slice_size": slice_size}.items():
            if number is not None and not (isinstance(number, int) and number >= 1):
                raise ArgumentError(name, "a positive integer", number)
        self.video_decoder, self.audio_decoder = decoders(pipeline, size)
        for part in ("vae", "audio_vae", "vocoder"):
            if (network := getattr(pipeline, part, pipeline if part == "vae" else None)) is not None:
                network.eval().requires_grad_(False)
        # A rater is callable, but not a reward: as_reward says what to do.
        self.reward = reward if callable(reward) and not isinstance(reward, Rater) else as_reward(reward)
        self.fps, self.seconds = fps, seconds
        self.frames, self.count, self.context = frames, count, context
        self.slice_size, self.checkpointing = slice_size, checkpointing
        self.generator = generator or torch.Generator().manual_seed(0)

    def __call__(
        self, latents: Tensor | None, audio_latents: Tensor | None = None, prompts: Sequence[str] | None = None
    ) -> Tensor:
        """Return the rewards (batch,) of the clips that the latents decode to, with gradients.

        Args:
            latents: (batch, …) of the video, or of the audio if the pipeline generates only audio.
            audio_latents: (batch, …) of the audio if the pipeline generates both; with `None` the clips have no audio.
            prompts: one per sample, for rewards that read them (*optional*).

        Raises:
            ArgumentError: if latents or prompts don't fit the pipeline or each other, or `fps` or `size` is missing.
        """
        warn_ignores_prompt(self.reward, prompts)
        video, audio, prepared = self._tracks(latents, audio_latents, prompts)
        parts = []
        for at in range(0, len(prepared), self.slice_size):
            rows = slice(at, at + self.slice_size)
            rate = partial(self._rate, prepared[rows])
            tracks = [None if track is None else track[rows] for track in (video, audio)]
            parts.append(slim(rate, *tracks, keep=not self.checkpointing))
        return torch.cat(parts)

    def clips(
        self, latents: Tensor | None, audio_latents: Tensor | None = None, prompts: Sequence[str] | None = None
    ) -> list[Clip]:
        """Return the clips that the reward rates, all at once, which takes more memory than rating them.

        Args:
            latents: as in a call.
            audio_latents: as in a call.
            prompts: as in a call.
        """
        video, audio, prepared = self._tracks(latents, audio_latents, prompts)
        return self._clips(prepared, video, audio)

    def _tracks(
        self, latents: Tensor | None, audio_latents: Tensor | None, prompts: Sequence[str] | None
    ) -> tuple[Tensor | None, Tensor | None, list[tuple[list[int], str | None]]]:
        """Return the latents on the autoencoders' scales, and each sample's chosen frames and prompt."""
        if self.video_decoder is None and audio_latents is None:
            latents, audio_latents = None, latents
        for track, decoder, name in (
            (latents, self.video_decoder, "latents"),
            (audio_latents, self.audio_decoder, "audio_latents"),
        ):
            if track is not None and decoder is None:
                raise ArgumentError(name, "None, as the pipeline has no decoder for them", track, "leave them out")
        given = [track for track in (latents, audio_latents) if track is not None]
        batch = {len(track) for track in given} | ({len(prompts)} if prompts is not None else set())
        if len(batch) != 1 or not given:
            got = Described(f"batches of {sorted(batch)}" if given else "no latents")
            raise ArgumentError("latents", "one row and one prompt per sample", got)
        video = self.video_decoder.prepare(latents) if self.video_decoder and latents is not None else None
        audio = self.audio_decoder.prepare(audio_latents) if self.audio_decoder and audio_latents is not None else None
        rows = [(self._chosen(video), prompts[i] if prompts is not None else None) for i in range(batch.pop())]
        return video, audio, rows

    def _chosen(self, video: Tensor | None) -> list[int]:
        """Return the indices of one sample's frames; chosen here so that a recomputed slice gets the same ones."""
        if video is None or self.video_decoder is None:
            return []
        total = self.video_decoder.grid.frames(video.shape[2])
        if total > 1 and self.fps is None:
            raise ArgumentError(
                "fps", "the frames per second of the video", None, "pass the pipeline's, such as fps=16"
            )
        return choose(total, self.frames, self.count, self.generator)

    def _rate(self, rows: list[tuple[list[int], str | None]], video: Tensor | None, audio: Tensor | None) -> Tensor:
        return self.reward(self._clips(rows, video, audio))

    def _clips(
        self, rows: list[tuple[list[int], str | None]], video: Tensor | None, audio: Tensor | None
    ) -> list[Clip]:
        modules = [
            module for decoder in (self.video_decoder, self.audio_decoder) if decoder for module in decoder.modules
        ]
        clips = []
        with slim_calls(modules, keep=not self.checkpointing), Unclamped():
            for i, (chosen, prompt) in enumerate(rows):
                tracks: dict[str, Any] = {}
                if self.video_decoder and video is not None:
                    times = torch.tensor(chosen, dtype=torch.float64) / (self.fps or 1.0)
                    tracks |= {"video": self._video(self.video_decoder, video[i : i + 1], chosen), "times": times}
                if self.audio_decoder and audio is not None:
                    wave = self._audio(self.audio_decoder, audio[i : i + 1])
                    tracks |= {"audio": wave, "sample_rate": self.audio_decoder.rate}
                clips.append(Clip(**tracks, prompt=prompt))
        return clips

    def _video(self, decoder: VideoLatentDecoder, latents: Tensor, chosen: list[int]) -> Tensor:
        """Return the chosen frames of one sample, (frames, 3, height, width) roughly in [0, 1]."""
        grid = decoder.grid
        if self.context is not None:
            grid = FrameGrid(
                grid.ratio, *(self.context if side is None else side for side in (grid.before, grid.after))
            )
        parts = []
        for window in windows(grid, latents.shape[2], chosen):
            decoded = decoder.decode(latents[:, :, window.start : window.stop])[0]
            parts.append(decoded[:, list(window.picked)].transpose(0, 1))
        return bend(torch.cat(parts) / 2 + 0.5, -VIDEO_MARGIN, 1 + VIDEO_MARGIN, VIDEO_MARGIN)

    def _audio(self, decoder: AudioLatentDecoder, latents: Tensor) -> Tensor:
        """Return the audio of one sample, (channels, samples)."""
        decoded = decoder.decode(latents)[0]
        if self.seconds is not None:
            decoded = decoded[:, : int(self.seconds * decoder.rate)]
        return bend(decoded, -AUDIO_LIMIT, AUDIO_LIMIT, AUDIO_LIMIT)
