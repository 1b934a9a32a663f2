"""Scores → one number: rewards, their arithmetic, functions, expressions, normalizers and files."""

from typing import TYPE_CHECKING

from avreward._lazy import lazy_exports

if TYPE_CHECKING:
    from avreward.rewards._as_reward import as_reward as as_reward
    from avreward.rewards._prompt_warning import ignores_prompt as ignores_prompt
    from avreward.rewards.algebra import Product as Product
    from avreward.rewards.algebra import WeightedSum as WeightedSum
    from avreward.rewards.base import Reward as Reward
    from avreward.rewards.base import Term as Term
    from avreward.rewards.calibration import fit_linear as fit_linear
    from avreward.rewards.calibration import fit_logistic as fit_logistic
    from avreward.rewards.calibration import mos as mos
    from avreward.rewards.expression import ExpressionError as ExpressionError
    from avreward.rewards.expression import parse_reward as parse_reward
    from avreward.rewards.function_base import Fitted as Fitted
    from avreward.rewards.function_base import Function as Function
    from avreward.rewards.function_base import register_function as register_function
    from avreward.rewards.functions import above as above
    from avreward.rewards.functions import below as below
    from avreward.rewards.functions import clamp as clamp
    from avreward.rewards.functions import maximum as maximum
    from avreward.rewards.functions import minimum as minimum
    from avreward.rewards.functions import softmin as softmin
    from avreward.rewards.io import load_reward as load_reward
    from avreward.rewards.io import save_reward as save_reward
    from avreward.rewards.latent.heads import HeadError as HeadError
    from avreward.rewards.latent.heads import LatentHead as LatentHead
    from avreward.rewards.latent.heads import fit_latent_head as fit_latent_head
    from avreward.rewards.latent.reward import LatentReward as LatentReward
    from avreward.rewards.normalize import minmax as minmax
    from avreward.rewards.normalize import percentile as percentile
    from avreward.rewards.normalize import zscore as zscore
    from avreward.rewards.per_prompt import PerPrompt as PerPrompt
    from avreward.rewards.results import MissingScore as MissingScore
    from avreward.rewards.results import Rewards as Rewards

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "_as_reward": ["as_reward"],
        "_prompt_warning": ["ignores_prompt"],
        "algebra": ["Product", "WeightedSum"],
        "base": ["Reward", "Term"],
        "calibration": ["fit_linear", "fit_logistic", "mos"],
        "expression": ["ExpressionError", "parse_reward"],
        "function_base": ["Fitted", "Function", "register_function"],
        "functions": ["above", "below", "clamp", "maximum", "minimum", "softmin"],
        "io": ["load_reward", "save_reward"],
        "latent.heads": ["HeadError", "LatentHead", "fit_latent_head"],
        "latent.reward": ["LatentReward"],
        "normalize": ["minmax", "percentile", "zscore"],
        "per_prompt": ["PerPrompt"],
        "results": ["MissingScore", "Rewards"],
    },
)
