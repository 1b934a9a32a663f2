"""Qwen2.5-Omni with audio and video interleaved, as the sync evaluator reads 5 s of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Tensor, nn

from avreward.clip import Clip
from avreward.media.rounding import Rounding
from avreward.media.sampling import FramePlan, duration, slack
from avreward.media.sampling_rules import PerSecond, QwenFrames
from avreward.raters.base import Track
from avreward.raters.encoders._mrope import mrope
from avreward.raters.encoders._qwen_patches import STEP, QwenPatches
from avreward.raters.lmm.backbones._qwen import QwenVideo, chatml
from avreward.raters.lmm.backbones._qwen_omni import RATE
from avreward.raters.lmm.backbones.qwen2_5_omni import Qwen2_5Omni
from avreward.raters.lmm.prompt import Encoded, Prompt, Text, Tokens

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

FPS, SIDE, SECONDS = 12.0, 140, 5.0
FRAMES = int(FPS * SECONDS)
CHUNK = 2.0  # seconds of video that are followed by the same seconds of audio


@dataclass(frozen=True)
class SyncFrames:
    """The first 60 of 12 frames a second, as qwen-vl-utils chooses them; slower videos repeat frames.

    >>> SyncFrames()(torch.arange(8, dtype=torch.float64) / 6)
    tensor([0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7])
    """

    def __call__(self, times: Tensor) -> Tensor:
        """Return at most 60 ascending indices; raise `MediaError` if there are no frames."""
        # the original would play a slower video too fast, and one of more than 64 s too
        enough = len(times) >= (duration(times) - slack(times)) * FPS
        rule = QwenFrames(FPS, most=max(len(times), 2)) if enough else PerSecond(FPS)
        return rule(times)[:FRAMES]


@dataclass(frozen=True)
class SyncPatches(QwenPatches):
    """Patches of frames that are resized to `side` × `side`, whatever their aspect ratio."""

    side: int = SIDE

    def size(self, height: int, width: int, frames: int) -> tuple[int, int]:
        """Return (side, side)."""
        return self.side, self.side


class SyncBackbone(Qwen2_5Omni):
    """Qwen2.5-Omni's thinker on 5 s of video with its audio, two seconds of one after two seconds of the other.

    A shorter video is filled with black frames and shorter audio with silence, as in training; a longer clip is cut.
    Positions count time, for both tracks from the same start.

    Args:
        module: the thinker.
        tokenizer: of its language model.
        rounding: how to apply the original's rounding steps; see `Backbone`.
    """

    seconds_per_step: ClassVar[float] = STEP / FPS

    def __init__(
        self, module: nn.Module, tokenizer: PreTrainedTokenizerBase, rounding: Rounding = "straight_through"
    ) -> None:
        super().__init__(module, tokenizer, rounding, SyncFrames(), SIDE**2, SIDE**2, SECONDS)
        old = self.patches
        self.patches = SyncPatches(old.least, old.most, old.total, old.patch, old.merge, old.mean, old.std)
        ids: Any = tokenizer.convert_tokens_to_ids([*self.around, *self.around_sound])
        seen, unseen, heard, unheard = ids
        self.opening, self.closing = Text((seen, heard)), Text((unheard, unseen))

    @property
    def settings(self) -> Mapping[str, str]:
        """Frames, their size and positions, the audio, and how the two are interleaved: label → value."""
        return {**super().settings, "interleaved": f"{CHUNK:g} s", "filled to": f"{SECONDS:g} s"}

    def load(self, clip: Clip, track: Track) -> Any:
        """Return 60 frames as patches, or the spectrogram of 5 s of audio, float (bins, frames).

        Raises:
            UnusableTrack: if the audio is too short for a token.
        """
        if track == "audio":
            return self._listen(clip)
        frames = clip.frames(FramePlan(self.frames, conversion="fast"))
        black = frames.new_zeros(FRAMES - len(frames), *frames.shape[1:])
        patches, grid = self.patches(torch.cat([frames, black]), self.rounding)
        return QwenVideo(patches, grid, tuple(i / FPS for i in range(FRAMES)), self.seconds_per_step)

    def encode(self, track: Track, loaded: Any) -> Encoded:
        """Return the tokens of one track, without delimiters; see `interleaved`."""
        return [part for part in super().encode(track, loaded) if isinstance(part, Tokens)]

    def interleaved(self, video: Tokens, audio: Tokens) -> Encoded:
        """Return the tokens of both tracks in turns, between the delimiters of both."""
        assert video.grid is not None
        steps, rows, columns = video.grid
        per_chunk = int(CHUNK * self.per_second)
        places = mrope([Tokens(video.values[:: rows * columns], (steps, 1, 1), video.seconds)], self.per_second)[0]
        bounds = torch.arange(per_chunk, int(places[-1]) + 1, per_chunk)
        cuts = [0, *torch.searchsorted(places, bounds).tolist(), steps]
        sizes = [stop - start for start, stop in pairwise(cuts)]
        seen = video.values.split([size * rows * columns for size in sizes])
        heard = audio.values.split(per_chunk)
        parts: list[str | Text | Tokens] = [self.opening]
        for i in range(max(len(seen), len(heard))):
            parts += [Tokens(seen[i], (sizes[i], rows, columns), video.seconds)] if i < len(seen) else []
            parts += [Tokens(heard[i])] if i < len(heard) else []
        return [*parts, self.closing]

    def chat(self, user: Prompt, answer: Prompt = (), closed: bool = False, system: str | None = None) -> list[Any]:
        """Return ChatML, with `system` in place of the usual system turn."""
        return chatml(system or self.system, user, answer, closed)

    def positions(self, parts: Sequence[Text | Tokens]) -> Tensor:
        """Return time, row and column of every token, int64 (3, length).

        The tokens of both tracks count from the same start. So do the two delimiters before them, which share a
        position, and the two after them.
        """
        pieces, start, steps, heard = [torch.zeros(3, 0, dtype=torch.long)], 0, 0, 0
        for part in parts:
            if isinstance(part, Text):
                if steps or heard:
                    start, steps, heard = int(pieces[-1].max()) + 1, 0, 0
                both = part in (self.opening, self.closing)
                pieces.append(torch.full((3, 2), start) if both else start + torch.arange(part.length).expand(3, -1))
                start = int(pieces[-1].max()) + 1 if part.length else start
            elif part.grid is None:
                pieces.append(start + heard + torch.arange(part.length).expand(3, -1))
                heard += part.length
            else:
                more, rows, columns = part.grid
                whole = torch.empty((steps + more) * rows * columns, 0)
                grid = Tokens(whole, (steps + more, rows, columns), part.seconds)
                pieces.append(start + mrope([grid], self.per_second)[:, steps * rows * columns :])
                steps += more
        return torch.cat(pieces, dim=1)

    def _spectrogram(self, sound: Tensor) -> Tensor:
        return super()._spectrogram(nn.functional.pad(sound, (0, int(SECONDS * RATE) - len(sound))))
