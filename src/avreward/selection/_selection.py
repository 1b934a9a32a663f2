"""The result of a selection: the ranked candidates, their clips, and the scored table."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from typing import Any

from avreward import _display
from avreward.clip import Clip
from avreward.errors import AvrewardError
from avreward.generators.base import Cost
from avreward.rewards.results import Rewards
from avreward.scoring.table_writer import TableWriter
from avreward.selection._candidate import Candidate, judged_of


@dataclass(frozen=True, repr=False, eq=False)
class Selection(_display.ShownAsTable):
    """Ranked candidates, as `best_of_n`, `select`, `BestOfN`, `Search` and the tournaments return them.

    Indices refer to `candidates`, here and in `rewards`.

    Attributes:
        candidates: all, in the order in which they were given or generated.
        order: indices of the ranked candidates, best first; of equal rewards the earlier one.
        rewards: of all candidates, also of those that are not ranked.
        missing: index of each candidate that could not be ranked → why. Drafts of a search are neither ranked nor
            missing.
        kept: index → clip, for the clips in memory; of a search, the best ones.
        cost: of this call; candidates of an earlier run cost nothing.
        metadata: of the table: how candidates were generated, and by which reward.
        make_again: generates the clip of a candidate that is not kept; `None` if there is no generator.
    """

    candidates: Sequence[Candidate]
    order: tuple[int, ...]
    rewards: Rewards
    missing: Mapping[int, str]
    kept: Mapping[int, Clip] = field(default_factory=dict)
    cost: Cost = field(default_factory=Cost)
    metadata: Mapping[str, Any] = field(default_factory=dict)
    make_again: Callable[[Candidate], Clip] | None = None

    @property
    def best_index(self) -> int:
        """The index of the best candidate."""
        return self.order[0]

    @property
    def best(self) -> Clip:
        """The best clip; generated again from its noise if neither memory nor a folder has it."""
        return self.clip(self.best_index)

    @property
    def ranked(self) -> list[Candidate]:
        """The ranked candidates, best first."""
        return [self.candidates[i] for i in self.order]

    @property
    def clips(self) -> list[Clip]:
        """The clips in memory, best first; `clip` returns any."""
        return [self.kept[i] for i in self.order if i in self.kept]

    @property
    def seeds(self) -> list[int | None]:
        """The seeds of all candidates; `None` for a given clip and for mixed noise (see `Candidate.noise`)."""
        return [candidate.seed for candidate in self.candidates]

    def clip(self, candidate: Candidate | int) -> Clip:
        """Return the clip of a candidate: from memory, from its file, or generated again from its noise.

        Raises:
            AvrewardError: if it was never generated, or depends on other candidates.
        """
        chosen = self.candidates[candidate] if isinstance(candidate, int) else candidate
        if chosen.index in self.kept:
            return self.kept[chosen.index]
        if chosen.file is not None:
            return Clip.open(chosen.file)
        if self.make_again is None:
            raise AvrewardError(
                f"{chosen.name}: expected a candidate with a clip, got none ({chosen.reason}); choose another"
            )
        return self.make_again(chosen)

    def table(self, path: str | PathLike[str]) -> Path:
        """Write the scored table, with one row per candidate that may be chosen.

        The columns are those of ``avreward score`` and ``seed``, which is empty for mixed noise.

        Args:
            path: ends in ``.parquet``, ``.jsonl`` or another ending that `TableWriter` supports.

        Returns:
            The path of the written file.
        """
        columns = [f"{rater}.{name}" for rater, scores in self.rewards.scores.items() for name in scores.names]
        writer = TableWriter(Path(path), columns, self.metadata)
        with writer:
            for candidate in self.candidates:
                if candidate.final:
                    writer.add(**self._row(candidate))
        assert writer.kept is not None
        return writer.kept

    def _row(self, candidate: Candidate) -> dict[str, Any]:
        row = {"clip": candidate.name, "group": self.metadata.get("condition", ""), "seed": candidate.seed}
        row |= {"fingerprint": self.metadata.get("fingerprint")}
        judged = candidate.judged
        if judged is not None and not judged.row and candidate.index in self.kept:  # a given clip
            judged = judged_of(self.rewards, candidate.index, self.kept[candidate.index])
        if judged is None:
            return row | {"reasons": {"clip": candidate.reason}}
        return row | judged.row | {"reward": judged.reward, "sigma": judged.sigma, "reasons": judged.reasons}

    def _shown(self) -> _display.Shown:
        """Return the ranking as a table: title, columns, rows, number of rows."""
        title = f"Selection: {len(self.order)} of {_display.counted(len(self.candidates), 'candidate')} ranked"
        terms = [name for name in self.rewards.terms if len(self.rewards.terms) > 1]
        rows = [(i, place) for place, i in enumerate(self.order, 1)] + [(i, None) for i in self.missing]
        cells = (
            (
                place,
                self._name(i),
                float(self.rewards.values[i].detach()),
                *(float(self.rewards.terms[name][i].detach()) for name in terms),
                self.missing.get(i, ""),
            )
            for i, place in rows
        )
        return title, ["rank", "candidate", "reward", *terms, "reason"], cells, len(rows)

    def _name(self, i: int) -> str:
        candidate = self.candidates[i]
        return candidate.name if candidate.file is None else candidate.file.name
