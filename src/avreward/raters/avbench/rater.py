"""AVBench (arXiv:2605.24652): ten dimensions of generated video with sound, each from a rater of its own."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from avreward.errors import ArgumentError, AvrewardError, Described, unknown_name
from avreward.raters.avbench._card import DIMENSIONS, EVALUATORS, NETWORKS
from avreward.raters.avbench._evaluators import LANGUAGE_MODELS, AvBenchEvaluator, evaluator
from avreward.raters.avbench._evaluators import LOOK as LOOK
from avreward.raters.avbench._version import VERSION
from avreward.raters.base import Rater, Sample, Work
from avreward.raters.checkpoints._fingerprint import digest
from avreward.raters.lmm.backbone import Backbone
from avreward.raters.scores import Dimension, Scores
from avreward.raters.wrappers.composite import CompositeRater, Part, part_of

if TYPE_CHECKING:
    from avreward.raters.checkpoints._activation_checkpointing import Checkpointing
    from avreward.raters.checkpoints.loading import Loading

_JUDGES = {**LANGUAGE_MODELS, **{network.dimension.name: network.judge for network in NETWORKS}}
_THEIRS = {network.dimension.name: network.theirs for network in NETWORKS}
_NO_RATERS: Mapping[str, Part] = MappingProxyType({})


class AvBenchRater(CompositeRater):
    """AVBench: ten dimensions, three from language models and seven from networks that are raters of their own.

    `audio_video`, `video_text` and `audio_text` are the probability of Yes against No as the first word of a fine-tuned
    model's answer, from 0 to 1. `audio_video` compares video and audio, `video_text` video and prompt, `audio_text`
    audio and the clip's ``texts["audio_prompt"]``, followed by ``texts["speech"]`` (the words to be said) if it has
    that. Each has its own preprocessing (`LOOK`) and is one pass of its model. Backbones may share one network, whose
    weights are then in memory once.

    The other seven are `lip_sync`, `speech_content`, `speech_realism`, `speech_quality`, `audio_aesthetics`,
    `video_technical` and `video_aesthetic`. The scores of absent judges are missing, with a reason. There is no total,
    as in AVBench.

    Args:
        audio_video: Qwen2.5-Omni (*optional*).
        video_text: Qwen2.5-Omni (*optional*).
        audio_text: Qwen2-Audio (*optional*).
        checkpointing: as for `LmmRater`; of the three.
        raters: other dimensions → their raters, as for `CompositeRater`; any rater with AVBench's range will do.

    Raises:
        ArgumentError: for a backbone that cannot read a track of its evaluator, a rater with another range, or none.

    Example:
        >>> from tiny.qwen_omni import tiny_qwen2_5_omni
        >>> from tiny.avbench_video import tiny_syncnet
        >>> omni = tiny_qwen2_5_omni()  # published: load_avbench(audio_video="checkpoints/AudioVideo")
        >>> rater = AvBenchRater(audio_video=omni, raters={"lip_sync": tiny_syncnet()})
        >>> rater([Clip.open("dub2.mp4")])["audio_video"].shape
        torch.Size([1])
    """

    source: Mapping[str, Any] | None = None  # set by `load_rater`

    def __init__(
        self,
        *,
        audio_video: Backbone | None = None,
        video_text: Backbone | None = None,
        audio_text: Backbone | None = None,
        checkpointing: Checkpointing = False,
        raters: Mapping[str, Part] = _NO_RATERS,
    ) -> None:
        given = {"audio_video": audio_video, "video_text": video_text, "audio_text": audio_text}
        self.evaluators = {
            dimension.name: evaluator(dimension, backbone, checkpointing)
            for dimension in EVALUATORS
            if (backbone := given[dimension.name]) is not None
        }
        for name in raters:
            if name not in _JUDGES:
                raise unknown_name("raters", name, [*_JUDGES])
        parts: dict[str, Part] = {**self.evaluators, **{n: _of_the_range(n, part) for n, part in raters.items()}}
        if not parts:
            got = Described("none")
            raise ArgumentError(
                "AvBenchRater", "at least one of its ten judges", got, "pass one, such as raters={'lip_sync': rater}"
            )
        super().__init__({d.name: parts[d.name] for d in DIMENSIONS if d.name in parts}, "avbench")
        self.dimensions = tuple(self._declared(dimension) for dimension in DIMENSIONS)
        self.module = nn.ModuleDict({name: rater.module for name, (rater, _) in self.parts.items() if rater.module})
        self.versions = {"avbench": VERSION, **{n: v for rater in self.raters for n, v in rater.versions.items()}}
        self._absent = {
            name: f"not loaded: load it with {name}=, a folder or hub name of {judge}"
            for name, judge in _JUDGES.items()
            if name not in self.parts
        }

    @property
    def fingerprint(self) -> str:  # type: ignore[override]  # computed when asked for
        """Fingerprint of the weights and all settings of all judges."""
        parts = [
            f"{name}={rater.fingerprint}" + ("" if name in self.evaluators else f".{theirs}")
            for name, (rater, theirs) in self.parts.items()
        ]
        return f"{self.name}:{digest(self.versions, *parts)}"

    @property
    def settings(self) -> Mapping[str, str]:
        """Settings of each judge."""
        pairs = [(name, rater.settings) for name, (rater, _) in self.parts.items()]
        return {f"{name}: {label}": value for name, settings in pairs for label, value in settings.items()}

    def reads(self, dimension: str | None = None) -> frozenset[str]:
        """Return the inputs that a score may depend on: those of its judge, or its needs where there is none."""
        if dimension is None:
            return Rater.reads(self)
        found = self.dimension(dimension)
        return super().reads(found.name) if found.name in self.parts else found.needs

    def rate(self, samples: Sequence[Sample], work: Work | None = None) -> Scores:
        """Return the scores of what `load` decoded."""
        own = super().rate(samples, work)
        values = own.values.new_full((len(samples), len(self.dimensions)), math.nan)
        present = own.present.new_zeros(values.shape)
        names = [dimension.name for dimension in self.dimensions]
        places = torch.tensor([names.index(name) for name in own.names], device=values.device)
        values = values.index_copy(1, places, own.values)
        present = present.index_copy(1, places, own.present)
        reasons = [{**self._absent, **why} for why in own.reasons]
        return Scores(values, present, reasons, self.dimensions, own.basis)

    def _declared(self, dimension: Dimension) -> Dimension:
        """Return the dimension as AVBench has it, with the streams of its judge."""
        if dimension.name not in self.parts:
            return dimension
        rater, theirs = self.parts[dimension.name]
        judged = rater.dimension(theirs)
        tracks = dimension.needs & {"video", "audio"}
        return replace(dimension, streams=frozenset(dimension.streams) & frozenset(judged.streams) & tracks)


def load(
    folder: Path | None,
    config: Mapping[str, Any],
    loading: Loading,
    *,
    audio_video: str | Path | None = None,
    video_text: str | Path | None = None,
    audio_text: str | Path | None = None,
    lip_sync: str | Path | None = None,
    speech_content: str | Path | None = None,
    speech_realism: str | Path | None = None,
    speech_quality: str | Path | None = None,
    audio_aesthetics: str | Path | None = None,
    video_technical: str | Path | None = None,
    video_aesthetic: str | Path | None = None,
) -> AvBenchRater | AvBenchEvaluator:
    """Load the rater from a folder with a folder a dimension, such as ``audio_video/`` and ``lip_sync/``.

    Those of `audio_video`, `video_text` and `audio_text` hold a model as `transformers` writes it. The published
    repository (``iiiiii123/AVBench_model``) has one for each, fine-tuned and merged from Qwen2.5-Omni-7B and
    Qwen2-Audio-7B-Instruct; its folders may have other names, so pass them by option, or download and rename them. The
    others hold the published files of their network. Judges that are not found are missing. A folder with one language
    model that was trained here gives that evaluator alone.

    Args:
        folder: with the folders, or some of them (*optional*).
        config: empty, except for an evaluator that was trained here.
        loading: options of loading each network; `attention` and `adapter` are for the language models.
        audio_video: folder or hub name of this judge (*optional*); language models in the same folder share one
            network.
        video_text: as `audio_video`.
        audio_text: as `audio_video`.
        lip_sync: folder or hub name of this judge (*optional*).
        speech_content: as `lip_sync`.
        speech_realism: as `lip_sync`.
        speech_quality: as `lip_sync`.
        audio_aesthetics: as `lip_sync`.
        video_technical: as `lip_sync`.
        video_aesthetic: as `lip_sync`.

    Raises:
        AvrewardError: if there is no judge, or one cannot be loaded.
    """
    if config.get("format") == "avreward":
        return _saved_evaluator(folder, config, loading)  # type: ignore[arg-type]
    given = locals()
    from avreward.raters.checkpoints._networks import load_network, load_tokenizer
    from avreward.raters.hub import folder_of

    places = {name: folder_of(given[name], loading.revision) for name in _JUDGES if given[name] is not None}
    for name in _JUDGES:
        if name not in places and folder is not None and (folder / name).is_dir():
            places[name] = folder / name
    if not places:
        raise AvrewardError(
            f"{folder or 'avbench'}: expected a folder with one or more of {', '.join(_JUDGES)}, got no evaluator"
        )
    networks: dict[tuple[str, Path], nn.Module] = {}
    backbones: dict[str, Backbone] = {}
    for name in [name for name in places if name in LANGUAGE_MODELS]:
        place = places[name]
        family = _family(name)
        if (key := (family.network, place.resolve())) not in networks:
            networks[key] = load_network(family.network, place, _config(place, family, name), loading)
        backbones[name] = family(networks[key], load_tokenizer(place), loading.rounding, **LOOK[name])
    plain = replace(loading, adapter=None, attention=type(loading).attention)
    raters = {name: _network(place, plain) for name, place in places.items() if name not in LANGUAGE_MODELS}
    return AvBenchRater(**backbones, checkpointing=loading.checkpointing, raters=raters)


def _saved_evaluator(folder: Path, config: Mapping[str, Any], loading: Loading) -> AvBenchEvaluator:
    """Return the one evaluator that was trained here and saved in `folder`."""
    from avreward.raters.checkpoints._networks import load_network, load_tokenizer

    name = config.get("options", {}).get("dimension")
    found = next((dimension for dimension in EVALUATORS if dimension.name == name), None)
    if found is None:
        raise AvrewardError(f"{folder}: an evaluator of {name!r}, unknown to this version; update avreward")
    family = _family(found.name)
    module = load_network(family.network, folder, _config(folder, family, found.name), loading)
    backbone = family(module, load_tokenizer(folder), loading.rounding, **LOOK[found.name])
    return evaluator(found, backbone, loading.checkpointing)


def _family(name: str) -> type[Backbone]:
    """Return the backbone of a language model's evaluator."""
    from avreward.raters.lmm.backbones.qwen2_5_omni import Qwen2_5Omni
    from avreward.raters.lmm.backbones.qwen2_audio import Qwen2Audio

    return Qwen2Audio if name == "audio_text" else Qwen2_5Omni


def _network(place: Path, loading: Loading) -> Rater:
    """Return the rater in the folder of one network."""
    from avreward.raters.hub import layout_of, read_config

    config = read_config(place)
    return layout_of(place, config).loader()(place, config, loading)


def _of_the_range(name: str, given: Part) -> Part:
    """Return the part for a dimension; raise `ArgumentError` where its range is not AVBench's."""
    if name not in _THEIRS or isinstance(given, tuple):
        rater, theirs = part_of(name, given)
    else:
        names = [dimension.name for dimension in getattr(given, "dimensions", ())]
        rater, theirs = part_of(name, (given, _THEIRS[name]) if _THEIRS[name] in names else given)
    wanted = next(dimension for dimension in DIMENSIONS if dimension.name == name)
    found = rater.dimension(theirs)
    if (found.low, found.high) != (wanted.low, wanted.high):
        got = Described(f"{rater.name}.{theirs} from {found.low:g} to {found.high:g}")
        remedy = "use DOVER++ (variant='dover++')" if name == "video_technical" else "give AVBench's own rater"
        raise ArgumentError(name, f"scores from {wanted.low:g} to {wanted.high:g}", got, remedy)
    return rater, theirs


def _config(place: Path, family: type[Backbone], name: str) -> Mapping[str, Any]:
    """Return the ``config.json`` of one evaluator; raise `AvrewardError` for a model of another family."""
    from avreward.raters.hub import read_config
    from avreward.raters.lmm.backbones._families import FAMILIES

    config = read_config(place)
    found = config.get("network", config).get("model_type")
    if found not in FAMILIES or FAMILIES[found].backbone() is not family:
        raise AvrewardError(f"{place}: expected {_JUDGES[name]} for {name}, got a model of type {found!r}")
    return config


def load_avbench(folder: str | Path | None = None, **options: Any) -> AvBenchRater:
    """Load AVBench from folders or hub names.

    Args:
        folder: with a folder a dimension, ``audio_video/``, ``lip_sync/`` …, or some of them (*optional*).
        **options: dimensions (folder or hub name of one judge), and the options of `avreward.raters.Loading`.

    Raises:
        ArgumentError: for an unknown option.
        AvrewardError: if there is no judge, or one cannot be loaded.

    Example:
        >>> load_avbench(video_text="checkpoints/VideoText", dtype="bfloat16")  # doctest: +SKIP
    """
    from avreward.raters.checkpoints.loading import Loading
    from avreward.raters.hub import folder_of

    own = {name: options.pop(name) for name in _JUDGES if name in options}
    known = [field.name for field in fields(Loading)]
    if unknown := [name for name in options if name not in known]:
        raise unknown_name("option of avbench", unknown[0], [*_JUDGES, *known])
    loading = Loading(**options)
    return load(  # type: ignore[return-value]  # without a configuration it is the whole rater
        None if folder is None else folder_of(folder, loading.revision), {}, loading, **own
    )
