"""What tests of LMM raters share: clips with things in common, and a reading of one sequence in the plainest way."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from avreward import Clip
from avreward.raters.base import Work
from avreward.raters.lmm._template import Rendered
from avreward.raters.lmm.backbone import Backbone
from avreward.raters.lmm.prompt import Text, Tokens
from avreward.raters.lmm.rater import LmmRater
from avreward.raters.scores import Scores


def noise(*shape: int, seed: int = 0) -> Tensor:
    """Uniform in [0, 1)."""
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def picture(frames: int = 4, seed: int = 0, side: int = 32) -> dict[str, Any]:
    """Arguments of `Clip`."""
    return {"video": noise(frames, 3, side, side, seed=seed), "fps": 4}


def sound(samples: int = 4000, seed: int = 0) -> dict[str, Any]:
    """Arguments of `Clip`, at 16 kHz."""
    return {"audio": noise(1, samples, seed=seed) - 0.5, "sample_rate": 16000}


def film(frames: int = 4, samples: int = 4000, seed: int = 0, **texts: Any) -> Clip:
    """A clip with picture and sound."""
    return Clip(**picture(frames, seed), **sound(samples, seed), **texts)


def dubs(count: int, frames: int = 20, samples: int = 4000, **texts: Any) -> list[Clip]:
    """Clips with one picture and sounds of different length."""
    silent = Clip(**picture(frames), **texts)
    return [silent.with_audio(sound(samples + 800 * i, seed=i)["audio"], 16000) for i in range(count)]


def plainly(backbone: Backbone, sequence: Rendered) -> Tensor:
    """The hidden states where answers are read: one sequence, all of it, without cache or padding."""
    language = backbone.language
    embed, parts = language.get_input_embeddings(), sequence.parts
    values = [embed(torch.tensor(part.ids)) if isinstance(part, Text) else part.values for part in parts]
    positions = backbone.positions(parts)
    arguments: dict[str, Any] = {}
    deep = [part for part in parts if isinstance(part, Tokens) and part.deep]
    if deep:
        seen = [torch.full((part.length,), isinstance(part, Tokens) and bool(part.deep)) for part in parts]
        arguments["visual_pos_masks"] = torch.cat(seen)[None]
        arguments["deepstack_visual_embeds"] = [
            torch.cat(layer) for layer in zip(*(part.deep for part in deep), strict=True)
        ]
    embeds = torch.cat(values)[None]
    hidden = language(
        inputs_embeds=embeds,
        attention_mask=torch.ones(embeds.shape[:2], dtype=torch.long),  # or positions with gaps pass for several texts
        position_ids=positions[:, None] if len(positions) > 1 else positions,
        use_cache=False,
        **arguments,
    ).last_hidden_state[0]
    return hidden[sequence.reads]


def alone(rater: LmmRater, clip: Clip) -> dict[str, Tensor]:
    """Dimension → score of one clip, each question by itself."""
    sample, found = rater.load(clip), {}
    for question in rater.questions:
        texts = {need for need in question.needs if need == "prompt" and not (clip.prompt or "").strip()}
        if question.needs - sample.tracks.keys() - {"prompt"} or texts:
            continue
        answers = question.readout(plainly(rater.backbone, rater.rendered(sample, question.prompt, Work())))
        for name, value in zip(question.dimensions, answers, strict=True):
            found.setdefault(name, value)
    return found


def check_alone(rater: LmmRater, clips: list[Clip], scores: Scores, rtol: float = 1e-4) -> None:
    """Each clip's scores are those that it has alone, and the same are missing."""
    for row, clip in enumerate(clips):
        expected = alone(rater, clip)
        there = [name for name, present in zip(scores.names, scores.present[row], strict=True) if present]
        assert set(there) == set(expected)
        assert set(scores.reasons[row]) == set(scores.names) - set(expected)
        for name, value in expected.items():
            torch.testing.assert_close(scores[name][row], value, rtol=rtol, atol=0)


@contextmanager
def counted(backbone: Backbone) -> Iterator[list[int]]:
    """The positions that each call of the decoder computes, rows times length, padding included."""
    calls: list[int] = []

    def note(_: Any, arguments: tuple[Any, ...], options: dict[str, Any]) -> None:
        calls.append(options["inputs_embeds"].shape[0] * options["inputs_embeds"].shape[1])

    hook = backbone.language.register_forward_pre_hook(note, with_kwargs=True)
    try:
        yield calls
    finally:
        hook.remove()


@contextmanager
def small_memory(rater: LmmRater, rows: int):
    """The decoder runs out of memory above so many sequences at once."""
    sizes: list[int] = []

    def check(_: Any, arguments: tuple[Any, ...], options: dict[str, Any]) -> None:
        sizes.append(len(options["inputs_embeds"]))
        if sizes[-1] > rows:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB.")

    hook = rater.backbone.language.register_forward_pre_hook(check, with_kwargs=True)
    try:
        yield sizes
    finally:
        hook.remove()


def widen(module: nn.Module) -> None:
    """Makes a network compute in double precision all the way: norms of `transformers` go through single precision."""
    module.double()
    for part in module.modules():
        if type(part).__name__.endswith("RMSNorm"):
            part.forward = partial(_norm, part)


def _norm(part: Any, hidden: Tensor) -> Tensor:
    return part.weight * hidden * (hidden.square().mean(-1, keepdim=True) + part.variance_epsilon).rsqrt()
