"""What AGAV-Rater's paper reports of its own experiment: the numbers to put beside one's own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from avreward.evaluation.intervals import wilson


@dataclass(frozen=True)
class ReportedExperiment:
    """One column of the paper's table 10: how many videos, and the share of picks that people preferred."""

    videos: int
    share: float

    @property
    def interval(self) -> tuple[float, float]:
        """95 %, of the share of videos (Wilson)."""
        return wilson(round(self.share * self.videos), self.videos)


PEOPLE = 10
ALL = ReportedExperiment(230, 0.80)
CATEGORIES: Mapping[str, ReportedExperiment] = MappingProxyType({
    "Animal": ReportedExperiment(41, 0.78),
    "Water": ReportedExperiment(15, 0.87),
    "People": ReportedExperiment(20, 0.85),
    "Vehicle": ReportedExperiment(22, 0.77),
    "Object": ReportedExperiment(31, 0.81),
    "Scenery": ReportedExperiment(19, 0.79),
    "Sea": ReportedExperiment(20, 0.80),
    "Fantasy": ReportedExperiment(11, 0.82),
    "Fire": ReportedExperiment(15, 0.80),
    "Instrument": ReportedExperiment(24, 0.83),
    "Cooking": ReportedExperiment(12, 0.75),
})  # fmt: skip
"""Cao et al., "AGAV-Rater", section 5.6 and table 10: 230 silent videos, two ElevenLabs dubs each, ten people.

Every one of the eleven shares is a whole number of videos (32 of 41, 13 of 15, …), which 230 × 10 single answers would
hardly give: they count videos, by the majority of the people as far as one can tell, so `Agreement.by_video` is the
number to compare. Together they make 185 of 230.
"""
