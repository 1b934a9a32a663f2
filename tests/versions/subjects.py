"""The subpackages that have a version, what their scores depend on, and their golden cases."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from versions import media_cases, rater_cases


@dataclass(frozen=True)
class Subject:
    """A subpackage with a version of its own.

    Attributes:
        package: where its ``_version.py`` stands.
        uses: names of the subjects that its scores depend on beside its own code.
        cases: case → what comes out.
    """

    package: str
    uses: tuple[str, ...]
    cases: Callable[[], dict[str, Any]]

    @property
    def name(self) -> str:
        """As in `Rater.versions`."""
        return self.package.rpartition(".")[2]


def _all(subjects: Iterable[Subject]) -> dict[str, Subject]:
    return {subject.name: subject for subject in subjects}


SUBJECTS = _all(
    (
        Subject("avreward.media", (), media_cases.media_cases),
        Subject("avreward.raters.signals", ("media",), rater_cases.signals_cases),
        Subject("avreward.raters.stereo", ("media",), rater_cases.stereo_cases),
        Subject("avreward.raters.encoders", ("media",), rater_cases.encoders_cases),
        Subject("avreward.raters.lmm", ("media", "encoders"), rater_cases.lmm_cases),
        Subject("avreward.raters.agav", ("media", "encoders", "lmm"), rater_cases.agav_cases),
        Subject("avreward.raters.aigv_assessor", ("media", "encoders", "lmm"), rater_cases.aigv_assessor_cases),
        Subject("avreward.raters.video_reward", ("media", "encoders", "lmm"), rater_cases.video_reward_cases),
        Subject("avreward.raters.sync", ("media", "encoders", "lmm"), rater_cases.sync_cases),
        Subject("avreward.raters.zero_shot", ("media", "encoders", "lmm"), rater_cases.zero_shot_cases),
        Subject("avreward.raters.avbench", ("media", "encoders", "lmm"), rater_cases.avbench_cases),
        Subject("avreward.raters.aigveval", ("media", "encoders", "lmm"), rater_cases.aigveval_cases),
        Subject("avreward.raters.dover", ("media", "encoders"), rater_cases.dover_cases),
        Subject("avreward.raters.embedding", ("media",), rater_cases.embedding_cases),
        Subject("avreward.raters.listener", ("media", "signals"), rater_cases.listener_cases),
    )
)


def versions_of(subject: Subject) -> dict[str, int]:
    """The version of a subject, and those of what it uses."""
    return {name: _version(SUBJECTS[name].package) for name in (subject.name, *subject.uses)}


def _version(package: str) -> int:
    number: int = import_module(f"{package}._version").VERSION
    return number
