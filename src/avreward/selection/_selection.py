"""The result of a selection: the candidates in the order of their rewards, their clips, and the scored table."""

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
    """Candidates, ranked: what `best_of_n`, `select`, `BestOfN`, `Search` and the tournaments return.

    Indices count in `candidates`, here and in `rewards`.

    Attributes:
        candidates: all, in the order in which they were given or made.
        order: indices of the ranked candidates, best first; of equal rewards the earlier one.
        rewards: of all candidates, also of those that are not ranked.
        missing: index of each candidate that could not be ranked → why. Drafts of a search are neither ranked nor
            missing.
        kept: index → clip, for the clips that are held; of a search the best ones.
        cost: what was spent now; candidates of an earlier run cost nothing again.
        metadata: of the table: how candidates were found, and by which reward.
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
        """The best clip; made again from its seed, if it was in an earlier run and no folder kept it."""
        return self.clip(self.best_index)

    @property
    def ranked(self) -> list[Candidate]:
        """The ranked candidates, best first."""
        return [self.candidates[i] for i in self.order]

    @property
    def clips(self) -> list[Clip]:
        """The clips that are held, best first; `clip` gives any."""
        return [self.kept[i] for i in self.order if i in self.kept]

    @property
    def seeds(self) -> list[int | None]:
        """Of all candidates; `None` for a clip that was given, and for a mix of noises (see `Candidate.noise`)."""
        return [candidate.seed for candidate in self.candidates]

    def clip(self, candidate: Candidate | int) -> Clip:
        """Return the clip of a candidate: the one that is held, the one in its file, or one made
        again from its noise alone.

        Raises:
            AvrewardError: if it was never made, or can't be made again without the others.
        """
        chosen = self.candidates[candidate] if isinstance(candidate, int) else candidate
        if chosen.index in self.kept:
            return self.kept[chosen.index]
        if chosen.file is not None:
            return Clip.open(chosen.file)
        if self.make_again is None:
            raise AvrewardError(f"{chosen.name}: there is no clip ({chosen.reason}); choose a ranked candidate")
        return self.make_again(chosen)

    def table(self, path: str | PathLike[str]) -> Path:
        """Write the scored table, a row a candidate that may be chosen: Parquet or JSON lines, by the ending.

        The columns are those of ``avreward score``; `seed` names the candidate, where it has a single one.
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
        if judged is not None and not judged.row and candidate.index in self.kept:  # a clip that was given
            judged = judged_of(self.rewards, candidate.index, self.kept[candidate.index])
        if judged is None:
            return row | {"reasons": {"clip": candidate.reason}}
        return row | judged.row | {"reward": judged.reward, "sigma": judged.sigma, "reasons": judged.reasons}

    def _shown(self) -> _display.Shown:
        """The ranking as a table: title, columns, rows, how many."""
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
