"""Attacks that need no gradient: random search on the tracks, and edits that a generator could make."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from avreward.audit._variants import variants
from avreward.audit.ascent import PICTURE_STEP, SOUND_STEP, STEPS, Ascent, built
from avreward.audit.probes import gradient_clip, whole_clip
from avreward.clip import Clip
from avreward.errors import MediaError
from avreward.rewards.base import Reward

TRIES = 4  # directions a step
COARSE = 8  # pixels; directions of the search are smooth


def search_attack(
    reward: Reward, held_out: Reward | None, clip: Clip, *, steps: int = STEPS, tries: int = TRIES, seed: int = 0
) -> Ascent:
    """Raise the reward of a real clip by random search: of some random moves a step, the best is kept if it rises.

    A move has the size of a step of `ascend` in each value; its sign is that of smooth noise, drawn for the video in
    blocks of eight pixels. The reward is all that the search sees.

    Args:
        reward: any reward.
        held_out: evaluated after each step (*optional*).
        clip: a real clip; a large video is scaled down first (`gradient_clip`).
        steps: the number of steps.
        tries: random moves a step.
        seed: of the moves.
    """
    try:
        start = gradient_clip(clip)
        point = {track: start.video if track == "video" else start.sound() for track in _tracks(start)}
    except MediaError as error:
        return Ascent(clip.name, (), (), str(error))
    generator = torch.Generator().manual_seed(seed)
    value, why = _value(reward, start)
    if value is None:
        return Ascent(clip.name, (), (), why)
    trained, held = [value], [_value(held_out, start)[0]]
    for _ in range(steps):
        moves = [{track: _moved(track, values, generator) for track, values in point.items()} for _ in range(tries)]
        found = [(_value(reward, built(start, move))[0], move) for move in moves]
        best, move = max(found, key=lambda one: float("-inf") if one[0] is None else one[0])
        if best is not None and best > trained[-1]:
            point = move
            trained.append(best)
            held.append(_value(held_out, built(start, point))[0])
        else:
            trained.append(trained[-1])
            held.append(held[-1])
    return Ascent(clip.name, tuple(trained), tuple(held))


def edit_attack(reward: Reward, held_out: Reward | None, clip: Clip, *, seed: int = 0) -> Ascent:
    """Return the reward of a real clip before and after the edit that raises it most; the clip itself where none does.

    The edits are those of `avreward.audit._variants`: noise, clipping, a low-pass, dropouts, a shift, blur, flicker and
    the like, each a defect that a generator's output may have. A reward that rises has been hacked.
    """
    try:
        whole = whole_clip(clip)
    except MediaError as error:
        return Ascent(clip.name, (), (), str(error))
    value, why = _value(reward, whole)
    if value is None:
        return Ascent(clip.name, (), (), why)
    best, chosen = value, whole
    for _, edited in variants(whole, seed):
        there, _ = _value(reward, edited)
        if there is not None and there > best:
            best, chosen = there, edited
    return Ascent(clip.name, (value, best), (_value(held_out, whole)[0], _value(held_out, chosen)[0]))


def unheard(clip: Clip, seed: int = 0) -> list[Clip]:
    """Return copies that nobody tells from a clip: audio dithered, or quieter by 0.1 dB; video rounded or dithered."""
    generator = torch.Generator().manual_seed(seed)
    made = []
    if clip.has_audio:
        sound = clip.sound()
        noise = torch.rand(2, *sound.shape, generator=generator).diff(dim=0)[0] * 10 ** (-80 / 20) * 6**0.5
        made += [clip.with_audio(sound + noise.to(sound), clip.sample_rate)]
        made += [clip.with_audio(sound * 10 ** (-0.1 / 20), clip.sample_rate)]
    if clip.has_video:
        level = (torch.rand(clip.video.shape, generator=generator).to(clip.video) - 0.5) / 255
        made += [built(clip, _with(clip, (clip.video * 255).round() / 255))]
        made += [built(clip, _with(clip, (clip.video + level).clamp(0, 1)))]
    return made


def _with(clip: Clip, video: Tensor) -> dict[str, Tensor]:
    return {"video": video} | ({"audio": clip.sound()} if clip.has_audio else {})


def _tracks(clip: Clip) -> list[str]:
    return [track for track in ("video", "audio") if track not in clip.missing]


def _moved(track: str, values: Tensor, generator: torch.Generator) -> Tensor:
    if track == "audio":
        noise = torch.randn(values.shape, generator=generator).to(values)
        smooth = F.avg_pool1d(noise[None], 9, 1, 4, count_include_pad=False)[0]
        return (values + SOUND_STEP * smooth.sign()).clamp(-1, 1)
    frames, channels, height, width = values.shape
    small = torch.randn(frames, channels, -(-height // COARSE), -(-width // COARSE), generator=generator).to(values)
    return (values + PICTURE_STEP * F.interpolate(small, (height, width)).sign()).clamp(0, 1)


def _value(reward: Reward | None, clip: Clip) -> tuple[float | None, str | None]:
    if reward is None:
        return None, None
    with torch.no_grad():
        found = reward.evaluate([clip])
    return (float(found.values[0]) if found.present[0] else None), found.reasons[0]
