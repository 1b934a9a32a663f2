"""Controlled defects of video: functions on (frames, 3, height, width) in [0, 1]; random choices come from `generator`.

Results are multiples of 1/255, as in an 8-bit file, except where frames are only reordered.
"""

import math

import torch
from torch import Tensor
from torch.nn import functional

from avreward.datasets.synthetic._blur import gaussian_blur

SHUFFLE_WINDOW = 4  # frames


def eight_bits(video: Tensor) -> Tensor:
    """Clamp to [0, 1] and round to steps of 1/255."""
    return video.clamp(0, 1).mul_(255).round_().div_(255)


def blur(video: Tensor, sigma_at_480: float, generator: torch.Generator) -> Tensor:
    """Blur with a Gaussian; `sigma_at_480`: deviation in pixels at height 480, in proportion for other heights."""
    sigma = sigma_at_480 * video.shape[-2] / 480
    # One frame at a time stays in the cache.
    return torch.stack([eight_bits(gaussian_blur(frame, sigma)) for frame in video])


def picture_noise(video: Tensor, sigma: float, generator: torch.Generator) -> Tensor:
    """Add Gaussian noise of deviation `sigma` (of 255), independent in every pixel, colour and frame."""
    out = torch.empty_like(video)
    for number, frame in enumerate(video):
        noise = torch.randn(frame.shape, generator=generator).to(video)
        out[number] = eight_bits(noise.mul_(sigma / 255).add_(frame))
    return out


def cosines(like: Tensor) -> Tensor:
    """Return the orthonormal 8-point DCT-II as a matrix (8, 8)."""
    place = torch.arange(8, dtype=torch.float64)
    matrix = torch.cos(math.pi * (2 * place[None] + 1) * place[:, None] / 16) / 2
    matrix[0] /= math.sqrt(2)
    return matrix.to(like)


def quantise(plane: Tensor, coarseness: float, first: float, slope: float) -> Tensor:
    """Quantise 8x8 blocks of planes (n, h, w), values 0..255, sides multiples of 8, in steps growing with frequency."""
    count, height, width = plane.shape
    order = torch.arange(8, device=plane.device)
    step = coarseness * (first + slope * (order[:, None] + order[None]).to(plane))
    transform = cosines(plane)
    blocks = plane.view(count, height // 8, 8, width // 8, 8).transpose(2, 3) - 128
    coefficients = transform @ blocks @ transform.T
    blocks = transform.T @ ((coefficients / step).round() * step) @ transform + 128
    return blocks.transpose(2, 3).reshape(count, height, width)


def blockiness(video: Tensor, coarseness: float, generator: torch.Generator) -> Tensor:
    """Code every frame in 8x8 cosine blocks with coarse steps, grid from the top left corner, colour at half size.

    The steps are `coarseness` times a ramp from 10 (mean of a block) to 101 (finest detail), of 255: at coarseness 1
    about those of a JPEG of quality 50.
    """
    _, _, height, width = video.shape
    out = torch.empty_like(video)
    for number in range(len(video)):
        frame = functional.pad(video[number : number + 1], (0, -width % 16, 0, -height % 16), mode="replicate")[0] * 255
        red, green, blue = frame
        luma = 0.299 * red + 0.587 * green + 0.114 * blue
        chroma = torch.stack(((blue - luma) * 0.564 + 128, (red - luma) * 0.713 + 128))
        luma = quantise(luma[None], coarseness, 10.0, 6.5)[0]
        small = quantise(functional.avg_pool2d(chroma[None], 2)[0], coarseness, 17.0, 10.0)
        second, first = small.repeat_interleave(2, 1).repeat_interleave(2, 2) - 128
        red, blue = luma + first / 0.713, luma + second / 0.564
        green = (luma - 0.299 * red - 0.114 * blue) / 0.587
        out[number] = torch.stack((red, green, blue))[:, :height, :width]
    return eight_bits(out / 255)


def flicker(video: Tensor, sigma: float, generator: torch.Generator) -> Tensor:
    """Multiply every frame by its own random gain, 1 on average, of deviation `sigma`, never below 0.3."""
    gain = (1 + sigma * torch.randn(len(video), generator=generator)).clamp_min(0.3)
    return eight_bits(video * gain.to(video)[:, None, None, None])


def frozen_order(times: Tensor, share: float, generator: torch.Generator) -> Tensor:
    """Return the frame to show at each time, if frames freeze for 0.2 to 0.6 s at random places: int64 (n,).

    `share` (0..1) of the frames repeat the one before; between two freezes, all frames move.
    """
    count = len(times)
    interval = float((times[1:] - times[:-1]).median()) if count > 1 else 1.0
    missing, held = min(count - 1, max(1, round(share * count))), []
    while missing > 0:
        seconds = 0.2 + 0.4 * float(torch.rand((), generator=generator))
        held.append(min(missing, max(1, round(seconds / interval))))
        missing -= held[-1]
    # The moving frames are distributed at random: one starts each freeze; the others are before, between and after.
    spare = max(0, count - sum(held) - len(held))
    cuts = torch.randint(spare + 1, (len(held),), generator=generator).sort().values.tolist()
    order, place, before = torch.arange(count), 0, 0
    for cut, length in zip(cuts, held, strict=True):
        place += cut - before
        order[place : place + length + 1] = min(place, count - 1)
        place, before = place + length + 1, cut
    return order


def shuffled_order(count: int, share: float, generator: torch.Generator) -> Tensor:
    """Return an order that shuffles the frames in a `share` of all windows of four: int64 (count,).

    No frame of a shuffled window keeps its place; at least one window is shuffled. The severity is the number of
    windows, not their size: frames swapped in pairs judder more than frames shuffled in fours.
    """
    order = torch.arange(count)
    starts = torch.arange(0, count - 1, SHUFFLE_WINDOW)
    chosen = starts[torch.randperm(len(starts), generator=generator)[: max(1, round(share * len(starts)))]]
    for start in chosen.tolist():
        place = torch.arange(min(SHUFFLE_WINDOW, count - start))
        mixed = place
        while (mixed == place).any():
            mixed = torch.randperm(len(place), generator=generator)
        order[start : start + len(place)] = start + mixed
    return order
