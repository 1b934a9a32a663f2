"""How good raters are: agreement with human judgments, and how sure that is."""

from avreward.evaluation.correlation import krcc, plcc, srcc
from avreward.evaluation.intervals import wilson

__all__ = ["krcc", "plcc", "srcc", "wilson"]
