"""Measure a reward for its card, as `avreward probe` does, and write the card."""

from __future__ import annotations

import os
import platform
import resource
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from os import PathLike
from pathlib import Path

import numpy as np
import torch

from avreward.audit._statistics import count_above, median, sd
from avreward.audit._variants import variants
from avreward.audit.ascent import Climb, climb
from avreward.audit.gradient_noise import gradient_snr
from avreward.audit.inputs import PROBES
from avreward.audit.probes import ProbeOutcome, ProbeResults, audit_evaluator, judgments, run_probes, whole_clip
from avreward.clip import Clip
from avreward.report._card_page import render_card
from avreward.report.build import own_dimension, unread_prompt
from avreward.report.card_data import AscentSummary, CardCurve, Dispersion, ProbeRow, RewardCard, ScoringCost
from avreward.report.page import write_whole
from avreward.rewards._as_reward import RewardLike, as_reward
from avreward.rewards._prompt_warning import ignores_prompt
from avreward.rewards.base import Reward
from avreward.scoring.store.store import Store
from avreward.selection.best_of_k.estimators import chosen_value

MOST_GRADIENTS = 6  # clips for gradients, an even selection: each takes about a dozen forward and backward passes
Step = Callable[[str], None]


@dataclass(frozen=True)
class _CardRun:
    """The shared inputs of all parts of a card; `clips` are the ones that were used, by name."""

    reward: Reward
    held_out: Reward | None
    clips: Mapping[str, Clip]
    probed: ProbeResults
    seed: int
    store: Store | None
    step: Step

    @property
    def sds(self) -> tuple[float | None, float | None]:
        """Standard deviations of the real clips' rewards and held-out rewards."""
        held = self.probed.held_out
        return sd(self.probed.real.values), sd(held.values) if held else None

    @property
    def few(self) -> dict[str, Clip]:
        """The clips for gradients."""
        names, count = list(self.clips), min(MOST_GRADIENTS, len(self.clips))
        return {names[i * len(names) // count]: self.clips[names[i * len(names) // count]] for i in range(count)}


def reward_card(
    reward: RewardLike,
    clips: Sequence[Clip],
    *,
    held_out: RewardLike | None = None,
    names: Sequence[str] | None = None,
    name: str = "",
    seed: int = 0,
    settings: Mapping[str, str] | None = None,
    failed: Mapping[str, str] | None = None,
    store: Store | None = None,
    step: Step = lambda doing: None,
) -> RewardCard:
    """Measure a reward: probes, best of N, gradient ascent, gradient noise and cost.

    Args:
        reward: the reward that a generator would be trained on.
        clips: real clips; about ten or more give useful intervals.
        held_out: a reward that would not be trained on (*optional*); without it, each chart has one line.
        names: of the clips (*optional*, their files' names).
        name: the card's title (*optional*, the expression).
        seed: of all random choices.
        settings: more lines for the settings (*optional*).
        failed: name of each file that could not be opened → why (*optional*).
        store: where scores are kept, so that a run that was stopped goes on; gradients and the cost are measured again
            (*optional*).
        step: called for each piece of work, `pieces` times in all, or fewer if clips are left out.

    Raises:
        AvrewardError: if no clip has a reward.

    Example:
        >>> sound = Clip(audio=clip.sound(16000, 1), sample_rate=16000)
        >>> card = reward_card(load_rater("signals")["audio_quality"], [sound])
        >>> card.beaten_by, write_card(card, "card.html")
        ([], PosixPath('card.html'))
    """
    reward, held_out = as_reward(reward), None if held_out is None else as_reward(held_out, "held_out")
    called = [f"{i + 1} {clip.name}" for i, clip in enumerate(clips)] if names is None else list(names)
    probed = run_probes(reward, clips, held_out=held_out, names=called, seed=seed, store=store, step=step)
    taking_part = dict(zip(called, clips, strict=True))
    run = _CardRun(reward, held_out, {n: taking_part[n] for n in probed.names}, probed, seed, store, step)
    few = run.few
    real = probed.real.values, probed.held_out.values if probed.held_out else None
    climbed = climb(reward, list(few.values()), held_out=held_out, names=list(few), real=real, step=step)
    own = own_dimension(reward)
    return RewardCard(
        name=name or repr(reward),
        expression=repr(reward),
        fingerprint=reward.fingerprint,
        raters={rater.name: rater.fingerprint for rater in reward.raters},
        low=own[1].low if own else float("-inf"),
        high=own[1].high if own else float("inf"),
        needs=sorted(reward.needs),
        differentiable=reward.differentiable,
        prompt_anchored=reward.prompt_anchored,
        held_out=repr(held_out) if held_out else "",
        held_out_fingerprint=held_out.fingerprint if held_out else "",
        clips=probed.names,
        real=probed.real.values,
        real_held_out=probed.held_out.values if probed.held_out else [],
        failed={**(failed or {}), **probed.failed},
        probes=[_row(outcome, probed) for outcome in probed.outcomes],
        best_of=_best_of(run),
        steps=_steps(run, climbed),
        climbed=_climbed(climbed),
        gradient_snr=_gradients(run),
        cost=_cost(run),
        seed=seed,
        notes=_notes(run),
        settings={**_versions(), **(settings or {})},
    )


def pieces(clips: int) -> int:
    """Return how often `reward_card` calls `step` for a number of clips."""
    return clips * (3 + len(PROBES)) + 2 * min(clips, MOST_GRADIENTS)


def write_card(card: RewardCard, path: str | PathLike[str]) -> Path:
    """Write the card atomically, as JSON if the name ends in ``.json``, else as HTML; return the path."""
    path = Path(path)
    return write_whole(path, card.to_json() if path.suffix.lower() == ".json" else render_card(card))


def _row(outcome: ProbeOutcome, probed: ProbeResults) -> ProbeRow:
    values, real = outcome.trained.values, probed.real.values
    return ProbeRow(
        name=outcome.probe.name,
        about=outcome.probe.about,
        replaces=outcome.probe.replaces,
        values=values,
        median=median(values),
        to_median=outcome.to_median,
        to_own=outcome.to_own,
        above_median=count_above(values, real),
        above_own=sum(v is not None and r is not None and v > r for v, r in zip(values, real, strict=True)),
        held_out_to_own=outcome.held_out_to_own,
        verdict=outcome.verdict,
        reasons=list(dict.fromkeys(why for why in outcome.trained.reasons if why is not None)),
    )


def _best_of(run: _CardRun) -> CardCurve:
    """Return the mean gain of the best of N over N = 1, choosing among each clip and its variants with one defect."""
    evaluator = audit_evaluator(run.reward, run.held_out, run.store)
    lines: list[list[list[float]]] = [[] for _ in range(1 if run.held_out is None else 2)]
    for number, (name, clip) in enumerate(run.clips.items()):
        run.step(f"{name}: best of N")
        evaluator.forget()
        whole = whole_clip(clip)
        pool_of = (whole, *(v for _, v in variants(whole, run.seed + number)))
        judged = [judgments(evaluator, candidate) for candidate in pool_of]
        pool = [values for found in judged if None not in (values := [value for value, _ in found])]
        scores = np.array(pool, dtype=np.float64).reshape(len(pool), len(lines)).T
        for line, seen in zip(lines, scores, strict=True):
            line.append(chosen_value(scores[:1], seen[None])[0].tolist() if len(pool) else [])
    longest = min(map(len, lines[0]))
    if not longest:
        return CardCurve(note="No curve: one clip has no candidate with all rewards.")
    gains = [[statistics.fmean(each[n] - each[0] for each in line) for n in range(longest)] for line in lines]
    note = f"Candidates: each clip and its variants with one controlled defect, {longest} in all."
    return CardCurve(
        list(range(1, longest + 1)), gains[0], gains[1] if run.held_out else [], *run.sds, len(run.clips), note
    )


def _steps(run: _CardRun, climbed: Climb) -> CardCurve:
    reasons = list(dict.fromkeys(way.reason for way in climbed.ways if way.reason))
    if climbed.gain is None:
        return CardCurve(note="; ".join(reasons))
    held = climbed.held_out if climbed.held_out_gain else []
    return CardCurve(list(range(len(climbed.trained))), climbed.trained, held, *run.sds, climbed.gain.clips)


def _climbed(climbed: Climb) -> AscentSummary:
    reasons = {way.name: way.reason for way in climbed.ways if way.reason}
    return AscentSummary(climbed.gain, climbed.held_out_gain, climbed.disagreement, climbed.opposed, reasons)


def _gradients(run: _CardRun) -> dict[str, Dispersion]:
    found: dict[str, list[float]] = {}
    for number, (name, clip) in enumerate(run.few.items()):
        run.step(f"{name}: gradient noise")
        if run.reward.differentiable:
            for track, ratio in gradient_snr(run.reward, clip, seed=run.seed + number).items():
                found.setdefault(track, []).append(ratio)
    return {t: Dispersion(statistics.median(each), min(each), max(each), len(each)) for t, each in found.items()}


def _cost(run: _CardRun) -> ScoringCost:
    wall, cpu = [], []
    for name, clip in run.clips.items():
        run.step(f"{name}: cost")
        started = time.perf_counter(), time.process_time()
        with torch.no_grad():
            run.reward.evaluate([clip])
        wall.append(time.perf_counter() - started[0])
        cpu.append(time.process_time() - started[1])
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 1024)
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else "no GPU"
    machine = f"{platform.machine()}, {os.cpu_count()} cores, {torch.get_num_threads()} threads, {device}"
    return ScoringCost(statistics.median(wall), statistics.median(cpu), most, len(wall), machine)


def _notes(run: _CardRun) -> list[str]:
    warning = ignores_prompt(run.reward, run.clips.values())
    if warning is None:
        return [
            line.replace("the ranking does not show", "the reward does not measure")
            for line in unread_prompt(run.reward)
        ]
    return [warning]


def _versions() -> dict[str, str]:
    packages = ", ".join(f"{name} {version(name)}" for name in ("avreward", "torch", "av"))
    return {"Versions": f"{packages}, Python {platform.python_version()}"}
