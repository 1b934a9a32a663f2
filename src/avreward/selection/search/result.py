"""What a search returns: the candidates in the order of their rewards, and the scored table."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from typing import Any

import torch

from avreward.clip import Clip
from avreward.generators.base import Cost, Noise
from avreward.rewards.base import MissingScore, Rewards
from avreward.scoring.table_writer import TableWriter
from avreward.selection._best_of_n import Selection, select
from avreward.selection.search._judging import Judged

FAILED = "the generator failed: "


@dataclass
class Candidate:
    """One candidate of a run.

    Attributes:
        index: its place in the order of making.
        noise: what makes it again, alone; `None` where it depends on others (steering).
        steps: its denoising steps; `None` for those of the condition.
        final: whether it may be chosen: drafts, and those given up on the way, may not.
        judged: reward, reason and columns of the table; `None` where it couldn't be made.
        reason: why there is no reward; `None` where there is one.
        made, rated: seconds that making and judging took, a share of the batch.
        file: where it was saved.
        known: taken from an earlier run.
    """

    index: int
    noise: Noise | None
    steps: int | None = None
    final: bool = True
    judged: Judged | None = None
    reason: str | None = None
    made: float = 0.0
    rated: float = 0.0
    file: Path | None = None
    known: bool = False

    @property
    def reward(self) -> float | None:
        """The larger, the better; `None` where missing."""
        return None if self.judged is None else self.judged.reward

    @property
    def seed(self) -> int | None:
        """The seed, where it began with the noise of one seed."""
        return None if self.noise is None else self.noise.seed

    @property
    def name(self) -> str:
        """For messages and the table."""
        if self.file is not None:
            return str(self.file)
        return f"candidate {self.index}" if self.seed is None else f"seed {self.seed}"


@dataclass
class SearchResult:
    """The result of a search.

    Attributes:
        candidates: all that were made, in that order; clips of the best ones are in `kept`.
        selection: of the final ones: `order` counts in them.
        kept: index of a candidate → its clip.
        cost: what was spent now; candidates of an earlier run cost nothing again.
        metadata: of the table: what was searched, how, by which reward.
    """

    candidates: list[Candidate]
    selection: Selection[Candidate]
    kept: dict[int, Clip]
    cost: Cost
    metadata: Mapping[str, Any]
    columns: Sequence[str]
    _again: Callable[[Candidate], Clip] = field(repr=False)

    @property
    def ranked(self) -> list[Candidate]:
        """The final candidates, best first; of equal rewards the earlier one."""
        return [self.selection.candidates[i] for i in self.selection.order]

    @property
    def best(self) -> Clip:
        """The best clip; made again from its seed, if it was in an earlier run and no folder kept it."""
        return self.again(self.ranked[0])

    @property
    def clips(self) -> list[Clip]:
        """The kept clips, best first; of one that went on without a folder, those made since (`again`: others)."""
        return [self.kept[c.index] for c in self.ranked if c.index in self.kept]

    @property
    def rewards(self) -> list[float | None]:
        """Of all candidates, in the order of making."""
        return [c.reward for c in self.candidates]

    @property
    def seeds(self) -> list[int | None]:
        """Of all candidates, in the order of making; `None` for a mix of noises (see `Candidate.noise`)."""
        return [c.seed for c in self.candidates]

    @property
    def missing(self) -> dict[int, str]:
        """Index of each final candidate without a reward → why."""
        return {c.index: c.reason for c in self.candidates if c.reason is not None and c.final}

    def again(self, candidate: Candidate | int) -> Clip:
        """The clip of a candidate: the kept one, or made anew from its noise alone."""
        chosen = self.candidates[candidate] if isinstance(candidate, int) else candidate
        return self.kept[chosen.index] if chosen.index in self.kept else self._again(chosen)

    def table(self, path: str | PathLike[str]) -> Path:
        """Writes the scored table, a row a final candidate: Parquet or JSON lines, by the ending.

        The columns are those of ``avreward score``; `seed` names the candidate, where it has a single one.
        """
        writer = TableWriter(Path(path), self.columns, self.metadata)
        with writer:
            for candidate in self.candidates:
                if candidate.final:
                    writer.add(**self._row(candidate))
        assert writer.kept is not None
        return writer.kept

    def _row(self, candidate: Candidate) -> dict[str, Any]:
        row = {"clip": candidate.name, "group": self.metadata["condition"], "seed": candidate.seed}
        row |= {"fingerprint": self.metadata["fingerprint"]}
        if candidate.judged is None:
            return row | {"reasons": {"clip": candidate.reason}}
        judged = candidate.judged
        return row | judged.row | {"reward": judged.reward, "sigma": judged.sigma, "reasons": judged.reasons}


def chosen(candidates: Sequence[Candidate]) -> Selection[Candidate]:
    """Ranks the final ones by what is known of them; raises as `select` does, and where none could be made."""
    nan = float("nan")
    final = [c for c in candidates if c.final] or list(candidates)  # all drafts may have failed
    values = [nan if c.reward is None else c.reward for c in final]
    reasons = [c.reason for c in final]
    if all(c.judged is None for c in final):  # no reward was asked
        count = "its only candidate" if len(final) == 1 else f"all {len(final)} candidates"
        what = f"{str(reasons[0]).removeprefix(FAILED)} ({final[0].name})"
        raise MissingScore(f"{FAILED.removesuffix(': ')} on {count}: {what}; mend it, or ask it for something else")
    basis = [c.judged.basis if c.judged else () for c in final]
    present = torch.tensor([reason is None for reason in reasons], dtype=torch.bool)
    return select(final, Rewards(torch.tensor(values, dtype=torch.float64), present, reasons, {}, basis, {}))
