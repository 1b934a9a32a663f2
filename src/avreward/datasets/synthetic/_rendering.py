"""Draw a plot: backdrop under a moving camera, antialiased sprites with motion blur, particles, sensor noise."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from avreward.datasets.synthetic._backgrounds import background, cloud
from avreward.datasets.synthetic._stage import Dice, ParticleCloud, Plot, Sprite, Stage, interpolate, smooth_curve


@dataclass(frozen=True)
class Camera:
    """Maps world points to pixels at each time: pixel = ((point + shift - centre) * zoom + centre) * height."""

    times: Tensor
    shift: Tensor  # (k, 2) world units
    zoom: Tensor  # (k,)

    def at(self, times: Tensor) -> tuple[Tensor, Tensor]:
        """Return shift (n, 2) and zoom (n,) at the given times."""
        return interpolate(self.times, self.shift, times), interpolate(self.times, self.zoom, times)


def camera(dice: Dice, seconds: float, must_move: bool) -> Camera:
    """Draw a random camera: fixed, hand-held, panning slowly, or zooming slowly."""
    kind = dice.pick(("stand", "stand", "hand", "pan", "zoom"))
    if kind == "stand" and must_move:
        kind = "hand"
    times, first = smooth_curve(dice, seconds, 0.6)
    second = smooth_curve(dice, seconds, 0.6)[1]
    along = (times / seconds - 0.5)[:, None]
    still, one = torch.zeros(len(times), 2), torch.ones(len(times))
    sway = torch.stack((first, second), 1) - 0.5
    if kind == "stand":
        return Camera(times, still, one)
    if kind == "hand":
        return Camera(times, sway * dice.log_uniform(0.01, 0.05), one)
    if kind == "pan":
        way = torch.tensor([dice.uniform(-0.12, 0.12), dice.uniform(-0.04, 0.04)])
        return Camera(times, along * way + 0.004 * sway, one)
    return Camera(times, 0.004 * sway, 1 + dice.uniform(-0.1, 0.1) * along[:, 0])


MARGIN = 0.14  # of the height: how far the camera may move past each side


def cubic_taps(place: Tensor) -> tuple[Tensor, Tensor]:
    """Return indices (4, n) and weights (4, n) of Catmull-Rom interpolation at fractional places (n,)."""
    whole = torch.floor(place)
    t = (place - whole)[None]
    offset = torch.arange(-1, 3)[:, None]
    distance = (t - offset).abs()
    near = (1.5 * distance - 2.5) * distance**2 + 1
    far = ((-0.5 * distance + 2.5) * distance - 4) * distance + 2
    return (whole[None] + offset).long(), torch.where(distance <= 1, near, far)


def look_at(backdrop: Tensor, height: int, width: int, shift: Tensor, zoom: float, margin: int) -> Tensor:
    """Return the backdrop (3, H, W) as the camera sees it: (3, height, width), interpolated one axis at a time."""
    size = (height, width)
    picture = backdrop
    for axis in (0, 1):
        centre = size[axis] / 2
        pixels = torch.arange(size[axis]) + 0.5
        place = (pixels - centre) / zoom + centre - float(shift[1 - axis]) * height + margin - 0.5
        index, weight = cubic_taps(place)
        index = index.clamp(0, picture.shape[axis + 1] - 1)
        shape = (1, -1, 1) if axis == 0 else (1, 1, -1)
        total = picture.index_select(axis + 1, index[0]) * weight[0].view(shape)
        for tap in range(1, 4):
            total.addcmul_(picture.index_select(axis + 1, index[tap]), weight[tap].view(shape))
        picture = total
    return picture


def draw_backdrop(dice: Dice, stage: Stage, plot: Plot, height: int, width: int, view: Camera, times: Tensor) -> Tensor:
    """Return all frames with the backdrop only: (frames, 3, height, width)."""
    margin = math.ceil(MARGIN * height)
    floor_row = round(stage.floor * height) + margin if stage.floor < 1 else None
    backdrop = background(dice, height + 2 * margin, width + 2 * margin, floor_row, plot.dark)
    shift, zoom = view.at(times)
    frames = torch.empty(len(times), 3, height, width)
    still = bool((shift == shift[0]).all() and (zoom == zoom[0]).all())
    for number in range(len(times)):
        if still and number > 0:
            frames[number] = frames[0]
        else:
            frames[number] = look_at(backdrop, height, width, shift[number], float(zoom[number]), margin)
    return frames


def project(view: Camera, moments: Tensor, world: Tensor, height: int, width: int) -> tuple[Tensor, Tensor]:
    """Return world points (n, 2) at moments (n,) in pixels (n, 2), and the pixels to a world unit (n,)."""
    shift, zoom = view.at(moments)
    centre = torch.tensor([width / height / 2, 0.5])
    return ((world + shift - centre) * zoom[:, None] + centre) * height, zoom * height


def draw_sprite(dice: Dice, frames: Tensor, sprite: Sprite, view: Camera, times: Tensor, shutter: float) -> None:
    """Paint one sprite into frames (n, 3, h, w) in place; `shutter`: exposure of a frame in seconds."""
    count, _, height, width = frames.shape
    instants = torch.linspace(-0.5, 0.5, 4) * shutter if shutter > 0 else torch.zeros(1)
    moments = (times[:, None] + instants).flatten()
    pose = sprite.pose(moments)
    places, scale = project(view, moments, pose[:, :2], height, width)
    half = pose[:, 3:5] * scale[:, None]
    turned = torch.stack((pose[:, 2].cos(), pose[:, 2].sin()), 1)
    reach = torch.stack(((half * turned.abs()).sum(1), (half * turned.flip(1).abs()).sum(1)), 1)
    # From here on by frame and instant: (count, instants, 2).
    places, half, turned, reach = (each.view(count, -1, 2) for each in (places, half, turned, reach))
    low = (places - reach).amin(1).floor().long() - 2
    high = (places + reach).amax(1).ceil().long() + 2
    travel = (places[:, 1:] - places[:, :-1]).norm(dim=-1).sum(1) / max(1, len(instants) - 1)
    tile = 1 + dice.uniform(0.03, 0.2) * cloud(dice, 64, 64, dice.uniform(0.7, 1.3))[None]
    for number in range(count):
        left, top = max(0, int(low[number, 0])), max(0, int(low[number, 1]))
        right, bottom = min(width, int(high[number, 0])), min(height, int(high[number, 1]))
        if right <= left or bottom <= top:
            continue
        moved = float(travel[number])
        steps = slice(None) if moved > 0.5 else slice(0, 1)
        x = torch.arange(left, right) + 0.5 - places[number, steps, 0, None, None]
        y = torch.arange(top, bottom)[:, None] + 0.5 - places[number, steps, 1, None, None]
        cosine, sine = turned[number, steps].T[..., None, None]
        u, v = x * cosine + y * sine, y * cosine - x * sine
        cover = coverage(sprite, u, v, half[number, steps], soft=1.0 + 0.7 * moved)
        middle = len(u) // 2
        light = 1 - sprite.shade * (0.6 * x[middle] + 0.8 * y[middle]) / (0.5 * reach[number].amax() + 1)
        if sprite.pattern > 0:
            stripes = torch.sin(u[middle] * (5.0 / float(half[number, middle, 0])))
            light = light + sprite.pattern * torch.tanh(3 * stripes)
        # Fine texture that moves and turns with the sprite, about one of its pixels to a pixel of the frame.
        spot = torch.stack((u[middle], v[middle]), -1)[None] * (height / 32) / scale[number * len(instants)]
        light = light * functional.grid_sample(tile, spot, padding_mode="reflection", align_corners=False)[0, 0]
        paint = (sprite.colour[:, None, None] * light).clamp(0, 1)
        frames[number, :, top:bottom, left:right].lerp_(paint, cover)


def coverage(sprite: Sprite, u: Tensor, v: Tensor, half: Tensor, soft: float) -> Tensor:
    """Return how much of each pixel a rounded box covers, as a mean over an exposure: (h, w) in [0, 1].

    u, v: pixels from its middle along its sides, (instants, h, w); half: its half sides, (instants, 2); soft: width of
    its edge in pixels, which blurs its path between two instants.
    """
    corner = (half.amin(1) * sprite.roundness)[:, None, None]
    over_u = u.abs() - (half[:, 0, None, None] - corner)
    over_v = v.abs() - (half[:, 1, None, None] - corner)
    outside = (over_u.clamp_min(0).square() + over_v.clamp_min(0).square()).sqrt()
    distance = outside + torch.maximum(over_u, over_v).clamp_max(0) - corner
    return (0.5 - distance / soft).clamp(0, 1).mean(0) * sprite.opacity


def draw_particles(frames: Tensor, particles: ParticleCloud, view: Camera, times: Tensor) -> None:
    """Splat soft dots into frames (n, 3, h, w) in place."""
    _, _, height, width = frames.shape
    ages = times[:, None] - particles.born
    alive = (ages > 0) & (ages < particles.life)
    frame, which = alive.nonzero(as_tuple=True)
    if len(frame) == 0:
        return
    pixel, _ = project(view, times[frame], particles.place(ages)[frame, which], height, width)
    fade = (1 - ages[frame, which] / particles.life[which]).sqrt()
    radius = max(0.7, particles.radius * height)
    reach = math.ceil(2.2 * radius)
    steps = torch.arange(-reach, reach + 1)
    column = pixel[:, 0, None].floor() + steps  # (m, k)
    row = pixel[:, 1, None].floor() + steps
    across = torch.exp(-(((column + 0.5 - pixel[:, 0, None]) / radius) ** 2))
    down = torch.exp(-(((row + 0.5 - pixel[:, 1, None]) / radius) ** 2))
    weight = across[:, None, :] * down[:, :, None] * fade[:, None, None]
    inside = ((row >= 0) & (row < height))[:, :, None] & ((column >= 0) & (column < width))[:, None, :]
    place = (frame[:, None, None] * height + row.long()[:, :, None]) * width + column.long()[:, None, :]
    place, weight, owner = place[inside], weight[inside], which[:, None, None].expand_as(weight)[inside]
    spot = torch.div(place, height * width, rounding_mode="floor") * (3 * height * width) + place % (height * width)
    pixels = frames.view(-1)
    if particles.glow:
        for channel in range(3):
            light = particles.opacity * weight * particles.colours[owner, channel]
            pixels.index_add_(0, spot + channel * height * width, light)
        return
    spot, index = spot.unique(return_inverse=True)
    mass = torch.zeros(len(spot)).index_add_(0, index, weight)
    cover = (particles.opacity * mass).clamp(max=0.97)
    for channel in range(3):
        paint = torch.zeros(len(spot)).index_add_(0, index, weight * particles.colours[owner, channel]) / mass
        at = spot + channel * height * width
        pixels[at] = torch.lerp(pixels[at], paint, cover)


def develop(dice: Dice, frames: Tensor, noise: float, seconds: float) -> Tensor:
    """Apply exposure, sensor noise of the given deviation (of 1) and rounding to 8 bits, in place."""
    gains = torch.ones(len(frames))
    if dice.chance(0.3):  # the light changes slowly, without flicker
        curve = smooth_curve(dice, seconds, dice.uniform(0.8, 2.0))
        gains += dice.uniform(0.02, 0.12) * (interpolate(*curve, torch.linspace(0, seconds, len(frames))) - 0.5)
    size = frames[0].numel()
    grain = dice.normal(3 * size) * noise if noise > 0 else torch.zeros(0)
    for number in range(len(frames)):
        frame = frames[number].mul_(gains[number])
        if noise > 0:
            # A random window of one long strip of noise: ten times as fast as new noise for each frame.
            start = dice.integer(0, 2 * size)
            frame += grain[start : start + size].view_as(frame)
        frame.clamp_(0, 1).mul_(255).round_().div_(255)
    return frames


def render(dice: Dice, stage: Stage, plot: Plot, height: int, width: int, times: Tensor) -> Tensor:
    """Return the frames of a plot: float32 (frames, 3, height, width), multiples of 1/255 in [0, 1]."""
    noise = 0.0 if dice.chance(0.35) else dice.uniform(0.3, 1.5) / 255
    # Without noise and movement, frames would repeat exactly: then the camera is hand-held.
    view = camera(dice, stage.seconds, must_move=noise == 0)
    shutter = dice.uniform(0.2, 0.6) / stage.fps if dice.chance(0.6) else 0.0
    frames = draw_backdrop(dice, stage, plot, height, width, view, times)
    for sprite in plot.sprites:
        draw_sprite(dice, frames, sprite, view, times, shutter)
    for particles in plot.particles:
        draw_particles(frames, particles, view, times)
    if dice.chance(0.3):
        frames.mul_(vignette(height, width, dice.uniform(0.1, 0.4)))
    return develop(dice, frames, noise, stage.seconds)


def vignette(height: int, width: int, strength: float) -> Tensor:
    """Return the darkening towards the corners: (height, width), 1 in the middle."""
    y = torch.linspace(-1, 1, height)[:, None]
    x = torch.linspace(-1, 1, width)[None, :]
    return 1 - strength * 0.5 * (x.square() + y.square())
