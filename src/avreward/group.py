"""Groups: clips that answer one condition."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from avreward.errors import ArgumentError, Described

if TYPE_CHECKING:
    from avreward.clip import Clip


class Group:
    """Candidates that answer one condition: each of them has the tracks and the prompt of the condition.

    Args:
        condition: a clip of what was asked for: a silent video, a prompt, or both. Each of its keys must be equal in
            every candidate.
        candidates: at least one clip.

    Raises:
        ArgumentError: if there are no candidates; or for the first one that differs from the condition.

    Example:
        >>> import torch
        >>> from avreward import Clip
        >>> video = torch.rand(8, 3, 32, 32)
        >>> silent = Clip(video=video, fps=8)
        >>> dubs = [silent.with_audio(torch.rand(1, 16000) - 0.5, 16000) for _ in range(4)]
        >>> len(Group(silent, dubs).candidates)
        4
    """

    def __init__(self, condition: Clip, candidates: Sequence[Clip]) -> None:
        if not candidates:
            raise ArgumentError("candidates", "at least one clip", candidates)
        keys = dict(condition.keys)
        for number, candidate in enumerate(candidates):
            for name, key in keys.items():
                if candidate.keys.get(name) != key:
                    got = Described(f"another {name}" if name in candidate.keys else f"no {name}")
                    remedy = "group only candidates that answer the same condition"
                    place = f"candidates[{number}] ({candidate.name})"
                    raise ArgumentError(place, f"the {name} of the condition", got, remedy)
        self.condition, self.candidates = condition, tuple(candidates)

    def __repr__(self) -> str:
        return f"Group({self.condition!r}, {len(self.candidates)} candidates)"
