"""Several sounds for one video in one text: which fits best? (AGAV-Rater, section 3.3: multi-input comparison.)"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from avreward.clip import Clip
from avreward.errors import AvrewardError
from avreward.group import Group
from avreward.raters.base import Sample, Work
from avreward.raters.lmm._decoding import read
from avreward.raters.lmm._template import Rendered, render
from avreward.raters.lmm.prompt import Encoded, Prompt, Slot
from avreward.raters.lmm.readout import applied, first_tokens

if TYPE_CHECKING:
    from avreward.raters.lmm.rater import LmmRater

MOST = 9  # a tenth sound would have a number of two digits, which one position can't tell from the first


def compare(rater: LmmRater, clips: Sequence[Clip] | Group, work: Work | None = None) -> Tensor:
    """The probability (n,) of each of n dubs of one video that the model names it as the best; they add up to 1.

    The instruction is that of AGAV-Rater's section 3.3: ``The video is …, Audio 1 is …, Audio 2 is … Which audio best
    matches this video in terms of audio content, quality, and rhythm?`` The answer is read from the number that would
    follow ``Audio``. Models favour some places over others, so every sound stands in every place once (n texts, which
    share the video), and the probabilities are averaged. Who follows whom is settled by the sounds themselves, so that
    the order in which they are given makes no difference; equal sounds get equal shares. Differentiable. Calls that
    pass the same `work` encode a picture or sound once.

    Raises `AvrewardError` for fewer than 2 or more than 9 dubs, for different videos, or for one without sound.

    >>> chosen = compare(load_rater("checkpoints/a"), clips[:2])
    >>> chosen.shape, chosen.sum().isclose(torch.tensor(1.0))
    (torch.Size([2]), tensor(True))
    """
    if isinstance(clips, Clip):
        raise AvrewardError("clips: a single Clip; pass the dubs of one video, two or more")
    candidates = list(clips.candidates if isinstance(clips, Group) else clips)
    _check(rater, candidates)
    work = work or Work()
    samples = [rater.load(clip, work) for clip in candidates]
    for sample in samples:
        for track in ("video", "audio"):
            if track not in sample.tracks:
                raise AvrewardError(
                    f"{sample.clip.name}: {sample.missing.get(track, f'no {track}')}; it can't be compared"
                )
    keys = [sample.clip.keys["audio"] for sample in samples]
    ring = sorted(range(len(samples)), key=keys.__getitem__)
    orders = [ring[first:] + ring[:first] for first in range(len(ring))]
    chosen = torch.zeros(len(samples))
    for order, places in zip(orders, _places(rater, samples, orders, work), strict=True):
        chosen = chosen.to(places).index_add(0, torch.tensor(order, device=places.device), places)
    same = torch.tensor([[float(one == other) for other in keys] for one in keys]).to(chosen)
    return same @ (chosen / same.sum(dim=1)) / len(samples)


def _places(rater: LmmRater, samples: Sequence[Sample], orders: Sequence[list[int]], work: Work) -> list[Tensor]:
    """For each order, the probability (n,) that the sound in each place is named. Memory is handled as in `rate`."""
    prompt, numbers = _prompt(rater, len(samples))

    def ask(some: Sequence[list[int]]) -> list[Tensor]:
        sequences = [_rendered(rater, [samples[i] for i in order], prompt, work) for order in some]
        answers = read(rater.backbone, sequences, work.prefixes)
        return [applied(rater.backbone.head, hidden[-1], numbers).softmax(dim=-1) for hidden in answers]

    return rater.run(ask, orders, samples)


def _prompt(rater: LmmRater, count: int) -> tuple[Prompt, tuple[int, ...]]:
    """The text for `count` sounds, and the tokens of their numbers."""
    user: list[str | Slot] = ["The video is ", Slot("video")]
    for i in range(count):
        user += [f", Audio {i + 1} is ", Slot("audio", i)]
    user += [". Which audio best matches this video in terms of audio content, quality, and rhythm?"]
    backbone = rater.backbone
    numbers = [str(i + 1) for i in range(count)]
    try:
        stem, ids = "Audio ", first_tokens(backbone.tokenizer, "Audio ", numbers)
    except AvrewardError:  # a tokenizer that joins the space with the number
        stem, ids = "Audio", first_tokens(backbone.tokenizer, "Audio", [f" {number}" for number in numbers])
    return tuple(backbone.chat(user, [stem])), ids


def _rendered(rater: LmmRater, samples: Sequence[Sample], prompt: Prompt, work: Work) -> Rendered:
    def encode(slot: Slot) -> tuple[Hashable, Encoded]:
        return rater.encoded(samples[slot.of], slot, work)

    return render(prompt, samples[0].clip, encode, rater.backbone.tokenizer)


def _check(rater: LmmRater, clips: Sequence[Clip]) -> None:
    if not {"video", "audio"} <= set(rater.backbone.tracks):
        raise AvrewardError(f"{rater.name}: takes in {', '.join(rater.backbone.tracks)} only, so it can't compare dubs")
    if not 2 <= len(clips) <= MOST:
        raise AvrewardError(f"clips: {len(clips)} of them; give 2 to {MOST} dubs of one video")
    if len({clip.work_key("video") for clip in clips if clip.has_video}) > 1:
        raise AvrewardError("clips: their pictures differ; give dubs of one video, made with clip.with_audio(dub)")
