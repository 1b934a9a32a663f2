"""Any reward as reward functions of TRL's GRPO and RLOO trainers (TRL 1.16).

TRL calls ``f(prompts=…, completions=…, completion_ids=…, trainer_state=…, log_extra=…, log_metric=…, **columns)`` and
expects a number or `None` for each completion. The functions here are plain objects with a `__name__`, since TRL takes
an `nn.Module` for a text classifier, and can be pickled, since a closure can't.
"""

from __future__ import annotations

import asyncio
import math
import threading
from collections.abc import Callable, Mapping, Sequence
from itertools import islice
from typing import Any

from avreward.clip import Clip
from avreward.integrations.trl._completions import Completions, Render
from avreward.rewards._as_reward import RewardLike, as_reward
from avreward.rewards._prompt_warning import warn_ignores_prompt
from avreward.rewards.algebra import WeightedSum
from avreward.rewards.base import Reward
from avreward.rewards.results import Rewards
from avreward.scoring.evaluator import Evaluator
from avreward.training.clip_log import reward_metrics

Numbers = list[float | None]
LogExtra = Callable[[str, list[Any]], None]
LogMetric = Callable[[str, float], None]

MONITOR = "reward_monitor/"  # what `RewardMonitorCallback` finds goes by such names
LOOKED_AT = 4  # last logs: an evaluation writes its own after the one that has the figures


class TrlReward:
    """One reward function for TRL; `trl_reward` and `trl_rewards` make them.

    Attributes:
        __name__: under which TRL logs it.
    """

    def __init__(self, name: str, part: int, shared: _SharedBatch) -> None:
        self.__name__ = name
        self._part, self._shared = part, shared

    def __call__(
        self,
        prompts: Sequence[Any],
        completions: Sequence[Any],
        completion_ids: Sequence[Any] | None = None,
        trainer_state: Any = None,
        log_extra: LogExtra | None = None,
        log_metric: LogMetric | None = None,
        **columns: Any,
    ) -> Numbers:
        """Return a number for each completion; `None`, TRL's "does not apply", where it can't be judged."""
        if log_metric is not None:
            for label, value in _monitored(trainer_state).items():
                log_metric(label, value)
        return self._shared.take(self._part, prompts, completions, columns, log_extra, log_metric)

    @property
    def samples(self) -> ClipSamples:
        """Clips of a batch that a callback has asked for."""
        return self._shared.samples

    def __repr__(self) -> str:
        return f"TrlReward({self.__name__})"


class AsyncTrlReward:
    """The same for TRL's event loop: judging runs in a thread, beside the trainer's other async functions."""

    def __init__(self, function: TrlReward) -> None:
        self.__name__ = function.__name__
        self._function = function

    async def __call__(self, prompts: Sequence[Any], completions: Sequence[Any], **rest: Any) -> Numbers:
        """Return the rewards, as `TrlReward` does."""
        return await asyncio.to_thread(self._function, prompts, completions, **rest)

    @property
    def samples(self) -> ClipSamples:
        """Clips of a batch that a callback has asked for."""
        return self._function.samples

    def __repr__(self) -> str:
        return f"AsyncTrlReward({self.__name__})"


def trl_reward(
    reward: RewardLike,
    *,
    render: Render | None = None,
    video_column: str | None = None,
    prompt_column: str | None = None,
    batch_size: int | None = None,
    name: str = "avreward",
    asynchronous: bool = False,
) -> TrlReward | AsyncTrlReward:
    """Return the reward as one function for TRL's ``reward_funcs``.

    Beside the rewards it logs: the mean of each term (`log_metric`), each completion's terms and why one is missing
    (`log_extra`), under ``NAME/signals.clipping`` and ``NAME/missing``.

    Args:
        reward: what is trained on; no gradient is taken.
        render (`Callable`, *optional*): makes a clip of a completion's text.
        video_column (`str`, *optional*): column of the dataset with the video that the completion dubs.
        prompt_column (`str`, *optional*): column with the prompt that the clip is compared with.
        batch_size (`int`, *optional*): that of `Rater.__call__`.
        name (`str`): under which TRL logs it; two rewards in one trainer need two names.
        asynchronous (`bool`): whether the function is a coroutine.

    >>> judge = trl_reward(rater["audio_quality"])
    >>> first, second = judge(prompts=["fireworks"] * 2, completions=["dub1.mp4", "dub2.mp4"])
    >>> second > first + 20
    True
    >>> trainer = GRPOTrainer(model, reward_funcs=judge, train_dataset=dataset)  # doctest: +SKIP
    """
    reward = as_reward(reward)
    shared = _SharedBatch(reward, [reward], Completions(render, video_column, prompt_column), batch_size, name)
    function = TrlReward(name, 0, shared)
    return AsyncTrlReward(function) if asynchronous else function


def trl_rewards(
    reward: RewardLike,
    *,
    render: Render | None = None,
    video_column: str | None = None,
    prompt_column: str | None = None,
    batch_size: int | None = None,
    name: str = "avreward",
    asynchronous: bool = False,
) -> tuple[list[TrlReward] | list[AsyncTrlReward], list[float]]:
    """Return the parts of a weighted sum as one function each, and their weights: for TRL's ``reward_weights``.

    With ``multi_objective_aggregation="normalize_then_sum"`` (GDPO, arXiv:2601.05242) TRL then puts each part on one
    scale over a whole group, which may span processes. A constant in the sum is left out: it cancels within a group. A
    reward that is not a sum is one part.

    A completion that lacks one part is `None` in all: TRL would add up the others as if the missing one were 0.

    The functions share one pass: each rater judges a batch once, however many parts read it. They recognise a batch by
    the list of completions that TRL hands to all of them.

    The arguments are those of `trl_reward`.

    >>> functions, weights = trl_rewards(0.4 * rater["audio_quality"] - 2 * rater["clipping"])
    >>> [f.__name__ for f in functions], weights
    (['signals.audio_quality', 'signals.clipping'], [0.4, -2.0])
    """
    reward = as_reward(reward)
    pairs = reward.parts if isinstance(reward, WeightedSum) else ((1.0, reward),)
    source = Completions(render, video_column, prompt_column)
    shared = _SharedBatch(reward, [part for _, part in pairs], source, batch_size, name)
    functions = [TrlReward(repr(part), i, shared) for i, part in enumerate(shared.parts)]
    weights = [weight for weight, _ in pairs]
    return ([AsyncTrlReward(f) for f in functions] if asynchronous else functions), weights


class ClipSamples:
    """Some clips of the next batch, for a callback that has asked by setting `wanted`."""

    def __init__(self) -> None:
        self.wanted = 0
        self._found: list[tuple[Clip, float, str]] = []

    def offer(self, clips: Sequence[Clip], rewards: Rewards) -> None:
        """Keep `wanted` clips, spread from the lowest reward to the highest; those without a reward come first."""
        if not self.wanted or not clips:
            return
        values = rewards.values.tolist()
        order = sorted(range(len(clips)), key=lambda i: (not math.isnan(values[i]), values[i]))
        count = min(self.wanted, len(order))
        places = [order[round(k * (len(order) - 1) / max(1, count - 1))] for k in range(count)]
        self._found = [(clips[i].detached(), values[i], clips[i].prompt or "") for i in places]
        self.wanted = 0

    def take(self) -> list[tuple[Clip, float, str]]:
        """Return clip, reward and prompt of what was kept, and forget it."""
        found, self._found = self._found, []
        return found


class _SharedBatch:
    """Evaluates a batch once for all functions that share it.

    A batch is the list object of its completions, which is held meanwhile: equal texts may be rendered anew the next
    time, and an equal path may hold another clip. A function that asks twice for one list starts anew, too.
    """

    def __init__(
        self, reward: Reward, parts: list[Reward], source: Completions, batch_size: int | None, name: str
    ) -> None:
        self.reward, self.parts, self.source, self.batch_size, self.name = reward, parts, source, batch_size, name
        self._evaluator = Evaluator([reward, *parts], batch_size=batch_size)
        self.samples = ClipSamples()
        self._lock = threading.Lock()
        self._batch: Sequence[Any] | None = None
        self._taken: set[int] = set()
        self._values: list[Numbers] = []

    def take(
        self,
        part: int,
        prompts: Sequence[Any],
        completions: Sequence[Any],
        columns: Mapping[str, Any],
        log_extra: LogExtra | None,
        log_metric: LogMetric | None,
    ) -> Numbers:
        """Return the values of one part."""
        with self._lock:  # the async functions of a batch come at once: one evaluates, the others wait for it
            if self._batch is not completions or part in self._taken:
                self._values = self._evaluate(prompts, completions, columns, log_extra, log_metric)
                self._batch, self._taken = completions, set()
            self._taken.add(part)
            values = self._values[part]
            if len(self._taken) == len(self.parts):
                self._batch, self._values = None, []
            return values

    def _evaluate(
        self,
        prompts: Sequence[Any],
        completions: Sequence[Any],
        columns: Mapping[str, Any],
        log_extra: LogExtra | None,
        log_metric: LogMetric | None,
    ) -> list[Numbers]:
        """Return the values of each part, logged with what they are made of."""
        found = self.source.clips(prompts, completions, columns)
        clips = [clip for clip in found if isinstance(clip, Clip)]
        if self.source.asks_by_prompt:
            warn_ignores_prompt(self.reward, clips)
        rewards, *parts = self._evaluator.evaluate(clips)
        self._evaluator.forget()  # the next batch has other clips, and the step in between needs the memory
        self.samples.offer(clips, rewards)
        there = rewards.present.tolist()
        judged = [[x if ok else None for x, ok in zip(p.values.tolist(), there, strict=True)] for p in parts]
        terms = {
            term: _placed([None if math.isnan(x) else x for x in column.tolist()], found)
            for term, column in rewards.terms.items()
        }
        told = iter(rewards.reasons)
        reasons = [clip if isinstance(clip, str) else next(told) for clip in found]
        if log_extra is not None:
            for label, values in ({"missing": [why or "" for why in reasons]} | terms).items():
                log_extra(f"{self.name}/{label}", values)
        if log_metric is not None:
            # Of all completions, also those that made no clip. TRL averages what is logged twice under one name.
            missing = {f"{self.name}/missing": sum(why is not None for why in reasons) / max(1, len(reasons))}
            for label, mean in (reward_metrics(rewards, self.name) | missing).items():
                log_metric(label, mean)
        return [_placed(values, found) for values in judged]

    def __getstate__(self) -> dict[str, Any]:
        """All but the batch at hand; a lock can't be pickled."""
        kept = ("reward", "parts", "source", "batch_size", "name")
        return {key: self.__dict__[key] for key in kept}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(**state)  # type: ignore[misc]  # the constructor's arguments


def _placed(values: Numbers, found: Sequence[Clip | str]) -> Numbers:
    """Return the values of the clips in the places of their completions, `None` where there is no clip."""
    rest = iter(values)
    return [next(rest) if isinstance(clip, Clip) else None for clip in found]


def _monitored(state: Any) -> Mapping[str, float]:
    """Return the newest ``reward_monitor/…`` in the logs of a trainer's state; empty where no monitor writes there.

    They go to `log_metric`: no callback can reach a tracker, a reward function can.
    """
    for logs in islice(reversed(getattr(state, "log_history", None) or ()), LOOKED_AT):
        if found := {key: value for key, value in logs.items() if key.startswith(MONITOR) and value is not None}:
            return found
    return {}
