"""A reward on the latents of a diffusers pipeline: decoded, judged, and differentiable back to the latents."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor

from avreward.clip import Clip
from avreward.errors import AvrewardError
from avreward.rewards._as_reward import as_reward
from avreward.rewards._prompt_warning import warn_ignores_prompt
from avreward.rewards.latent._decoders import AudioLatentDecoder, Size, VideoLatentDecoder, decoders
from avreward.rewards.latent._frames import FrameGrid, Frames, choose, windows
from avreward.rewards.latent._memory import Unclamped, bend, slim, slim_calls

PICTURE_MARGIN = 0.25  # decoded values may leave [0, 1] by this much as they are, and by twice as much when bent
SOUND_LIMIT = 4.0  # likewise ±4 and ±8; `Clip` takes no more


class LatentReward:
    """The reward of what a pipeline's latents show and sound like, with gradients to the latents.

    The latents are what the pipeline returns with ``output_type="latent"``, or what its denoising loop holds (LTX and
    LTX-2: packed). They are scaled and decoded by the pipeline's own autoencoder and vocoder, tile by tile where its
    tiling is on. The clamp to [0, 1] and [-1, 1] at the end is left out: values a little outside stay as they are, and
    those far outside are bent (`bend`), so that no gradient is lost.

    Samples are decoded and judged in slices. For the backward pass only the latents are kept; each slice is computed
    again when its turn comes, and within it each call of the decoder (a tile, a frame of Wan, a still picture).

    Args:
        pipeline: a diffusers pipeline of Wan, LTX, LTX-2, Stable Audio, AudioLDM 2 or a still-picture `AutoencoderKL`,
            or its autoencoder, or anything with ``vae`` and, as the family has it, ``audio_vae`` and ``vocoder``. Its
            networks are frozen and put in evaluation mode.
        reward: clips → (clips,), such as a `Reward`, or an expression over `signals`.
        fps (`float`, *optional*): frames per second of the video; needed for film, not for still pictures.
        frames: which frames the reward sees: ``"all"``, ``"first"``, ``"last"``, or `count` of them, ``"uniform"`` or
            ``"random"``. They keep their times, and the sound stays whole.
        count (`int`): for the last two.
        context (`int`, *optional*): decode each chosen frame with this many latents around it (before it, where the
            decoder is causal) instead of all that it depends on. Cheaper, and no longer what the pipeline would decode.
        size (`tuple[int, int, int]`, *optional*): num_frames, height, width of the pipeline's call, for packed latents.
        seconds (`float`, *optional*): cut the sound to this length, as the audio pipelines do.
        slice_size (`int`): samples judged together, and computed again together.
        checkpointing (`bool`): False keeps everything for the backward pass: faster, if it fits.
        generator (`torch.Generator`, *optional*): draws the frames for ``"random"``; by default one with seed 0.

    Raises:
        AvrewardError: if the autoencoder is unknown, or the latents don't fit it.

    Example:
        >>> from tiny_ltx2 import tiny_ltx2  # in recipes/
        >>> pipe = tiny_ltx2()
        >>> reward = LatentReward(pipe, load_rater("signals")["overall"], fps=8, frames="uniform", count=4)
        >>> video, sound = torch.randn(2, 4, 3, 8, 8), torch.randn(2, 2, 28, 4)
        >>> reward(video.requires_grad_(), sound).shape
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
        if frames not in ("all", "first", "last", "uniform", "random"):
            raise ValueError(f"frames: {frames!r} isn't known; use all, first, last, uniform or random")
        for name, number in {"count": count, "context": context, "slice_size": slice_size}.items():
            if number is not None and number < 1:
                raise ValueError(f"{name}: {number} is less than 1; use a positive whole number")
        self.picture, self.sound = decoders(pipeline, size)
        for part in ("vae", "audio_vae", "vocoder"):
            if (network := getattr(pipeline, part, pipeline if part == "vae" else None)) is not None:
                network.eval().requires_grad_(False)
        self.reward, self.fps, self.seconds = as_reward(reward) if isinstance(reward, str) else reward, fps, seconds
        self.frames, self.count, self.context = frames, count, context
        self.slice_size, self.checkpointing = slice_size, checkpointing
        self.generator = generator or torch.Generator().manual_seed(0)

    def __call__(
        self, latents: Tensor | None, audio_latents: Tensor | None = None, prompts: Sequence[str] | None = None
    ) -> Tensor:
        """The rewards (batch,) of the clips that the latents decode to, differentiable.

        Args:
            latents: (batch, …) of the picture, or of the sound where the pipeline makes sound alone.
            audio_latents: (batch, …) of the sound where it makes both; None leaves the clips silent.
            prompts: one a sample, for rewards that read it (*optional*).
        """
        warn_ignores_prompt(self.reward, prompts)
        picture, sound, prepared = self._tracks(latents, audio_latents, prompts)
        parts = []
        for at in range(0, len(prepared), self.slice_size):
            rows = slice(at, at + self.slice_size)
            rate = partial(self._rate, prepared[rows])
            tracks = [None if track is None else track[rows] for track in (picture, sound)]
            parts.append(slim(rate, *tracks, keep=not self.checkpointing))
        return torch.cat(parts)

    def clips(
        self, latents: Tensor | None, audio_latents: Tensor | None = None, prompts: Sequence[str] | None = None
    ) -> list[Clip]:
        """The clips that the reward is given; all of them at once, so they take more memory."""
        picture, sound, prepared = self._tracks(latents, audio_latents, prompts)
        return self._clips(prepared, picture, sound)

    def _tracks(
        self, latents: Tensor | None, audio_latents: Tensor | None, prompts: Sequence[str] | None
    ) -> tuple[Tensor | None, Tensor | None, list[tuple[list[int], str | None]]]:
        """Latents on the autoencoders' scales, and for each sample its chosen frames and its prompt."""
        if self.picture is None and audio_latents is None:
            latents, audio_latents = None, latents
        for track, decoder, name in ((latents, self.picture, "latents"), (audio_latents, self.sound, "audio_latents")):
            if track is not None and decoder is None:
                raise AvrewardError(f"{name}: the pipeline has no decoder for them; leave them out")
        given = [track for track in (latents, audio_latents) if track is not None]
        batch = {len(track) for track in given} | ({len(prompts)} if prompts is not None else set())
        if len(batch) != 1 or not given:
            raise AvrewardError(f"latents: batches of {sorted(batch)} samples; give one row and one prompt a sample")
        picture = self.picture.prepare(latents) if self.picture and latents is not None else None
        sound = self.sound.prepare(audio_latents) if self.sound and audio_latents is not None else None
        rows = [(self._chosen(picture), prompts[i] if prompts is not None else None) for i in range(batch.pop())]
        return picture, sound, rows

    def _chosen(self, picture: Tensor | None) -> list[int]:
        """Indices of one sample's frames; drawn here, so that a slice that is computed again sees the same ones."""
        if picture is None or self.picture is None:
            return []
        total = self.picture.grid.frames(picture.shape[2])
        if total > 1 and self.fps is None:
            raise AvrewardError("fps: the latents are of film, whose speed they don't tell; give the frames per second")
        return choose(total, self.frames, self.count, self.generator)

    def _rate(self, rows: list[tuple[list[int], str | None]], picture: Tensor | None, sound: Tensor | None) -> Tensor:
        return self.reward(self._clips(rows, picture, sound))

    def _clips(
        self, rows: list[tuple[list[int], str | None]], picture: Tensor | None, sound: Tensor | None
    ) -> list[Clip]:
        modules = [module for decoder in (self.picture, self.sound) if decoder for module in decoder.modules]
        clips = []
        with slim_calls(modules, keep=not self.checkpointing), Unclamped():
            for i, (chosen, prompt) in enumerate(rows):
                tracks: dict[str, Any] = {}
                if self.picture and picture is not None:
                    times = torch.tensor(chosen, dtype=torch.float64) / (self.fps or 1.0)
                    tracks |= {"video": self._film(self.picture, picture[i : i + 1], chosen), "times": times}
                if self.sound and sound is not None:
                    wave = self._wave(self.sound, sound[i : i + 1])
                    tracks |= {"audio": wave, "sample_rate": self.sound.rate}
                clips.append(Clip(**tracks, prompt=prompt))
        return clips

    def _film(self, decoder: VideoLatentDecoder, latents: Tensor, chosen: list[int]) -> Tensor:
        """The chosen frames of one sample, (frames, 3, height, width) about in [0, 1]."""
        grid = decoder.grid
        if self.context is not None:
            grid = FrameGrid(
                grid.ratio, *(self.context if side is None else side for side in (grid.before, grid.after))
            )
        parts = []
        for window in windows(grid, latents.shape[2], chosen):
            decoded = decoder.decode(latents[:, :, window.start : window.stop])[0]
            parts.append(decoded[:, list(window.picked)].transpose(0, 1))
        return bend(torch.cat(parts) / 2 + 0.5, -PICTURE_MARGIN, 1 + PICTURE_MARGIN, PICTURE_MARGIN)

    def _wave(self, decoder: AudioLatentDecoder, latents: Tensor) -> Tensor:
        """The sound of one sample, (channels, samples)."""
        decoded = decoder.decode(latents)[0]
        if self.seconds is not None:
            decoded = decoded[:, : int(self.seconds * decoder.rate)]
        return bend(decoded, -SOUND_LIMIT, SOUND_LIMIT, SOUND_LIMIT)
