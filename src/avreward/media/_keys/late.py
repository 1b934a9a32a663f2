"""Keys of content that are made only where two tracks look alike, so that a track of its own is never hashed."""

from __future__ import annotations

from collections.abc import Callable, Hashable

import torch
from torch import Tensor
from torch.utils.weak import TensorWeakRef

from avreward.media._keys.tensors import ContentKey, tensor_key, version_of

_SAMPLES = 256  # values of a tensor that are looked at
_STRIDES = (7919, 6007, 4001, 2003, 1009)  # primes, so that the values lie all over it


class LateKey:
    """Equal where the content is: tracks with an equal `glance` are compared by their whole `key`.

    Args:
        glance: what is known of the content at once; equal content has equal ones.
        key: returns the key of the whole content, or `None` where it can't be known any more.

    >>> first, same, other = (LateKey(len(word), lambda word=word: word) for word in ("dog", "dog", "cat"))
    >>> first == same, hash(first) == hash(other), first == other
    (True, True, False)
    """

    def __init__(self, glance: Hashable, key: Callable[[], str | None]) -> None:
        self._glance, self._key = glance, key

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        if not isinstance(other, LateKey) or self._glance != other._glance:
            return False
        key = self._key()
        return key is not None and key == other._key()

    def __hash__(self) -> int:
        return hash(self._glance)


def late_tensor_key(tensor: Tensor, clock: float | Tensor, content: ContentKey) -> LateKey:
    """Return the key of a tensor without a graph, with its rate or times; `content` makes the whole one.

    It doesn't keep the tensor alive: once that is gone or was changed, the key equals those that were compared before.
    """
    timing, now = tensor_key(clock), version_of(tensor)
    if now is None:  # torch doesn't count the changes of an inference tensor
        whole = content.of(tensor, clock)
        return LateKey((_glance(tensor), timing), lambda: whole)
    return LateKey((_glance(tensor), timing), _TensorContent(tensor, now, clock, content))


class _TensorContent:
    """Makes the key of a tensor's content when it is first asked for, if the tensor is still what it was."""

    def __init__(self, tensor: Tensor, state: int, clock: float | Tensor, content: ContentKey) -> None:
        self._tensor, self._state = TensorWeakRef(tensor), state
        self._clock, self._content = clock, content
        self._known = content.known(tensor, clock)

    def __call__(self) -> str | None:
        if self._known is None:
            tensor = self._tensor()
            if tensor is not None and version_of(tensor) == self._state:
                self._known = self._content.of(tensor, self._clock)
        return self._known


def _glance(tensor: Tensor) -> str:
    """Return a key of a tensor's shape, dtype and some of its values, wherever they lie in memory."""
    number = torch.arange(_SAMPLES, device=tensor.device)
    place = tuple(number * stride % size for stride, size in zip(_STRIDES, tensor.shape, strict=False))
    return tensor_key(tensor.detach()[place], *tensor.shape)
