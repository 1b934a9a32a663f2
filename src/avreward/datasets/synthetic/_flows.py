"""Plots of continuous sounds that follow a motion: swings, engines, pouring."""

import math

import torch
from torch import Tensor

from avreward.datasets.synthetic._stage import (
    ParticleCloud,
    Plot,
    Pose,
    Sprite,
    Stage,
    fixed,
    interpolate,
    posed,
    smooth_curve,
    vivid,
)
from avreward.datasets.synthetic._synthesis import curve_at, shaped_noise, stretch_curve, tone


def whoosh(stage: Stage) -> Plot:
    """Plot a rod that is swung now and then: faster swings are louder and brighter."""
    dice = stage.dice
    starts = dice.times(dice.uniform(0.1, 0.5), stage.seconds - 0.3, 0.5, 1.2)
    lasting = [dice.uniform(0.22, 0.45) for _ in starts]
    grid = torch.arange(0, stage.seconds + 0.3, 1 / 400)
    angle, side = torch.zeros_like(grid), dice.pick((-1.0, 1.0))
    first = -side * dice.uniform(0.6, 1.2)
    for start, length in zip(starts, lasting, strict=True):
        step = side * dice.uniform(1.2, 2.6)
        side = -side
        share = ((grid - start) / length).clamp(0, 1)
        angle = angle + step * (share**3 * (10 - 15 * share + 6 * share**2))
    angle = first + angle + 0.05 * torch.sin(2 * math.pi * dice.uniform(0.3, 0.7) * grid)
    speed = (angle[1:] - angle[:-1]).abs() * 400
    pivot = torch.tensor([stage.aspect * dice.uniform(0.4, 0.6), dice.uniform(0.55, 0.8)])
    length, thick = dice.uniform(0.28, 0.5), dice.uniform(0.015, 0.04)

    def along(distance: float, half_width: float, half_height: float) -> Pose:
        def pose(times: Tensor) -> Tensor:
            turned = interpolate(grid, angle, times)
            x, y = pivot[0] + distance * turned.sin(), pivot[1] - distance * turned.cos()
            return posed(x, y, turned, half_width, half_height)

        return pose

    fast = curve_at(grid[:-1], speed, stage.seconds)
    fast = fast / fast.max().clamp_min(1e-6)
    bright = dice.log_uniform(600, 2500)
    sound = shaped_noise(dice, stage.samples, stage.rate, fast**2, 120 + bright * fast, dice.uniform(0.7, 1.3))
    peaks = [start + length / 2 for start, length in zip(starts, lasting, strict=True)]
    sprites = [
        Sprite(along(length / 2, thick, length / 2), vivid(dice), 0.9),
        Sprite(along(length, 2.2 * thick, 2.2 * thick), vivid(dice), pattern=0.2),
    ]
    return Plot(sprites, [], sound, [time for time in peaks if time < stage.seconds])


def engine(stage: Stage) -> Plot:
    """Plot a machine whose rotor speeds up and slows down; pitch and loudness follow, and its body trembles."""
    dice = stage.dice
    grid, level = smooth_curve(dice, stage.seconds, dice.uniform(0.5, 1.1), rate=400.0)
    reach, blades = dice.uniform(0.16, 0.34), dice.integer(1, 2)
    # Two arms look the same after half a turn, four after a quarter: twice that in a frame would seem to turn back.
    fastest = min(0.2 / blades * stage.fps, 3.0)
    turns = fastest * (0.12 + 0.88 * level)
    angle = 2 * math.pi * torch.cumsum(turns / 400.0, 0)
    centre = torch.tensor([stage.aspect * dice.uniform(0.35, 0.65), dice.uniform(0.45, 0.6)])
    tremble = dice.uniform(0.0005, 0.002)

    def blade(offset: float) -> Sprite:
        def pose(times: Tensor) -> Tensor:
            turned = interpolate(grid, angle, times) + offset
            return posed(centre[0], centre[1], turned, reach, 0.035)

        return Sprite(pose, colour, 0.6, pattern=0.25)

    def housing(times: Tensor) -> Tensor:
        shaken = tremble * interpolate(grid, level, times) * torch.sin(91.0 * times)
        return posed(centre[0], centre[1] + 0.35 * reach + shaken, 0.0 * times, 0.6 * reach, 0.75 * reach)

    colour = vivid(dice)
    sprites = [Sprite(housing, vivid(dice), 0.2)]
    sprites += [blade(offset) for offset in ([0.0] if blades == 1 else [0.0, math.pi / 2])]
    sprites.append(Sprite(fixed(float(centre[0]), float(centre[1]), 0.04, 0.04), vivid(dice)))
    power = curve_at(grid, level, stage.seconds)
    pitch = stretch_curve(dice.log_uniform(35, 110) * (0.5 + 1.3 * power), stage.samples)
    harmonics = dice.integer(16, 60)
    comb = (1 + torch.arange(harmonics)) ** -dice.uniform(0.6, 1.4) * (0.3 + dice.rand(harmonics))
    loud = stretch_curve(0.06 + 0.94 * power**1.5, stage.samples)
    hum = tone(pitch, stage.rate, comb, 6.28 * dice.rand(harmonics))
    air = shaped_noise(dice, stage.samples, stage.rate, 0.05 + 0.95 * power**2, 300 + 2500 * power, 1.8)
    hum, air = hum / hum.square().mean().sqrt(), air / air.square().mean().sqrt()
    rises = (level[1:-1] > level[:-2]) & (level[1:-1] >= level[2:])
    events = [float(time) for time in grid[1:-1][rises] if time < stage.seconds]
    return Plot(sprites, [], loud * hum + dice.uniform(0.2, 0.8) * air, events)


def patter(stage: Stage, level: Tensor, landings: Tensor) -> Tensor:
    """Return the sound of drops (samples,): noise of loudness `level` (k,), and a tick at each landing (s)."""
    dice, samples = stage.dice, stage.samples
    noise = shaped_noise(dice, samples, stage.rate, level, dice.log_uniform(900, 3500) * (0.7 + 0.6 * level), 2.0)
    noise = noise / noise.square().mean().sqrt()
    ring = torch.arange(int(0.01 * stage.rate)) / stage.rate
    tick = torch.exp(-ring / 0.002) * torch.sin(2 * math.pi * dice.uniform(1500, 5000) * ring)
    inside = landings[(landings >= 0) & (landings < stage.seconds)]
    hits = torch.zeros(samples)
    hits.index_add_(0, (inside * stage.rate).long().clamp(max=samples - 1), 0.3 + dice.rand(len(inside)))
    padded = samples + len(tick)
    ticking = torch.fft.irfft(torch.fft.rfft(hits, n=padded) * torch.fft.rfft(tick, n=padded), n=padded)[:samples]
    ticking = ticking / ticking.square().mean().sqrt().clamp_min(1e-9)
    return noise + dice.uniform(0.2, 0.8) * ticking


def pouring(stage: Stage) -> Plot:
    """Plot falling drops or grains, now many, now few; the noise of their landing follows their number."""
    dice = stage.dice
    grid, level = smooth_curve(dice, stage.seconds + 1.0, dice.uniform(0.4, 0.9), rate=200.0)
    level = (1.6 * level - 0.3).clamp(0.02, 1.0)
    rain = dice.chance(0.4)
    fall = dice.uniform(0.18, 0.32)  # s from appearing to landing
    most = dice.integer(150, 400)
    expected = torch.cumsum(level, 0) / 200.0 * most
    count = int(expected[-1])
    born = interpolate(expected, grid, torch.arange(count) + dice.rand(count)) - fall  # lands when the curve says so
    top, bottom = (0.0 if rain else dice.uniform(0.1, 0.3)), stage.floor + 0.02
    if rain:
        across = stage.aspect * dice.rand(count)
    else:
        across = stage.aspect * dice.uniform(0.35, 0.65) + 0.025 * dice.normal(count)
    drift = 0.05 * dice.normal(count) if not rain else torch.full((count,), dice.uniform(-0.2, 0.2))
    # Bright or dark drops: grey ones would not stand out against many backdrops.
    light = (0.8, 1.0) if dice.chance(0.7) else (0.0, 0.12)
    colours = (vivid(dice, *light) + 0.08 * dice.normal(count, 3)).clamp(0, 1)

    def falling(ages: Tensor) -> Tensor:
        ages = ages.clamp(0, fall)
        share = ages / fall
        return torch.stack((across + drift * ages, top + (bottom - top) * (0.4 * share + 0.6 * share**2)), -1)

    side, jump = 0.25 * dice.normal(count), 0.4 + 0.5 * dice.rand(count)
    landed = across + drift * fall

    def splashing(ages: Tensor) -> Tensor:
        ages = ages.clamp_min(0)
        return torch.stack((landed + side * ages, bottom - jump * ages + 2.6 * ages**2), -1)

    radius = dice.uniform(0.007, 0.014)
    opacity = dice.uniform(0.8, 1.0)
    particles = [
        ParticleCloud(born, torch.full((count,), fall), falling, colours, radius, opacity=opacity),
        ParticleCloud(born + fall, torch.full((count,), 0.28), splashing, colours, 0.7 * radius, opacity=0.7 * opacity),
    ]
    sound = patter(stage, curve_at(grid, level, stage.seconds), born + fall)
    rises = (level[1:] > 0.5) & (level[:-1] <= 0.5)
    events = [float(time) for time in grid[1:][rises] if time < stage.seconds]
    sprites = []
    if not rain:
        sprites.append(Sprite(fixed(float(across.mean()), top - 0.06, 0.07, 0.06), vivid(dice), 0.4))
        sprites.append(Sprite(fixed(float(across.mean()), bottom + 0.04, 0.2, 0.05), vivid(dice), 0.5))
    return Plot(sprites, particles, sound, events)
