"""Base of raters that are a small head on frozen features of other raters."""

from __future__ import annotations

import functools
from abc import abstractmethod
from collections.abc import Hashable, Iterator, Mapping, Sequence
from os import PathLike
from pathlib import Path
from types import MappingProxyType
from typing import Any, ClassVar

import torch
from torch import Tensor

from avreward.clip import Clip
from avreward.errors import ArgumentError, AvrewardError, Described
from avreward.raters.base import Rater, Sample, Track, Work
from avreward.raters.checkpoints._fingerprint import digest, weights_hash
from avreward.raters.checkpoints._upload import upload
from avreward.raters.listener._encoders import features_of
from avreward.raters.listener._version import VERSION
from avreward.raters.listener.head import FeatureHead
from avreward.raters.scores import Scores
from avreward.raters.wrappers._members import MemberSamples, load_member_tracks, load_parts, rate_members
from avreward.raters.wrappers.base import WrapperRater


class FeatureRater(WrapperRater):
    """A small head on the scores of frozen raters, its encoders.

    Args:
        encoders: name → rater whose scores are the features, in the order of the head's features.
        columns: (name of the encoder, its dimension) a feature.
        head: from features to scores.
        name: as used in expressions.

    Raises:
        ArgumentError: if the head has another number of features.
    """

    kind: ClassVar[str]  # begins the fingerprint, whatever the rater is called
    source: Mapping[str, Any] | None = None

    def __init__(
        self, encoders: Mapping[str, Rater], columns: Sequence[tuple[str, str]], head: FeatureHead, name: str
    ) -> None:
        used = head.used.tolist()
        if len(columns) != len(used):
            raise ArgumentError("columns", f"{len(used)} features", Described(str(len(columns))))
        self._needed = [(i, *pair) for i, pair in enumerate(columns) if used[i]]
        self.encoders = {key: rater for key, rater in encoders.items() if any(key == own for _, own, _ in self._needed)}
        super().__init__(list(self.encoders.values()), name)
        self.columns, self.head = tuple(columns), head.eval().requires_grad_(False)
        self.versions = MappingProxyType({**super().versions, "listener": VERSION})

    @property
    def feature_needs(self) -> frozenset[str]:
        """What a clip needs for all features."""
        return frozenset[str]().union(*(self.encoders[key].dimension(own).needs for _, key, own in self._needed))

    @property
    def fingerprint(self) -> str:  # type: ignore[override]  # computed when asked for
        """Fingerprint of the head and of the encoders."""
        made = [f"{key}={rater.fingerprint}" for key, rater in self.encoders.items()]
        return f"{self.kind}:{digest(self.versions, weights_hash(self.head), repr(self.columns), *made)}"

    @property
    def decoding(self) -> Hashable:
        """Its own: its samples hold those of its encoders."""
        return type(self), tuple((rater.decoding, rater.tracks) for rater in self.raters)

    def reads(self, dimension: str | None = None) -> frozenset[str]:
        """Return what any feature may depend on."""
        return frozenset[str]().union(*(self.encoders[key].reads(own) for _, key, own in self._needed))

    def load(self, clip: Clip, work: Work | None = None) -> MemberSamples:
        """Decode as each encoder does, a file once for all of them."""
        return load_parts(self.raters, self.tracks, clip, work or Work())

    def load_track(self, clip: Clip, track: Track) -> Mapping[Hashable, Any]:
        """Decode one track as each encoder does."""
        return load_member_tracks(self.raters, clip, track)

    def features(self, samples: Sequence[Sample], work: Work | None = None) -> Iterator[Tensor | str]:
        """Yield for each sample its features (features,), those that the head does not use as 0, or why some lack."""
        found = dict(zip(self.encoders, rate_members(self.raters, samples, work or Work()), strict=True))
        for row in range(len(samples)):
            yield self._features_of(found, row)

    def _features_of(self, found: Mapping[str, Scores], row: int) -> Tensor | str:
        values: list[Tensor] = []
        lacking: dict[str, None] = {}
        for _, key, own in self._needed:
            scores = found[key]
            column = scores.column(own)
            if bool(scores.present[row, column]):
                values.append(scores.values[row, column])
            else:
                lacking[scores.reasons[row].get(own, f"no {key}.{own}")] = None
        if lacking:
            return "; ".join(lacking)
        index = torch.tensor([i for i, _, _ in self._needed], device=values[0].device)
        widest = functools.reduce(torch.promote_types, (value.dtype for value in values), torch.float32)
        given = torch.stack([value.to(values[0].device, widest) for value in values])
        return torch.zeros(len(self.columns), dtype=given.dtype, device=given.device).index_put((index,), given)

    @abstractmethod
    def save_pretrained(self, folder: str | PathLike[str]) -> Path:
        """Write the head, the settings and the card to a folder that `load_rater` reads, and return it."""

    def push_to_hub(self, repository: str, private: bool = True) -> str:
        """Upload what `save_pretrained` writes to a model repository of the Hugging Face hub; return its address."""
        return upload(self.save_pretrained, repository, private)

    @property
    def saved_settings(self) -> dict[str, Any]:
        """What its file says of encoders and columns.

        Raises:
            AvrewardError: if an encoder can't be named by a file.
        """
        records = {}
        for key, rater in self.encoders.items():
            source = features_of(rater)
            if source is None:
                raise AvrewardError(f"encoder {key}: it can't be named by a file; load it with load_rater")
            records[key] = {**source, "fingerprint": rater.fingerprint}
        return {"version": VERSION, "encoders": records, "columns": self.columns}
