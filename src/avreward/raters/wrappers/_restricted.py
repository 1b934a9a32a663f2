"""Restricted raters: the same scores with gradients to fewer tracks (narrower streams)."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

from avreward.errors import ArgumentError, Described
from avreward.raters.base import Rater, Sample, Work
from avreward.raters.scores import Dimension, Scores
from avreward.raters.wrappers.base import WrapperRater

Streams = Mapping[str, str | Collection[str]]


class RestrictedRater(WrapperRater):
    """A rater with narrower streams, made by `restricted`."""

    def __init__(self, rater: Rater, streams: Streams) -> None:
        super().__init__([rater], rater.name)
        if not isinstance(streams, Mapping):
            raise ArgumentError("streams", "a mapping of dimensions to tracks", streams, "pass {dimension: 'audio'}")
        chosen = {rater.dimension(name).name: tracks for name, tracks in streams.items()}
        for name, tracks in chosen.items():
            if not isinstance(tracks, str | Collection):
                raise ArgumentError(f"streams of {name}", "'audio', 'video', or several of them", tracks)
        self.streams = {
            name: frozenset((tracks,) if isinstance(tracks, str) else tracks) for name, tracks in chosen.items()
        }
        self.dimensions = tuple(
            _narrowed(d, self.streams[d.name]) if d.name in self.streams else d for d in rater.dimensions
        )

    @property
    def fingerprint(self) -> str:  # type: ignore[override]  # computed when asked for
        """Fingerprint of the rater inside, since the scores are the same."""
        return self.rater.fingerprint

    @property
    def source(self) -> Mapping[str, Any] | None:  # type: ignore[override]  # that of the rater may come later
        """Source of the rater inside and, under ``streams``, the tracks of each restricted dimension."""
        inner = self.rater.source
        if inner is None:
            return None
        return {**inner, "streams": {**inner.get("streams", {}), **{n: sorted(t) for n, t in self.streams.items()}}}

    def rate(self, samples: Sequence[Sample], work: Work | None = None) -> Scores:
        """Return the scores of the rater inside; their gradients are those of the narrower streams."""
        return replace(self.rater.rate(samples, work), dimensions=self.dimensions)


def restricted(rater: Rater, streams: Streams) -> RestrictedRater:
    """Return `rater` with gradients that move fewer tracks on some dimensions.

    Scores, fingerprint and stored scores stay the same. Rewards of it keep the restriction, also in files.

    Args:
        rater: any rater.
        streams: dimension → the tracks that its gradient may move: ``"audio"``, ``"video"``, or an empty tuple.

    Raises:
        UnknownNameError: for a dimension that `rater` does not have.
        ArgumentError: for a track that the dimension's gradient does not move.

    Example:
        >>> rater = restricted(load_rater("signals"), {"av_consistency": "audio"})
        >>> wave = clip.audio.clone().requires_grad_()
        >>> frames = clip.video.clone().requires_grad_()
        >>> joint = Clip(video=frames, fps=clip.fps, audio=wave, sample_rate=clip.sample_rate)
        >>> rater["av_consistency"]([joint]).sum().backward()
        >>> frames.grad is None, wave.grad is None
        (True, False)
    """
    return RestrictedRater(rater, streams)


def _narrowed(dimension: Dimension, streams: frozenset[str]) -> Dimension:
    if not streams <= frozenset(dimension.streams):
        moved = ", ".join(sorted(dimension.streams)) or "none"
        raise ArgumentError(
            f"streams of {dimension.name}",
            f"some of the tracks that its gradient moves ({moved})",
            Described(", ".join(sorted(map(str, streams)))),
        )
    return replace(dimension, streams=streams)
