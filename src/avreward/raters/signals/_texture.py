"""Input of the measurements of single frames, and what they need of the texture, taken strip by strip.

A strip of rows and what is computed from it fit the cache of one core, where a native frame does not.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import pad

from avreward.raters.signals._gates import rounded, spare
from avreward.raters.signals._kept import Kept
from avreward.raters.signals._video import IN_CACHE, RedGreenBlue, in_parts, luma_of_levels

BLOCK = 16  # pixels a side of the blocks of which the noise level is taken
_REACH = 10  # rows below a strip that its gradients at the coarse scale reach
_FLATTEST = 0.25 / 255  # what noise below it adds is rounded off
_STEP = 0.5 / 255  # a step across a border is rounded off below it,
_SATURATED = 20 / 255  # and saturates at about this one


@dataclass(frozen=True)
class Texture:
    """What one frame (h, w) has of edges, noise and steps.

    `edges` (2,): mean of the product of coarse and fine squared gradients, and of the coarse one's square. `noise`
    (blocks,): mean of the noise that is left of each block, in units of luma. `down` (h − 1,) and `across` (w − 1,):
    mean step from each row and column to the next.
    """

    edges: Tensor
    noise: Tensor
    down: Tensor
    across: Tensor


@dataclass(frozen=True)
class Frames:
    """Single frames, spread evenly over the clip.

    `detail` is a central window of at most 1024 × 1024 at native scale: luma, float (n, height, width), or red, green
    and blue of each frame in 8 bits, which take less memory. `colour` (n, 3, h, w) is the whole frames, float RGB, the
    longer side at most 160.
    """

    detail: Tensor | Sequence[RedGreenBlue]
    colour: Tensor

    @Kept
    def textures(self) -> list[Texture]:
        """The texture of each frame."""
        return [_texture(frame) for frame in self.detail]


def _texture(frame: Tensor | RedGreenBlue) -> Texture:
    """Return the texture of one frame, luma (h, w) or 8-bit red, green and blue."""
    edges, noise, down, across = [], [], [], []
    for luma, rows in _strips(frame):
        wide, least = _at_least(luma, 16), _at_least(luma[: rows + 2], 3)
        beside = wide[2:] + wide[:-2]  # the rows above and below each
        edges.append(_edges(wide, beside))
        beside = beside[:rows] if wide is luma else least[2:] + least[:-2]
        noise.append(_noise(beside.sub_(least[1:-1], alpha=2)))
        down.append(_damping(luma[1 : rows + 1] - luma[:-1][:rows]).mean(1))
        across.append(_damping(luma[:rows, 1:] - luma[:rows, :-1]).sum(0))
    steps = torch.cat(down)
    coarse, square, cells = (sum(each) for each in zip(*edges, strict=True))
    return Texture(
        edges=torch.stack([coarse, square]) / cells,
        noise=_noise_of_blocks(torch.cat(noise)),
        down=_SATURATED * (1 - steps),
        across=_SATURATED * (1 - torch.stack(across).sum(0) / (len(steps) + 1)),
    )


def _strips(frame: Tensor | RedGreenBlue) -> Iterator[tuple[Tensor, int]]:
    """Yield (luma, rows): all `rows` of each strip, and below them as many of the next one as something reaches.

    Where a frame is not taken in parts (see `in_parts`), there is one strip.
    """
    first = frame if isinstance(frame, Tensor) else frame[0]
    height, width = first.shape
    rows = max(BLOCK, IN_CACHE // width // BLOCK * BLOCK)
    count = max(1, height // rows) if in_parts(first) else 1
    for top in range(0, rows * count, rows):
        last = top == rows * (count - 1)
        some = slice(top, height if last else top + rows + _REACH)
        luma = frame[some] if isinstance(frame, Tensor) else luma_of_levels(*(colour[some] for colour in frame))
        yield luma, height - top if last else rows


def _edges(luma: Tensor, beside: Tensor) -> tuple[Tensor, Tensor, int]:
    """Return sums over the cells of luma (h, w): of coarse · fine squared gradient, of coarse², and how many cells.

    The fine gradient is that of the frame blurred by one pixel, averaged over the cells of 4 × 4 of the coarse one.
    `beside` (h − 2, w) is the sum of the rows above and below each.
    """
    fine = _pooled(_squared_gradient(_smoothed(luma, beside)))[2:, 2:]
    coarse = _squared_gradient(_pooled(luma), 2)  # two cells on are four pixels
    fine, coarse = fine[: coarse.shape[0], : coarse.shape[1]], coarse[: fine.shape[0], : fine.shape[1]]
    unit = 4 * 16**3
    return (coarse * fine).sum() / unit**2, coarse.square().sum() / unit**2, coarse.numel()


def _noise(bend: Tensor) -> Tensor:
    """Return the absolute response to Immerkær's mask, which no edge or slope excites, averaged over 16 rows each.

    `bend` (h, w) is the second difference of luma down the columns, and the result (⌈h/16⌉, w − 2) is rounded off near
    zero.
    """
    x = (bend[:, 2:] + bend[:, :-2]).sub_(bend[:, 1:-1], alpha=2)
    return _block_means(rounded(x, _FLATTEST))


def _noise_of_blocks(rows: Tensor) -> Tensor:
    """Return the noise of each block (blocks,) of what `_noise` gives of a frame."""
    return (math.pi / 2) ** 0.5 / 6 * (_block_means(rows.T).T.flatten() - _FLATTEST)


def _block_means(x: Tensor) -> Tensor:
    """(h, w) → (⌈h/16⌉, w): means of each 16 rows, and of what is left; much faster than the library's pooling."""
    whole = x.shape[0] // BLOCK * BLOCK
    means = x[:whole].unflatten(0, (-1, BLOCK)).mean(1)
    return means if whole == x.shape[0] else torch.cat([means, x[whole:].mean(0, keepdim=True)])


def _damping(change: Tensor) -> Tensor:
    """Return d = 1/(1 + |change|/a) with a = `_SATURATED`, |change| rounded off near zero.

    A step counts |change|·d, so that strong edges saturate. That is a·(1 − d), which takes fewer passes.
    """
    size = rounded(change, _STEP)  # |change| + _STEP
    return torch.add(
        size.new_full((), 1 - _STEP / _SATURATED), size, alpha=1 / _SATURATED, out=spare(size)
    ).reciprocal_()


def _smoothed(luma: Tensor, beside: Tensor) -> Tensor:
    """(h, w) → (h − 2, w − 2): 16 times the binomial blur (1 2 1)/4 both ways, a Gaussian of σ = 0.7 pixels."""
    x = torch.add(beside, luma[1:-1], alpha=2)
    return (x[:, 2:] + x[:, :-2]).add_(x[:, 1:-1], alpha=2)


def _pooled(x: Tensor) -> Tensor:
    """Return sums over cells of 4 × 4 that begin at every second pixel: a crop by one pixel hardly changes them."""
    x = x[:-1:2] + x[1::2]  # much faster than the library's pooling of single channels
    x = x[:, :-1:2] + x[:, 1::2]
    x = x[1:] + x[:-1]
    return x[:, 1:] + x[:, :-1]


def _squared_gradient(luma: Tensor, step: int = 1) -> Tensor:
    """|∇|² (h − 2·step, w − 2·step) by central differences over `step` to both sides, as if it were one; times 4."""
    inner = slice(step, -step)
    across = luma[inner, 2 * step :] - luma[inner, : -2 * step]
    across = torch.square(across, out=spare(across))
    down = luma[2 * step :, inner] - luma[: -2 * step, inner]
    return across.addcmul_(down, down)


def _at_least(luma: Tensor, side: int) -> Tensor:
    """Repeats the border of a tiny frame until it is `side` wide and high."""
    height, width = luma.shape
    if height >= side and width >= side:
        return luma
    return pad(luma[None], (0, max(0, side - width), 0, max(0, side - height)), mode="replicate")[0]
