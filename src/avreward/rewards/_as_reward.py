"""Convert a user's argument to a reward: a reward, an expression, or a reward's file."""

from __future__ import annotations

from os import PathLike

from avreward.errors import ArgumentError, Described
from avreward.raters.base import Rater
from avreward.rewards.base import Reward
from avreward.rewards.io import load_reward

RewardLike = Reward | str | PathLike[str]


def as_reward(reward: RewardLike, name: str = "reward") -> Reward:
    """Return the reward itself, or the one that an expression over `signals`, a reward's file or folder describes.

    Args:
        reward: a reward, an expression, or the path of a saved reward.
        name: the argument's name, for the error message.

    Raises:
        ArgumentError: if `reward` is anything else, such as a rater.
        ExpressionError: if the expression is wrong.

    Example:
        >>> as_reward("0.5*audio_quality + 0.5*av_consistency")
        0.5*signals.audio_quality + 0.5*signals.av_consistency
    """
    if isinstance(reward, Reward):
        return reward
    if isinstance(reward, str | PathLike):
        return load_reward(reward)
    remedy = "choose a dimension, such as rater['overall']" if isinstance(reward, Rater) else None
    raise ArgumentError(name, "a reward or an expression", Described(f"a {type(reward).__name__}"), remedy)
