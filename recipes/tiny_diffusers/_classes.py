"""The pipeline classes of the installed diffusers that make video or audio, found by what they return."""

from __future__ import annotations

import dataclasses
import inspect
import re
import sys
from collections.abc import Mapping

RETURNED = {"frames", "video", "videos", "audios", "audio", "sound"}

# Why there is no tiny build of a class.
NOT_BUILT: Mapping[str, str] = {
    "AceStepPipeline": "needs a language model as its text encoder",
    "Cosmos2_5_PredictBasePipeline": "needs torchvision",
    "Cosmos2_5_TransferPipeline": "needs torchvision",
    "Cosmos3OmniPipeline": "needs a language model as its transformer",
    "EasyAnimateControlPipeline": "fails in its own encode_prompt",
    "Kandinsky6SRPipeline": "refines a video that is given",
    "Kandinsky6TI2VAPipeline": "needs a language model as its text encoder",
    "LTX2DFRPipeline": "needs the networks of LTX-2.5",
    "LTX2DFRTemporalRefinePipeline": "refines latents that are given",
    "LTX2LatentUpsamplePipeline": "refines latents that are given",
    "LTX2VideoDiffusionDecodePipeline": "decodes latents that are given",
    "LTXI2VLongMultiPromptPipeline": "needs a text encoder",
    "LTXLatentUpsamplePipeline": "refines latents that are given",
    "LongCatAudioDiTPipeline": "needs a text encoder",
    "MotifVideoImage2VideoPipeline": "needs the vision tower of its text encoder",
    "SanaWMPipeline": "needs a camera path",
    "TextToVideoZeroPipeline": "needs a text encoder",
    "TextToVideoZeroSDXLPipeline": "steps its scheduler in loops of its own",
}


def makers() -> set[str]:
    """Return the names of the classes whose calls return video or audio, or take a number of frames."""
    import diffusers

    found = set()
    for name in dir(diffusers):
        kind = getattr(diffusers, name) if name.endswith("Pipeline") else None
        if not inspect.isclass(kind) or not issubclass(kind, diffusers.DiffusionPipeline) or "dummy" in kind.__module__:
            continue
        if not inspect.isfunction(kind.__call__):
            continue  # a base class
        module, source = sys.modules[kind.__module__], inspect.getsource(kind.__call__)
        outputs = [getattr(module, output, None) for output in re.findall(r"return (\w+)\(", source)]
        fields = {
            field.name for kind in outputs if dataclasses.is_dataclass(kind) for field in dataclasses.fields(kind)
        }
        if fields & RETURNED or {"num_frames", "video_length"} & set(inspect.signature(kind.__call__).parameters):
            found.add(name)
    return found
