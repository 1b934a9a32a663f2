"""Caches of work that clips have in common."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from avreward.raters.base import Rater

LOADED_AT_ONCE = 4  # decoded tracks kept for other clips that share them: tens of megabytes each
TOKENS_AT_ONCE = 32  # encoded ones: two for each clip of a batch, and some for the next


class Shared:
    """A small, thread-safe cache: `get(key, compute)` computes each key once, even with several threads.

    Results with and without gradients are cached separately. The cache holds the `size` keys used last, so a long run
    stays bounded. An error is raised where it arose and is not cached: who waited for the value then computes it, since
    another file may be to blame.

    >>> shared = Shared(2)
    >>> shared.get("a", lambda: 1), shared.get("a", lambda: 2)
    (1, 1)
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self._futures: OrderedDict[Hashable, Future[Any]] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: Hashable, compute: Callable[[], Any]) -> Any:
        """Return the value under `key`, computed by `compute` if it is not cached."""
        asked = key
        key = (torch.is_grad_enabled(), torch.is_inference_mode_enabled(), key)
        self._compare(key)
        with self._lock:
            future = self._futures.get(key)
            mine = future is None
            if future is None:
                future = self._futures[key] = Future()
            self._futures.move_to_end(key)
            while len(self._futures) > self.size:
                self._futures.popitem(last=False)
        if mine:
            try:
                future.set_result(compute())
            except BaseException as error:
                with self._lock:
                    if self._futures.get(key) is future:  # else it was evicted, and another thread computes it anew
                        del self._futures[key]
                future.set_exception(error)
        try:
            if not mine and future.exception() is not None:
                return self.get(asked, compute)
            return future.result()
        finally:
            del future  # or an error's traceback, and every tensor in it, would hold itself alive

    def _compare(self, key: Hashable) -> None:
        """Compare `key` with those that look alike, not under the lock: it may take hashing whole tracks, once each."""
        number = hash(key)
        with self._lock:
            alike = [other for other in self._futures if hash(other) == number]
        for other in alike:
            _ = other == key


@dataclass
class Work:
    """Caches that the clips of one call, or of one run over many files, share: decoded tracks and results.

    Attributes:
        loaded: decoded tracks.
        results: small results: measurements, embeddings.
        tokens: a track's feature tokens: about ten megabytes each in a large model.
        prefixes: beginnings of prompts that a language model has read; see `avreward.raters.lmm._decoding`.
    """

    loaded: Shared = field(default_factory=lambda: Shared(LOADED_AT_ONCE))
    results: Shared = field(default_factory=lambda: Shared(256))
    tokens: Shared = field(default_factory=lambda: Shared(TOKENS_AT_ONCE))
    prefixes: OrderedDict[Any, Any] = field(default_factory=OrderedDict)


class SharedWork:
    """The `Work` of several raters: those that decode alike (`Rater.decoding`) have one in common.

    Args:
        loaded: how many decoded tracks each `Work` keeps.

    Example:
        >>> work = SharedWork()
        >>> rewards = [reward.evaluate([clip], work=work) for clip in clips]  # what the clips share is computed once
    """

    def __init__(self, loaded: int = LOADED_AT_ONCE) -> None:
        self._loaded = loaded
        self._each: dict[Hashable, Work] = {}

    def of(self, rater: Rater) -> Work:
        """Return the work of one rater."""
        return self._each.setdefault(rater.decoding, Work(loaded=Shared(self._loaded)))
