"""Warn about optimizing a text-conditioned generator on a reward that ignores the prompt."""

from __future__ import annotations

import warnings
from collections.abc import Iterable

from avreward.clip import Clip
from avreward.rewards.base import Reward

# Facts from issues UniRL 418 and verl-omni 563, which are about one kind of run: joint audio-video generation.
WHAT_HAPPENED = (
    "others who trained on such a reward saw it rise while the clips left their prompts: an audio-video similarity "
    "went from 0.13 to 0.41, text-audio similarity fell from 0.11 to 0.06, and by the 20th rollout the video was noise "
    "(UniRL issue 418, verl-omni issue 563)"
)
_warned: set[str] = set()


def ignores_prompt(reward: object, prompts: Iterable[Clip | str | None] | None) -> str | None:
    """Return a one-line warning if `reward` ignores the prompts it would be optimized on, else `None`.

    Prompts indicate a text-conditioned generator. If no clip has one, as when silent video is dubbed, there is nothing
    to compare with, and no warning. A callable that is not a `Reward` can't be checked and gives `None`.

    Args:
        reward: the reward that is optimized.
        prompts: the prompts, or clips that carry them (*optional*).

    Example:
        >>> ignores_prompt(load_rater("signals")["overall"], [None]) is None
        True
    """
    if not isinstance(reward, Reward) or reward.prompt_anchored:
        return None
    texts = (given.prompt if isinstance(given, Clip) else given for given in prompts or ())
    if not any(text and text.strip() for text in texts):
        return None
    return (
        f"{reward}: the clips have prompts, and no term compares a clip with its prompt; {WHAT_HAPPENED}; add a term "
        "that reads the prompt, and watch a reward that is not trained on (docs/guides/probes.md)"
    )


def warn_ignores_prompt(reward: object, prompts: Iterable[Clip | str | None] | None) -> None:
    """Emit the warning of `ignores_prompt` as a `UserWarning`, once per reward and process."""
    if (key := repr(reward)) in _warned:
        return
    if message := ignores_prompt(reward, prompts):
        _warned.add(key)
        warnings.warn(message, UserWarning, stacklevel=3)
