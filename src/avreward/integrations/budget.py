"""A limit on what a paid service may cost, kept on disk so that it holds over several runs."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from numbers import Real
from os import PathLike
from pathlib import Path
from threading import Lock
from typing import TextIO

from avreward._parsing import parsed_json
from avreward.errors import ArgumentError
from avreward.generators.base import GeneratorStopped

LEDGER = "spent.jsonl"


class Budget:
    """What requests to a paid service may cost in all. Every one is charged before it is sent.

    Args:
        folder: where a line is written for each request (*optional*). All runs with this folder count them, later ones
            and those at the same time (on Windows, two at the very same moment may miss each other).
        credits: of the service, in all; 0 or more.
        calls: requests in all, those included that failed and were sent again.

    Example:
        >>> budget = Budget(credits=100, calls=10)
        >>> budget.charge(80)
        >>> budget.settle(80, 65)                       # it cost less
        >>> budget.spent, budget.made
        (65.0, 1)
        >>> budget.charge(40)
        Traceback (most recent call last):
        ...
        avreward.generators.base.GeneratorStopped: budget: 65 of 100 credits are spent, and the next request may cost
        40...
    """

    def __init__(
        self, folder: str | PathLike[str] | None = None, *, credits: float = 20_000, calls: int = 1_000
    ) -> None:
        for name, limit in (("credits", credits), ("calls", calls)):
            if not isinstance(limit, Real) or isinstance(limit, bool) or not limit >= 0:
                raise ArgumentError(name, "a number, at least 0", limit)
        self.credits, self.calls = credits, calls
        self.spent, self.made = 0.0, 0
        self._lock = Lock()
        self._ledger = None if folder is None else Path(folder) / LEDGER
        if self._ledger is not None and self._ledger.exists():
            with self._ledger.open(encoding="utf-8") as file:
                self._read(file)

    def charge(self, credits: float) -> None:
        """Count a request that may cost `credits`, unless that is more than the limit.

        Raises:
            GeneratorStopped: if it would exceed the limit; nothing is counted then.
        """
        with self._opened() as file:
            where = "" if self._ledger is None else f" (counted in {self._ledger})"
            if self.made + 1 > self.calls:
                raise GeneratorStopped(f"budget: all {self.calls} calls are made{where}; allow more, or stop here")
            if self.spent + credits > self.credits:
                told = f"{self.spent:g} of {self.credits:g} credits are spent"
                cost = f"the next request may cost {credits:g}"
                raise GeneratorStopped(f"budget: {told}, and {cost}{where}; allow more, or stop here")
            self._count(file, credits, 1)

    def settle(self, charged: float, cost: float) -> None:
        """Correct what a request was charged with, now that its cost is known."""
        if cost != charged:
            with self._opened() as file:
                self._count(file, cost - charged, 0)

    @contextmanager
    def _opened(self) -> Iterator[TextIO | None]:
        """Open the ledger and read it; until it is closed, no other thread, budget or process uses it."""
        with self._lock:
            if self._ledger is None:
                yield None
                return
            self._ledger.parent.mkdir(parents=True, exist_ok=True)
            with self._ledger.open("a+", encoding="utf-8") as file:
                if sys.platform != "win32":
                    from fcntl import LOCK_EX, flock

                    flock(file, LOCK_EX)
                file.seek(0)
                self._read(file)
                yield file

    def _read(self, file: TextIO) -> None:
        spent, made = 0.0, 0
        for number, line in enumerate(file, 1):
            try:
                entry = parsed_json(line)
                spent += entry["credits"]
                made += entry["calls"]
                if not math.isfinite(spent):
                    raise ValueError
            except (ValueError, TypeError, KeyError) as error:
                where = f"{self._ledger}, line {number}"
                remedy = "correct the line, so that the limit holds"
                raise ArgumentError(where, "an entry with a cost", line[:40], remedy) from error
        self.spent, self.made = spent, made

    def _count(self, file: TextIO | None, credits: float, calls: int) -> None:
        if file is not None:
            file.write(json.dumps({"credits": credits, "calls": calls}) + "\n")
            file.flush()
        self.spent += credits
        self.made += calls
