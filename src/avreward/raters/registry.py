"""Registry of raters: those of the package, of the user, and of installed packages."""

from __future__ import annotations

import copy
import inspect
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from fnmatch import fnmatchcase
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import TYPE_CHECKING, Any, TypeVar, overload

from avreward.errors import ArgumentError, AvrewardError, Described, unknown_name
from avreward.raters.agav._card import CARD as AGAV
from avreward.raters.aigv_assessor._card import CARD as AIGV_ASSESSOR
from avreward.raters.aigveval._card import CARD as AIGVEVAL
from avreward.raters.avbench._audio_cards import AUDIO_CARDS
from avreward.raters.avbench._card import CARD as AVBENCH
from avreward.raters.avbench._video_cards import VIDEO_CARDS
from avreward.raters.card import UNKNOWN, RaterCard
from avreward.raters.dover._card import CARD as DOVER
from avreward.raters.embedding._card import CARD as EMBEDDING
from avreward.raters.listener._card import CARD as LISTENER
from avreward.raters.listener._student_card import CARD as STUDENT
from avreward.raters.remote._card import CARD as REMOTE
from avreward.raters.signals._card import CARD as SIGNALS
from avreward.raters.stereo._card import CARD as STEREO
from avreward.raters.sync._card import CARD as SYNC
from avreward.raters.video_reward._card import CARD as VIDEO_REWARD
from avreward.raters.zero_shot._card import CARD as PUBLIC

if TYPE_CHECKING:
    from avreward.raters.base import Rater

ENTRY_POINTS = "avreward.raters"
"""The group of entry points in which an installed package names its raters."""

# The order in which layouts are tried: a folder of VideoReward may also say that it is a Qwen2-VL.
CARDS = (
    SIGNALS,
    STEREO,
    VIDEO_REWARD,
    SYNC,
    AVBENCH,
    AGAV,
    AIGV_ASSESSOR,
    DOVER,
    AIGVEVAL,
    *VIDEO_CARDS,  # before EMBEDDING: SigLIP's files may be beside the head
    PUBLIC,
    EMBEDDING,
    *AUDIO_CARDS,
    LISTENER,
    STUDENT,
    REMOTE,
)
"""The raters that come with the package."""

_registered: dict[str, tuple[RaterCard, object]] = {}  # name → card, and what it was made from

Maker = TypeVar("Maker", bound="type[Rater] | Rater | Callable[..., Rater]")


@overload
def register_rater(name: str, /, *, licence: str = UNKNOWN, checkpoint: str = "") -> Callable[[Maker], Maker]: ...
@overload
def register_rater(name: str, rater: Maker, /, *, licence: str = UNKNOWN, checkpoint: str = "") -> Maker: ...
def register_rater(name: str, rater: Any = None, /, *, licence: str = UNKNOWN, checkpoint: str = "") -> Any:
    """Register a rater of your own under a name, as a decorator or by a call.

    Then `load_rater`, ``--rater``, expressions and reward files know the name, in this process. An installed package
    names its raters as entry points of the group ``avreward.raters`` instead (name → a class, a function that
    makes a rater, a rater, or a `RaterCard`).

    Args:
        name: as in ``load_rater(name)`` and ``name.dimension``; an identifier that no other rater has.
        rater: the class, a function that makes a rater, or a rater (*optional*: without it, a decorator is returned).
        licence: of its weights or code.
        checkpoint: where its weights come from; empty if it has none.

    Returns:
        `rater` itself.

    Raises:
        ArgumentError: for a name that is taken or is not an identifier, or an object that does not make a rater.

    Example:
        >>> from avreward.raters import term
        >>> @register_rater("loudest")
        ... @term(needs="audio", low=0, high=1)
        ... def loudest(clip):
        ...     return clip.sound().abs().amax()
        >>> load_rater("loudest")([clip])["loudest"].shape
        torch.Size([1])
    """
    if rater is None:
        return lambda found: register_rater(name, found, licence=licence, checkpoint=checkpoint)
    if not isinstance(name, str) or not name.isidentifier():
        raise ArgumentError("name", "an identifier, such as 'warmth'", name)
    if any(name == card.name for card in CARDS):
        raise ArgumentError("name", "one that no rater of avreward has", name, "choose another")
    if name in _registered and not _redefined(_registered[name][1], rater):
        raise ArgumentError("name", "one that is not registered yet", name, "choose another")
    _registered[name] = (_card(name, rater, licence, checkpoint), rater)
    return rater


def list_raters(pattern: str = "*") -> list[RaterCard]:
    """Return the card of each rater, without loading it: name, dimensions, needs, licence, checkpoint.

    Args:
        pattern: of the names, with ``*`` and ``?``.

    Example:
        >>> list_raters("sig*")[0]
        RaterCard(signals; dimensions: audio_quality, av_consistency, static_quality, temporal_smoothness, ...)
    """
    if not isinstance(pattern, str):
        raise ArgumentError("pattern", "a pattern of names, such as 'sig*'", pattern)
    return [card for card in cards() if fnmatchcase(card.name, pattern)]


def cards() -> Iterator[RaterCard]:
    """Yield every card: of the package, of the user, and of installed packages, which this imports."""
    yield from CARDS
    yield from (card for card, _ in list(_registered.values()))
    for point in _points():
        try:
            yield _of_point(point)
        except AvrewardError as error:  # one broken package must not hide the others
            warnings.warn(str(error), UserWarning, stacklevel=3)


def names() -> list[str]:
    """Return the names that `load_rater` knows without a checkpoint."""
    known = [card.name for card in (*CARDS, *(card for card, _ in _registered.values())) if card.make is not None]
    return [*known, *(point.name for point in _points())]


def card_of(name: str) -> RaterCard | None:
    """Return the card of the rater called `name`, `None` if there is none."""
    if card := next((card for card in CARDS if card.name == name), None):
        return card
    if name in _registered:
        return _registered[name][0]
    point = next((point for point in _points() if point.name == name), None)
    return None if point is None else _of_point(point)


def card_for(address: str) -> RaterCard | None:
    """Return the card of the raters at addresses such as this one, ``SCHEME://…``; `None` if there is none.

    Those of the package and of the user come before those of installed packages.
    """
    scheme, separator, _ = address.partition("://")
    if not separator:
        return None
    return next((card for card in cards() if card.make_from is not None and scheme.lower() in card.schemes), None)


def _points() -> list[EntryPoint]:
    taken = {card.name for card in CARDS} | _registered.keys()
    return [point for point in _installed() if point.name not in taken]


@cache
def _installed() -> tuple[EntryPoint, ...]:
    """Return the entry points; finding them reads the metadata of every installed package."""
    return tuple(entry_points(group=ENTRY_POINTS))


def _of_point(point: EntryPoint) -> RaterCard:
    try:
        found = point.load()
    except Exception as error:  # code of another package
        package = f" of the package {point.dist.name}" if point.dist is not None else ""
        reason = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
        raise AvrewardError(
            f"rater {point.name!r}{package}: it cannot be imported ({reason}); update or remove the package"
        ) from error
    if isinstance(found, RaterCard):
        return replace(found, name=point.name)
    return _card(point.name, found, UNKNOWN, "")


def _card(name: str, rater: Any, licence: str, checkpoint: str) -> RaterCard:
    known = getattr(rater, "dimensions", ())
    return RaterCard(name, known if isinstance(known, tuple) else (), licence, checkpoint, maker_of(name, rater))


def maker_of(name: str, rater: Any) -> Callable[..., Rater]:
    """Return the function that makes the rater: `rater` itself if it is a class or a function, else copies of it."""
    from avreward.raters.base import Rater

    if isinstance(rater, Rater):
        return lambda: copy.copy(rater)  # one that is loaded gets a name of its own
    if not callable(rater) or (isinstance(rater, type) and not issubclass(rater, Rater)):
        raise ArgumentError(name, "a class of Rater, a function that makes a rater, or a rater", rater)
    return rater


def make_rater(name: str, make: Callable[..., Rater], options: Mapping[str, Any]) -> Rater:
    """Return `make(**options)`; raise `ArgumentError` for wrong options, or if the result is not a rater."""
    from avreward.raters.base import Rater

    parameters = inspect.signature(make).parameters.values()
    named = [p for p in parameters if p.kind in (p.KEYWORD_ONLY, p.POSITIONAL_OR_KEYWORD)]
    if not any(p.kind is p.VAR_KEYWORD for p in parameters):
        check_options(name, options, [p.name for p in named])
    lacking = next((p.name for p in named if p.default is p.empty and p.name not in options), None)
    if lacking is not None:
        got = Described("none")
        raise ArgumentError(f"{lacking} of {name}", "a value", got, "pass it, or name a function that makes the rater")
    rater = make(**options)
    if not isinstance(rater, Rater):
        raise ArgumentError(name, "an object that makes a rater", rater, "return an instance of Rater")
    return rater


def check_options(name: object, options: Mapping[str, Any], known: Sequence[str]) -> None:
    """Raise `ArgumentError` for an unknown option."""
    if options and not known:
        raise ArgumentError(f"options of {name}", "none", Described(", ".join(options)), "leave them out")
    unknown = next((key for key in options if key not in known), None)
    if unknown is not None:
        raise unknown_name(f"option of {name}", unknown, known)


def _redefined(old: Any, new: Any) -> bool:
    """Return whether `new` is `old`, or what a module that runs again, such as a notebook cell, puts in its place."""
    if old is new:
        return True
    first, second = (_origin(one) for one in (old, new))
    return first is not None and first == second


def _origin(rater: Any) -> tuple[str, str] | None:
    """Return where a class, a function or a term is defined; `None` for what has no name that tells it apart."""
    rater = getattr(rater, "function", rater)  # of a term
    name = getattr(rater, "__qualname__", "<lambda>")
    return None if "<lambda>" in name else (str(rater.__module__), str(name))
