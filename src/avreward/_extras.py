"""Optional packages: the error for a missing one says how to install it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from avreward.errors import AvrewardError


@contextmanager
def extra(name: str) -> Iterator[None]:
    """Import packages of the extra `name` inside this block.

    Raises:
        AvrewardError: for a package that is not installed; the message holds the command that installs it.

    Example:
        >>> with extra("lmm"):
        ...     from transformers import AutoTokenizer
    """
    try:
        yield
    except ModuleNotFoundError as error:
        package = (error.name or str(error)).partition(".")[0]
        if package == "avreward":
            raise
        raise AvrewardError(f"{package}: this package is not installed; run pip install 'avreward[{name}]'") from error
