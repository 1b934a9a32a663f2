"""Candidates → choices: ranking by reward."""

from avreward.selection.best_of_n import Selection, best_of_n, select

__all__ = ["Selection", "best_of_n", "select"]
