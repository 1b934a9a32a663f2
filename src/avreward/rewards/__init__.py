"""Scores → one number: rewards, their arithmetic, their expressions, and scoring many files."""

from avreward.rewards.algebra import WeightedSum
from avreward.rewards.base import MissingScore, Reward, Rewards, Term
from avreward.rewards.expression import ExpressionError, parse_reward
from avreward.rewards.stream import Scored, score_files

__all__ = [
    "ExpressionError",
    "MissingScore",
    "Reward",
    "Rewards",
    "Scored",
    "Term",
    "WeightedSum",
    "parse_reward",
    "score_files",
]
