"""Dubs by a provider, some at a time: what is made, and why the rest is not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

from avreward.errors import ArgumentError, AvrewardError, Described, describe
from avreward.generators._as_sampler import Generate

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True)
class NotMade:
    """Why there is nothing."""

    reason: str


def check_different(names: Sequence[str]) -> None:
    """Raise `ArgumentError` if two videos have one name."""
    if twice := sorted(name for name, count in Counter(names).items() if count > 1):
        raise ArgumentError("videos", "files with different names", Described(f"{twice[0]} twice"), "rename one")


def made_at_a_time(
    generate: Generate, items: Sequence[Item], make: Callable[[Item], Result], fatal: type[Exception]
) -> list[Result | NotMade]:
    """Return what `make` returns for each item, or why it could not.

    Args:
        generate: the provider; of one with `concurrency`, so many items are made at a time.
        items: what to make.
        make: makes one.
        fatal: the errors that end everything.
    """

    def one(item: Item) -> Result | NotMade:
        try:
            return make(item)
        except fatal:
            raise
        except Exception as error:
            return NotMade(str(error) if isinstance(error, AvrewardError) else describe(error))

    with ThreadPoolExecutor(getattr(generate, "concurrency", 1)) as pool:
        return list(pool.map(one, items))
