"""Frames, or the lips alone, of another moment of the same video."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from avreward.clip import Clip
from avreward.datasets.synthetic._perturb_video import eight_bits
from avreward.datasets.synthetic._perturbations import NotPerturbable, with_video

LEAST_FACES = 0.8  # share of the frames looked at; between them its box is interpolated
LEAST_OVERLAP = 0.3  # of a face with its last box
MOST_LOST = 3  # looks in a row at which a face is not found
BOX_TIMES = 10  # a second: faces are looked for this often, and boxes interpolated between
MOUTH = (0.5, 0.18, 1.0, 0.82)  # top, left, bottom, right of the mouth in the face's box


def other_moment(clip: Clip, seconds: float, generator: torch.Generator, other: Clip | None) -> Clip:
    """Show the frames of another moment, `seconds` away, under the audio; beyond an end they go on at the other."""
    video = clip.video
    return with_video(clip, video[_elsewhere(clip, seconds, generator)])


def other_lips(clip: Clip, seconds: float, generator: torch.Generator, other: Clip | None) -> Clip:
    """Put the mouth of another moment, `seconds` away, in the place of each frame's mouth, with soft edges.

    Raises:
        NotPerturbable: if no face can be followed through 80 % of the frames looked at.
    """
    video = clip.video
    boxes = _mouths(clip, video)
    changed = video.clone()
    for place, source in enumerate(_elsewhere(clip, seconds, generator).tolist()):
        top, left, bottom, right = _pixels(boxes[place], video)
        above, before, below, after = _pixels(boxes[source], video)
        mouth = video[source : source + 1, :, above:below, before:after]
        mouth = interpolate(mouth, size=(bottom - top, right - left), mode="bilinear", align_corners=False)[0]
        part = changed[place, :, top:bottom, left:right]
        mask = (_edge(bottom - top)[:, None] * _edge(right - left)).to(video)
        # The light may have changed: the mouth gets the mean colour of the one it replaces.
        mouth = mouth + (part - mouth).mean((1, 2), keepdim=True)
        part.copy_(eight_bits(torch.lerp(part, mouth, mask)))
    return with_video(clip, changed)


def _elsewhere(clip: Clip, seconds: float, generator: torch.Generator) -> Tensor:
    """Return for each frame the frame that is on display `seconds` later or earlier, in a circle: int64 (n,)."""
    times = clip.times
    length = clip.ends["video"] - float(times[0])
    if length < 2 * seconds:
        problem = f"{clip.name}: its video is shorter than twice the distance to the other moment"
        raise NotPerturbable(f"{problem}; give longer clips")
    sign = 1 if bool(torch.rand((), generator=generator) < 0.5) else -1
    wanted = (times - times[0] + sign * seconds) % length + times[0]
    return (torch.searchsorted(times, wanted + 1e-6, right=True) - 1).clamp(0, len(times) - 1)


def _mouths(clip: Clip, video: Tensor) -> Tensor:
    """Return the box of one face's mouth in each frame: top, left, bottom, right in pixels, (n, 4).

    It is the largest face of all frames, followed both ways to the box that overlaps its last one most.
    """
    from avreward.raters.avbench import SlimeFaces

    step = max(1, round((clip.fps or BOX_TIMES) / BOX_TIMES))
    places = torch.arange(0, len(video), step)
    found = SlimeFaces()(video[places])
    seen = _followed(places.tolist(), found)
    if len(seen) < LEAST_FACES * len(places):
        problem = f"{clip.name}: no face can be followed through {100 * LEAST_FACES:.0f} % of its frames"
        raise NotPerturbable(f"{problem}; give clips that show a speaker's face")
    faces = torch.stack([box for _, box in seen])  # left, top, right, bottom
    known = torch.tensor([place for place, _ in seen], dtype=torch.float64)
    left, top, right, bottom = _between(torch.arange(len(video), dtype=torch.float64), known, faces).T
    height, width = bottom - top, right - left
    upper, before, lower, after = MOUTH
    return torch.stack((top + upper * height, left + before * width, top + lower * height, left + after * width), 1)


def _followed(places: Sequence[int], found: Sequence[Tensor]) -> list[tuple[int, Tensor]]:
    """Return the largest face and, before and after, the boxes of the same face, with their frames, in order."""
    areas = [float(_area(boxes).max()) if len(boxes) else 0.0 for boxes in found]
    first = max(range(len(found)), key=areas.__getitem__)
    if not areas[first]:
        return []
    start = found[first][int(_area(found[first]).argmax())]
    chosen = {first: start}
    for way in (range(first + 1, len(found)), range(first - 1, -1, -1)):
        last, lost = start, 0
        for i in way:
            overlap = _overlap(found[i], last)
            if len(found[i]) and float(overlap.max()) > LEAST_OVERLAP:
                last, lost = found[i][int(overlap.argmax())], 0
                chosen[i] = last
            elif (lost := lost + 1) > MOST_LOST:
                break  # another face may come to its place
    return [(places[i], chosen[i]) for i in sorted(chosen)]


def _area(boxes: Tensor) -> Tensor:
    return (boxes[..., 2:] - boxes[..., :2]).clamp_min(0).prod(-1)


def _overlap(boxes: Tensor, box: Tensor) -> Tensor:
    """Return intersection over union of boxes (n, 4) with one box: (n,)."""
    low, high = torch.maximum(boxes[:, :2], box[:2]), torch.minimum(boxes[:, 2:], box[2:])
    both = _area(torch.cat((low, high), 1))
    return both / (_area(boxes) + _area(box) - both).clamp_min(1e-9)


def _between(places: Tensor, known: Tensor, values: Tensor) -> Tensor:
    """Return values (known, k) interpolated linearly at `places`, and those of the ends beyond them: (places, k)."""
    after = torch.searchsorted(known, places).clamp(0, len(known) - 1)
    before = (after - 1).clamp_min(0)
    span = (known[after] - known[before]).clamp_min(1e-9)
    share = ((places - known[before]) / span).clamp(0, 1)[:, None]
    return torch.lerp(values[before], values[after], share)


def _pixels(box: Tensor, video: Tensor) -> tuple[int, int, int, int]:
    height, width = video.shape[-2:]
    top, left = min(max(0, int(box[0])), height - 2), min(max(0, int(box[1])), width - 2)
    return top, left, max(top + 2, min(height, int(box[2]))), max(left + 2, min(width, int(box[3])))


def _edge(length: int) -> Tensor:
    """Return weights that rise from 0 to 1 within a quarter of the length at either end: (length,)."""
    place = torch.arange(length) + 0.5
    return (torch.minimum(place, length - place) / (length / 4)).clamp(max=1.0)
