"""Offset and confidence of lip sync from the embeddings of lips and speech, hard, soft, and by a shift."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, isfinite

import torch
from torch import Tensor

from avreward.errors import ArgumentError
from avreward.media._mfcc import RATE, mfcc
from avreward.media._precision import widened
from avreward.raters.avbench._lip_frames import FPS
from avreward.raters.avbench._syncnet_network import LIP_FRAMES, SyncNet

SHIFTS = 15
"""Shifts of up to so many video frames, 0.6 s, are compared either way."""
GRADES = ((7.0, "Excellent"), (5.0, "Good"), (3.0, "Fair"))
"""Least confidence → grade, of AVBench; below is Poor."""
_SAMPLES_A_FRAME = RATE // FPS
_EPSILON = 1e-6  # of torch's pairwise_distance, added to every component


@dataclass(frozen=True, eq=False)
class Synchrony:
    """How lips and speech agree at each shift.

    Attributes:
        distances: mean distance at each shift (2·shifts + 1,); entry k compares window i of the lips with window
            i + k − shifts of the speech, and those outside the clip with zeros, as the original does.
        each: distance of each window at each shift (windows, 2·shifts + 1).
        paired: mean distance at each shift over the windows that have a partner (2·shifts + 1,); infinite where fewer
            than half have one.
    """

    distances: Tensor
    each: Tensor
    paired: Tensor

    @property
    def shifts(self) -> int:
        """The largest shift, in video frames."""
        return len(self.distances) // 2

    @property
    def offset(self) -> Tensor:
        """By how many video frames the audio leads: a whole number, without a gradient."""
        return self.shifts - self.distances.argmin()

    @property
    def least(self) -> Tensor:
        """The smallest mean distance."""
        return self.distances.min()

    @property
    def confidence(self) -> Tensor:
        """Median minus minimum of the mean distances."""
        return self.distances.median() - self.least

    def soft_offset(self, temperature: float) -> Tensor:
        """Return the mean offset in video frames under softmax(−paired/(temperature·σ)), differentiable.

        σ is the standard deviation of the paired distances, so that `temperature` has no unit.
        """
        leads = self.shifts - torch.arange(len(self.paired), device=self.paired.device, dtype=self.paired.dtype)
        met = self.paired.isfinite()
        distances = self.paired[met]
        spread = distances.std(correction=0) + _EPSILON
        return ((-distances / (temperature * spread)).softmax(0) * leads[met]).sum()

    def framewise_confidence(self) -> Tensor:
        """Return the confidence at each window (windows,), median filtered over nine of them with zeros outside."""
        raw = self.distances.median() - self.each[:, self.distances.argmin()]
        return torch.nn.functional.pad(raw, (4, 4)).unfold(0, 9, 1).median(1).values


def synchrony(lips: Tensor, speech: Tensor, shifts: int = SHIFTS) -> Synchrony:
    """Compare the embeddings of lips with those of speech, both (windows, embedding), at each shift."""
    count = len(lips)
    rows = torch.arange(count, device=lips.device)[:, None]
    partner = rows + torch.arange(-shifts, shifts + 1, device=lips.device)  # (windows, shifts)
    inside = (partner >= 0) & (partner < count)
    padded = torch.nn.functional.pad(speech, (0, 0, shifts, shifts))
    each = torch.stack(
        [(lips - padded[k : k + count] + _EPSILON).norm(dim=1) for k in range(2 * shifts + 1)], 1
    )  # (windows, shifts)
    partners = inside.sum(0)
    paired = torch.where(inside, each, 0.0).sum(0) / partners.clamp_min(1)
    return Synchrony(each.mean(0), each, paired.masked_fill(2 * partners < count, torch.inf))


class OffsetByShift:
    """The soft offset of a clip whose audio is moved, differentiable with respect to the move.

    The value is that of the audio so moved, over what video and audio still have in common. The derivative takes the
    embeddings of the speech, one every 40 ms, as points of a curve in time, along which a shift moves them: that of
    the waveform itself trembles with the period of the sound.

    Args:
        module: the network.
        lips: the start in s of each stretch of video, and its embeddings (windows, embedding).
        wave: the audio of the clip, float (samples,) in the units of 16-bit samples.
        temperature: of the soft minimum; see `SyncNetRater`.
    """

    def __init__(self, module: SyncNet, lips: list[tuple[float, Tensor]], wave: Tensor, temperature: float) -> None:
        self.module, self.lips, self.wave, self.temperature = module, lips, wave, temperature

    def __call__(self, shift: Tensor) -> Tensor:
        """Return by how many seconds the audio leads, float (), once it sounds `shift` seconds later.

        Args:
            shift: float (), in seconds; below 0 the audio is moved ahead.

        Raises:
            ArgumentError: for a shift that is not one finite number, or that leaves less than 0.24 s in common.
        """
        if not isinstance(shift, Tensor) or shift.shape or not isfinite(shift.detach().item()):
            raise ArgumentError("shift", "a tensor () with a finite number of seconds", shift)
        each = [self._moved(start, lips, shift) for start, lips in self.lips]
        found = [offset for offset in each if offset is not None]
        if not found:
            wanted = "a shift that leaves 0.24 s of video and audio in common"
            raise ArgumentError("shift", wanted, shift.detach().item(), "start nearer to 0")
        return torch.stack(found).mean() / FPS

    def _moved(self, start: float, lips: Tensor, shift: Tensor) -> Tensor | None:
        """Return the soft offset in frames of one stretch of video; `None` where too little audio is left."""
        seconds = shift.detach().item()
        skipped = max(0, ceil(round((seconds - start) * FPS, 6)))  # frames before the moved audio begins
        frames = len(lips) + LIP_FRAMES - 1 - skipped
        first = round((start + skipped / FPS - seconds) * RATE)
        part = self.wave[first : first + max(0, frames) * _SAMPLES_A_FRAME]
        windows = min(frames, len(part) // _SAMPLES_A_FRAME) - LIP_FRAMES
        if windows < 2:  # one window has no course in time
            return None
        like = next(self.module.parameters())
        speech = widened(self.module.speech(mfcc(part).to(like.dtype))[:windows])
        (course,) = torch.gradient(speech, dim=0)  # of 40 ms
        moved = speech - (shift - shift.detach()).to(speech) * FPS * course
        return synchrony(widened(lips[skipped : skipped + windows]), moved).soft_offset(self.temperature)


def sync_score(confidence: Tensor, offset: Tensor) -> Tensor:
    """Return AVBench's score, 100·σ(0.5·(confidence − 5))·exp(−|offset|/3), of offsets in video frames.

    >>> sync_score(torch.tensor(5.0), torch.tensor(0.0))
    tensor(50.)
    """
    return 100 * (0.5 * (confidence - 5)).sigmoid() * (-offset.abs() / 3).exp()


def grade(confidence: float) -> str:
    """Return AVBench's grade of a confidence: Excellent from 7, Good from 5, Fair from 3, else Poor."""
    return next((name for least, name in GRADES if confidence >= least), "Poor")
