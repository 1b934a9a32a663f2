"""Checks of the settings of strategies and searches."""

from __future__ import annotations

from typing import Any

from avreward.errors import ArgumentError


def check_at_least(least: float, /, **settings: float) -> None:
    """Raise `ArgumentError` for a setting below `least`."""
    for name, value in settings.items():
        if not value >= least:
            raise ArgumentError(name, f"a number of at least {least}", value)


def check_integers(least: int, /, **settings: Any) -> None:
    """Raise `ArgumentError` for a setting that is not an integer of at least `least`."""
    for name, value in settings.items():
        if isinstance(value, bool) or not hasattr(value, "__index__") or not value >= least:
            raise ArgumentError(name, f"an integer of at least {least}", value)
