"""Preference pairs of real clips and of controlled defects: which ones, planned lazily from a seed.

A plan is separate from the clips: 300 000 pairs are planned in seconds and in constant memory; `render_pairs` writes
them. Each pair depends on the seed and its number alone, so that a longer plan begins with the shorter one.
"""

from __future__ import annotations

import math
import random
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.util import find_spec
from itertools import accumulate, combinations, islice
from itertools import count as numbers
from types import MappingProxyType
from typing import Literal

from avreward.datasets.synthetic._all_kinds import ALL_PERTURBATIONS
from avreward.datasets.synthetic._pair_sources import PairSource
from avreward.datasets.synthetic._perturb_text import Rewrite, attributes_of, rewritten_by
from avreward.datasets.synthetic._perturbations import Partner, Perturbation
from avreward.errors import ArgumentError, Described, unknown_name

TRIES = 64  # partners drawn for a pair before it is given up
SECONDS = 5.0  # length of a window
_GOLDEN = (math.sqrt(5) - 1) / 2
_LOOKED = 10_000  # pairs of clips that are tried before a kind counts as one that no two of them fit
_WHOLE = ("attributes",)  # units that are counted


@dataclass(frozen=True)
class PairKind:
    """One kind of pairs: a defect, the dimension that it is a question of, and how often it is made.

    Attributes:
        perturbation: the defect.
        dimension: what the pair is about; the perturbation's own by default.
        share: how often it is made, relative to the other kinds.
        severities: mildest and strongest (*optional*, those of the perturbation); drawn between them, by ratio.
        scenarios: the clips that it is made of; all by default.
        name: its name in a recipe; the perturbation's by default.
    """

    perturbation: Perturbation
    dimension: str = ""
    share: float = 1.0
    severities: tuple[float, float] | None = None
    scenarios: tuple[str, ...] = ()
    name: str = ""

    def __post_init__(self) -> None:
        ends = self.perturbation.severities
        object.__setattr__(self, "dimension", self.dimension or self.perturbation.dimension)
        object.__setattr__(self, "name", self.name or self.perturbation.name)
        if self.severities is None and ends:
            object.__setattr__(self, "severities", (ends[0], ends[-1]))

    def fits(self, source: PairSource) -> bool:
        """Return whether the defect can be made of a clip, by what it has."""
        needs = {self.perturbation.track, *self.perturbation.needs}
        return needs <= source.has and (not self.scenarios or source.scenario in self.scenarios)


def _kinds(*entries: tuple[str, str, float] | tuple[str, str, float, tuple[float, float]]) -> tuple[PairKind, ...]:
    return tuple(PairKind(ALL_PERTURBATIONS[name], *rest) for name, *rest in entries)  # type: ignore[arg-type]


def _published(scenario: str, items: int, other: str, dimension: str) -> tuple[PairKind, PairKind]:
    """Return AGAV-Rater's two halves of a scenario: other content, and reversed audio."""
    return tuple(
        PairKind(ALL_PERTURBATIONS[name], about, items / 4, None, (scenario,), f"{scenario} {name}")
        for name, about in ((other, dimension), ("reversed", "audio_quality"))
    )  # type: ignore[return-value]


AGAV_ITEMS = {"audio-video": 25_592, "audio-text": 19_000, "music-text": 6_000}
"""Items that AGAV-Rater was pretrained on, half of them of each question. The paper gives 50,952 in all."""
PAIR_RECIPES: Mapping[str, tuple[PairKind, ...]] = MappingProxyType(
    {
        # Voice, words, timing, lips, sounds, prompts, defects of video: the paper names the kinds, not their shares.
        "avbench": _kinds(
            ("speaker", "audio_video", 1), ("gender", "audio_video", 1),
            ("words_dropped", "speech_content", 1), ("words_replaced", "speech_content", 1),
            ("shift", "lip_sync", 2, (0.08, 1.2)), ("lips", "lip_sync", 1), ("other_moment", "lip_sync", 1),
            ("swapped", "audio_video", 1), ("event", "audio_video", 1), ("background", "audio_video", 1),
            ("attribute", "video_text", 2), ("caption", "video_text", 1),
            ("blur", "video_technical", 0.5), ("picture_noise", "video_technical", 0.5),
            ("blockiness", "video_technical", 0.5), ("flicker", "video_technical", 0.5),
            ("frozen", "video_technical", 0.5), ("shuffled", "video_technical", 0.5),
        ),
        "agav_rater": (
            *_published("audio-video", AGAV_ITEMS["audio-video"], "swapped", "av_consistency"),
            *_published("audio-text", AGAV_ITEMS["audio-text"], "caption", "audio_text"),
            *_published("music-text", AGAV_ITEMS["music-text"], "caption", "audio_text"),
        ),
        "all": tuple(PairKind(one) for one in ALL_PERTURBATIONS.values()),
    }
)  # fmt: skip
"""Name → the kinds of pairs of a paper, or all kinds."""


@dataclass(frozen=True, slots=True)
class PairSpec:
    """One planned pair: a window of a real clip, and the same with one defect.

    Attributes:
        number: its place in the plan, from 0.
        kind: what is done.
        source: the clip.
        start: of the window in s.
        seconds: length of the window.
        severity: of the defect; `None` if it has none.
        strength: where the severity lies between the mildest, 0, and the strongest, 1; `None` without severity.
        subset: "hard" for the milder half of the severities, "easy" for the rest.
        other: the clip that something is taken from (*optional*).
        seed: of the defect's random choices.
        original_first: whether the real clip is the first of the two.
    """

    number: int
    kind: PairKind
    source: PairSource
    start: float
    seconds: float
    severity: float | None
    strength: float | None
    subset: Literal["easy", "hard"]
    other: PairSource | None
    seed: int
    original_first: bool

    @property
    def name(self) -> str:
        """A name that no other pair of the plan has."""
        return f"{self.number:06d}-{self.kind.name.replace(' ', '-')}"


def pair_recipe(name: str, kinds: Sequence[str] = (), rewrite: Rewrite | None = None) -> tuple[PairKind, ...]:
    """Return the kinds of pairs of a recipe, without those whose optional package is not installed.

    Args:
        name: a key of `PAIR_RECIPES`.
        kinds: these instead: names of the recipe, or keys of `ALL_PERTURBATIONS` (*optional*).
        rewrite: changes attributes of prompts instead of the word lists, such as a language model (*optional*).

    Raises:
        ArgumentError: for an unknown name.

    Example:
        >>> [kind.name for kind in pair_recipe("all", ["shift", "blur"])]
        ['shift', 'blur']
    """
    if name not in PAIR_RECIPES:
        raise unknown_name("recipe", name, PAIR_RECIPES)
    found = {kind.name: kind for kind in PAIR_RECIPES[name]}
    known = {**{one: PairKind(it) for one, it in ALL_PERTURBATIONS.items()}, **found}
    for kind in kinds:
        if kind not in known:
            raise unknown_name("kind", kind, known)
    chosen = [known[kind] for kind in dict.fromkeys(kinds)]
    chosen = chosen or [kind for kind in found.values() if not missing_package(kind)]
    if rewrite is not None:
        by_model = rewritten_by(rewrite)
        chosen = [replace(k, perturbation=by_model) if k.perturbation.name == "attribute" else k for k in chosen]
    return tuple(chosen)


def missing_package(kind: PairKind) -> str | None:
    """Return the optional package that a kind takes, if it is not installed."""
    package = kind.perturbation.package
    return package if package and find_spec(package) is None else None


def plan_pairs(
    sources: Sequence[PairSource], kinds: Sequence[PairKind], count: int | None = None, seed: int = 0,
    seconds: float = SECONDS, start: int = 0,
) -> Iterator[PairSpec]:  # fmt: skip
    """Yield planned pairs, one after the other; nothing is decoded, and memory does not grow with their number.

    Kinds come in proportion to their shares; clip, window, severity, partner and sides are drawn from `seed` and the
    pair's number. Kinds that no clip fits are left out; a pair for which no partner is found is skipped, so that
    numbers may be missing. No partner holds the same video or audio: dubs of one video do not stand for each other.

    Args:
        sources: see `pair_sources`.
        kinds: see `pair_recipe`.
        count: how many numbers to go through (*optional*, without end).
        seed: of all random choices.
        seconds: length of the windows; a shorter clip is taken whole.
        start: the number to begin with, as when a run is resumed.

    Raises:
        ArgumentError: if no kind fits any clip, or `seconds` or `count` is not positive.

    Example:
        >>> from avreward.datasets import pair_sources
        >>> from avreward.scoring import list_clips
        >>> sources = pair_sources(list_clips("dub*.mp4"))
        >>> [spec.name for spec in plan_pairs(sources, pair_recipe("all", ["noise", "shift"]), 3)]
        ['000000-noise', '000001-shift', '000002-shift']
    """
    if not seconds > 0:
        raise ArgumentError("seconds", "a positive number", seconds)
    if count is not None and count < 1:
        raise ArgumentError("count", "a positive integer", count)
    fitting = fitting_kinds(sources, kinds)
    if not fitting:
        wanted = ", ".join(
            f"{kind.name} ({', '.join((kind.perturbation.track, *kind.perturbation.needs))})" for kind in kinds
        )
        remedy = (
            "give clips that have it, of other content where sound or a prompt of another is taken (dubs of one video "
            "do not count, nor do clips of one category or with a noun in common), or choose other kinds"
        )
        raise ArgumentError("kinds", "a kind that fits the clips", Described(f"only {wanted}"), remedy)
    return _planned(fitting, range(start, count) if count is not None else numbers(start), seed, seconds)


def fitting_kinds(sources: Sequence[PairSource], kinds: Sequence[PairKind]) -> list[tuple[PairKind, list[PairSource]]]:
    """Return the kinds that can be made of the clips, each with its clips."""
    fitting = [(kind, [one for one in sources if kind.fits(one) and _usable(kind, one)]) for kind in kinds]
    return [(kind, found) for kind, found in fitting if found and _has_partners(kind, found)]


def _planned(
    fitting: Sequence[tuple[PairKind, Sequence[PairSource]]], places: Iterable[int], seed: int, seconds: float
) -> Iterator[PairSpec]:
    ends = list(accumulate(kind.share for kind, _ in fitting))
    for number in places:
        # Multiples of the golden ratio: at any length of the plan, each kind has its share to within a few pairs.
        which = bisect_right(ends, (number + 0.5) * _GOLDEN % 1 * ends[-1])
        kind, sources = fitting[min(which, len(fitting) - 1)]
        dice = random.Random(f"{seed} {number}")  # noqa: S311  # reproducible, not secret
        source = sources[dice.randrange(len(sources))]
        other = _partner(kind, source, sources, dice) if kind.perturbation.needs_other else None
        if other is None and kind.perturbation.needs_other:
            continue
        windows = max(1, int(source.seconds / seconds + 1e-6))
        severity, strength = _severity(kind, dice)
        subset: Literal["easy", "hard"] = "hard" if strength is not None and strength < 0.5 else "easy"
        yield PairSpec(
            number, kind, source, dice.randrange(windows) * seconds, min(seconds, source.seconds), severity, strength,
            subset, other, dice.getrandbits(31), dice.random() < 0.5,
        )  # fmt: skip


def _severity(kind: PairKind, dice: random.Random) -> tuple[float | None, float | None]:
    """Return a severity, drawn by ratio between the mildest and the strongest, and where it lies between them."""
    if kind.severities is None:
        return None, None
    mild, strong = kind.severities
    strength = dice.random()
    severity = mild * (strong / mild) ** strength
    if kind.perturbation.unit in _WHOLE:
        severity = float(round(severity))
        strength = math.log(severity / mild) / math.log(strong / mild) if strong != mild else strength
    return round(severity, 4), round(strength, 4)


def _partner(
    kind: PairKind, source: PairSource, sources: Sequence[PairSource], dice: random.Random
) -> PairSource | None:
    for _ in range(TRIES):
        other = sources[dice.randrange(len(sources))]
        if other is not source and _fit_together(kind.perturbation.partner, source, other):
            return other
    return None


def _has_partners(kind: PairKind, sources: Sequence[PairSource]) -> bool:
    """Return whether any two clips fit together, where something is taken from another; the first ones are tried."""
    if not kind.perturbation.needs_other:
        return True
    tried = islice(combinations(sources, 2), _LOOKED)
    return any(_fit_together(kind.perturbation.partner, source, other) for source, other in tried)


def _fit_together(partner: Partner, source: PairSource, other: PairSource) -> bool:
    if source.same_content(other):
        return False
    if partner == "caption":
        return not source.meaning & other.meaning
    if partner == "category":
        if source.category and other.category:
            return source.category != other.category
        return not source.meaning & other.meaning
    return True


def _usable(kind: PairKind, source: PairSource) -> bool:
    """Return whether the word lists find something in the prompt, where they are what changes it."""
    by_lists = kind.perturbation is ALL_PERTURBATIONS["attribute"]
    return not by_lists or bool(attributes_of(source.prompt or ""))
