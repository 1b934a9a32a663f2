"""A leaderboard of rewards as rewards: agreement with people, best-of-N, exploitability, stability, cost."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Hashable, Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from avreward.audit._attacks import edit_attack, search_attack, unheard
from avreward.audit._leaderboard_rows import Exploit, Leaderboard, LeaderboardRow
from avreward.audit.ascent import STEPS, Ascent, Climb, ascend, summarized
from avreward.audit.probes import whole_clip
from avreward.clip import Clip
from avreward.errors import ArgumentError, AvrewardError, Described, MediaError
from avreward.evaluation._cluster_bootstrap import clustered_intervals, numbered
from avreward.rewards._as_reward import RewardLike, as_reward
from avreward.rewards.base import Reward

Numbers = NDArray[np.float64]
ATTACKED, AT_ONCE, DRAWS = 4, 8, 1000  # clips that are attacked; rated together; of the bootstrap
NOTHING = (math.nan, math.nan, math.nan)
NO_REASON = "its reward is not a finite number"


def leaderboard(
    rewards: Mapping[str, RewardLike],
    clips: Sequence[Clip],
    groups: Sequence[Hashable],
    *,
    preferences: Sequence[tuple[int, int]] = (),
    attacked: int = ATTACKED,
    seed: int = 0,
    step: Callable[[str], None] = lambda doing: None,
) -> Leaderboard:
    """Compare rewards as what generators are chosen and trained by.

    For each reward: the share of people's preferences that it shares; what the best of a group by it gains under the
    held-out rewards, which are the others that share no rater with it; what three attacks gain, and the held-out
    rewards with it: steps along the gradient (`ascend`), random search, and the best of a dozen edits; how far it moves
    under edits that nobody hears or sees; its cost. Intervals are over groups.

    Args:
        rewards: name → reward; with at least one that shares no rater with it, a reward has held-out figures.
        clips: candidates of several groups.
        groups: of each clip: its prompt or video.
        preferences: people's, as (index of the preferred clip, index of the other one); ties are left out.
        attacked: how many clips are attacked, evenly spread.
        seed: of attacks.
        step: called with a line for each piece of work.

    Raises:
        ArgumentError: for no rewards or clips, lengths that differ, or a preference for a clip that is not there.
        AvrewardError: if a reward rates no clip.

    Example:
        >>> board = leaderboard({"audio": load_rater("signals")["audio_quality"]}, [clip], ["a"], attacked=0)
        >>> board.rows[0].rated
        1
    """
    if not rewards:
        raise ArgumentError("rewards", "at least one reward", Described("none"))
    if not len(clips) == len(groups) > 0:
        raise ArgumentError("groups", f"one for each of the {len(clips)} clips, of which there are some", len(groups))
    wrong = [pair for pair in preferences if not all(0 <= i < len(clips) for i in pair)]
    if wrong:
        raise ArgumentError("preferences", f"pairs of indices below {len(clips)}", wrong[0])
    chosen = {name: as_reward(reward, name) for name, reward in rewards.items()}
    values: dict[str, Numbers] = {}
    seconds: dict[str, float] = {}
    failed: dict[int, str] = {}  # by the number of the clip: names may be the same
    for name, reward in chosen.items():
        values[name], seconds[name] = _rated(name, reward, clips, failed, step)
    rated = np.any([np.isfinite(v) for v in values.values()], 0)
    some = [int(i) for i in np.linspace(0, len(clips) - 1, min(attacked, len(clips))).round()] if attacked else []
    group = numbered(groups)
    rows = []
    for name, reward in chosen.items():
        others = {key: other for key, other in chosen.items() if key != name and not _share(reward, other)}
        exploits = {
            kind: _exploit(kind, name, reward, others, [clips[i] for i in some], values, seed, step)
            for kind in ("gradient", "search", "edits")
        }
        shift = _shift(name, reward, [clips[i] for i in some], values[name], step)
        best = _best_of(values[name], [values[key] for key in others], group)
        agreement = _agreement(values[name], preferences, group)
        rows.append(LeaderboardRow(name, repr(reward), int(np.isfinite(values[name]).sum()), agreement[0], agreement[1],
                                   best[0], best[1], exploits, shift, seconds[name], tuple(others)))  # fmt: skip
    left = tuple((clip.name, failed.get(i, NO_REASON)) for i, clip in enumerate(clips) if not rated[i])
    return Leaderboard(tuple(rows), len(clips), len(set(groups)), left, tuple(_notes(rows, preferences)))


def pieces(rewards: int, clips: int, attacked: int = ATTACKED) -> int:
    """Return how often `leaderboard` calls `step`."""
    return rewards * (clips + 4 * min(attacked, clips))


def _rated(
    name: str, reward: Reward, clips: Sequence[Clip], failed: dict[int, str], step: Callable[[str], None]
) -> tuple[Numbers, float]:
    """Return the rewards of the clips, NaN where missing, and the seconds a clip."""
    values: list[float] = []
    begun = time.perf_counter()
    for start in range(0, len(clips), AT_ONCE):
        part = clips[start : start + AT_ONCE]
        with torch.no_grad():
            found = reward.evaluate(part)
        values += [float(v) if there else math.nan for v, there in zip(found.values, found.present, strict=True)]
        failed.update({start + k: why for k, why in enumerate(found.reasons) if why})
        for clip in part:
            step(f"{name}: {clip.name}")
    spent = time.perf_counter() - begun
    if not np.isfinite(values).any():
        raise AvrewardError(f"{name}: expected a reward for some clip, got none ({next(iter(failed.values()))})")
    return np.array(values), spent / len(clips)


def _share(first: Reward, second: Reward) -> bool:
    """Return whether two rewards read a rater that the other reads, too."""
    known = {rater.fingerprint for rater in first.raters}
    return any(rater.fingerprint in known for rater in second.raters)


def _unit(values: Numbers) -> float:
    there = values[np.isfinite(values)]
    return float(there.std(ddof=1)) if len(there) > 1 and np.ptp(there) > 0 else math.nan


def _agreement(
    values: Numbers, preferences: Sequence[tuple[int, int]], group: NDArray[np.int64]
) -> tuple[tuple[float, float, float], int]:
    pairs = [(a, b) for a, b in preferences if np.isfinite(values[[a, b]]).all()]
    if not pairs:
        return NOTHING, 0
    first, second = np.array(pairs).T
    right = np.where(values[first] == values[second], 0.5, values[first] > values[second])
    content = numbered(group[first].tolist())
    low, high = clustered_intervals(lambda rows: [float(right[rows].mean())], content, 0.95, DRAWS, 0)
    return (float(right.mean()), float(low[0]), float(high[0])), len(pairs)


def _best_of(
    values: Numbers, others: Sequence[Numbers], group: NDArray[np.int64]
) -> tuple[tuple[float, float, float], int]:
    """Return the mean gain of a group's best clip over its mean clip, under rewards that did not choose it."""
    gains = []
    for one in np.unique(group):
        rows = np.flatnonzero((group == one) & np.isfinite(values))
        if len(rows) < 2:
            continue
        best = rows[int(values[rows].argmax())]
        own = [(other[best] - np.nanmean(other[rows])) / _unit(other) for other in others if np.isfinite(other[best])]
        own = [gain for gain in own if math.isfinite(gain)]
        if own:
            gains.append(float(np.mean(own)))
    if not gains:
        return NOTHING, 0
    each = np.array(gains)
    low, high = clustered_intervals(lambda rows: [float(each[rows].mean())], np.arange(len(each)), 0.95, DRAWS, 0)
    return (float(each.mean()), float(low[0]), float(high[0])), len(gains)


def _exploit(
    kind: str, name: str, reward: Reward, others: Mapping[str, Reward], clips: Sequence[Clip],
    values: Mapping[str, Numbers], seed: int, step: Callable[[str], None],
) -> Exploit:  # fmt: skip
    units = {key: _unit(values[key]) for key in others}
    usable = [other * (1 / units[key]) for key, other in others.items() if math.isfinite(units[key])]
    held = None if not usable else sum(usable[1:], start=usable[0]) * (1 / len(usable))
    unit, ways = _unit(values[name]), list[Ascent]()
    for number, clip in enumerate(clips):
        step(f"{name}: {kind}, {clip.name}")
        if kind == "gradient":
            ways.append(ascend(reward, clip, held_out=held))
        elif kind == "search":
            ways.append(search_attack(reward, held, clip, seed=seed + number))
        else:
            ways.append(edit_attack(reward, held, clip, seed=seed + number))
    steps = STEPS if kind != "edits" else 1
    found = summarized(ways, steps)
    complete = [way for way in ways if len(way.trained) == steps + 1]
    if not complete or not math.isfinite(unit) or found.gain is None:
        why = next((way.reason for way in ways if way.reason), "no clip was attacked" if not clips else "equal rewards")
        return Exploit(math.nan, math.nan, math.nan, 0, str(why))
    held_gain = math.nan if found.held_out_gain is None else found.held_out_gain.value
    return Exploit(found.gain.value / unit, held_gain, _honest(found) / unit, len(complete))


def _honest(found: Climb) -> float:
    """Return the gain at the last step before the held-out rewards fall below their start."""
    reached = math.nan
    for trained, held in zip(found.trained, found.held_out, strict=True):
        if trained is None or held is None or held < -1e-9:
            break
        reached = trained
    return reached


def _shift(name: str, reward: Reward, clips: Sequence[Clip], values: Numbers, step: Callable[[str], None]) -> float:
    """Return the largest change by edits that nobody hears or sees, in standard deviations, as a mean over clips."""
    moved = []
    for clip in clips:
        step(f"{name}: stability, {clip.name}")
        try:
            whole = whole_clip(clip)
        except MediaError:
            continue
        with torch.no_grad():
            found = reward.evaluate([whole, *unheard(whole)])
        if bool(found.present.all()) and len(found) > 1:
            moved.append(float((found.values[1:] - found.values[0]).abs().max()))
    return float(np.mean(moved)) / _unit(values) if moved else math.nan


def _notes(rows: Sequence[LeaderboardRow], preferences: Sequence[tuple[int, int]]) -> list[str]:
    notes = []
    alone = [row.name for row in rows if not row.held_out]
    if alone:
        notes.append(f"No other reward without a rater of its own: nothing is held out from {', '.join(alone)}.")
    if not preferences:
        notes.append("No preferences of people: nothing here says which reward agrees with them.")
    if len(rows) and any(len(row.held_out) == 1 for row in rows):
        notes.append("With one held-out reward, a fault that both share stays unseen.")
    return notes
