"""Variants of a real clip, each with one controlled defect: a pool to choose the best of N from."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import torch

from avreward.clip import Clip
from avreward.datasets.synthetic._perturbations import PERTURBATIONS


def variants(clip: Clip, seed: int = 0) -> Iterator[tuple[str, Clip]]:
    """Yield variants of the clip with one controlled defect each, of a severity drawn from `seed`: (name, clip).

    The defects are all `PERTURBATIONS` that fit the clip's tracks, except those that need another clip.

    Example:
        >>> clip = Clip(audio=torch.rand(1, 8000) - 0.5, sample_rate=8000)
        >>> [name for name, _ in variants(clip)]
        ['noise', 'clipping', 'lowpass', 'dropouts', 'reversed', 'shift']
    """
    for defect in PERTURBATIONS.values():
        if defect.needs_other or not (clip.has_audio if defect.track == "audio" else clip.has_video):
            continue
        digest = hashlib.blake2b(f"{defect.name} {seed}".encode(), digest_size=7).digest()
        drawn = int.from_bytes(digest, "big")
        generator = torch.Generator().manual_seed(drawn)
        severity = None
        if defect.severities:
            severity = defect.severities[int(torch.randint(len(defect.severities), (), generator=generator))]
        yield defect.name, defect.apply(clip, severity, seed=drawn % 2**31)
