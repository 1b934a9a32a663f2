"""Keys of content that are made only where two tracks look alike, so that a track of its own is never hashed."""

from __future__ import annotations

from collections.abc import Callable, Hashable

import torch
from torch import Tensor
from torch.utils.weak import TensorWeakRef

from avreward.media._keys.tensors import ContentKey, tensor_key, version_of

_SAMPLES = 256  # values of a tensor that are looked at
_GOLDEN = 0.6180339887498949  # multiples of it, less their whole part, lie evenly between 0 and 1 without a period


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
        self._glance, self._key, self._hash = glance, key, hash(glance)

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        if not isinstance(other, LateKey) or self._glance != other._glance:
            return False
        key = self._key()
        return key is not None and key == other._key()

    def __hash__(self) -> int:
        return self._hash


def late_tensor_key(tensor: Tensor, clock: float | Tensor, content: ContentKey) -> LateKey:
    """Return the key of a tensor without a graph, with its rate or times; `content` makes the whole one.

    It doesn't keep the tensor alive. For a tensor that is gone or was changed it is what that was hashed to before; if
    it wasn't, the key equals no other.
    """
    timing, now = tensor_key(clock), version_of(tensor)
    if now is None or not tensor.untyped_storage().resizable():
        # Of an inference tensor torch doesn't count the changes, nor those that NumPy makes in memory that it shares.
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
    share = torch.arange(_SAMPLES, dtype=torch.float64, device=tensor.device) * _GOLDEN % 1
    place = torch.unravel_index((share * tensor.numel()).long(), tensor.shape)
    return tensor_key(tensor.detach()[place], *tensor.shape)
