"""Scores → one number: rewards, their arithmetic, their expressions, and scoring many files."""

from avreward.rewards.algebra import Product, WeightedSum
from avreward.rewards.base import MissingScore, Reward, Rewards, Term
from avreward.rewards.calibrate import fit_linear, fit_logistic, mos
from avreward.rewards.calibrated import calibrated
from avreward.rewards.expression import ExpressionError, parse_reward
from avreward.rewards.files import load_reward, save_reward
from avreward.rewards.functions import above, below, clip, maximum, minimum, softmin
from avreward.rewards.normalize import minmax, rank, zscore
from avreward.rewards.per_prompt import PerPrompt
from avreward.rewards.store import Store
from avreward.rewards.stream import Scored, score_files

__all__ = [
    "ExpressionError",
    "MissingScore",
    "PerPrompt",
    "Product",
    "Reward",
    "Rewards",
    "Scored",
    "Store",
    "Term",
    "WeightedSum",
    "above",
    "below",
    "calibrated",
    "clip",
    "fit_linear",
    "fit_logistic",
    "load_reward",
    "maximum",
    "minimum",
    "minmax",
    "mos",
    "parse_reward",
    "rank",
    "save_reward",
    "score_files",
    "softmin",
    "zscore",
]
