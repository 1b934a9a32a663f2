"""What a leaderboard of rewards says."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from avreward._display import Shown, ShownAsTable, counted


@dataclass(frozen=True)
class Exploit:
    """What an attack does to a reward, in standard deviations of the rewards of the clips.

    Attributes:
        gain: of the attacked reward, a mean over clips.
        held_out: of the mean of the held-out rewards; NaN without one.
        honest: the gain at the last step before the held-out rewards, on average, are below their start; NaN without.
        clips: how many attacks were complete.
        why: why there is none, or empty.
    """

    gain: float
    held_out: float
    honest: float
    clips: int
    why: str = ""

    @property
    def gap(self) -> float:
        """How much more the attacked reward gains than the held-out ones: 0 if they agree."""
        return self.gain - self.held_out


@dataclass(frozen=True)
class LeaderboardRow:
    """One reward.

    Attributes:
        name: as given.
        expression: of the reward.
        rated: how many clips have it.
        agreement: share of people's preferences that it shares, ties left out, with its interval; NaN without.
        pairs: how many preferences that is of.
        best_of: what choosing a group's best clip by it gains under the held-out rewards, in their standard deviations,
            with its interval; NaN without.
        groups: how many groups that is of.
        exploits: attack → what it does.
        shift: the largest change by edits that nobody hears or sees, in standard deviations, a mean over clips.
        seconds: a clip, decoding included.
        held_out: names of the rewards that share no rater with it.
    """

    name: str
    expression: str
    rated: int
    agreement: tuple[float, float, float]
    pairs: int
    best_of: tuple[float, float, float]
    groups: int
    exploits: Mapping[str, Exploit]
    shift: float
    seconds: float
    held_out: tuple[str, ...]


@dataclass(frozen=True, repr=False)
class Leaderboard(ShownAsTable):
    """The rewards, in the order given, and what they were measured on.

    Attributes:
        rows: one a reward.
        clips, groups: how many.
        failed: (name, why) of each clip that no reward rates; clips may have the same name.
        notes: what a reader has to know.
    """

    rows: tuple[LeaderboardRow, ...]
    clips: int
    groups: int
    failed: tuple[tuple[str, str], ...] = ()
    notes: tuple[str, ...] = ()

    def _shown(self) -> Shown:
        rows = [(r.name, r.agreement[0], r.best_of[0], *(e.gap for e in r.exploits.values()), r.shift, r.seconds)
                for r in self.rows]  # fmt: skip
        attacks = list(self.rows[0].exploits) if self.rows else []
        title = f"{counted(len(rows), 'reward')} on {counted(self.clips, 'clip')}"
        columns = ["reward", "agreement", "best of N", *(f"{name} gap" for name in attacks), "shift", "seconds"]
        return title, columns, rows, len(rows)

    def records(self) -> list[dict[str, Any]]:
        """Return a flat mapping a reward, for tables and JSON; a number that is not known is `None`."""
        return [_record(row) for row in self.rows]


def _record(row: LeaderboardRow) -> dict[str, Any]:
    found: dict[str, Any] = {"reward": row.name, "expression": row.expression, "rated": row.rated}
    for name, numbers, count in (("agreement", row.agreement, row.pairs), ("best_of_n", row.best_of, row.groups)):
        found |= dict(zip((name, f"{name}_low", f"{name}_high"), numbers, strict=True))
        found["pairs" if name == "agreement" else "groups"] = count
    for kind, exploit in row.exploits.items():
        found |= {f"{kind}_{key}": value for key, value in asdict(exploit).items()} | {f"{kind}_gap": exploit.gap}
    found |= {"shift": row.shift, "seconds": row.seconds, "held_out": " ".join(row.held_out)}
    return {
        key: None if isinstance(value, float) and not math.isfinite(value) else value for key, value in found.items()
    }
