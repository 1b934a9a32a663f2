"""AVBench: ten dimensions of generated video with sound (arXiv:2605.24652)."""

from typing import TYPE_CHECKING

from avreward._lazy import lazy_exports

if TYPE_CHECKING:
    from avreward.raters.avbench._aesthetic import AestheticRater as AestheticRater
    from avreward.raters.avbench._aesthetic_network import AestheticConfig as AestheticConfig
    from avreward.raters.avbench._aesthetic_network import AestheticNetwork as AestheticNetwork
    from avreward.raters.avbench._audiobox import AudioboxRater as AudioboxRater
    from avreward.raters.avbench._audiobox_network import AudioboxConfig as AudioboxConfig
    from avreward.raters.avbench._audiobox_network import AudioboxNetwork as AudioboxNetwork
    from avreward.raters.avbench._df_arena import DfArenaRater as DfArenaRater
    from avreward.raters.avbench._df_arena_network import DfArenaConfig as DfArenaConfig
    from avreward.raters.avbench._df_arena_network import DfArenaNetwork as DfArenaNetwork
    from avreward.raters.avbench._face_tracks import FaceDetector as FaceDetector
    from avreward.raters.avbench._face_tracks import FaceTrack as FaceTrack
    from avreward.raters.avbench._face_tracks import FaceTracks as FaceTracks
    from avreward.raters.avbench._face_tracks import SlimeFaces as SlimeFaces
    from avreward.raters.avbench._nisqa import NisqaRater as NisqaRater
    from avreward.raters.avbench._nisqa_network import NisqaConfig as NisqaConfig
    from avreward.raters.avbench._nisqa_network import NisqaNetwork as NisqaNetwork
    from avreward.raters.avbench._speech_content import SpeechContentRater as SpeechContentRater
    from avreward.raters.avbench._speech_text import SpeechMatch as SpeechMatch
    from avreward.raters.avbench._speech_text import speech_match as speech_match
    from avreward.raters.avbench._speech_text import word_accuracy as word_accuracy
    from avreward.raters.avbench._summary import DimensionSummary as DimensionSummary
    from avreward.raters.avbench._summary import summarize_avbench as summarize_avbench
    from avreward.raters.avbench._sync_offset import Synchrony as Synchrony
    from avreward.raters.avbench._syncnet import SyncNetRater as SyncNetRater
    from avreward.raters.avbench._syncnet_network import SyncNet as SyncNet
    from avreward.raters.avbench._syncnet_network import SyncNetConfig as SyncNetConfig
    from avreward.raters.avbench.rater import AvBenchRater as AvBenchRater
    from avreward.raters.avbench.rater import load_avbench as load_avbench

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "_aesthetic": ["AestheticRater"],
        "_aesthetic_network": ["AestheticConfig", "AestheticNetwork"],
        "_audiobox": ["AudioboxRater"],
        "_audiobox_network": ["AudioboxConfig", "AudioboxNetwork"],
        "_df_arena": ["DfArenaRater"],
        "_df_arena_network": ["DfArenaConfig", "DfArenaNetwork"],
        "_nisqa": ["NisqaRater"],
        "_nisqa_network": ["NisqaConfig", "NisqaNetwork"],
        "_speech_content": ["SpeechContentRater"],
        "_speech_text": ["SpeechMatch", "speech_match", "word_accuracy"],
        "_face_tracks": ["FaceDetector", "FaceTrack", "FaceTracks", "SlimeFaces"],
        "_summary": ["DimensionSummary", "summarize_avbench"],
        "_sync_offset": ["Synchrony"],
        "_syncnet": ["SyncNetRater"],
        "_syncnet_network": ["SyncNet", "SyncNetConfig"],
        "rater": ["AvBenchRater", "load_avbench"],
    },
)
