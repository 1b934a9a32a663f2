"""A module that makes a worker's decoder fail in the ways of real ones, by the name of the file."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from typing import Any

from torch import Tensor

from attacks.lies import lie
from avreward.media import _waveform
from avreward.media._isolated.messages import Message
from avreward.media._isolated.work import WORK

ENDS = {"terminated": signal.SIGTERM, "killed": signal.SIGKILL}
_real = _waveform.audio_blocks


def _blocks(index: Any) -> Iterator[Tensor]:
    name = index.stamp.path.stem
    if name == "crash":
        os.kill(os.getpid(), signal.SIGSEGV)
    if name == "hang":
        while True:
            time.sleep(1)
    if name == "eat":
        bytearray(2 << 30)
    if name in ENDS:
        os.kill(os.getpid(), ENDS[name])
    yield from _real(index)


def _evil(*_: Any) -> Iterator[Message]:
    yield Message("value", os.getcwd)  # a function, which a taken-over decoder might send


_waveform.audio_blocks = _blocks
WORK["evil"] = _evil
WORK["lie"] = lie
