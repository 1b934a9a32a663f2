"""Audit rewards: probes with degenerate inputs, attacks, a leaderboard, gradient noise, what a reward depends on."""

from typing import TYPE_CHECKING

from avreward._lazy import lazy_exports

if TYPE_CHECKING:
    from avreward.audit._attribute import attribute as attribute
    from avreward.audit._leaderboard import leaderboard as leaderboard
    from avreward.audit._leaderboard_rows import Exploit as Exploit
    from avreward.audit._leaderboard_rows import Leaderboard as Leaderboard
    from avreward.audit._leaderboard_rows import LeaderboardRow as LeaderboardRow
    from avreward.audit.ascent import Ascent as Ascent
    from avreward.audit.ascent import ascend as ascend
    from avreward.audit.ascent import climb as climb
    from avreward.audit.attribution import Attribution as Attribution
    from avreward.audit.attribution import MomentEffects as MomentEffects
    from avreward.audit.attribution import RegionEffects as RegionEffects
    from avreward.audit.gradient_noise import gradient_snr as gradient_snr
    from avreward.audit.inputs import Probe as Probe
    from avreward.audit.probes import ProbeResults as ProbeResults
    from avreward.audit.probes import run_probes as run_probes

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "_attribute": ["attribute"],
        "_leaderboard": ["leaderboard"],
        "_leaderboard_rows": ["Exploit", "Leaderboard", "LeaderboardRow"],
        "ascent": ["Ascent", "ascend", "climb"],
        "attribution": ["Attribution", "MomentEffects", "RegionEffects"],
        "gradient_noise": ["gradient_snr"],
        "inputs": ["Probe"],
        "probes": ["ProbeResults", "run_probes"],
    },
)
