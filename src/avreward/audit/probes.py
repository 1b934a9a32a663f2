"""Probes for reward hacking: which degenerate inputs a reward prefers to real clips, and by how much."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from avreward._display import Shown, ShownAsTable, counted
from avreward.audit._statistics import Difference, Verdict, mean_difference, median, median_difference, verdict_of
from avreward.audit.inputs import PROBES, Probe, ProbeNotApplicable
from avreward.clip import Clip
from avreward.errors import AvrewardError, MediaError
from avreward.media.sampling import AllFrames, FramePlan
from avreward.rewards._as_reward import RewardLike, as_reward
from avreward.rewards.base import Reward
from avreward.rewards.results import Rewards
from avreward.scoring.evaluator import Evaluator
from avreward.scoring.store.store import Store

MOST_BYTES = 3 * 2**30  # of one clip's frames as floats; a probe keeps two or three copies
GRADIENT_BYTES = 2**27  # likewise for gradients: forward and backward take about twenty times as much


@dataclass
class ProbeColumn:
    """The rewards of one kind of input, one for each real clip: `values`, `None` where missing, and `reasons`."""

    values: list[float | None] = field(default_factory=list)
    reasons: list[str | None] = field(default_factory=list)

    def add(self, value: float | None, reason: str | None) -> None:
        """Append a reward, or the reason why it is missing."""
        self.values.append(value)
        self.reasons.append(reason)


@dataclass(frozen=True)
class ProbeOutcome:
    """The result of one probe.

    Attributes:
        probe: the probe.
        trained: its rewards.
        held_out: its held-out rewards; `None` without a held-out reward.
        to_median: its median minus the median of the real clips that it could be made from.
        to_own: mean of its reward minus the reward of the real clip that it was made from.
        held_out_to_own: the same for the held-out reward.
        verdict: see `verdict_of`.
    """

    probe: Probe
    trained: ProbeColumn
    held_out: ProbeColumn | None
    to_median: Difference | None
    to_own: Difference | None
    held_out_to_own: Difference | None
    verdict: Verdict


@dataclass(frozen=True, repr=False)
class ProbeResults(ShownAsTable):
    """The results of all probes of a reward.

    Attributes:
        names: of the real clips that were used.
        real, held_out: their rewards.
        outcomes: the result of each probe, in the order given.
        failed: name of each clip that was left out → why.
    """

    names: list[str]
    real: ProbeColumn
    held_out: ProbeColumn | None
    outcomes: list[ProbeOutcome]
    failed: dict[str, str]

    @property
    def beaten_by(self) -> list[str]:
        """The names of the probes whose median is above the median real clip."""
        return [outcome.probe.name for outcome in self.outcomes if outcome.verdict == "beats"]

    def _shown(self) -> Shown:
        rows = [(one.probe.name, median(one.trained.values), one.verdict) for one in self.outcomes]
        clips = counted(len(self.names), "clip")
        title = f"Probes on {clips}: {len(self.beaten_by)} of {len(rows)} beat the median clip"
        return title, ["probe", "median reward", "verdict"], rows, len(rows)


def run_probes(
    reward: RewardLike,
    clips: Sequence[Clip],
    *,
    held_out: RewardLike | None = None,
    probes: Iterable[Probe] | None = None,
    names: Sequence[str] | None = None,
    seed: int = 0,
    store: Store | None = None,
    step: Callable[[str], None] = lambda doing: None,
) -> ProbeResults:
    """Rate real clips and the degenerate inputs made from them.

    A degenerate input that a rater can't rate is missing, with the reason. A real clip without a reward, or with a
    fused score of other dimensions than most clips, is left out. No gradients.

    Args:
        reward: the reward that a generator would be trained on.
        clips: real clips; several, since each is compared with the median, and swaps need another clip.
        held_out: a reward that would not be trained on, for comparison (*optional*).
        probes: the probes to run (*optional*, all of `PROBES`).
        names: of the clips (*optional*, their files' names).
        seed: of all random choices.
        store: where scores are kept, so that a run that was stopped goes on (*optional*).
        step: called with a line for each rated clip, real or degenerate.

    Raises:
        AvrewardError: if no clip has a reward.

    Example:
        >>> probed = run_probes(load_rater("signals")["audio_quality"], [clip])
        >>> probed.beaten_by
        []
    """
    reward, held_out = as_reward(reward), None if held_out is None else as_reward(held_out, "held_out")
    chosen = list(PROBES.values() if probes is None else probes)
    evaluator = audit_evaluator(reward, held_out, store)
    called = [f"{i + 1} {clip.name}" for i, clip in enumerate(clips)] if names is None else list(names)
    kept, real, failed = _real(evaluator, dict(zip(called, clips, strict=True)), step)
    others = list(kept.values())
    columns = [(ProbeColumn(), ProbeColumn() if held_out else None) for _ in chosen]
    for number, (name, clip) in enumerate(kept.items()):
        whole = whole_clip(clip)
        evaluator.forget()
        for probe, (trained, other) in zip(chosen, columns, strict=True):
            step(f"{name}: {probe.name}")
            found = _judged(evaluator, probe, whole, seed + number, _partner(others, number, probe))
            trained.add(*found[0])
            if other is not None:
                other.add(*found[1])
    mine, theirs = ProbeColumn(*map(list, zip(*(r[0] for r in real), strict=True))), None
    if held_out is not None:
        theirs = ProbeColumn(*map(list, zip(*(r[1] for r in real), strict=True)))
    outcomes = [_outcome(p, a, b, mine, theirs, seed) for p, (a, b) in zip(chosen, columns, strict=True)]
    return ProbeResults(list(kept), mine, theirs, outcomes, failed)


Judgment = tuple[float | None, str | None]


def audit_evaluator(reward: Reward, held_out: Reward | None, store: Store | None) -> Evaluator[list[Reward]]:
    """Return an evaluator of a reward and, if given, a held-out one; a rater that both read rates once."""
    return Evaluator([reward] if held_out is None else [reward, held_out], store=store)


def judgments(evaluator: Evaluator[list[Reward]], clip: Clip) -> list[Judgment]:
    """Return the reward of a clip, or why it is missing; then the held-out reward, if there is one."""
    return [_judgment(rewards) for rewards in evaluator.evaluate([clip])]


def _judgment(rewards: Rewards) -> Judgment:
    return (float(rewards.values[0]) if rewards.present[0] else None), rewards.reasons[0]


def whole_clip(clip: Clip) -> Clip:
    """Return the clip with all its frames and its audio in memory.

    Raises:
        MediaError: if it can't be decoded, or its frames take more than 3 GiB.
    """
    if clip.has_video:
        size = _bytes(clip)
        if size > MOST_BYTES:
            remedy = "pass a shorter or smaller clip"
            raise MediaError(
                clip.path or "clip", f"expected frames of at most 3 GiB, got {size / 2**30:.1f} GiB", remedy
            )
        whole = Clip(video=clip.video, times=clip.times, prompt=clip.prompt, texts=clip.texts)
        return whole.with_audio(clip.sound(), clip.sample_rate) if clip.has_audio else whole
    return Clip(audio=clip.sound(), sample_rate=clip.sample_rate, prompt=clip.prompt, texts=clip.texts)


def gradient_clip(clip: Clip, most: int | None = None) -> Clip:
    """Return the clip as `whole_clip` does, scaled down if its frames would take more than `most` bytes (128 MiB)."""
    most = GRADIENT_BYTES if most is None else most
    if not clip.has_video or _bytes(clip) <= most:
        return whole_clip(clip)
    side = int(max(clip.height, clip.width) * math.sqrt(most / _bytes(clip)))
    video = clip.frames(FramePlan(AllFrames(), max_side=side))
    small = Clip(video=video, times=clip.times, prompt=clip.prompt, texts=clip.texts)
    return small.with_audio(clip.sound(), clip.sample_rate) if clip.has_audio else small


def _bytes(clip: Clip) -> int:
    """Return the size of the frames as 32-bit floats."""
    return 12 * len(clip.times) * clip.height * clip.width


def _real(
    evaluator: Evaluator[list[Reward]], clips: Mapping[str, Clip], step: Callable[[str], None]
) -> tuple[dict[str, Clip], list[list[Judgment]], dict[str, str]]:
    """Return the clips that have a reward of the most common basis, their rewards, and why others are left out."""
    found: dict[str, tuple[list[Judgment], frozenset[str]]] = {}
    failed: dict[str, str] = {}
    for name, clip in clips.items():
        step(name)
        try:
            evaluator.forget()
            rewards = evaluator.evaluate([whole_clip(clip)])
        except MediaError as error:
            failed[name] = str(error)
            continue
        judged = [_judgment(one) for one in rewards]
        if judged[0][1] is not None:
            failed[name] = judged[0][1]
        else:
            found[name] = judged, frozenset(rewards[0].basis[0])
    if not found:
        why = f" ({next(iter(failed.values()))})" if failed else ""
        problem = "the clip has no reward" if len(clips) == 1 else f"none of the {len(clips)} clips has a reward"
        raise AvrewardError(f"{problem}{why}; pass at least one that has a reward")
    common = Counter(basis for _, basis in found.values()).most_common(1)[0][0]
    for name, (_, basis) in found.items():
        if basis != common:
            made, most = (" and ".join(sorted(names)) or "no fused score" for names in (basis, common))
            failed[name] = f"its reward is made of {made}, unlike most clips ({most}); probe it separately"
    kept = {name: judged for name, (judged, basis) in found.items() if basis == common}
    return {name: clips[name] for name in kept}, list(kept.values()), failed


def _partner(clips: Sequence[Clip], number: int, probe: Probe) -> Clip | None:
    """Return the next clip that has another audio or prompt to swap in."""
    others = [clips[(number + k) % len(clips)] for k in range(1, len(clips))]
    if probe.swap == "prompt":
        others = [clip for clip in others if clip.prompt not in (None, clips[number].prompt)]
    return next((clip for clip in others if probe.swap != "audio" or clip.has_audio), None)


def _judged(
    evaluator: Evaluator[list[Reward]], probe: Probe, clip: Clip, seed: int, other: Clip | None
) -> list[Judgment]:
    try:
        return judgments(evaluator, probe.apply(clip, seed, other))
    except ProbeNotApplicable as error:
        return [(None, str(error))] * 2


def _outcome(
    probe: Probe,
    trained: ProbeColumn,
    other: ProbeColumn | None,
    real: ProbeColumn,
    held_out: ProbeColumn | None,
    seed: int,
) -> ProbeOutcome:
    return ProbeOutcome(
        probe,
        trained,
        other,
        median_difference(trained.values, real.values, seed),
        mean_difference(trained.values, real.values),
        mean_difference(other.values, held_out.values) if other and held_out else None,
        verdict_of(trained.values, real.values),
    )
