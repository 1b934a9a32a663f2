"""Read sizes of a network from the names of a checkpoint's entries."""

from __future__ import annotations

import re
from collections.abc import Iterable


def count_numbered(names: Iterable[str], pattern: str) -> int:
    r"""Return how many numbered parts there are: one more than the largest number, 0 where no name matches.

    Args:
        names: of a checkpoint's entries.
        pattern: regular expression for the beginning of a name, whose only group matches the number.

    Example:
        >>> count_numbered(["layers.0.weight", "layers.1.weight", "head.weight"], r"layers\.(\d+)\.")
        2
    """
    return 1 + max((int(found[1]) for name in names if (found := re.match(pattern, name))), default=-1)
