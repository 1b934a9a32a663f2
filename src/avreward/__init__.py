"""Raters of generated video and sound as differentiable rewards, rankings and preference models.

>>> from avreward import Clip, best_of_n, load_rater
>>> rater = load_rater("signals")
>>> reward = 0.4 * rater["audio_quality"] + 0.6 * rater["av_consistency"]
>>> best_of_n([Clip.open(path) for path in ("dub1.mp4", "dub2.mp4")], reward).best.name
'dub2.mp4'
"""

from typing import TYPE_CHECKING, Any

from avreward._lazy import lazy_exports

if TYPE_CHECKING:
    from avreward.clip import Clip as Clip
    from avreward.errors import ArgumentError as ArgumentError
    from avreward.errors import AvrewardError as AvrewardError
    from avreward.errors import MediaError as MediaError
    from avreward.group import Group as Group
    from avreward.raters._term import term as term
    from avreward.raters.base import Rater as Rater
    from avreward.raters.clip_rater import ClipRater as ClipRater
    from avreward.raters.hub import load_rater as load_rater
    from avreward.raters.registry import list_raters as list_raters
    from avreward.raters.registry import register_rater as register_rater
    from avreward.raters.scores import Dimension as Dimension
    from avreward.raters.scores import Scores as Scores
    from avreward.rewards.base import Reward as Reward
    from avreward.rewards.expression import parse_reward as parse_reward
    from avreward.rewards.io import load_reward as load_reward
    from avreward.rewards.io import save_reward as save_reward
    from avreward.rewards.results import Rewards as Rewards
    from avreward.scoring.evaluator import Evaluator as Evaluator
    from avreward.scoring.run import score_files as score_files
    from avreward.selection._best_of_n import best_of_n as best_of_n
    from avreward.selection._selection import Selection as Selection
    from avreward.selection.search.search import BestOfN as BestOfN
    from avreward.selection.search.search import Search as Search

    __version__: str

_get, _dir, __all__ = lazy_exports(
    __name__,
    {
        "clip": ["Clip"],
        "errors": ["ArgumentError", "AvrewardError", "MediaError"],
        "group": ["Group"],
        "raters._term": ["term"],
        "raters.base": ["Rater"],
        "raters.clip_rater": ["ClipRater"],
        "raters.hub": ["load_rater"],
        "raters.registry": ["list_raters", "register_rater"],
        "raters.scores": ["Dimension", "Scores"],
        "rewards.base": ["Reward"],
        "rewards.expression": ["parse_reward"],
        "rewards.io": ["load_reward", "save_reward"],
        "rewards.results": ["Rewards"],
        "scoring.evaluator": ["Evaluator"],
        "scoring.run": ["score_files"],
        "selection._best_of_n": ["best_of_n"],
        "selection._selection": ["Selection"],
        "selection.search.search": ["BestOfN", "Search"],
    },
)
__all__ += ["__version__"]


def __getattr__(name: str) -> Any:
    if name != "__version__":
        return _get(name)
    from importlib.metadata import version

    return version("avreward")


def __dir__() -> list[str]:
    return sorted(__all__)
