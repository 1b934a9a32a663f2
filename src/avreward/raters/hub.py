"""From a name to a rater."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from difflib import get_close_matches
from types import MappingProxyType

from avreward.errors import AvrewardError
from avreward.raters.base import Rater


class UnknownRater(AvrewardError, KeyError):
    """A name that no rater has."""

    def __str__(self) -> str:  # KeyError would show the repr of its argument
        return str(self.args[0])


def _signals() -> Rater:
    from avreward.raters.signals.rater import SignalsRater

    return SignalsRater()


RATERS: Mapping[str, Callable[[], Rater]] = MappingProxyType({"signals": _signals})
"""The raters that come with the package, by name."""


def load_rater(name: str = "signals") -> Rater:
    """The rater called `name`; without a name the embedded default, which needs no download.

    Raises:
        UnknownRater: for a name that no rater has; the message lists the known ones.

    >>> load_rater().name
    'signals'
    """
    if name in RATERS:
        return RATERS[name]()
    near = get_close_matches(name, RATERS, 1)
    hint = f"did you mean {near[0]!r}? " if near else ""
    raise UnknownRater(f"rater {name!r}: unknown; {hint}there are: {', '.join(RATERS)}")
