"""Golden cases of AVBench's networks that rate the audio."""

from __future__ import annotations

from typing import Any

from tiny.avbench_audio import AUDIOBOX, DF_ARENA, NISQA, tiny_whisper

from avreward import Clip
from avreward.raters.avbench import (
    AudioboxNetwork,
    AudioboxRater,
    DfArenaNetwork,
    DfArenaRater,
    NisqaNetwork,
    NisqaRater,
)
from versions.inputs import audio, clip, filled, network, opened, scores


def avbench_audio_cases() -> dict[str, Any]:
    """Each of them on a short clip, one longer than a window, one too short, and one that is silent."""
    clips = [
        clip(0, 0.5),
        Clip(audio=audio(11 * 16000, 16000), sample_rate=16000),
        Clip(audio=audio(100, 1000), sample_rate=1000),
        Clip(audio=0 * audio(8000, 8000), sample_rate=8000),
    ]
    raters = {
        "nisqa": NisqaRater(network(NisqaNetwork(NISQA))),  # type: ignore[arg-type]
        "audiobox": AudioboxRater(network(AudioboxNetwork(AUDIOBOX))),  # type: ignore[arg-type]
        "df_arena": DfArenaRater(network(DfArenaNetwork(DF_ARENA))),  # type: ignore[arg-type]
    }
    whisper = tiny_whisper()
    filled(whisper.module)
    said = [clip(0, 0.5, texts={"speech": text}) for text in ("Good, is it?", "The quality of 好 audio")]
    out = {name: scores(rater, *clips) for name, rater in raters.items()} | {"whisper": scores(whisper, *said)}
    return out | {f"{name}, file": scores(rater, opened()) for name, rater in raters.items()}
