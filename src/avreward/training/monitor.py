"""Watches a training run: does a reward that is not trained on still agree with the one that is?"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from numbers import Real
from typing import Any

import numpy as np
from scipy import stats
from torch import Tensor

from avreward.errors import AvrewardError

Values = Tensor | Sequence[float | None]
FEWEST = 8  # steps in a window, below which a rank correlation hardly ever says anything


class RewardDivergence(AvrewardError):
    """The trained reward rises while the held-out one falls; the text gives the figures."""


@dataclass(frozen=True)
class MonitorState:
    """What the window says.

    Attributes:
        step: how many steps were seen, those without a value left out.
        correlation: Spearman's ρ of the trained with the held-out means over the window; `None` until the window is
            full, and where one of them is constant.
        trained_trend, held_out_trend: ρ of each with time, likewise.
        suspicious: for how many steps in a row the window has said that the two part.
        diverged: whether that was as often as it takes; it stays so.
    """

    step: int = 0
    correlation: float | None = None
    trained_trend: float | None = None
    held_out_trend: float | None = None
    suspicious: int = 0
    diverged: bool = False

    def raise_if_diverged(self) -> None:
        """Raises `RewardDivergence` where the rewards have diverged."""
        if self.diverged:
            raise RewardDivergence(str(self))

    def __str__(self) -> str:
        figures = {"with each other": self.correlation, "trained with time": self.trained_trend}
        figures["held out with time"] = self.held_out_trend
        told = ", ".join(f"{name} {'–' if rho is None else format(rho, '.2f')}" for name, rho in figures.items())
        if not self.diverged:
            return f"step {self.step}: rank correlations over the window: {told}"
        return (
            f"step {self.step}: the trained reward rises while the held-out one falls (rank correlations over the "
            f"window: {told}); stop, go back to a checkpoint before, and look at the clips"
        )


class RewardMonitor:
    """Compares a trained reward with a held-out one, step by step, on the same clips.

    Of each step it keeps the two means. Over the last `window` steps it takes Spearman's rank correlation ρ of the two
    with each other and of each with time. The rewards part where the trained one rises and the held-out one falls, both
    significantly (|ρ| with time beyond the one-sided critical value of level `alpha`), and they run against each other
    (ρ below 0). They have diverged where that holds for `patience` steps in a row.

    A rank correlation takes neither scale nor straightness for granted, so the two rewards need not be on one scale.
    A held-out reward that only stops rising is no divergence: see `correlation` for that.

    Args:
        window: steps compared, at least 8.
        alpha: of each of the two trends. Windows overlap, so a long run has many chances; see
            docs/guides/probes.md for how often runs that agree were stopped.
        patience: steps in a row.

    >>> monitor = RewardMonitor(window=10)
    >>> states = [monitor.update([0.1 * t], [-0.2 * t]) for t in range(12)]
    >>> [state.diverged for state in states].index(True), round(states[-1].correlation, 6)
    (11, -1.0)
    """

    def __init__(self, window: int = 50, alpha: float = 0.01, patience: int = 3) -> None:
        if window < FEWEST:
            raise ValueError(f"window: {window} steps; give at least {FEWEST}")
        if not 0 < alpha < 0.5:
            raise ValueError(f"alpha: {alpha}; give a level between 0 and 0.5")
        if patience < 1:
            raise ValueError(f"patience: {patience}; give at least 1 step")
        self.window, self.alpha, self.patience = window, alpha, patience
        self.state = MonitorState()
        self._means: deque[tuple[float, float]] = deque(maxlen=window)

    @property
    def critical(self) -> float:
        """The |ρ| with time from which a trend counts: Student's t with window − 2 degrees of freedom, one-sided."""
        t = float(stats.t.ppf(1 - self.alpha, self.window - 2))
        return t / math.sqrt(self.window - 2 + t * t)

    def update(self, trained: Values, held_out: Values) -> MonitorState:
        """Takes one step's rewards of the same clips, and says how it stands.

        A clip that lacks one of the two (`None`, NaN) takes no part; a step without a clip that has both is no step.

        Raises `ValueError` where the two differ in length, or are no sequences.
        """
        pairs = _pairs(trained, held_out)
        if not len(pairs):
            return self.state
        first, second = pairs.mean(0).tolist()
        self._means.append((first, second))
        self.state = self._judged()
        return self.state

    def _judged(self) -> MonitorState:
        before = self.state
        if len(self._means) < self.window:
            return MonitorState(before.step + 1, diverged=before.diverged)
        mine, theirs = np.array(self._means).T
        time = np.arange(self.window)
        together, up, down = _rho(mine, theirs), _rho(time, mine), _rho(time, theirs)
        parting = None not in (together, up, down) and together < 0 and up > self.critical and down < -self.critical  # type: ignore[operator]
        suspicious = before.suspicious + 1 if parting else 0
        diverged = before.diverged or suspicious >= self.patience
        return MonitorState(before.step + 1, together, up, down, suspicious, diverged)

    def state_dict(self) -> dict[str, Any]:
        """All that it knows, as plain numbers and lists, so that JSON holds it."""
        settings = {"window": self.window, "alpha": self.alpha, "patience": self.patience}
        return {**settings, "means": [list(pair) for pair in self._means], "state": asdict(self.state)}

    @classmethod
    def from_state_dict(cls, saved: Mapping[str, Any]) -> RewardMonitor:
        """The monitor that was saved; raises `AvrewardError` for what isn't one."""
        try:
            monitor = cls(saved["window"], saved["alpha"], saved["patience"])
            monitor._means.extend((float(a), float(b)) for a, b in saved["means"])
            monitor.state = MonitorState(**saved["state"])
        except (KeyError, TypeError, ValueError) as error:
            raise AvrewardError(
                f"state: not that of a RewardMonitor ({error}); pass what state_dict returned"
            ) from error
        return monitor


def _pairs(trained: Values, held_out: Values) -> np.ndarray[Any, np.dtype[np.float64]]:
    """(clips, 2) of the clips that have both."""
    for name, values in (("trained", trained), ("held_out", held_out)):
        if isinstance(values, Real):
            raise ValueError(f"{name}: {values} is a single number; pass those of all clips, such as [{values}]")
    columns = [_column(trained), _column(held_out)]
    if len(columns[0]) != len(columns[1]):
        raise ValueError(f"held_out: {len(columns[1])} rewards for {len(columns[0])} trained ones; pass one each")
    both = np.stack(columns, 1)
    return both[np.isfinite(both).all(1)]


def _column(values: Values) -> np.ndarray[Any, np.dtype[np.float64]]:
    plain = values.detach().flatten().tolist() if isinstance(values, Tensor) else values
    return np.array([math.nan if value is None else float(value) for value in plain], dtype=np.float64)


def _rho(first: Any, second: Any) -> float | None:
    """Spearman's rank correlation; `None` where one is constant."""
    if np.ptp(first) == 0 or np.ptp(second) == 0:
        return None
    ranks = [stats.rankdata(each) for each in (first, second)]  # equal values share a rank
    return float(np.corrcoef(ranks)[0, 1])
