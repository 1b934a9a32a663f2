"""Variants of a real clip for a pool to choose from: each with one controlled defect."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import torch

from avreward.clip import Clip
from avreward.datasets.synthetic._perturbations import PERTURBATIONS


def variants(clip: Clip, seed: int = 0) -> Iterator[tuple[str, Clip]]:
    """The clip with one controlled defect each, of a severity that `seed` draws: name → clip.

    All of `PERTURBATIONS` that fit the clip's tracks, but not the sound of another clip.

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
