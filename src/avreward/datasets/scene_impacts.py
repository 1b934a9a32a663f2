"""Plots of separate events: balls that bounce, strikes, footsteps, explosions, pressed keys."""

import math
from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor

from avreward.datasets.scene_sounds import MATERIALS, coloured_noise, impacts, shaped_noise, struck, tone
from avreward.datasets.scene_stage import Dice, Particles, Plot, Pose, Sprite, Stage, fixed, interpolate, vivid

STEP = 1 / 400  # s, of the simulation of a ball


def fly(dice: Dice, stage: Stage, radius: float) -> tuple[Tensor, list[tuple[float, float]]]:
    """One ball under gravity: its places every STEP (k, 2), and its impacts as (time, speed)."""
    gravity, bounce = dice.uniform(1.5, 5.0), dice.uniform(0.6, 0.9)
    left, right, bottom = radius, stage.aspect - radius, stage.floor - radius
    x, y = dice.uniform(left, right), dice.uniform(0.1, 0.5)
    across, down = dice.uniform(-0.9, 0.9), dice.uniform(-0.5, 0.5)
    places, found, rest_until = [], [], -1.0
    for step in range(int((stage.seconds + 0.2) / STEP)):
        now = step * STEP
        resting = now < rest_until
        if not resting:
            if rest_until > 0:  # kicked up again, which is heard
                across, down, rest_until = (
                    dice.uniform(-0.9, 0.9),
                    -math.sqrt(2 * gravity * dice.uniform(0.2, 0.6)),
                    -1.0,
                )
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
    """Balls that strike the floor and the walls; how hard decides how loud."""
    dice, plot = stage.dice, Plot()
    samples = int(stage.seconds * stage.rate)
    plot.sound = torch.zeros(samples)
    for _ in range(dice.integer(1, 3)):
        radius = dice.log_uniform(0.04, 0.14)
        places, hits = fly(dice, stage, radius)
        knots = torch.arange(len(places)) * STEP
        spin = dice.uniform(-6, 6)

        def pose(
            times: Tensor, knots: Tensor = knots, places: Tensor = places, radius: float = radius, spin: float = spin
        ) -> Tensor:
            at = interpolate(knots, places, times)
            return torch.cat((at, (spin * at[:, :1]), torch.full((len(times), 2), radius)), 1)

        plot.sprites.append(Sprite(pose, vivid(dice), pattern=dice.pick((0.0, 0.2, 0.4))))
        answer = struck(dice, stage.rate, dice.pick(("wood", "rubber", "rubber", "metal", "glass", "stone", "skin")))
        strengths = [(time, min(1.0, speed / 2.0)) for time, speed in hits if time < stage.seconds]
        plot.sound += impacts(dice, samples, stage.rate, strengths, answer) * dice.uniform(0.5, 1.0)
        plot.events += [time for time, strength in strengths if strength > 0.25]  # the rest is hardly heard
    return plot


def swing_angle(times: Tensor, events: Sequence[float], lift: float, down: float, up: float) -> Tensor:
    """Angle above contact of a stick that falls in `down` s, hits at every event, and rises in `up` s: (n,)."""
    angle = torch.full_like(times, lift)
    for event in events:
        since = times - event
        falling = lift * (1 - ((since + down) / down).clamp(0, 1) ** 2)
        rising = lift * (1 - (1 - (since / up).clamp(0, 1)) ** 2)
        angle = torch.minimum(angle, torch.where(since < 0, falling, rising))
    return angle


def shiver(times: Tensor, events: Sequence[float], frequency: float, decay: float) -> Tensor:
    """A decaying oscillation started by every event, within [-1, 1]: (n,)."""
    since = times[:, None] - torch.tensor(list(events) or [1e9])
    wave = torch.sin(2 * math.pi * frequency * since) * torch.exp(-since.clamp_min(0) / decay) * (since > 0)
    return wave.sum(1).clamp(-1, 1)


def strike(stage: Stage) -> Plot:
    """A stick or hammer that strikes an object at irregular times; the object shakes and sounds."""
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

    def stick(times: Tensor) -> Tensor:
        angle = swing_angle(times, events, lift, down, up)
        centre = pivot + length * torch.stack((-side * angle.cos(), -angle.sin()), 1)
        sizes = torch.tensor([length, thick]).expand(len(times), 2)
        return torch.cat((centre, (side * angle)[:, None], sizes), 1)

    def head(times: Tensor) -> Tensor:
        angle = swing_angle(times, events, lift, down, up)
        centre = pivot + 2 * length * torch.stack((-side * angle.cos(), -angle.sin()), 1)
        return torch.cat((centre, (side * angle)[:, None], torch.tensor([[1.6, 1.9]]).expand(len(times), 2) * thick), 1)

    def drum(times: Tensor) -> Tensor:
        move = shake * shiver(times, events, frequency, 0.12)
        squeeze = 1 + 1.2 * move / shake * 0.06
        row = torch.tensor([x, y, 0.0, half_width, half_height]).expand(len(times), 5).clone()
        row[:, 1] += move
        row[:, 3] *= squeeze
        return row

    samples = int(stage.seconds * stage.rate)
    answer = struck(dice, stage.rate, dice.pick(tuple(m for m in MATERIALS if m != "gravel")))
    sprites = [
        Sprite(fixed(x, (y + 1.05) / 2, half_width * 0.3, (1.05 - y) / 2), vivid(dice), 0.2),
        Sprite(drum, vivid(dice), dice.uniform(0.1, 1.0), pattern=dice.pick((0.0, 0.15))),
        Sprite(stick, vivid(dice), 0.8),
        Sprite(head, vivid(dice), 0.8),
    ]
    return Plot(sprites, [], impacts(dice, samples, stage.rate, strengths, answer), events)


def steps(stage: Stage) -> Plot:
    """A blob on two legs that walks, runs and stands, its steps heard as they land."""
    dice = stage.dice
    landings: list[float] = []
    now = dice.uniform(0.1, 0.5)
    while now < stage.seconds - 0.05:
        gap = dice.uniform(0.26, 0.55)  # every stretch of walking has its own pace
        for _ in range(dice.integer(2, 5)):
            landings.append(now)
            now += gap * dice.uniform(0.85, 1.2)
        now += dice.uniform(0.0, 0.6)
    landings = [time for time in landings if time < stage.seconds - 0.03]
    ground, tall, wide = stage.floor, dice.uniform(0.14, 0.22), dice.uniform(0.07, 0.13)
    stride, leg = dice.uniform(0.09, 0.16), dice.uniform(0.1, 0.16)
    heading = dice.pick((-1.0, 1.0))
    start = 0.15 * stage.aspect if heading > 0 else 0.85 * stage.aspect
    span = 0.7 * stage.aspect
    marks = torch.tensor(landings)
    move_time = 0.22  # a foot swings this long before it lands

    def walked(times: Tensor) -> Tensor:
        return ((times[:, None] - (marks - move_time)) / move_time).clamp(0, 1)  # (n, steps)

    def forth_and_back(way: Tensor) -> Tensor:
        turn = way.remainder(2 * span)
        return start + heading * torch.where(turn < span, turn, 2 * span - turn)

    def foot(parity: int) -> Pose:
        def pose(times: Tensor) -> Tensor:
            share = walked(times)
            mine = share[:, parity::2]
            eased = 0.5 - 0.5 * torch.cos(math.pi * mine)
            way = stride * (2 * eased.sum(1) + (parity - 0.5))
            height = 0.07 * torch.sin(math.pi * mine).sum(1)
            sizes = torch.tensor([0.045, 0.022]).expand(len(times), 2)
            return torch.cat((torch.stack((forth_and_back(way), ground - 0.02 - height, 0 * way), 1), sizes), 1)

        return pose

    def body(times: Tensor) -> Tensor:
        share = walked(times)
        way = stride * share.sum(1)
        bob = 0.03 * torch.sin(math.pi * share).sum(1)
        sizes = torch.tensor([wide, tall]).expand(len(times), 2)
        return torch.cat((torch.stack((forth_and_back(way), ground - leg - tall - bob, 0 * way), 1), sizes), 1)

    samples = int(stage.seconds * stage.rate)
    answer = struck(dice, stage.rate, dice.pick(("wood", "rubber", "stone", "gravel", "gravel", "skin")))
    strengths = [(time, dice.uniform(0.4, 1.0)) for time in landings]
    skin, shoe = vivid(dice), vivid(dice)
    sprites = [
        Sprite(foot(0), shoe, 0.8),
        Sprite(body, skin, 0.9, pattern=dice.pick((0.0, 0.2))),
        Sprite(foot(1), shoe, 0.8),
    ]
    return Plot(sprites, [], impacts(dice, samples, stage.rate, strengths, answer), landings)


def burst_particles(dice: Dice, x: float, y: float, event: float, size: float) -> Particles:
    """The sparks of one explosion: they fly apart, are braked by the air, and fall."""
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
    return Particles(
        torch.full((count,), event), life, place, colours, dice.uniform(0.006, 0.012), glow=True, opacity=1.0
    )


def resting(place: Tensor, ages: Tensor) -> Tensor:
    """One particle that stays at place (1, 2), at ages (n, 1): (n, 1, 2)."""
    return place.expand(len(ages), 1, 2)


def bursts(stage: Stage) -> Plot:
    """Explosions: a flash, sparks that fly apart, and a boom with crackle."""
    dice = stage.dice
    events = dice.times(dice.uniform(0.2, 0.7), stage.seconds - 0.3, 0.45, 1.5)
    samples = int(stage.seconds * stage.rate)
    plot = Plot(sound=torch.zeros(samples), events=events, dark=True)
    for event in events:
        size = dice.uniform(0.3, 1.0)
        x, y = stage.aspect * dice.uniform(0.2, 0.8), dice.uniform(0.2, 0.6)
        plot.particles.append(burst_particles(dice, x, y, event, 0.3 + 0.5 * size))
        flash = torch.tensor([[x, y]])
        plot.particles.append(
            Particles(
                torch.tensor([event]),
                torch.tensor([0.3]),
                partial(resting, flash),
                torch.tensor([[1.0, 0.9, 0.7]]),
                0.06 + 0.06 * size,
                glow=True,
            )
        )
        start = round(event * stage.rate)
        length = min(samples - start, int(1.2 * stage.rate))
        times = torch.arange(length) / stage.rate
        boom = coloured_noise(dice, 1, length, stage.rate, dice.uniform(1.0, 2.0))[0] * torch.exp(
            -times / dice.uniform(0.08, 0.3)
        )
        crackle = dice.normal(length) * torch.exp(-times / 0.01) + 0.5 * dice.normal(length) * (
            dice.rand(length) < 40 / stage.rate
        ).float() * torch.exp(-times / 0.4)
        plot.sound[start : start + length] += (
            size * (boom + dice.uniform(0.2, 0.8) * crackle) * (times / 0.001).clamp(max=1)
        )
    return plot


def keys(stage: Stage) -> Plot:
    """A row of bars; each that is pressed dips and sounds its own note, at irregular times."""
    dice = stage.dice
    count = dice.integer(4, 8)
    events = dice.times(dice.uniform(0.15, 0.6), stage.seconds - 0.1, 0.18, 0.9)
    chosen = [dice.integer(0, count - 1) for _ in events]
    samples = int(stage.seconds * stage.rate)
    root, slope, decay = dice.log_uniform(110, 420), dice.uniform(0.8, 1.8), dice.uniform(0.15, 0.7)
    sound = torch.zeros(samples)
    for event, key in zip(events, chosen, strict=True):
        start = round(event * stage.rate)
        times = torch.arange(samples - start) / stage.rate
        pitch = torch.full((samples - start,), root * 2 ** ((0, 2, 4, 7, 9, 12, 14, 16)[key] / 12))
        note = tone(pitch, stage.rate, (1 + torch.arange(24)) ** -slope, dice.normal(24))
        pluck = shaped_noise(
            dice, samples - start, stage.rate, torch.exp(-torch.linspace(0, 400, 400)), torch.full((400,), 2500.0)
        )
        sound[start:] += (
            dice.uniform(0.4, 1.0) * (times / 0.002).clamp(max=1) * (note * torch.exp(-times / decay) + 0.3 * pluck)
        )
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
            row = torch.tensor([x, y, 0.0, wide * 0.88, high]).expand(len(times), 5).clone()
            row[:, 1] += 0.06 * dip
            return row

        plot.sprites.append(Sprite(pose, torch.lerp(base, lit, key / count), 0.25))
    return plot
