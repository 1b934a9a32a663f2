"""Raters, from clips to scores: the base class, and the raters that come with the package."""

from typing import TYPE_CHECKING

from avreward._lazy import lazy_exports

if TYPE_CHECKING:
    from avreward.raters._term import term as term
    from avreward.raters.agav.rater import AgavRater as AgavRater
    from avreward.raters.aigv_assessor._new import new_assessor as new_assessor
    from avreward.raters.aigv_assessor.rater import AigvAssessorRater as AigvAssessorRater
    from avreward.raters.aigveval._new import new_aigveval as new_aigveval
    from avreward.raters.aigveval._training import aigveval_lora as aigveval_lora
    from avreward.raters.aigveval._training import mos_curve as mos_curve
    from avreward.raters.aigveval.rater import AigvEvalRater as AigvEvalRater
    from avreward.raters.avbench._audiobox import AudioboxRater as AudioboxRater
    from avreward.raters.avbench._df_arena import DfArenaRater as DfArenaRater
    from avreward.raters.avbench._nisqa import NisqaRater as NisqaRater
    from avreward.raters.avbench._speech_content import SpeechContentRater as SpeechContentRater
    from avreward.raters.avbench.rater import AvBenchRater as AvBenchRater
    from avreward.raters.avbench.rater import load_avbench as load_avbench
    from avreward.raters.base import Rater as Rater
    from avreward.raters.base import Sample as Sample
    from avreward.raters.base import Track as Track
    from avreward.raters.base import Work as Work
    from avreward.raters.card import Layout as Layout
    from avreward.raters.card import RaterCard as RaterCard
    from avreward.raters.checkpoints.loading import Loading as Loading
    from avreward.raters.checkpoints.network_rater import NetworkRater as NetworkRater
    from avreward.raters.clip_rater import ClipRater as ClipRater
    from avreward.raters.dover.rater import DoverRater as DoverRater
    from avreward.raters.embedding.base import EmbeddingRater as EmbeddingRater
    from avreward.raters.hub import UnknownRater as UnknownRater
    from avreward.raters.hub import load_rater as load_rater
    from avreward.raters.lmm.rater import LmmRater as LmmRater
    from avreward.raters.registry import list_raters as list_raters
    from avreward.raters.registry import register_rater as register_rater
    from avreward.raters.remote.rater import RemoteRater as RemoteRater
    from avreward.raters.scores import Dimension as Dimension
    from avreward.raters.scores import Scores as Scores
    from avreward.raters.shared import Shared as Shared
    from avreward.raters.shared import SharedWork as SharedWork
    from avreward.raters.signals.rater import SignalsRater as SignalsRater
    from avreward.raters.stereo.rater import StereoRater as StereoRater
    from avreward.raters.sync._new import new_sync as new_sync
    from avreward.raters.sync.rater import SyncRater as SyncRater
    from avreward.raters.video_reward.rater import VideoRewardRater as VideoRewardRater
    from avreward.raters.wrappers._calibrated import CalibratedRater as CalibratedRater
    from avreward.raters.wrappers._calibrated import calibrated as calibrated
    from avreward.raters.wrappers._calibrated import load_calibrations as load_calibrations
    from avreward.raters.wrappers._calibrated import save_calibrations as save_calibrations
    from avreward.raters.wrappers._cascade_rule import CascadeRule as CascadeRule
    from avreward.raters.wrappers._restricted import RestrictedRater as RestrictedRater
    from avreward.raters.wrappers._restricted import restricted as restricted
    from avreward.raters.wrappers._trained import TrainedRater as TrainedRater
    from avreward.raters.wrappers.adapters import AdaptedRater as AdaptedRater
    from avreward.raters.wrappers.adapters import adapted as adapted
    from avreward.raters.wrappers.base import WrapperRater as WrapperRater
    from avreward.raters.wrappers.calibration_curves import Calibration as Calibration
    from avreward.raters.wrappers.calibration_curves import Linear as Linear
    from avreward.raters.wrappers.calibration_curves import Logistic as Logistic
    from avreward.raters.wrappers.cascade import CascadeRater as CascadeRater
    from avreward.raters.wrappers.composite import CompositeRater as CompositeRater
    from avreward.raters.wrappers.dropout import dropout_passes as dropout_passes
    from avreward.raters.wrappers.ensemble import EnsembleRater as EnsembleRater
    from avreward.raters.zero_shot._phrasings import phrasings as phrasings
    from avreward.raters.zero_shot.rater import PublicRater as PublicRater

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "agav.rater": ["AgavRater"],
        "aigv_assessor._new": ["new_assessor"],
        "aigv_assessor.rater": ["AigvAssessorRater"],
        "aigveval._new": ["new_aigveval"],
        "aigveval._training": ["aigveval_lora", "mos_curve"],
        "aigveval.rater": ["AigvEvalRater"],
        "avbench._audiobox": ["AudioboxRater"],
        "avbench._df_arena": ["DfArenaRater"],
        "avbench._nisqa": ["NisqaRater"],
        "avbench._speech_content": ["SpeechContentRater"],
        "avbench.rater": ["AvBenchRater", "load_avbench"],
        "base": ["Rater", "Sample", "Track", "Work"],
        "checkpoints.loading": ["Loading"],
        "checkpoints.network_rater": ["NetworkRater"],
        "dover.rater": ["DoverRater"],
        "embedding.base": ["EmbeddingRater"],
        "_term": ["term"],
        "card": ["Layout", "RaterCard"],
        "clip_rater": ["ClipRater"],
        "hub": ["UnknownRater", "load_rater"],
        "lmm.rater": ["LmmRater"],
        "registry": ["list_raters", "register_rater"],
        "remote.rater": ["RemoteRater"],
        "scores": ["Dimension", "Scores"],
        "shared": ["Shared", "SharedWork"],
        "signals.rater": ["SignalsRater"],
        "stereo.rater": ["StereoRater"],
        "sync._new": ["new_sync"],
        "sync.rater": ["SyncRater"],
        "video_reward.rater": ["VideoRewardRater"],
        "wrappers._calibrated": ["CalibratedRater", "calibrated", "load_calibrations", "save_calibrations"],
        "wrappers._restricted": ["RestrictedRater", "restricted"],
        "wrappers._trained": ["TrainedRater"],
        "wrappers.adapters": ["AdaptedRater", "adapted"],
        "wrappers.base": ["WrapperRater"],
        "wrappers.calibration_curves": ["Calibration", "Linear", "Logistic"],
        "wrappers._cascade_rule": ["CascadeRule"],
        "wrappers.cascade": ["CascadeRater"],
        "wrappers.composite": ["CompositeRater"],
        "wrappers.dropout": ["dropout_passes"],
        "wrappers.ensemble": ["EnsembleRater"],
        "zero_shot._phrasings": ["phrasings"],
        "zero_shot.rater": ["PublicRater"],
    },
)
