"""Plots with a figure: one that walks, one that speaks or barks."""

import math

import torch
from torch import Tensor

from avreward.datasets.synthetic._stage import Dice, Plot, Pose, Sprite, Stage, interpolate, posed, smooth_curve, vivid
from avreward.datasets.synthetic._synthesis import impacts, struck, syllable

SWING = 0.22  # s that a foot is in the air before it lands


def pace(dice: Dice, seconds: float) -> list[float]:
    """Return the times at which steps land: stretches of walking at different paces, with pauses between them."""
    landings, now = [], min(dice.uniform(0.1, 0.5), 0.5 * seconds)
    while now < seconds - 0.03:
        gap = dice.uniform(0.26, 0.55)
        for _ in range(dice.integer(2, 5)):
            landings.append(now)
            now += gap * dice.uniform(0.85, 1.2)
        now += dice.uniform(0.0, 0.6)
    return [time for time in landings if time < seconds - 0.03]


def steps(stage: Stage) -> Plot:
    """Plot a blob on two legs that walks, runs and stands; its steps are heard when they land."""
    dice, landings = stage.dice, pace(stage.dice, stage.seconds)
    ground, tall, wide = stage.floor, dice.uniform(0.14, 0.22), dice.uniform(0.07, 0.13)
    stride, leg = dice.uniform(0.09, 0.16), dice.uniform(0.1, 0.16)
    heading = dice.pick((-1.0, 1.0))
    start = 0.15 * stage.aspect if heading > 0 else 0.85 * stage.aspect
    span = 0.7 * stage.aspect
    marks = torch.tensor(landings)

    def made(times: Tensor) -> Tensor:
        """Return the progress of each step: (n, steps) in [0, 1]."""
        return ((times[:, None] - (marks - SWING)) / SWING).clamp(0, 1)

    def forth_and_back(way: Tensor) -> Tensor:
        turn = way.remainder(2 * span)
        return start + heading * torch.where(turn < span, turn, 2 * span - turn)

    def foot(parity: int) -> Pose:
        def pose(times: Tensor) -> Tensor:
            mine = made(times)[:, parity::2]
            way = stride * (2 * (0.5 - 0.5 * torch.cos(math.pi * mine)).sum(1) + (parity - 0.5))
            lifted = 0.07 * torch.sin(math.pi * mine).sum(1)
            return posed(forth_and_back(way), ground - 0.02 - lifted, 0.0 * way, 0.045, 0.022)

        return pose

    def body(times: Tensor) -> Tensor:
        share = made(times)
        way = stride * share.sum(1)
        bob = 0.03 * torch.sin(math.pi * share).sum(1)
        return posed(forth_and_back(way), ground - leg - tall - bob, 0.0 * way, wide, tall)

    answer = struck(dice, stage.rate, dice.pick(("wood", "rubber", "stone", "gravel", "gravel", "skin")))
    strengths = [(time, dice.uniform(0.4, 1.0)) for time in landings]
    skin, shoe = vivid(dice), vivid(dice)
    sprites = [
        Sprite(foot(0), shoe, 0.8),
        Sprite(body, skin, 0.9, pattern=dice.pick((0.0, 0.2))),
        Sprite(foot(1), shoe, 0.8),
    ]
    return Plot(sprites, [], impacts(dice, stage.samples, stage.rate, strengths, answer), landings)


def speech(stage: Stage, bark: bool) -> tuple[Tensor, list[tuple[float, float, float]]]:
    """Return the sound of words or barks (samples,), and their syllables as (start s, length s, strength 0..1)."""
    dice, sound = stage.dice, torch.zeros(stage.samples)
    pitch = dice.log_uniform(90, 280) * (1.5 if bark else 1.0)
    spans: list[tuple[float, float, float]] = []
    now = min(dice.uniform(0.1, 0.6), 0.3 * stage.seconds)
    while now < stage.seconds - 0.2:
        word_pitch = pitch * dice.uniform(0.9, 1.15)
        for _ in range(dice.integer(1, 3 if bark else 6)):
            length, strength = dice.uniform(0.12, 0.28), dice.uniform(0.4, 1.0)
            spoken = syllable(dice, stage.rate, length, word_pitch * dice.uniform(0.9, 1.1), bark)
            start = min(stage.samples, round(now * stage.rate))
            stop = min(stage.samples, start + len(spoken))
            sound[start:stop] += strength * spoken[: stop - start]
            spans.append((now, length, strength))
            now += length + dice.uniform(0.02, 0.25 if bark else 0.06)
        now += dice.log_uniform(0.2, 1.0)
    return sound, [span for span in spans if span[0] < stage.seconds]


def voice(stage: Stage) -> Plot:
    """Plot a face whose mouth opens with every syllable or bark."""
    dice = stage.dice
    sound, spans = speech(stage, bark=dice.chance(0.35))
    x, y = stage.aspect * dice.uniform(0.35, 0.65), dice.uniform(0.45, 0.6)
    wide, high = dice.uniform(0.18, 0.3), dice.uniform(0.2, 0.32)
    opens = dice.uniform(0.07, 0.12)
    grid, nod = smooth_curve(dice, stage.seconds, 0.8)
    sway = smooth_curve(dice, stage.seconds, 0.9)[1]

    def open_share(times: Tensor) -> Tensor:
        total = torch.zeros_like(times)
        for start, length, strength in spans:
            share = ((times - start + 0.02) / (length + 0.04)).clamp(0, 1)
            total = torch.maximum(total, strength * torch.sin(math.pi * share).clamp_min(0) ** 0.7)
        return total

    def head(times: Tensor) -> Tensor:
        across = x + 0.06 * (interpolate(grid, sway, times) - 0.5)
        return posed(across, y + 0.04 * (interpolate(grid, nod, times) - 0.5), 0.0 * across, wide, high)

    def eye(side: float) -> Pose:
        return lambda times: posed(
            head(times)[:, 0] + side * 0.4 * wide, head(times)[:, 1] - 0.3 * high, 0.0 * times, 0.03, 0.03
        )

    def mouth(times: Tensor) -> Tensor:
        share, row = open_share(times), head(times)
        return posed(
            row[:, 0], row[:, 1] + 0.45 * high, 0.0 * times, 0.5 * wide * (1 - 0.25 * share), 0.008 + opens * share
        )

    black, red = torch.tensor([0.08, 0.07, 0.09]), torch.tensor([0.3, 0.05, 0.08])
    sprites = [
        Sprite(head, vivid(dice, 0.3), dice.uniform(0.6, 1.0)),
        Sprite(eye(-1.0), black, shade=0.1),
        Sprite(eye(1.0), black, shade=0.1),
        Sprite(mouth, red, shade=0.1),
    ]
    return Plot(sprites, [], sound, [start for start, _, _ in spans])
