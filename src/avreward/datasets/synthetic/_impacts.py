"""Plots of separate events: balls that bounce, strikes, explosions, pressed keys."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from avreward.datasets.synthetic._stage import (
    Dice,
    ParticleCloud,
    Plot,
    Pose,
    Sprite,
    Stage,
    fixed,
    interpolate,
    posed,
    vivid,
)
from avreward.datasets.synthetic._synthesis import MATERIALS, coloured_noise, impacts, struck, tone

STEP = 1 / 400  # s, of the simulation of a ball


def fly(dice: Dice, stage: Stage, radius: float) -> tuple[Tensor, list[tuple[float, float]]]:
    """Simulate a ball under gravity; return its positions every STEP (k, 2), and its impacts as (time, speed)."""
    gravity, bounce = dice.uniform(1.5, 5.0), dice.uniform(0.6, 0.9)
    left, right, bottom = radius, stage.aspect - radius, stage.floor - radius
    x, y = dice.uniform(left, right), dice.uniform(0.1, 0.5)
    across, down = dice.uniform(-0.9, 0.9), dice.uniform(-0.5, 0.5)
    places, found, rest_until = [], [], -1.0
    for step in range(int((stage.seconds + 0.2) / STEP)):
        now = step * STEP
        if now >= rest_until:
            if rest_until > 0:  # kicked up again, which is heard
                across, down = dice.uniform(-0.9, 0.9), -math.sqrt(2 * gravity * dice.uniform(0.2, 0.6))
                rest_until = -1.0
                found.append((now, -down))
            down += gravity * STEP
            x, y = x + across * STEP, y + down * STEP
            if y > bottom and down > 0:
                found.append((now, down))
                y, down, across = 2 * bottom - y, -down * bounce, across * 0.97
                if down > -0.25:
                    found.pop()
                    y, down, rest_until = bottom, 0.0, now + dice.uniform(0.15, 0.5)
            if (x < left and across < 0) or (x > right and across > 0):
                found.append((now, abs(across)))
                x, across = (2 * left - x if x < left else 2 * right - x), -across * bounce
        places.append((x, y))
    return torch.tensor(places), found


def bounce(stage: Stage) -> Plot:
    """Plot balls that strike the floor and the walls; harder impacts are louder."""
    dice, plot = stage.dice, Plot()
    plot.sound = torch.zeros(stage.samples)
    for _ in range(dice.integer(1, 3)):
        radius = dice.log_uniform(0.04, 0.14)
        places, hits = fly(dice, stage, radius)
        knots = torch.arange(len(places)) * STEP
        spin = dice.uniform(-6, 6)

        def pose(
            times: Tensor, knots: Tensor = knots, places: Tensor = places, radius: float = radius, spin: float = spin
        ) -> Tensor:
            x, y = interpolate(knots, places, times).unbind(1)
            return posed(x, y, spin * x, radius, radius)

        plot.sprites.append(Sprite(pose, vivid(dice), pattern=dice.pick((0.0, 0.2, 0.4))))
        answer = struck(dice, stage.rate, dice.pick(("wood", "rubber", "rubber", "metal", "glass", "stone", "skin")))
        strengths = [(time, min(1.0, speed / 2.0)) for time, speed in hits if time < stage.seconds]
        plot.sound += impacts(dice, stage.samples, stage.rate, strengths, answer) * dice.uniform(0.5, 1.0)
        plot.events += [time for time, strength in strengths if strength > 0.25]  # weaker ones are hardly audible
    return plot


def swing_angle(times: Tensor, events: Sequence[float], lift: float, down: float, up: float) -> Tensor:
    """Return the angle (n,) of a stick that falls in `down` s, hits (angle 0) at every event, and rises in `up` s."""
    angle = torch.full_like(times, lift)
    for event in events:
        since = times - event
        falling = lift * (1 - ((since + down) / down).clamp(0, 1) ** 2)
        rising = lift * (1 - (1 - (since / up).clamp(0, 1)) ** 2)
        angle = torch.minimum(angle, torch.where(since < 0, falling, rising))
    return angle


def shiver(times: Tensor, events: Sequence[float], frequency: float, decay: float) -> Tensor:
    """Return a decaying oscillation after every event, within [-1, 1]: (n,)."""
    since = times[:, None] - torch.tensor(list(events) or [1e9])
    wave = torch.sin(2 * math.pi * frequency * since) * torch.exp(-since.clamp_min(0) / decay) * (since > 0)
    return wave.sum(1).clamp(-1, 1)


def strike(stage: Stage) -> Plot:
    """Plot a stick or hammer that strikes an object at irregular times; the object shakes and sounds."""
    dice = stage.dice
    events = dice.times(dice.uniform(0.2, 0.6), stage.seconds - 0.1, 0.2, 1.0)
    strengths = [(time, dice.uniform(0.35, 1.0)) for time in events]
    x, y = stage.aspect * dice.uniform(0.4, 0.6), dice.uniform(0.6, 0.75)
    half_width, half_height = dice.uniform(0.1, 0.28), dice.uniform(0.05, 0.16)
    side, length, thick = dice.pick((-1.0, 1.0)), dice.uniform(0.16, 0.28), dice.uniform(0.012, 0.03)
    lift, down, up = dice.uniform(0.5, 1.1), dice.uniform(0.08, 0.15), dice.uniform(0.15, 0.35)
    frequency, shake = dice.uniform(6, 10), dice.uniform(0.01, 0.035)
    top = y - half_height
    pivot = torch.tensor([x + side * (2 * length - 0.02), top - thick - 0.02])

    def along_stick(distance: float, half_width: float, half_height: float) -> Pose:
        def pose(times: Tensor) -> Tensor:
            angle = swing_angle(times, events, lift, down, up)
            x, y = pivot[0] - side * distance * angle.cos(), pivot[1] - distance * angle.sin()
            return posed(x, y, side * angle, half_width, half_height)

        return pose

    def drum(times: Tensor) -> Tensor:
        shaken = shiver(times, events, frequency, 0.12)
        return posed(torch.tensor(x), y + shake * shaken, 0.0 * times, half_width * (1 + 0.07 * shaken), half_height)

    answer = struck(dice, stage.rate, dice.pick(tuple(m for m in MATERIALS if m != "gravel")))
    sprites = [
        Sprite(fixed(x, (y + 1.05) / 2, half_width * 0.3, (1.05 - y) / 2), vivid(dice), 0.2),
        Sprite(drum, vivid(dice), dice.uniform(0.1, 1.0), pattern=dice.pick((0.0, 0.15))),
        Sprite(along_stick(length, length, thick), vivid(dice), 0.8),
        Sprite(along_stick(2 * length, 1.6 * thick, 1.9 * thick), vivid(dice), 0.8),
    ]
    return Plot(sprites, [], impacts(dice, stage.samples, stage.rate, strengths, answer), events)


def sparks(dice: Dice, x: float, y: float, event: float, size: float) -> ParticleCloud:
    """Return the sparks of one explosion: they fly apart, are braked by the air, and fall."""
    count = dice.integer(60, 140)
    angle = 2 * math.pi * dice.rand(count)
    speed = size * dice.rand(count).sqrt() * 2.2
    velocity = torch.stack((angle.cos(), angle.sin()), 1) * speed[:, None]
    drag, gravity = dice.uniform(2.0, 4.0), dice.uniform(0.2, 0.6)

    def place(ages: Tensor) -> Tensor:
        ages = ages.clamp_min(0)[..., None]
        flown = velocity * (1 - torch.exp(-drag * ages)) / drag
        return torch.tensor([x, y]) + flown + torch.cat((0 * ages, 0.5 * gravity * ages**2), -1)

    colours = (vivid(dice, 0.2, 1.0) + 0.15 * dice.normal(count, 3)).clamp(0.05, 1)
    life = 0.5 + 0.9 * dice.rand(count)
    born = torch.full((count,), event)
    return ParticleCloud(born, life, place, colours, dice.uniform(0.006, 0.012), glow=True, opacity=1.0)


def flash(x: float, y: float, event: float, radius: float) -> ParticleCloud:
    """Return the light of an explosion: one large glow that fades where it is."""
    spot = torch.tensor([[x, y]])
    white = torch.tensor([[1.0, 0.9, 0.7]])
    born, life = torch.tensor([event]), torch.tensor([0.3])
    return ParticleCloud(born, life, lambda ages: spot.expand(len(ages), 1, 2), white, radius, glow=True)


def boom(dice: Dice, samples: int, rate: int) -> Tensor:
    """Return the sound of an explosion: a crack, a dull roar that dies away, and crackle: (samples,)."""
    times = torch.arange(samples) / rate
    roar = coloured_noise(dice, 1, samples, rate, dice.uniform(1.0, 2.0))[0]
    roar = roar * torch.exp(-times / dice.uniform(0.08, 0.3))
    crack = dice.normal(samples) * torch.exp(-times / 0.01)
    crackle = dice.normal(samples) * (dice.rand(samples) < 40 / rate) * torch.exp(-times / 0.4)
    return (roar + dice.uniform(0.2, 0.8) * (crack + 0.5 * crackle)) * (times / 0.001).clamp(max=1)


def bursts(stage: Stage) -> Plot:
    """Plot explosions: a flash, sparks that fly apart, and a boom with crackle."""
    dice = stage.dice
    events = dice.times(dice.uniform(0.2, 0.7), stage.seconds - 0.3, 0.45, 1.5)
    plot = Plot(sound=torch.zeros(stage.samples), events=events, dark=True)
    for event in events:
        size = dice.uniform(0.3, 1.0)
        x, y = stage.aspect * dice.uniform(0.2, 0.8), dice.uniform(0.2, 0.6)
        plot.particles.append(sparks(dice, x, y, event, 0.3 + 0.5 * size))
        plot.particles.append(flash(x, y, event, 0.06 + 0.06 * size))
        start = round(event * stage.rate)
        stop = min(stage.samples, start + int(1.2 * stage.rate))
        plot.sound[start:stop] += size * boom(dice, stop - start, stage.rate)
    return plot


def keys(stage: Stage) -> Plot:
    """Plot a row of bars; pressed ones dip and sound their own notes, at irregular times."""
    dice = stage.dice
    count = dice.integer(4, 8)
    events = dice.times(dice.uniform(0.15, 0.6), stage.seconds - 0.1, 0.18, 0.9)
    chosen = [dice.integer(0, count - 1) for _ in events]
    root, slope, decay = dice.log_uniform(110, 420), dice.uniform(0.8, 1.8), dice.uniform(0.15, 0.7)
    sound = torch.zeros(stage.samples)
    for event, key in zip(events, chosen, strict=True):
        start = round(event * stage.rate)
        times = torch.arange(stage.samples - start) / stage.rate
        pitch = torch.full((stage.samples - start,), root * 2 ** ((0, 2, 4, 7, 9, 12, 14, 16)[key] / 12))
        note = tone(pitch, stage.rate, (1 + torch.arange(24)) ** -slope, dice.normal(24)) * torch.exp(-times / decay)
        knock = dice.normal(stage.samples - start) * torch.exp(-times / 0.003)
        sound[start:] += dice.uniform(0.4, 1.0) * (times / 0.002).clamp(max=1) * (note + 0.2 * knock)
    wide = 0.8 * stage.aspect / count / 2
    high, y = dice.uniform(0.12, 0.25), dice.uniform(0.45, 0.6)
    base, lit = vivid(dice), vivid(dice)
    plot = Plot(sound=sound, events=events)
    for key in range(count):
        own = [event for event, other in zip(events, chosen, strict=True) if other == key]
        x = 0.1 * stage.aspect + (2 * key + 1) * wide

        def pose(times: Tensor, own: list[float] = own, x: float = x) -> Tensor:
            since = times[:, None] - torch.tensor(own or [1e9])
            dip = ((since > 0) * torch.exp(-since.clamp_min(0) / 0.18)).amax(1)
            return posed(torch.tensor(x), y + 0.06 * dip, 0.0 * times, 0.88 * wide, high)

        plot.sprites.append(Sprite(pose, torch.lerp(base, lit, key / count), 0.25))
    return plot
