"""Golden cases of the raters: tiny networks with weights made from their names, asked about small clips."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from tiny.aigveval import VIEWS as AIGVEVAL_VIEWS
from tiny.aigveval import tiny_config as aigveval_config
from tiny.aigveval import tokenizer as aigveval_tokenizer
from tiny.assessor import TOKENIZER
from tiny.assessor import tiny_config as tiny_assessor_config
from tiny.dover import CONFIG as DOVER
from tiny.dover import VIEWS
from tiny.embedding import tiny_clap, tiny_clip, tiny_naflex, tiny_siglip
from tiny.internvl import tiny_internvl
from tiny.pe_av import tiny_pe_av
from tiny.qwen2_audio import tiny_qwen2_audio
from tiny.qwen_omni import tiny_qwen2_5_omni, tiny_qwen3_omni
from tiny.qwen_vl import tiny_qwen2_5_vl, tiny_qwen2_vl, tiny_qwen3_vl
from tiny.video_llama3 import tiny_video_llama3
from tiny_agav_rater import SPECIAL, tiny_config
from tiny_tokenizer import tiny_tokenizer
from torch import nn

from avreward import Clip
from avreward.media import QwenFrames
from avreward.raters.agav._backbone import AgavBackbone
from avreward.raters.agav._network import AgavNetwork
from avreward.raters.agav.rater import AgavRater
from avreward.raters.aigv_assessor._backbone import AssessorBackbone
from avreward.raters.aigv_assessor._network import AssessorNetwork
from avreward.raters.aigv_assessor.rater import AigvAssessorRater
from avreward.raters.aigveval import AigvEvalNetwork, AigvEvalRater
from avreward.raters.aigveval._backbone import AigvEvalBackbone
from avreward.raters.avbench.rater import LOOK, AvBenchRater
from avreward.raters.dover import DoverNetwork, DoverRater
from avreward.raters.encoders._mrope import mrope
from avreward.raters.encoders._qwen_patches import QwenPatches
from avreward.raters.encoders.beats import Beats, BeatsConfig
from avreward.raters.encoders.stc import StcConnector
from avreward.raters.listener import (
    GlanceFeatures,
    ListenerRater,
    PreferenceHead,
    SoundEffectsNetwork,
    SoundEffectsRater,
    StudentRater,
)
from avreward.raters.listener._student_head import StudentHead
from avreward.raters.lmm.backbones.qwen2_5_omni import Qwen2_5Omni
from avreward.raters.lmm.prompt import Slot, Text, Tokens
from avreward.raters.lmm.rater import LmmRater, Question
from avreward.raters.lmm.readout import BinaryConfidence, FiveLevels, first_tokens
from avreward.raters.scores import Dimension
from avreward.raters.signals.rater import SignalsRater
from avreward.raters.stereo.rater import StereoRater
from avreward.raters.sync._backbone import SyncBackbone
from avreward.raters.sync.rater import SyncRater
from avreward.raters.video_reward.rater import NORMS, VideoRewardRater, backbone_options, with_tokens
from avreward.raters.zero_shot.rater import PublicRater
from versions.avbench_audio_cases import avbench_audio_cases
from versions.avbench_video_cases import avbench_video_cases
from versions.inputs import audio, clip, filled, network, numbers, opened, scores, uniform, video

TEXTS = {"audio_prompt": "A dog barks.", "speech": "Good dog."}


def signals_cases() -> dict[str, Any]:
    """Clips of tensors: whole, without a track, too short, and longer than 30 s, which is watched in windows."""
    long = Clip(video=video(160, 24, 32), fps=4, audio=audio(40 * 4000, 4000, 2), sample_rate=4000)
    clips = {
        "both": clip(24, 1.5, 16000, fps=16),
        "stereo": Clip(audio=audio(2 * 44100, 44100, 2), sample_rate=44100),
        "loud": Clip(audio=(3 * audio(16000, 16000)).clamp(-1, 1), sample_rate=16000),
        "silent": clip(12, 0),
        "still": Clip(video=video(1), fps=1),
        "long": long,
    }
    rater = SignalsRater()
    explained = {row.name: row.value for row in rater.explain(clips["both"])}
    return {name: scores(rater, one)[0] for name, one in clips.items()} | {"explained": explained}


def stereo_cases() -> dict[str, Any]:
    """Noise that goes from one side to the other, beside frames that move; at two rates."""
    sides = torch.linspace(0.2, 1.0, 24000, dtype=audio(8, 8).dtype)
    clips = {}
    for rate in (16000, 24000):
        ears = torch.cat([audio(24000, rate) * sides.flip(0), audio(24000, rate).roll(5, -1) * sides])
        clips[str(rate)] = Clip(video=video(18, 16, 24), fps=12, audio=ears, sample_rate=rate)
    return {name: scores(StereoRater(), one)[0] for name, one in clips.items()}


def encoders_cases() -> dict[str, Any]:
    """Features of each encoder."""
    sizes = BeatsConfig(
        embed=6, layers=3, width=16, ffn=24, heads=2, conv_pos=4, conv_pos_groups=2, buckets=16, max_distance=32,
        classes=5,
    )  # fmt: skip
    beats, stc = network(Beats(sizes)), network(StcConnector(6, 8))
    spectrum = audio(48 * 128, 16000)[0].reshape(1, 48, 128)
    parts = [Text((1, 2)), Tokens(torch.zeros(12, 8), grid=(2, 2, 3), seconds=0.75), Text((3,))]
    patches: dict[str, Any] = {}
    for frames, mode in ((4, "none"), (3, "exact")):
        found, grid = QwenPatches(3000, 6000, 90_000)(video(frames, 60, 90), mode)  # type: ignore[arg-type]
        patches[f"{frames} frames, {mode}"] = [*grid, *numbers(found)]
    return {
        "beats": numbers(beats(spectrum)),
        "stc": numbers(stc(audio(2 * 5 * 36 * 6, 8000).reshape(2, 5, 36, 6))),
        "mrope": [mrope(parts).tolist(), mrope(parts, per_second=4.0).tolist()],
        "patches": patches,
    }


def lmm_cases() -> dict[str, Any]:
    """Two questions to each backbone about two clips, one with a longer video or sound, judged together."""
    backbones = {
        "qwen2_5_omni": tiny_qwen2_5_omni("none"),
        "qwen2_5_omni, one frame a second": tiny_qwen2_5_omni("none", frames=QwenFrames(1.0), max_pixels=7000),
        "qwen3_omni": tiny_qwen3_omni("none"),
        "qwen2_vl": tiny_qwen2_vl("none"),
        "qwen2_5_vl": tiny_qwen2_5_vl("none"),
        "qwen3_vl": tiny_qwen3_vl("none"),
        "internvl": tiny_internvl("none"),
        "qwen2_audio": tiny_qwen2_audio("none"),
        "video_llama3": tiny_video_llama3("none"),
    }
    clips = [clip(prompt="a red ball"), clip(12, 1.5, prompt="a dog")]
    out: dict[str, Any] = {}
    for name, backbone in backbones.items():
        rater = _asking(backbone)
        out |= {name: scores(rater, *clips), f"{name}, file": scores(rater, opened(prompt="a red ball"))}
    return out


def _asking(backbone: Any) -> LmmRater:
    filled(backbone.module)
    stem = "The quality is"
    words = first_tokens(
        backbone.tokenizer, stem, [f" {word}" for word in ("excellent", "good", "fair", "poor", "bad")]
    )
    yes_no = first_tokens(backbone.tokenizer, "", ["Yes", "No"])
    slots = [Slot(track) for track in backbone.tracks]
    needs = frozenset(backbone.tracks)
    questions = [
        Question(
            ("quality",), tuple(backbone.chat([*slots, "How good is it?"], [stem])), FiveLevels(backbone.head, words)
        ),
        Question(
            ("match",), tuple(backbone.chat([*slots, "Is it {prompt}?"])), BinaryConfidence(backbone.head, yes_no)
        ),
    ]
    dimensions = [Dimension("quality", 0, 100, needs), Dimension("match", 0, 1, needs | {"prompt"})]
    return LmmRater("asking", backbone, questions, dimensions)


def zero_shot_cases() -> dict[str, Any]:
    """All questions, in both forms, to a model that sees and hears, one that sees, and one that hears."""
    out = {}
    for name, backbone in (
        ("omni", tiny_qwen2_5_omni("none")),
        ("vl", tiny_qwen2_5_vl("none")),
        ("audio", tiny_qwen2_audio("none")),
    ):
        filled(backbone.module)
        for answers in ("levels", "yes_no"):
            rater = PublicRater(name, backbone, answers)  # type: ignore[arg-type]
            out[f"{name}, {answers}"] = scores(rater, clip(prompt="a red ball", texts=TEXTS), clip(prompt=None))
    return out


def agav_cases() -> dict[str, Any]:
    """Both schemes, a task of text, and a clip without sound, with and without zeros in its place."""
    out = {}
    for scheme, task, count in (("last", "v2a", 3), ("masked", "v2a", 3), ("masked", "tta", 2)):
        tokenizer = tiny_tokenizer(SPECIAL)
        backbone = AgavBackbone(network(AgavNetwork(tiny_config(len(tokenizer), count, frames=4))), tokenizer, "none")
        rater = AgavRater(backbone, scheme, task, zeros_for_missing=scheme == "last")  # type: ignore[arg-type]
        out[f"{scheme}, {task}"] = scores(rater, clip(prompt="a dog barks"), clip(seconds=0))
        out[f"{scheme}, {task}, file"] = scores(rater, opened(prompt="a dog barks"))
    return out


def aigv_assessor_cases() -> dict[str, Any]:
    """Every text format, with the ReLU of the original and without, more frames, with and without a prompt."""
    out = {}
    kinds = (("internlm2-chat", True, 8), ("internvl2_5", False, 8), ("chatml", False, 8), ("chatml", False, 16))
    for template, last_relu, frames in kinds:
        sizes = tiny_assessor_config(template=template, last_relu=last_relu, frames=frames)
        rater = AigvAssessorRater(AssessorBackbone(network(AssessorNetwork(sizes)), TOKENIZER, "none"))
        name = template if frames == 8 else f"{template}, {frames} frames"
        out[name] = scores(rater, clip(prompt="a red ball"), clip(12, 0.0))
        out[f"{name}, file"] = scores(rater, opened(prompt="a red ball"))
    return out


def video_reward_cases() -> dict[str, Any]:
    """With and without a prompt, one shared row and one for each token, standardised and raw."""
    out = {}
    for rows, normalized in ((1, True), (3, False)):
        backbone = tiny_qwen2_vl("none", **backbone_options())
        backbone.tokenizer = with_tokens(tiny_tokenizer(["<|im_start|>", "<|im_end|>", *_VISION]))
        backbone.module.resize_token_embeddings(len(backbone.tokenizer), mean_resizing=False)
        filled(backbone.module)
        head = network(nn.Linear(backbone.module.config.text_config.hidden_size, rows, bias=False))
        rater = VideoRewardRater(backbone, head, normalized=normalized, norms=NORMS)
        out[f"{rows} rows"] = scores(rater, clip(prompt="a red ball"), clip(seconds=0))
        out[f"{rows} rows, file"] = scores(rater, opened(prompt="a red ball"))
    return out


def sync_cases() -> dict[str, Any]:
    """Clips that are filled up to five seconds, one of few frames a second, and one that is cut."""
    thinker = tiny_qwen2_5_omni("none")
    filled(thinker.module)
    head = network(nn.Linear(thinker.module.config.text_config.hidden_size, 1))
    rater = SyncRater(SyncBackbone(thinker.module, thinker.tokenizer, "none"), head)
    clips = {
        "short": clip(24, 1.5, fps=16),
        "slow": clip(12, 3.0, fps=4),
        "long": clip(96, 6.5, fps=16),
        "file": opened(),
    }
    return {name: scores(rater, one) for name, one in clips.items()}


def avbench_cases() -> dict[str, Any]:
    """All three evaluators, with and without the words to be said."""
    omni = tiny_qwen2_5_omni("none", **LOOK["audio_video"])
    filled(omni.module)
    listener = tiny_qwen2_audio("none", **LOOK["audio_text"])
    filled(listener.module)
    seer = Qwen2_5Omni(omni.module, omni.tokenizer, "none", **LOOK["video_text"])
    rater = AvBenchRater(audio_video=omni, video_text=seer, audio_text=listener)
    texts: Sequence[Mapping[str, str] | None] = (TEXTS, {"audio_prompt": "rain"}, None)
    given = [clip(12, 3.0, fps=4, prompt="a dog", texts=text) for text in texts]
    file = scores(rater, opened(prompt="a dog", texts=TEXTS))
    return {"all": scores(rater, *given), "file": file, **avbench_audio_cases(), **avbench_video_cases()}


def dover_cases() -> dict[str, Any]:
    """Both variants, with and without antialiasing, middle and drawn places, and a video smaller than the fragments."""
    clips = [clip(40), Clip(video=video(3)[:, :, 15:25, :14], fps=8), Clip(audio=audio(800, 8000), sample_rate=8000)]
    out = {}
    for variant, antialias, seed in (("dover", True, None), ("dover++", False, 5)):
        views = replace(VIEWS, antialias=antialias, seed=seed)
        rater = DoverRater(network(DoverNetwork(DOVER)), variant, views, "none")  # type: ignore[arg-type]
        raw = [rater.module.technical(one.technical).item() for one in (views(c, "none") for c in clips[:2])]
        out[variant] = [*scores(rater, *clips), raw]
        out[f"{variant}, file"] = scores(rater, opened())
    return out


def aigveval_cases() -> dict[str, Any]:
    """Each combination, without an encoder, both orders of levels, and a video smaller than the fragments."""
    clips = [clip(40), Clip(video=video(3)[:, :, 15:25, :14], fps=8), Clip(audio=audio(800, 8000), sample_rate=8000)]
    out = {}
    for combination, seed, changes in (
        ("anchors", None, {}),
        ("anchors", 5, {"encoders": ("motion", "technical")}),
        ("concatenation", None, {}),
        ("cross_attention", None, {}),
    ):
        module = network(AigvEvalNetwork(aigveval_config(combination=combination, **changes)))  # type: ignore[arg-type]
        views = replace(AIGVEVAL_VIEWS, seed=seed)
        backbone = AigvEvalBackbone(module, aigveval_tokenizer(), "none", views)
        rater = AigvEvalRater(backbone, inverted=seed is None, temperature=0.1)
        out[f"{combination}, {len(module.config.encoders)}"] = scores(rater, *clips)
        out[f"{combination}, {len(module.config.encoders)}, file"] = scores(rater, opened())
    return out


def embedding_cases() -> dict[str, Any]:
    """Cosines of every family, and probabilities where a model has them."""
    raters = {
        "clip": tiny_clip(rounding="none", score="cosine"),
        "siglip": tiny_siglip(rounding="none", score="probability"),
        "naflex": tiny_naflex(rounding="none", score="cosine"),
        "clap": tiny_clap(rounding="none", score="cosine"),
        "clap, fused": tiny_clap(True, rounding="none", score="cosine"),
        "pe_av": tiny_pe_av(rounding="none", score="cosine"),
    }
    clips = [clip(prompt="a red ball"), clip(12, 1.5, prompt="a dog barks")]
    for rater in raters.values():
        filled(rater.module)
    file = opened(prompt="a red ball")
    found = {name: scores(rater, *clips) for name, rater in raters.items()}
    return found | {f"{name}, file": scores(rater, file) for name, rater in raters.items()}


_VISION = ("<|vision_start|>", "<|image_pad|>", "<|video_pad|>", "<|vision_end|>")


def listener_cases() -> dict[str, Any]:
    """A head with slopes and squares on two measurements and a tiny encoder of sounds."""
    sounds = SoundEffectsRater(network(SoundEffectsNetwork(8)))
    columns = [("signals", "loudness"), ("signals", "bandwidth"), *(("aisfx", d.name) for d in sounds.dimensions)]
    head = PreferenceHead(len(columns), 4)
    head.projection[:2, :2] = torch.eye(2)
    head.projection[2:, 2:] = uniform(2, 8, seed=4)
    head.center[:] = torch.tensor([-20.0, 5.0, 0.1, 0.2])
    head.scale[:] = torch.tensor([4.0, 2.0, 0.5, 0.5])
    head.weight[:], head.curve[:] = torch.tensor([0.5, -0.3, 1.0, 0.7]), torch.tensor([-0.2, 0.0, 0.1, 0.0])
    rater = ListenerRater({"signals": SignalsRater(), "aisfx": sounds}, columns, head)
    clips = {"short": clip(8, 1.0, 16000, fps=8), "long": Clip(audio=audio(4 * 44100, 44100, 2), sample_rate=44100)}
    glance = GlanceFeatures()
    student_head = StudentHead(len(glance.dimensions), 2, 3)
    filled(student_head)
    columns = [("glance", d.name) for d in glance.dimensions]
    student = StudentRater({"glance": glance}, columns, student_head, Dimension("quality", 0, 1, frozenset({"audio"})))
    return (
        {name: scores(rater, one)[0] for name, one in clips.items()}
        | {"features": scores(sounds, clips["long"])[0]}
        | {"glance": scores(glance, clips["short"])[0], "student": scores(student, clips["short"])[0]}
    )
