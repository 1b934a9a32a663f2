"""A module that makes `signals` fail in a worker, by the name of the file."""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence

from avreward.raters.base import Sample, Work
from avreward.raters.scores import Scores
from avreward.raters.signals.rater import SignalsRater

_real = SignalsRater.rate


def _rate(rater: SignalsRater, samples: Sequence[Sample], work: Work | None = None) -> Scores:
    name = samples[0].clip.name
    if name.startswith("crash"):
        os.kill(os.getpid(), signal.SIGSEGV)
    if name.startswith("large"):
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory")
    if name.startswith("zero"):
        raise ZeroDivisionError("by\nzero")
    return _real(rater, samples, work)


SignalsRater.rate = _rate  # type: ignore[method-assign]
