"""Group: clips that answer one condition."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from avreward.errors import MediaError

if TYPE_CHECKING:
    from avreward.clip import Clip


class Group:
    """Candidates that answer one condition: what the condition gives, each of them has.

    The condition is a clip of what they were asked for: a silent video, a prompt, or both. Each of its keys must be
    equal in every candidate, else `MediaError` names the first that differs.

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
            raise MediaError("candidates", "there are none", "give at least one clip")
        keys = dict(condition.keys)
        for number, candidate in enumerate(candidates):
            for name, key in keys.items():
                if candidate.keys.get(name) != key:
                    problem = (
                        f"its {name} isn't that of the condition" if name in candidate.keys else f"it has no {name}"
                    )
                    remedy = "group only candidates that answer the same condition"
                    raise MediaError(f"candidate {number} ({candidate.name})", problem, remedy)
        self.condition, self.candidates = condition, tuple(candidates)

    def __repr__(self) -> str:
        return f"Group({self.condition!r}, {len(self.candidates)} candidates)"
