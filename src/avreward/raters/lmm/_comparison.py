"""Compare several audio tracks for one video in one prompt (multi-input comparison: AGAV-Rater, section 3.3)."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from avreward.clip import Clip
from avreward.errors import ArgumentError, AvrewardError, Described
from avreward.group import Group
from avreward.raters.base import Sample, Work
from avreward.raters.lmm._decoding import read
from avreward.raters.lmm._template import Rendered, render
from avreward.raters.lmm.prompt import Encoded, Prompt, Slot
from avreward.raters.lmm.readout import applied, first_tokens

if TYPE_CHECKING:
    from avreward.raters.lmm.rater import LmmRater

MOST = 9  # the number 10 has two digits, and its first token could be that of 1


def compare(rater: LmmRater, clips: Sequence[Clip] | Group, work: Work | None = None) -> Tensor:
    """Return the probability (n,) that the model names each of n dubs of one video as the best; they sum to 1.

    The instruction is that of AGAV-Rater's section 3.3: ``The video is …, Audio 1 is …, Audio 2 is … Which audio best
    matches this video in terms of audio content, quality, and rhythm?`` The answer is read from the number that would
    follow ``Audio``. Models favour some positions, so every audio track takes every position once (n prompts, which
    share the video), and the probabilities are averaged. The cyclic order depends on the content of the tracks alone,
    so the order of `clips` makes no difference; equal tracks get equal shares. Differentiable.

    Args:
        rater: a rater whose backbone takes video and audio.
        clips: 2 to 9 dubs of one video.
        work: results to share; calls with the same `work` encode each track once (*optional*).

    Raises:
        ArgumentError: for fewer than 2 or more than 9 dubs, different videos, or a clip without audio or video.

    Example:
        >>> chosen = compare(load_rater("checkpoints/a"), clips[:2])
        >>> chosen.shape, chosen.sum().isclose(torch.tensor(1.0))
        (torch.Size([2]), tensor(True))
    """
    if isinstance(clips, Clip):
        raise ArgumentError("clips", f"2 to {MOST} dubs of one video", Described("a single Clip"))
    candidates = list(clips.candidates if isinstance(clips, Group) else clips)
    _check(rater, candidates)
    work = work or Work()
    samples = [rater.load(clip, work) for clip in candidates]
    for sample in samples:
        for track in ("video", "audio"):
            if track not in sample.tracks:
                got = Described(f"{sample.clip.name} without {track} ({sample.missing.get(track, f'no {track}')})")
                raise ArgumentError("clips", "dubs with video and audio", got)
    keys = [sample.clip.keys["audio"] for sample in samples]
    ring = sorted(range(len(samples)), key=keys.__getitem__)
    orders = [ring[first:] + ring[:first] for first in range(len(ring))]
    chosen = torch.zeros(len(samples))
    for order, places in zip(orders, _places(rater, samples, orders, work), strict=True):
        chosen = chosen.to(places).index_add(0, torch.tensor(order, device=places.device), places)
    same = torch.tensor([[float(one == other) for other in keys] for one in keys]).to(chosen)
    return same @ (chosen / same.sum(dim=1)) / len(samples)


def _places(rater: LmmRater, samples: Sequence[Sample], orders: Sequence[list[int]], work: Work) -> list[Tensor]:
    """Return, for each order, the probability (n,) that the track at each position is named; memory as in `rate`."""
    prompt, numbers = _prompt(rater, len(samples))

    def ask(some: Sequence[list[int]]) -> list[Tensor]:
        sequences = [_rendered(rater, [samples[i] for i in order], prompt, work) for order in some]
        answers = read(rater.backbone, sequences, work.prefixes)
        return [applied(rater.backbone.head, hidden[-1], numbers).softmax(dim=-1) for hidden in answers]

    return rater.run(ask, orders, samples)


def _prompt(rater: LmmRater, count: int) -> tuple[Prompt, tuple[int, ...]]:
    """Return the prompt for `count` audio tracks, and the tokens of their numbers."""
    user: list[str | Slot] = ["The video is ", Slot("video")]
    for i in range(count):
        user += [f", Audio {i + 1} is ", Slot("audio", i)]
    user += [". Which audio best matches this video in terms of audio content, quality, and rhythm?"]
    backbone = rater.backbone
    numbers = [str(i + 1) for i in range(count)]
    try:
        stem, ids = "Audio ", first_tokens(backbone.tokenizer, "Audio ", numbers)
    except AvrewardError:  # this tokenizer joins the space with the number
        stem, ids = "Audio", first_tokens(backbone.tokenizer, "Audio", [f" {number}" for number in numbers])
    return tuple(backbone.chat(user, [stem])), ids


def _rendered(rater: LmmRater, samples: Sequence[Sample], prompt: Prompt, work: Work) -> Rendered:
    def encode(slot: Slot) -> tuple[Hashable, Encoded]:
        return rater.encoded(samples[slot.of], slot, work)

    return render(prompt, samples[0].clip, encode, rater.backbone.tokenizer)


def _check(rater: LmmRater, clips: Sequence[Clip]) -> None:
    if not {"video", "audio"} <= set(rater.backbone.tracks):
        tracks = Described(f"{rater.name}, which takes {' and '.join(rater.backbone.tracks)} only")
        raise ArgumentError("rater", "a rater that takes video and audio", tracks)
    if not 2 <= len(clips) <= MOST:
        raise ArgumentError("clips", f"2 to {MOST} dubs of one video", Described(f"{len(clips)} clips"))
    if len({clip.work_key("video") for clip in clips if clip.has_video}) > 1:
        got = Described("clips of different videos")
        raise ArgumentError("clips", "dubs of one video", got, "make them with clip.with_audio(dub)")
