"""Monitor a training run: does a held-out reward still agree with the trained one?"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from scipy import stats
from torch import Tensor

from avreward.errors import ArgumentError, AvrewardError, Described, describe

Values = Tensor | Sequence[float | None]
FEWEST = 8  # steps in a window; with fewer, a rank correlation is hardly ever significant


class RewardDivergence(AvrewardError):
    """The trained reward rises while the held-out one falls; the message gives the correlations."""


@dataclass(frozen=True)
class MonitorState:
    """The state of a `RewardMonitor` after a step.

    Attributes:
        step: number of steps, without those that had no value.
        correlation: Spearman's ρ of the trained and held-out means over the window; `None` until the window is full,
            and if one of them is constant.
        trained_trend: ρ of the trained means with time, likewise.
        held_out_trend: ρ of the held-out means with time, likewise.
        suspicious: for how many steps in a row the two have been drifting apart.
        diverged: whether `suspicious` has ever reached the monitor's `patience`.
    """

    step: int = 0
    correlation: float | None = None
    trained_trend: float | None = None
    held_out_trend: float | None = None
    suspicious: int = 0
    diverged: bool = False

    def raise_if_diverged(self) -> None:
        """Raise `RewardDivergence` if the rewards have diverged."""
        if self.diverged:
            raise RewardDivergence(str(self))

    def __str__(self) -> str:
        figures = {"with each other": self.correlation, "trained with time": self.trained_trend}
        figures["held out with time"] = self.held_out_trend
        shown = ", ".join(f"{name} {'–' if rho is None else format(rho, '.2f')}" for name, rho in figures.items())
        if not self.diverged:
            return f"step {self.step}: rank correlations over the window: {shown}"
        return (
            f"step {self.step}: the trained reward rises while the held-out one falls (rank correlations over the "
            f"window: {shown}); stop, go back to an earlier checkpoint, and look at the clips"
        )


class RewardMonitor:
    """Compare a trained reward with a held-out one during training, on the same clips.

    The monitor keeps the two means of each step. Over the last `window` steps it computes Spearman's rank correlation ρ
    of the two with each other, and of each with time. The rewards drift apart if the trained one rises and the held-out
    one falls, both significantly (|ρ| with time above the one-sided critical value of level `alpha`), and their
    correlation is negative. They have diverged once that holds for `patience` steps in a row.

    A rank correlation assumes neither a common scale nor a linear relation of the two rewards. A held-out reward that
    merely stops rising does not count as divergence: look at `correlation` for that.

    Args:
        window: number of steps compared, at least 8.
        alpha: significance level of each of the two trends. Windows overlap, so a long run is tested many times; see
            docs/guides/probes.md for how often runs without divergence were stopped.
        patience: number of steps in a row.

    Raises:
        ArgumentError: if a setting is out of its range.

    Example:
        >>> monitor = RewardMonitor(window=10)
        >>> states = [monitor.update([0.1 * t], [-0.2 * t]) for t in range(12)]
        >>> [state.diverged for state in states].index(True), round(states[-1].correlation, 6)
        (11, -1.0)
    """

    def __init__(self, window: int = 50, alpha: float = 0.01, patience: int = 3) -> None:
        if not isinstance(window, int) or window < FEWEST:
            raise ArgumentError("window", f"an integer of at least {FEWEST} steps", window)
        if not 0 < alpha < 0.5:
            raise ArgumentError("alpha", "a level between 0 and 0.5", alpha)
        if not isinstance(patience, int) or patience < 1:
            raise ArgumentError("patience", "a positive integer", patience)
        self.window, self.alpha, self.patience = window, alpha, patience
        self.state = MonitorState()
        self._means: deque[tuple[float, float]] = deque(maxlen=window)

    @property
    def critical(self) -> float:
        """The |ρ| with time above which a trend is significant: one-sided Student's t with window − 2 degrees."""
        t = float(stats.t.ppf(1 - self.alpha, self.window - 2))
        return t / math.sqrt(self.window - 2 + t * t)

    def update(self, trained: Values, held_out: Values) -> MonitorState:
        """Add the rewards of one step and return the new state.

        A clip that lacks one of the two rewards (`None`, NaN) is left out. A step in which no clip has both is ignored.

        Args:
            trained: rewards (clips,) that are trained on.
            held_out: rewards (clips,) of the same clips that are not trained on.

        Raises:
            ArgumentError: if the two differ in length, or one is a single number.
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
        apart = None not in (together, up, down) and together < 0 and up > self.critical and down < -self.critical  # type: ignore[operator]
        suspicious = before.suspicious + 1 if apart else 0
        diverged = before.diverged or suspicious >= self.patience
        return MonitorState(before.step + 1, together, up, down, suspicious, diverged)

    def state_dict(self) -> dict[str, Any]:
        """Return settings, means and state as plain numbers and lists, which JSON can hold."""
        settings = {"window": self.window, "alpha": self.alpha, "patience": self.patience}
        return {**settings, "means": [list(pair) for pair in self._means], "state": asdict(self.state)}

    @classmethod
    def from_state_dict(cls, saved: Mapping[str, Any]) -> RewardMonitor:
        """Return a monitor from a saved state.

        Args:
            saved: what `state_dict` returned.

        Raises:
            ArgumentError: if `saved` isn't the state of a monitor.
        """
        try:
            monitor = cls(saved["window"], saved["alpha"], saved["patience"])
            monitor._means.extend((float(a), float(b)) for a, b in saved["means"])
            monitor.state = MonitorState(**saved["state"])
        except (KeyError, TypeError, ValueError) as error:
            got = Described(f"something else ({describe(error)})")
            raise ArgumentError(
                "saved", "the state of a RewardMonitor", got, "pass what state_dict returned"
            ) from error
        return monitor


def _pairs(trained: Values, held_out: Values) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Return (clips, 2) of the clips that have both rewards."""
    for name, values in (("trained", trained), ("held_out", held_out)):
        if not isinstance(values, Iterable):
            raise ArgumentError(name, "a sequence of all clips' rewards", values, f"pass one such as [{values}]")
    columns = [_column(trained), _column(held_out)]
    if len(columns[0]) != len(columns[1]):
        got = Described(f"{len(columns[1])} for {len(columns[0])} trained ones")
        raise ArgumentError("held_out", "one reward per clip", got)
    both = np.stack(columns, 1)
    return both[np.isfinite(both).all(1)]


def _column(values: Values) -> np.ndarray[Any, np.dtype[np.float64]]:
    plain = values.detach().flatten().tolist() if isinstance(values, Tensor) else values
    return np.array([math.nan if value is None else float(value) for value in plain], dtype=np.float64)


def _rho(first: Any, second: Any) -> float | None:
    """Return Spearman's rank correlation; `None` if one is constant."""
    if np.ptp(first) == 0 or np.ptp(second) == 0:
        return None
    ranks = [stats.rankdata(each) for each in (first, second)]  # equal values share a rank
    return float(np.corrcoef(ranks)[0, 1])
