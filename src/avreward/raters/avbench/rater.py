"""AVBench (arXiv:2605.24652): ten dimensions of generated video with sound, three of them from fine-tuned LMMs."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn

from avreward.clip import Clip
from avreward.errors import ArgumentError, AvrewardError, Described, unknown_name
from avreward.media.sampling_rules import QwenFrames
from avreward.raters.avbench._card import ABSENT, DIMENSIONS, EVALUATORS
from avreward.raters.avbench._version import VERSION
from avreward.raters.base import Rater, Sample, Track, Work
from avreward.raters.checkpoints._fingerprint import digest
from avreward.raters.lmm.backbone import Backbone
from avreward.raters.lmm.prompt import Prompt, Slot
from avreward.raters.lmm.rater import LmmRater, Question
from avreward.raters.lmm.readout import BinaryConfidence, first_tokens
from avreward.raters.scores import Dimension, Scores

if TYPE_CHECKING:
    from avreward.raters.checkpoints.loading import Loading

# Verbatim from evaluation/evaluate_{av,vt,at}_consistency.py in github.com/YaJialiang/AVBench. They contain a
# backslash and an n where line breaks were meant, and the networks were trained with them. The prompt of Qwen2-Audio
# has no chat format.
AUDIO_VIDEO = "Is this audio and video properly matched?"
VIDEO_TEXT = r"Does the video match this description?\n{prompt}\nAnswer Yes or No."
AUDIO_TEXT = (
    r"\nAudio Description: DESCRIPTION\n\nDoes this audio description accurately match the audio content? "
    "Answer only Yes or No."
)
WITH_SPEECH = 'Audio Observation: {texts.audio_prompt} Speech Content: "{texts.speech}"'
WITHOUT_SPEECH = "{texts.audio_prompt}"

LOOK: Mapping[str, Mapping[str, Any]] = MappingProxyType({
    "audio_video": {"frames": QwenFrames(1.0), "max_pixels": 480 * 640, "max_audio_seconds": 9.9},
    "video_text": {"frames": QwenFrames(1.0), "max_pixels": 360 * 420},
    "audio_text": {},
})  # fmt: skip
"""Evaluator → its preprocessing: keyword arguments of `Qwen2_5Omni`, `Qwen2_5Omni` and `Qwen2Audio`."""

_NETWORKS = {
    "audio_video": "the fine-tuned Qwen2.5-Omni-7B",
    "video_text": "the fine-tuned Qwen2.5-Omni-7B",
    "audio_text": "the fine-tuned Qwen2-Audio-7B",
}


class AvBenchRater(Rater):
    """AVBench: the probability of Yes against No as the first word of a fine-tuned model's answer, from 0 to 1.

    `audio_video` compares video and audio, `video_text` video and prompt, `audio_text` audio and the clip's
    ``texts["audio_prompt"]``, followed by ``texts["speech"]`` (the words to be said) if it has that. The scores of
    absent evaluators are missing, with a reason; so are the seven dimensions of `ABSENT`.

    Each evaluator has its own preprocessing (`LOOK`) and is one pass of its language model. Backbones may share one
    network, whose weights are then in memory once.

    Args:
        audio_video: Qwen2.5-Omni (*optional*).
        video_text: Qwen2.5-Omni (*optional*).
        audio_text: Qwen2-Audio (*optional*).
        checkpointing: as for `LmmRater`.

    Raises:
        ArgumentError: for a backbone that cannot read a track of its evaluator.

    Example:
        >>> from tiny.qwen_omni import tiny_qwen2_5_omni
        >>> omni = tiny_qwen2_5_omni()  # published: load_avbench(audio_video="checkpoints/AudioVideo")
        >>> AvBenchRater(audio_video=omni)([Clip.open("dub2.mp4")])["audio_video"].shape
        torch.Size([1])
    """

    name = "avbench"
    libraries = LmmRater.libraries

    def __init__(
        self,
        *,
        audio_video: Backbone | None = None,
        video_text: Backbone | None = None,
        audio_text: Backbone | None = None,
        checkpointing: bool = False,
    ) -> None:
        given = {"audio_video": audio_video, "video_text": video_text, "audio_text": audio_text}
        self.evaluators = {
            dimension.name: _evaluator(dimension, backbone, checkpointing)
            for dimension in EVALUATORS
            if (backbone := given[dimension.name]) is not None
        }
        self.dimensions = DIMENSIONS
        self.module = nn.ModuleDict({name: evaluator.backbone.module for name, evaluator in self.evaluators.items()})
        tracks: tuple[Track, ...] = ("video", "audio")
        self.tracks = tuple(track for track in tracks if any(track in e.tracks for e in self.evaluators.values()))
        self.prompt_anchored = any(evaluator.prompt_anchored for evaluator in self.evaluators.values())
        members = (evaluator.versions for evaluator in self.evaluators.values())
        self.versions = {"avbench": VERSION, **{name: v for one in members for name, v in one.items()}}
        self._absent = {a.name: f"not installed: it needs {a.judge}, which avreward does not support" for a in ABSENT}
        self._absent |= {
            name: f"not loaded: load it with {name}=, a folder or hub name of {network}"
            for name, network in _NETWORKS.items()
            if name not in self.evaluators
        }

    @property
    def fingerprint(self) -> str:  # type: ignore[override]  # computed when asked for
        """Fingerprint of the weights, the questions and all settings of all evaluators."""
        parts = (f"{name}={evaluator.fingerprint}" for name, evaluator in self.evaluators.items())
        return f"{self.name}:{digest(self.versions, *parts)}"

    def reads(self, dimension: str | None = None) -> frozenset[str]:
        """Return the inputs that a score may depend on: those of its evaluator, or its needs where there is none."""
        if dimension is None:
            return super().reads()
        found = self.dimension(dimension)
        return self.evaluators[found.name].reads(found.name) if found.name in self.evaluators else found.needs

    @property
    def decoding(self) -> Hashable:
        """Decoding of all evaluators."""
        return type(self), tuple(evaluator.decoding for evaluator in self.evaluators.values())

    @property
    def settings(self) -> Mapping[str, str]:
        """Settings of each evaluator."""
        pairs = [(name, evaluator.settings) for name, evaluator in self.evaluators.items()]
        return {f"{name}: {label}": value for name, settings in pairs for label, value in settings.items()}

    def load_track(self, clip: Clip, track: Track) -> Mapping[str, Any]:
        """Decode one track for each evaluator: its name → the input of its network."""
        users = {name: evaluator for name, evaluator in self.evaluators.items() if track in evaluator.tracks}
        return {name: evaluator.load_track(clip, track) for name, evaluator in users.items()}

    def rate(self, samples: Sequence[Sample], work: Work | None = None) -> Scores:
        """Return the scores of what `load` decoded."""
        work = work or Work()
        parts = []
        for name, evaluator in self.evaluators.items():
            own = [
                Sample(s.clip, {track: loaded[name] for track, loaded in s.tracks.items() if name in loaded}, s.missing)
                for s in samples
            ]
            # evaluators cannot share encoded tracks, so each has its own cache within `work`
            parts.append(evaluator.rate(own, work.results.get((self, name), Work)))
        rows: list[tuple[dict[str, Tensor], dict[str, str], dict[str, tuple[str, ...]]]] = []
        for i in range(len(samples)):
            values = {n: part.values[i, j] for part in parts for j, n in enumerate(part.names) if part.present[i, j]}
            reasons = dict(self._absent)
            for part in parts:
                reasons |= part.reasons[i]
            rows.append((values, reasons, {}))
        return Scores.collect(rows, self.dimensions)


def load(
    folder: Path | None,
    config: Mapping[str, Any],
    loading: Loading,
    *,
    audio_video: str | Path | None = None,
    video_text: str | Path | None = None,
    audio_text: str | Path | None = None,
) -> AvBenchRater:
    """Load the rater from a folder with ``audio_video/``, ``video_text/`` and ``audio_text/``, or some of them.

    Each holds a model as `transformers` writes it. The published repository (``iiiiii123/AVBench_model``) has one for
    each evaluator, fine-tuned and merged from Qwen2.5-Omni-7B and Qwen2-Audio-7B-Instruct; its folders may have other
    names, so pass them by option, or download and rename them. Evaluators that are not found are missing.

    Args:
        folder: with the three folders, or some of them (*optional*).
        config: not used; such a folder has none.
        loading: options of loading each network.
        audio_video: folder or hub name of this evaluator (*optional*); evaluators in the same folder share one network.
        video_text: as `audio_video`.
        audio_text: as `audio_video`.

    Raises:
        AvrewardError: if there is no evaluator, or one cannot be loaded.
    """
    from avreward.raters.checkpoints._networks import load_network, load_tokenizer
    from avreward.raters.hub import folder_of
    from avreward.raters.lmm.backbones.qwen2_5_omni import Qwen2_5Omni
    from avreward.raters.lmm.backbones.qwen2_audio import Qwen2Audio

    given = {"audio_video": audio_video, "video_text": video_text, "audio_text": audio_text}
    places = {name: folder_of(place, loading.revision) for name, place in given.items() if place is not None}
    for name in given:
        if name not in places and folder is not None and (folder / name).is_dir():
            places[name] = folder / name
    if not places:
        raise AvrewardError(
            f"{folder or 'avbench'}: expected a folder with one or more of {', '.join(given)}, got no evaluator"
        )
    networks: dict[tuple[str, Path], nn.Module] = {}
    backbones: dict[str, Backbone] = {}
    for name, place in places.items():
        family = Qwen2Audio if name == "audio_text" else Qwen2_5Omni
        if (key := (family.network, place.resolve())) not in networks:
            networks[key] = load_network(family.network, place, _config(place, family, name), loading)
        backbones[name] = family(networks[key], load_tokenizer(place), loading.rounding, **LOOK[name])
    return AvBenchRater(**backbones, checkpointing=loading.checkpointing)


def _config(place: Path, family: type[Backbone], name: str) -> Mapping[str, Any]:
    """Return the ``config.json`` of one evaluator; raise `AvrewardError` for a model of another family."""
    from avreward.raters.hub import read_config
    from avreward.raters.lmm.backbones._families import FAMILIES

    config = read_config(place)
    found = config.get("network", config).get("model_type")
    if found not in FAMILIES or FAMILIES[found].backbone() is not family:
        raise AvrewardError(f"{place}: expected {_NETWORKS[name]} for {name}, got a model of type {found!r}")
    return config


def load_avbench(folder: str | Path | None = None, **options: Any) -> AvBenchRater:
    """Load AVBench from folders or hub names.

    Args:
        folder: with ``audio_video/``, ``video_text/`` and ``audio_text/``, or some of them (*optional*).
        **options: `audio_video`, `video_text`, `audio_text` (folder or hub name of one evaluator), and the options of
            `avreward.raters.Loading`.

    Raises:
        ArgumentError: for an unknown option.
        AvrewardError: if there is no evaluator, or one cannot be loaded.

    Example:
        >>> load_avbench(video_text="checkpoints/VideoText", dtype="bfloat16")  # doctest: +SKIP
    """
    from avreward.raters.checkpoints.loading import Loading
    from avreward.raters.hub import folder_of

    own = {name: options.pop(name) for name in _NETWORKS if name in options}
    known = [field.name for field in fields(Loading)]
    if unknown := [name for name in options if name not in known]:
        raise unknown_name("option of avbench", unknown[0], [*_NETWORKS, *known])
    loading = Loading(**options)
    return load(None if folder is None else folder_of(folder, loading.revision), {}, loading, **own)


def _evaluator(dimension: Dimension, backbone: Backbone, checkpointing: bool) -> LmmRater:
    lacking = [track for track in ("video", "audio") if track in dimension.needs and track not in backbone.tracks]
    if lacking:
        got = Described(type(backbone).__name__)
        raise ArgumentError(dimension.name, f"a model that reads {lacking[0]}", got, "pass another model")
    readout = BinaryConfidence(backbone.head, first_tokens(backbone.tokenizer, "", ["Yes", "No"]))
    questions = [Question((dimension.name,), prompt, readout) for prompt in _prompts(dimension.name, backbone)]
    return LmmRater(f"avbench.{dimension.name}", backbone, questions, [dimension], checkpointing=checkpointing)


def _prompts(name: str, backbone: Backbone) -> list[Prompt]:
    """Return the prompts of one evaluator; the first for which a clip has all inputs is used."""
    if name == "audio_video":
        return [tuple(backbone.chat([Slot("video"), Slot("audio"), AUDIO_VIDEO]))]
    if name == "video_text":
        return [tuple(backbone.chat([Slot("video"), VIDEO_TEXT]))]
    descriptions = (WITH_SPEECH, WITHOUT_SPEECH)
    return [(Slot("audio"), AUDIO_TEXT.replace("DESCRIPTION", description)) for description in descriptions]
