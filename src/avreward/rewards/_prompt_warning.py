"""The warning for a reward that ignores the prompt of a generator that is asked by one."""

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
    """What is wrong with optimising `reward` on clips of these prompts, in one line; `None` where nothing is.

    Clips that carry a prompt are the sign of a generator that is asked by one. Without any, as where silent video is
    dubbed, there is nothing to anchor to. What isn't a `Reward` doesn't say whether it reads the prompt: `None`.

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
    """Warns (`UserWarning`) of what `ignores_prompt` says, once a reward and process."""
    if (key := repr(reward)) in _warned:
        return
    if told := ignores_prompt(reward, prompts):
        _warned.add(key)
        warnings.warn(told, UserWarning, stacklevel=3)
