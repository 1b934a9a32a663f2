import tracemalloc
from collections import Counter
from dataclasses import replace
from itertools import islice
from pathlib import Path

import pytest
import torch

from avreward.datasets.synthetic._all_kinds import ALL_PERTURBATIONS
from avreward.datasets.synthetic._pair_sources import SCENARIOS, PairSource
from avreward.datasets.synthetic._perturb_text import meaningful
from avreward.datasets.synthetic.av_pairs import (
    AGAV_ITEMS,
    PAIR_RECIPES,
    PairKind,
    missing_package,
    pair_recipe,
    plan_pairs,
)
from avreward.errors import ArgumentError

EVERYTHING = frozenset({"video", "audio", "prompt", "texts.words", "texts.speech"})
CAPTIONS = ("a red dog barks", "a man plays the piano", "two cars race", "rain falls on a black roof")


def source(
    number: int, has: frozenset[str] = EVERYTHING, category: str | None = None, scenario: str = "audio-video"
) -> PairSource:
    caption = CAPTIONS[number % len(CAPTIONS)]
    return PairSource(Path(f"clips/{number}.mp4"), has, 17.0, caption, {}, category, scenario, meaningful(caption))


def test_each_recipe_has_known_kinds() -> None:
    for name, kinds in PAIR_RECIPES.items():
        assert len({kind.name for kind in kinds}) == len(kinds), name
        assert all(ALL_PERTURBATIONS[kind.perturbation.name] is kind.perturbation for kind in kinds)
    assert {kind.name for kind in PAIR_RECIPES["all"]} == set(ALL_PERTURBATIONS)


def test_a_longer_plan_begins_with_the_shorter_and_a_resumed_one_goes_on() -> None:
    sources, kinds = [source(n) for n in range(7)], pair_recipe("avbench")
    plan = list(plan_pairs(sources, kinds, 300, seed=5))
    assert list(plan_pairs(sources, kinds, 100, seed=5)) == plan[:100]
    assert list(plan_pairs(sources, kinds, 300, seed=5, start=250)) == plan[250:]
    assert list(plan_pairs(sources, kinds, 300, seed=6)) != plan
    assert list(islice(plan_pairs(sources, kinds, seed=5), 300)) == plan
    assert len({spec.name for spec in plan}) == 300


def test_kinds_have_their_shares_and_everything_varies() -> None:
    sources, kinds = [source(n) for n in range(7)], pair_recipe("avbench")
    plan = list(plan_pairs(sources, kinds, 2000))
    total = sum(kind.share for kind in kinds)
    counts = Counter(spec.kind.name for spec in plan)
    for kind in kinds:
        assert abs(counts[kind.name] - 2000 * kind.share / total) < 6, kind.name
    assert min(Counter(spec.source.path for spec in plan).values()) > 200
    assert {spec.start for spec in plan} == {0.0, 5.0, 10.0}  # a window fits three times into 17 s
    assert 800 < sum(spec.original_first for spec in plan) < 1200
    for spec in plan:
        if spec.kind.severities is None:
            assert (spec.severity, spec.strength, spec.subset) == (None, None, "easy")
            continue
        low, high = sorted(spec.kind.severities)
        assert spec.severity is not None
        assert spec.strength is not None
        assert low <= spec.severity <= high
        assert (spec.subset == "hard") == (spec.strength < 0.5)
    graded = [spec for spec in plan if spec.strength is not None]
    assert 0.35 < sum(spec.subset == "hard" for spec in graded) / len(graded) < 0.65
    assert {spec.severity for spec in plan if spec.kind.name == "attribute"} == {1.0, 2.0, 3.0}


def test_a_milder_severity_is_hard() -> None:
    plan = list(plan_pairs([source(0)], [PairKind(ALL_PERTURBATIONS["noise"])], 100))
    noise = {name: [s.severity for s in plan if s.subset == name and s.severity] for name in ("hard", "easy")}
    assert min(noise["hard"]) > max(noise["easy"])  # dB of signal to noise


def test_partners_fit() -> None:
    sources = [source(n, category="ab"[n % 2]) for n in range(8)]
    for spec in plan_pairs(sources, pair_recipe("all", ["swapped", "caption"]), 200):
        assert spec.other is not None
        if spec.kind.name == "swapped":
            assert spec.other.category != spec.source.category
        else:
            assert not meaningful(spec.source.prompt or "") & meaningful(spec.other.prompt or "")
    same = [source(n, category="a") for n in range(3)]
    with pytest.raises(ArgumentError, match="nor do clips of one category"):
        plan_pairs(same, pair_recipe("all", ["swapped"]), 5)


def test_dubs_of_one_video_are_no_partners() -> None:
    """Known by the key of a track, or by the first frame where the video was encoded anew."""
    dice = torch.Generator().manual_seed(0)
    looks = [bytes(torch.randint(256, (256,), generator=dice).tolist()) for _ in range(2)]
    near = bytes(min(255, level + 2) for level in looks[0])
    dubs = [
        replace(source(n), content=content, look=look)
        for n, (content, look) in enumerate(
            [(frozenset("a"), b""), (frozenset("a"), looks[0]), (frozenset("b"), near), (frozenset("c"), looks[1])]
        )
    ]
    same = [[one.same_content(other) for other in dubs] for one in dubs]
    assert same == [
        [True, True, False, False], [True, True, True, False], [False, True, True, False], [False, False, False, True]
    ]  # fmt: skip
    for spec in plan_pairs(dubs, pair_recipe("all", ["swapped", "caption", "event"]), 100):
        assert spec.other is not None
        assert not spec.source.same_content(spec.other)
    with pytest.raises(ArgumentError, match="dubs of one video do not count"):
        next(plan_pairs(dubs[:2], pair_recipe("all", ["swapped"]), 3))
    kinds = {spec.kind.name for spec in plan_pairs(dubs[:2], pair_recipe("all", ["swapped", "noise"]), 9)}
    assert kinds == {"noise"}


def test_agav_raters_items() -> None:
    """Half of each scenario is about content, half about quality; a pair is two items."""
    sources = [source(n, scenario=SCENARIOS[n % 3]) for n in range(12)]
    count = sum(AGAV_ITEMS.values()) // 2
    counts: Counter[tuple[str, str, str]] = Counter()
    for spec in plan_pairs(sources, pair_recipe("agav_rater"), count):
        counts[spec.source.scenario, spec.kind.perturbation.name, spec.kind.dimension] += 1
        assert spec.other is None or spec.other.scenario == spec.source.scenario
    wanted = {
        ("audio-video", "swapped", "av_consistency"): 6398, ("audio-video", "reversed", "audio_quality"): 6398,
        ("audio-text", "caption", "audio_text"): 4750, ("audio-text", "reversed", "audio_quality"): 4750,
        ("music-text", "caption", "audio_text"): 1500, ("music-text", "reversed", "audio_quality"): 1500,
    }  # fmt: skip
    assert counts.keys() == wanted.keys()
    assert all(abs(counts[key] - wanted[key]) <= 3 for key in wanted)


def test_memory_does_not_grow_with_the_plan() -> None:
    sources, kinds = [source(n) for n in range(7)], pair_recipe("avbench")
    tracemalloc.start()
    for spec in plan_pairs(sources, kinds, 1000):
        if spec.number == 100:
            tracemalloc.reset_peak()
            before = tracemalloc.get_traced_memory()[0]
    grown = tracemalloc.get_traced_memory()[1] - before
    tracemalloc.stop()
    assert grown < 50_000


def test_kinds_that_fit_no_clip_are_left_out_and_told_if_none_does() -> None:
    sound = [source(n, frozenset({"audio"})) for n in range(3)]
    found = {spec.kind.name for spec in plan_pairs(sound, pair_recipe("all"), 200)}
    assert {"noise", "swapped", "background"} <= found
    assert not found & {"blur", "words_dropped", "attribute", "caption", "lips", "other_moment"}
    with pytest.raises(
        ArgumentError, match=r"^kinds: expected a kind that fits the clips, got only words_dropped \(audio, t"
    ):
        plan_pairs(sound, pair_recipe("all", ["words_dropped"]), 5)
    with pytest.raises(ArgumentError, match="expected a kind that fits"):
        plan_pairs(sound[:1], pair_recipe("all", ["swapped"]), 5)


def test_wrong_arguments() -> None:
    with pytest.raises(ArgumentError, match="did you mean 'avbench'"):
        pair_recipe("avbnch")
    with pytest.raises(ArgumentError, match="did you mean 'shift'"):
        pair_recipe("all", ["shft"])
    for wrong in ({"seconds": 0}, {"count": 0}):
        with pytest.raises(ArgumentError, match=f"^{next(iter(wrong))}: expected a positive"):
            plan_pairs([source(0)], pair_recipe("all"), **wrong)  # type: ignore[arg-type]


def test_without_an_optional_package_its_kinds_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("avreward.datasets.synthetic.av_pairs.find_spec", lambda name: None)
    names = {kind.name for kind in pair_recipe("all")}
    assert set(ALL_PERTURBATIONS) - names == {"speaker", "gender", "lips"}
    (asked,) = pair_recipe("all", ["gender"])
    assert missing_package(asked) == "pyworld"


def test_a_rewriter_takes_prompts_without_listed_attributes() -> None:
    plain = [PairSource(Path("a.mp4"), EVERYTHING, 2.0, "it goes on", {}, None, "audio-video", frozenset())]
    with pytest.raises(ArgumentError, match="expected a kind that fits"):
        plan_pairs(plain, pair_recipe("all", ["attribute"]), 1)
    (spec,) = plan_pairs(plain, pair_recipe("all", ["attribute"], lambda prompt, count: "else"), 1)
    assert spec.kind.name == "attribute"
