"""Preferences between clips: pairwise models, Bradley–Terry fits, and rewards within a group of candidates."""

from typing import TYPE_CHECKING

from avreward._lazy import lazy_exports

if TYPE_CHECKING:
    from avreward.preferences.bradley_terry import Strengths as Strengths
    from avreward.preferences.bradley_terry import fit_strengths as fit_strengths
    from avreward.preferences.comparisons import Comparisons as Comparisons
    from avreward.preferences.consensus import Consensus as Consensus
    from avreward.preferences.group_rewards import Diversity as Diversity
    from avreward.preferences.group_rewards import GroupReward as GroupReward
    from avreward.preferences.group_rewards import Standardized as Standardized
    from avreward.preferences.group_rewards import Tournament as Tournament
    from avreward.preferences.judge_network import JudgeNetwork as JudgeNetwork
    from avreward.preferences.models import BradleyTerry as BradleyTerry
    from avreward.preferences.models import Davidson as Davidson
    from avreward.preferences.models import RaoKupper as RaoKupper
    from avreward.preferences.preference import FromJudge as FromJudge
    from avreward.preferences.preference import FromLmm as FromLmm
    from avreward.preferences.preference import FromModel as FromModel
    from avreward.preferences.preference import FromReward as FromReward
    from avreward.preferences.preference import Preference as Preference
    from avreward.preferences.preference import Preferences as Preferences

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "bradley_terry": ["Strengths", "fit_strengths"],
        "comparisons": ["Comparisons"],
        "consensus": ["Consensus"],
        "group_rewards": ["Diversity", "GroupReward", "Standardized", "Tournament"],
        "judge_network": ["JudgeNetwork"],
        "models": ["BradleyTerry", "Davidson", "RaoKupper"],
        "preference": ["FromJudge", "FromLmm", "FromModel", "FromReward", "Preference", "Preferences"],
    },
)
