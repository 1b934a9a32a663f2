"""Search: generate candidates and choose the best by a reward. Best-of-N is one of the strategies.

>>> from tiny_pipelines import tiny_stable_audio  # in recipes/; or a StableAudioPipeline
>>> pipeline = tiny_stable_audio()
>>> search = BestOfN(pipeline, load_rater("signals")["overall"], n=8)
>>> search = Search(pipeline, load_rater("signals")["overall"], "evolution")     # another strategy
>>> found = search(prompt="rain on a tin roof", audio_end_in_s=0.5, num_inference_steps=2)
>>> found.best.save("best.wav")
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from operator import index
from os import PathLike
from pathlib import Path
from typing import Any

from avreward._locks import claimed
from avreward.errors import ArgumentError
from avreward.generators._as_sampler import as_sampler
from avreward.generators._identity import run_key
from avreward.generators.base import Condition, GeneratorStopped
from avreward.rewards._as_reward import RewardLike, as_reward
from avreward.scoring.evaluator import Evaluator
from avreward.selection._best_of_n import described
from avreward.selection._selection import Selection
from avreward.selection.search._chosen import chosen, rewards_of
from avreward.selection.search._loop import SearchLoop
from avreward.selection.search._run_log import RunLog
from avreward.selection.search._settings import check_integers
from avreward.selection.search.strategies import Independent, Strategy, strategy_of


class Search:
    """Generate candidates and choose the best by a reward.

    Args:
        generator: a diffusers pipeline; ``generate(condition, seed, **arguments) -> Clip``; or a `Sampler`, such as
            `DiffusersSampler`, which has more settings.
        reward: a reward, or an expression over `signals`; larger is better.
        strategy: a name (`STRATEGIES`) or a strategy with its settings, such as ``Evolution(generations=4)``.
        batch_size: candidates generated and rated at once; changes memory and time, but not the candidates.
        keep: number of the best clips that are kept; of the others, only seeds and scores are kept.
        seed: of the first candidate.
        fps (`float`, *optional*): frames per second, for a pipeline that does not report a frame rate (Wan: 16).
        sample_rate (`int`, *optional*): of the audio in Hz, for a pipeline that does not report it.
        out: a folder (*optional*) to which records and the kept clips (8-bit video, lossless audio) are written
            immediately. The same call resumes an interrupted search. The folder belongs to one generator, condition and
            reward; a diffusers pipeline is identified by its scheduler, weights and adapters, too.

    Without a folder, a second call of the same object after Ctrl-C resumes, too, and generates the best clip again when
    it is needed. Strategies that pause between steps (steering, beam, halving) start again.

    Raises:
        ArgumentError: if an argument cannot be used.

    Example:
        >>> def generate(condition, seed):
        ...     noise = torch.randn(1, 8000, generator=torch.Generator().manual_seed(seed))
        ...     return condition.with_audio(0.1 * noise, 8000)
        >>> found = Search(generate, load_rater("signals")["audio_quality"])(Clip(video=clip.video, fps=clip.fps))
        >>> found.seeds, found.ranked[0].seed, found.cost.rewards
        ([0, 1, 2, 3, 4, 5, 6, 7], 2, 8)
    """

    def __init__(
        self,
        generator: Any,
        reward: RewardLike,
        strategy: Strategy | str = "best_of_n",
        *,
        batch_size: int = 1,
        keep: int = 1,
        seed: int = 0,
        fps: float | None = None,
        sample_rate: int | None = None,
        out: str | PathLike[str] | None = None,
    ) -> None:
        check_integers(1, batch_size=batch_size, keep=keep)
        if isinstance(seed, bool) or not hasattr(seed, "__index__") or not -(2**63) <= seed < 2**63:
            raise ArgumentError("seed", "an integer that fits in 64 bits", seed, f"pass one from 0 to {2**63 - 1}")
        self.sampler, self.strategy = as_sampler(generator, fps, sample_rate), strategy_of(strategy)
        self.reward, self.batch_size, self.keep, self.seed = as_reward(reward), batch_size, keep, index(seed)
        self.out = None if out is None else Path(out)
        self._interrupted: RunLog | None = None

    def __call__(self, condition: Any = None, /, **arguments: Any) -> Selection:
        """Search for one condition.

        A candidate that cannot be generated or rated is missing, with the reason.

        Args:
            condition: a clip that all candidates share, such as a silent video; audio that a pipeline generates is
                added to it. A plain callable gets it as its first argument, of any type.
            arguments: of the pipeline's or the callable's call: ``prompt=…``.

        Raises:
            MissingScore: with the reasons, if all candidates are missing, or the first two fail alike.
            ArgumentError: for an argument with which a pipeline makes no clip per candidate, before anything is made.
            OutputInUse: if another run writes to `out`.
            GeneratorStopped: if the generator cannot continue; the search can be resumed, as after Ctrl-C.
        """
        asked = Condition(condition, arguments)
        check = getattr(self.sampler, "check", None)
        if check is not None:
            check(asked)
        held = nullcontext() if self.out is None else claimed(Path(self.out))
        with held, _progress(repr(self.strategy), self.strategy.total) as step, Evaluator(self.reward) as evaluator:
            journal = self._journal(asked)
            settings = (self.batch_size, self.keep, self.seed, step, repr(self.strategy))
            loop = SearchLoop(self.sampler, evaluator, asked, journal, *settings)
            try:
                self.strategy(loop)
                rewards = rewards_of(loop.candidates, self.reward)
                order, missing = chosen(loop.candidates, rewards)
                loop.complete([loop.candidates[i] for i in order])
            except (KeyboardInterrupt, GeneratorStopped):
                self._interrupted = journal
                raise
        self._interrupted = None
        metadata = {
            "group_by": "condition",
            "condition": run_key(condition, arguments),
            "generator": self.sampler.name,
            "strategy": repr(self.strategy),
            **described(self.reward),
        }
        return Selection(loop.candidates, order, rewards, missing, loop.kept, loop.cost, metadata, loop.again)

    def _journal(self, asked: Condition) -> RunLog:
        run = run_key(self.sampler.name, asked.clip, asked.arguments, self.reward.fingerprint)
        if self._interrupted is not None and self._interrupted.run == run:
            return self._interrupted
        return RunLog(self.out, run)


class BestOfN(Search):
    """Generate `n` independent candidates and choose the best; the other arguments are those of `Search`.

    Example:
        >>> from tiny_pipelines import tiny_stable_audio
        >>> search = BestOfN(tiny_stable_audio(), reward, n=8, batch_size=4, keep=3)
        >>> found = search(prompt="a kettle whistles", audio_end_in_s=0.5, num_inference_steps=2)
        >>> for place, clip in enumerate(found.clips):
        ...     clip.save(f"{place}.wav")
    """

    def __init__(
        self,
        generator: Any,
        reward: RewardLike,
        n: int = 8,
        *,
        batch_size: int = 1,
        keep: int = 1,
        seed: int = 0,
        fps: float | None = None,
        sample_rate: int | None = None,
        out: str | PathLike[str] | None = None,
    ) -> None:
        super().__init__(
            generator,
            reward,
            Independent(n),
            batch_size=batch_size,
            keep=keep,
            seed=seed,
            fps=fps,
            sample_rate=sample_rate,
            out=out,
        )


@contextmanager
def _progress(label: str, total: int | None) -> Iterator[Callable[[str], None]]:
    """Show a progress bar on standard error if that is a terminal."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(bar_width=24), MofNCompleteColumn(), TimeRemainingColumn())
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(label, total=total)
        yield lambda doing: bar.advance(task)
