"""Split a corpus into folds by prompt or video, and find contents that a given split has on both sides."""

from __future__ import annotations

import warnings
from collections.abc import Hashable, Sequence

import numpy as np

from avreward.datasets.subjective.ratings import Whole
from avreward.errors import ArgumentError, Described


def split_folds(contents: Sequence[Hashable], folds: int = 5, *, seed: int = 0) -> Whole:
    """Return the fold (0 … `folds` − 1) of each clip, so that all clips of one content are in one fold.

    Clips of one prompt or of one video are alike: a rater that saw some of them in training is not tested on new ones
    by the others. The folds are nearly equal in clips: contents come in random order, the largest first, each into the
    fold with the fewest clips.

    Args:
        contents: (clips,) the prompt or the video of each clip.
        folds: how many.
        seed: of the order.

    Raises:
        ArgumentError: for fewer than two folds, fewer contents than folds, or a clip without content (`None` or empty).

    Example:
        >>> folds = split_folds(["rain", "rain", "dog", "sea", "dog", "fire"], folds=2)
        >>> folds[0] == folds[1], sorted(np.bincount(folds).tolist())
        (np.True_, [3, 3])
    """
    if folds < 2:
        raise ArgumentError("folds", "at least 2", folds)
    numbers = _numbered(contents)
    sizes = np.bincount(numbers) if len(numbers) else np.zeros(0, dtype=np.int64)
    if len(sizes) < folds:
        remedy = "use fewer folds, or name what tells contents apart"
        raise ArgumentError("contents", f"at least {folds} different ones", Described(str(len(sizes))), remedy)
    shuffled = np.random.default_rng(seed).permutation(len(sizes))
    fold = np.empty(len(sizes), dtype=np.int64)
    filled = np.zeros(folds, dtype=np.int64)
    for content in shuffled[np.argsort(-sizes[shuffled], kind="stable")]:
        fold[content] = filled.argmin()
        filled[fold[content]] += sizes[content]
    return fold[numbers]


def warn_of_leaks(split: Sequence[Hashable], contents: Sequence[Hashable]) -> tuple[Hashable, ...]:
    """Return the contents that are in several parts of a split, and warn if there are any.

    The published split of AIGVQA-DB, for example, is by video: every prompt of its test file is in its training file,
    too.

    Args:
        split: (clips,) the part of each clip, such as ``"train"`` and ``"test"``, or its fold.
        contents: (clips,) the prompt or the video of each clip.

    Raises:
        ArgumentError: for other lengths, or a clip without content.

    Example:
        >>> warn_of_leaks(["train", "train", "test"], ["rain", "dog", "sea"])
        ()
    """
    if len(split) != len(contents):
        raise ArgumentError("split", f"one part a clip ({len(contents)})", Described(str(len(split))))
    numbers = _numbered(contents)
    parts: dict[Hashable, set[Hashable]] = {}
    for part, content in zip(split, contents, strict=True):
        parts.setdefault(content, set()).add(part)
    leaked = tuple(content for content, where in parts.items() if len(where) > 1)
    if leaked:
        clips = sum(content in set(leaked) for content in contents)
        problem = f"{len(leaked)} of {int(numbers.max()) + 1} contents ({clips} of {len(contents)} clips)"
        remedy = "results on such a split say little about new contents; split by content with split_folds"
        warnings.warn(
            f"{problem} are in several parts of this split, such as {leaked[0]!r:.60}; {remedy}", stacklevel=2
        )
    return leaked


def _numbered(contents: Sequence[Hashable]) -> Whole:
    empty = sum(content is None or content == "" for content in contents)
    if empty:
        got = Described(f"none for {empty} of {len(contents)}")
        raise ArgumentError(
            "contents", "the prompt or the video of each clip", got, "leave these clips out, or name it"
        )
    numbers = {content: i for i, content in enumerate(dict.fromkeys(contents))}
    return np.array([numbers[content] for content in contents], dtype=np.int64)
