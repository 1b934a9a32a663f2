"""The end of a search whose first candidates all fail alike."""

from __future__ import annotations

from collections.abc import Sequence

from avreward.errors import RATER_FAILED, describe
from avreward.rewards.results import MissingScore
from avreward.selection._candidate import Candidate, Judged
from avreward.selection.search._chosen import FAILED


class FirstFailures:
    """Failures before the first success; the second of the same kind ends the search.

    Args:
        who: what fails: ``"generator"`` or ``"rater"``.
    """

    def __init__(self, who: str) -> None:
        self.who, self._worked = who, False
        self._seen: dict[str, str] = {}

    def worked(self) -> None:
        """Note a success: later failures belong to their candidates."""
        self._worked = True

    def failed(self, why: str, name: str) -> None:
        """Note a failure: the error as text, and the first candidate of the call that failed.

        Raises:
            MissingScore: if another call failed alike and none has worked.
        """
        other = self._seen.setdefault(why, name)
        if not self._worked and other != name:
            raise MissingScore(
                f"{why}; the {self.who} failed alike on {other} and {name}, so the search ended; fix the {self.who}, "
                "or change the arguments of the call"
            )


class Failures:
    """The failures of a search's generator and of its rater; the second of a kind ends the search if nothing worked.

    Steps of paused runs count apart from whole calls, since a run that takes steps may still fail to be decoded.
    """

    def __init__(self) -> None:
        self._calls, self._steps = FirstFailures("generator"), FirstFailures("generator")
        self._rater = FirstFailures("rater")

    def of_call(self, batch: Sequence[Candidate], error: Exception) -> None:
        """Record a call that failed."""
        self._record(self._calls, batch, error)

    def of_steps(self, batch: Sequence[Candidate], error: Exception) -> None:
        """Record a run that failed between two steps."""
        self._record(self._steps, batch, error)

    def went_on(self) -> None:
        """Note that a run took its steps."""
        self._steps.worked()

    def made(self) -> None:
        """Note that a clip was made."""
        self._calls.worked()

    def rated(self, judged: Judged, name: str) -> None:
        """Note what the rater said about a candidate or a preview."""
        if judged.reward is not None:
            self._rater.worked()
        elif RATER_FAILED in (judged.reason or ""):
            self._rater.failed(str(judged.reason), name)

    def _record(self, failures: FirstFailures, batch: Sequence[Candidate], error: Exception) -> None:
        for candidate in batch:
            candidate.reason = f"{FAILED}{describe(error)}"
        failures.failed(describe(error), batch[0].name)
