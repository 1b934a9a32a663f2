"""Which features a rater can be taught on: measurements, embeddings, or the scores of any rater."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import normalize

from avreward.clip import Clip
from avreward.errors import AvrewardError
from avreward.media._precision import widened
from avreward.raters.base import Rater, Sample, Work
from avreward.raters.embedding._card import Side
from avreward.raters.embedding.base import EmbeddingRater
from avreward.raters.listener._hidden import HiddenFeatures
from avreward.raters.listener._installed import InstalledEncoder
from avreward.raters.listener.glance import NAME as GLANCE
from avreward.raters.listener.glance import GlanceFeatures
from avreward.raters.listener.image_features import WEIGHTS as IMAGE_NETWORK
from avreward.raters.listener.image_features import installed_image_features
from avreward.raters.listener.sound_effects import WEIGHTS as SOUND_NETWORK
from avreward.raters.listener.sound_effects import installed_sound_effects
from avreward.raters.lmm.rater import LmmRater
from avreward.raters.scores import Dimension, Scores
from avreward.raters.wrappers.base import WrapperRater

ALWAYS = "signals"
INSTALLED: Mapping[str, Callable[[], Rater]] = {
    SOUND_NETWORK.name: installed_sound_effects,
    IMAGE_NETWORK.name: installed_image_features,
    GLANCE: GlanceFeatures,
}
_VECTOR = re.compile(r"(feature|audio|video)_\d+")


class EmbeddingFeatures(WrapperRater):
    """The vectors of an embedding rater as detail dimensions, and its scores: of video, audio or both.

    Args:
        rater: CLAP, CLIP, SigLIP or PE-AV.
    """

    def __init__(self, rater: EmbeddingRater) -> None:
        super().__init__([rater], rater.name)
        self._sides: dict[tuple[str, Side], range] = {}
        made: list[Dimension] = []
        for pair, sides in rater.pairs.items():
            for side in sides:
                if side == "prompt" or any(side == known for _, known in self._sides):
                    continue
                width = self._width(rater, side, pair)
                self._sides[pair, side] = range(len(made), len(made) + width)
                made += [
                    Dimension(f"{side}_{i}", -1, 1, frozenset({side}), detail=True, description="of the embedding")
                    for i in range(width)
                ]
        self.dimensions = self._own = (*made, *rater.dimensions)

    @staticmethod
    def _width(rater: EmbeddingRater, side: Side, pair: str) -> int:
        with torch.no_grad():
            if side == "video":
                loaded = rater.load_track(Clip(video=torch.zeros(8, 3, 32, 32), fps=8), "video")
            else:
                loaded = rater.load_track(Clip(audio=torch.zeros(1, 48000), sample_rate=48000), "audio")
            return int(rater.embed(side, loaded)[pair].shape[-1])

    @property
    def source(self) -> Mapping[str, Any] | None:  # type: ignore[override]
        """That of the rater, whose vectors these are."""
        return self.rater.source

    @property
    def fingerprint(self) -> str:  # type: ignore[override]
        """That of the rater, whose vectors these are."""
        return f"{self.rater.fingerprint}.features"

    def reads(self, dimension: str | None = None) -> frozenset[str]:
        """Return the side that a vector describes, or the sides that a score compares."""
        return self.rater.reads() if dimension is None else self.dimension(dimension).needs

    def rate(self, samples: Sequence[Sample], work: Work | None = None) -> Scores:
        """Return the vectors, each side's of length one and averaged over its parts, and the scores."""
        rater, work = self.rater, work or Work()
        assert isinstance(rater, EmbeddingRater)
        scores = rater.rate(samples, work)
        rows: list[tuple[dict[str, Tensor], dict[str, str], dict[str, tuple[str, ...]]]] = []
        for i, sample in enumerate(samples):
            values = {d.name: scores[d.name][i] for d in rater.dimensions if scores.present[i, scores.column(d.name)]}
            reasons = dict(scores.reasons[i])
            for (pair, side), place in self._sides.items():
                own = [self._own[k].name for k in place]
                if side not in sample.tracks:
                    reasons |= dict.fromkeys(own, sample.missing.get(side, f"no {side}"))
                    continue
                key = (rater.decoding, "embedding", side, sample.clip.work_key(side))  # as for the scores
                vectors = work.results.get(key, partial(rater.embed, side, sample.tracks[side]))[pair]
                values |= dict(zip(own, normalize(widened(vectors), dim=-1).mean(0), strict=True))
            rows.append((values, reasons, {}))
        return Scores.collect(rows, self._own)


def encoder_of(name: str | Rater) -> Rater:
    """Return the rater whose scores are the features called `name`.

    Args:
        name: ``"signals"``; ``"glance"``, cheap statistics of small frames and of sound; ``"aisfx"`` or
            ``"efficientnet_lite0"``, with the weights of an installed package; or a rater, a checkpoint's folder or
            its name on the hub: the vectors of an embedding model, the hidden state and scores of a rater that asks a
            language model, the scores of any other.
    """
    from avreward.raters.hub import load_rater

    if isinstance(name, str) and name in INSTALLED:
        return INSTALLED[name]()
    rater = name if isinstance(name, Rater) else load_rater(name)
    if isinstance(rater, EmbeddingRater):
        return EmbeddingFeatures(rater)
    return HiddenFeatures(rater) if isinstance(rater, LmmRater) else rater


def feature_names(rater: Rater) -> list[str]:
    """Return the dimensions that count as features: of `signals` the measurements, of another rater all."""
    details = [d.name for d in rater.dimensions if d.detail]
    return details if rater.name == ALWAYS and details else [d.name for d in rater.dimensions]


def features_of(rater: Rater) -> Mapping[str, Any] | None:
    """Return how a file names an encoder; `None` if it can't."""
    if isinstance(rater, InstalledEncoder | GlanceFeatures):
        return {"package": rater.name}
    return None if rater.source is None else dict(rater.source)


def encoder_from(record: Mapping[str, Any]) -> Rater:
    """Return the encoder that a file names, as `features_of` describes it."""
    from avreward.raters.hub import load_rater

    options = {key: value for key, value in record.items() if key != "fingerprint"}
    package = options.get("package")
    if isinstance(package, str) and package in INSTALLED and len(options) == 1:
        return INSTALLED[package]()
    name = options.pop("rater", None)
    if not isinstance(name, str):
        raise AvrewardError(f"encoder: expected the name of a rater, got {name!r}; teach the rater again")
    return encoder_of(load_rater(name, **options))


def is_vector(name: str) -> bool:
    """Return whether a dimension is one of many of an embedding, which mean nothing alone."""
    return _VECTOR.fullmatch(name) is not None
