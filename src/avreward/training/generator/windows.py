"""MixGRPO's window: which denoising steps are stochastic and trained at each iteration (arXiv:2507.21802)."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Literal, get_args

import numpy as np

from avreward.errors import ArgumentError, unknown_name

Motion = Literal["progressive", "decay", "exp_decay", "random"]


def sliding_windows(
    steps: int,
    *,
    width: int = 4,
    iterations: int = 25,
    stride: int | None = None,
    motion: Motion = "progressive",
    from_the_start: bool = True,
    fewest: int | None = None,
    threshold: int = 13,
    rate: float = 0.1,
    seed: int = 0,
) -> Iterator[range]:
    """Yield the steps that are stochastic and trained at each iteration, without end; the others are Euler steps.

    The window moves from the noisiest steps to the last ones. It shrinks at the end, and is empty for iterations that
    begin at the last step, as in the published code: an iteration with an empty window trains nothing.

    Args:
        steps: denoising steps.
        width: steps of a window.
        iterations: how often a window is used before it moves.
        stride: by how many steps it moves; its width by default. Published: 1.
        motion: ``"progressive"``; ``"decay"``: with fewer and fewer iterations, down to `fewest`; ``"exp_decay"``: with
            ⌈`iterations` · exp(−`rate` · steps past `threshold`)⌉; ``"random"``: a window drawn anew each time.
        from_the_start: begin again after the last step; otherwise the window stays there, empty.
        fewest: iterations of the last window of ``"decay"``; a quarter of `iterations` by default, at least 1.
        threshold: step from which ``"exp_decay"`` uses a window less.
        rate: of ``"exp_decay"``.
        seed: of ``"random"``.

    Raises:
        ArgumentError: for an unknown `motion`, or numbers that are not positive.

    Example:
        >>> windows = sliding_windows(6, width=4, iterations=2, stride=1)
        >>> [list(next(windows)) for _ in range(3)]
        [[0, 1, 2, 3], [0, 1, 2, 3], [1, 2, 3, 4]]
    """
    if motion not in get_args(Motion):
        raise unknown_name("motion", motion, get_args(Motion))
    stride = width if stride is None else stride
    fewest = max(1, iterations // 4) if fewest is None else fewest
    for name, value in (("steps", steps), ("width", width), ("iterations", iterations), ("stride", stride)):
        if value < 1:
            raise ArgumentError(name, "a positive integer", value)
    if motion == "random":
        return _random(steps, width, iterations, seed)
    return _moving(steps, width, iterations, stride, motion, from_the_start, fewest, threshold, rate)


def _moving(
    steps: int,
    width: int,
    iterations: int,
    stride: int,
    motion: Motion,
    from_the_start: bool,
    fewest: int,
    threshold: int,
    rate: float,
) -> Iterator[range]:
    start = 0
    while True:
        uses = iterations
        if motion == "decay":
            uses = max(fewest, int(iterations * (1 - start / steps) + fewest * start / steps))
        elif motion == "exp_decay":
            uses = math.ceil(iterations * math.exp(-rate * max(0, start - threshold)))
        for _ in range(uses):
            yield range(start, min(start + width, steps))
        start += stride
        if start > steps:
            start = 0 if from_the_start else steps


def _random(steps: int, width: int, iterations: int, seed: int) -> Iterator[range]:
    """Each window has a seed of its own, so that a resumed run can go on at any iteration."""
    number = 0
    while True:
        start = int(np.random.default_rng(seed + number).integers(0, max(steps - width, 0) + 1))
        for _ in range(iterations):
            yield range(start, min(start + width, steps))
        number += 1
