"""Keys of tensors and texts, by their content, and of a tensor itself."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from hashlib import blake2b

import torch
from torch import Tensor
from torch.utils.weak import TensorWeakRef

BYTES = 16  # of a key
_PIECE = 2**24  # elements hashed at once, so that a tensor on a GPU is copied piece by piece


class SameTensor:
    """Equal only for one tensor that was not changed in between: tensors of equal values may have different graphs.

    It does not keep the tensor alive. Changes in place count where torch counts them: not those of ``tensor.data``, or
    of a NumPy array that shares the memory.
    """

    def __init__(self, tensor: Tensor) -> None:
        self._tensor, self._id = TensorWeakRef(tensor), id(tensor)
        version = version_of(tensor)
        self._state = tensor_key(tensor) if version is None else version

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        if not isinstance(other, SameTensor) or (self._id, self._state) != (other._id, other._state):
            return False
        tensor = self._tensor()  # the identity of a tensor that is gone may have passed to another one
        return tensor is not None and tensor is other._tensor()

    def __hash__(self) -> int:
        return hash((self._id, self._state))


class ContentKey:
    """Keeps the `tensor_key` of a track's parts until one of its tensors is changed in place."""

    def __init__(self) -> None:
        self._known: tuple[tuple[int | None, ...], str] | None = None

    def of(self, *parts: Tensor | float | int | str) -> str:
        """Return ``tensor_key(*parts)``; call it with the same parts each time."""
        known = self.known(*parts)
        if known is None:
            known = tensor_key(*parts)
            self._known = _versions(parts), known
        return known

    def known(self, *parts: Tensor | float | int | str) -> str | None:
        """Return ``tensor_key(*parts)`` if it was made already, and no tensor was changed since."""
        versions, known = _versions(parts), self._known
        return known[1] if known is not None and None not in versions and known[0] == versions else None


def _versions(parts: Sequence[object]) -> tuple[int | None, ...]:
    return tuple(version_of(part) for part in parts if isinstance(part, Tensor))


def version_of(tensor: Tensor) -> int | None:
    """Return how often a tensor was changed in place; `None` for an inference tensor, where torch does not count."""
    return None if tensor.is_inference() else tensor._version


def text_key(text: str) -> str:
    """Return a key of a text.

    >>> text_key("a dog barks") == text_key("a dog barks")
    True
    """
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=BYTES).hexdigest()


def tensor_key(*parts: Tensor | float | int | str) -> str:
    """Return a key of tensors (content, shape, dtype) and numbers.

    >>> tensor_key(torch.zeros(2, 3)) == tensor_key(torch.zeros(3, 2))
    False
    """
    digest = blake2b(digest_size=BYTES)
    for part in parts:
        if not isinstance(part, Tensor):
            digest.update(repr(part).encode())
            continue
        digest.update(f"{tuple(part.shape)} {part.dtype}".encode())
        for piece in part.detach().reshape(-1).split(_PIECE):
            digest.update(piece.contiguous().cpu().view(torch.uint8).numpy())
    return digest.hexdigest()


def graph_key(tensor: Tensor, attached: Tensor | None, clock: float | Tensor) -> Hashable:
    """Return a key of the tensor itself, with its rate or times: equal values on two nodes must not share work.

    `attached` is the tensor in its graph that `tensor` was cut off from, which is a new object each time.
    """
    if attached is not None:
        return "detached", SameTensor(attached), tensor_key(clock)
    return SameTensor(tensor), tensor_key(clock)


class LazyKeys(Mapping[str, str]):
    """Keys by name, each computed when it is looked up."""

    def __init__(self, makers: Mapping[str, Callable[[], str]]) -> None:
        self._makers = makers

    def __getitem__(self, name: str) -> str:
        return self._makers[name]()

    def __iter__(self) -> Iterator[str]:
        return iter(self._makers)

    def __len__(self) -> int:
        return len(self._makers)

    def __repr__(self) -> str:
        return repr(dict(self))
