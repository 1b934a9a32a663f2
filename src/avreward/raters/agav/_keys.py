"""Published checkpoints of AGAV-Rater: names of their entries in `AgavNetwork`, and their sizes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from math import isqrt
from typing import Any

from avreward.errors import AvrewardError
from avreward.raters.agav._network import AgavConfig
from avreward.raters.encoders.beats import BeatsConfig, held_name

Shapes = Mapping[str, tuple[int, ...]]

# In the order in which they are tried: the language model has the remaining entries of `model.`.
_PREFIXES = {
    "model.vision_tower.vision_tower.vision_model.": "vision.",
    "model.mm_projector.": "connector.",
    "model.audio_tower.": "audio.",
    "model.mm_projector_a.": "audio_projector.",
    "lm_head_reg.": "regression.",
    "lm_head.": "lm_head.",
    "model.": "language.",
}
_OFFICIAL = {ours: official for official, ours in _PREFIXES.items()}

_LANGUAGE = ("vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads")
_LANGUAGE_DEFAULTED = (  # may be missing in older files
    *("num_key_value_heads", "hidden_act", "max_position_embeddings", "rms_norm_eps", "rope_theta", "rope_scaling"),
    *("rope_parameters", "use_sliding_window", "sliding_window", "max_window_layers"),
)
_SO400M = {"num_attention_heads": 16, "image_size": 384}  # google/siglip-so400m-patch14-384


def official_to_ours(name: str) -> str:
    """Return the name in `AgavNetwork` of the entry `name` of a published checkpoint.

    There, one or more layers of BEATs hold the table of relative positions; all these entries get the same name.

    Raises:
        AvrewardError: if AGAV-Rater has no such entry.

    Example:
        >>> official_to_ours("model.layers.0.mlp.up_proj.weight")
        'language.layers.0.mlp.up_proj.weight'
        >>> official_to_ours("model.audio_tower.encoder.layers.3.self_attn.relative_attention_bias.weight")
        'audio.encoder.layers.0.self_attn.relative_attention_bias.weight'
    """
    ours = _renamed(name, _PREFIXES)
    return held_name(ours) if ours.startswith("audio.") else ours


def ours_to_official(name: str) -> str:
    """Return the published name of the entry `name` of `AgavNetwork`.

    Raises:
        AvrewardError: if it has none.

    Example:
        >>> ours_to_official("regression.weight")
        'lm_head_reg.weight'
    """
    return _renamed(name, _OFFICIAL)


def config_from_official(config: Mapping[str, Any], shapes: Shapes) -> AgavConfig:
    """Return the sizes of a published checkpoint from its ``config.json`` and the shapes of its entries by name.

    ``config.json`` describes the language model and the connectors; the sizes of SigLIP and BEATs follow from `shapes`.
    Settings that shapes don't show come from the optional entries ``vision_config`` (`num_attention_heads`,
    `image_size`, `layer_norm_eps`, `hidden_act`) and ``audio_config`` (`max_distance`), otherwise from the published
    encoders: SigLIP so400m-patch14-384 and BEATs base. Gradients are true ones (`BeatsConfig.gradient_ratio`).

    Args:
        config: the content of ``config.json``.
        shapes: name → shape for all entries of the checkpoint.

    Raises:
        AvrewardError: if an entry is missing, or if the checkpoint's connectors are not supported.
    """
    missing = [name for name in _LANGUAGE if name not in config]
    if missing:
        raise AvrewardError(
            f"config.json: expected an entry {missing[0]!r}, got none; use the file that belongs to the checkpoint"
        )
    return AgavConfig(
        vision=_vision(config.get("vision_config") or {}, shapes),
        audio=_audio(config.get("audio_config") or {}, shapes),
        language={name: config[name] for name in (*_LANGUAGE, *_LANGUAGE_DEFAULTED) if config.get(name) is not None},
        # the original's own defaults
        connector=config.get("mm_projector_type", "linear"),
        audio_projector=config.get("mm_projector_a_type", "linear"),
        vision_layer=config.get("mm_vision_select_layer", -2),
        num_frames=config.get("num_frames", 8),
        scores=_shape(shapes, "lm_head_reg.weight")[0],
        audio_features=_audio_features(shapes),
    )


def _vision(explicit: Mapping[str, Any], shapes: Shapes) -> dict[str, Any]:
    prefix = "model.vision_tower.vision_tower.vision_model."
    width, channels, patch, _ = _shape(shapes, prefix + "embeddings.patch_embedding.weight")
    positions = _shape(shapes, prefix + "embeddings.position_embedding.weight")[0]
    published = _SO400M if (width, patch, positions) == (1152, 14, 729) else {}
    inferred = {
        "hidden_size": width,
        "intermediate_size": _shape(shapes, prefix + "encoder.layers.0.mlp.fc1.weight")[0],
        "num_hidden_layers": _layers(shapes, prefix + "encoder.layers."),
        "num_channels": channels,
        "image_size": isqrt(positions) * patch,
        "patch_size": patch,
        "vision_use_head": prefix + "head.probe" in shapes,
    }
    options = ("num_attention_heads", "image_size", "layer_norm_eps", "hidden_act")
    found = {**inferred, **published, **{name: explicit[name] for name in options if name in explicit}}
    if "num_attention_heads" not in found:
        problem = f"expected 'num_attention_heads' under 'vision_config' for a SigLIP of width {width}, got none"
        raise AvrewardError(f"config.json: {problem}; add it, because it doesn't follow from the weights")
    return found


def _audio(explicit: Mapping[str, Any], shapes: Shapes) -> BeatsConfig:
    prefix = "model.audio_tower."
    layer = prefix + "encoder.layers.0."
    table = layer + "self_attn.relative_attention_bias.weight"
    width, group, taps = _shape(shapes, prefix + "encoder.pos_conv.0.weight_v")
    held = {held_name(name): shape for name, shape in shapes.items()}
    return BeatsConfig(
        embed=_shape(shapes, prefix + "patch_embedding.weight")[0],
        layers=_layers(shapes, prefix + "encoder.layers."),
        width=width,
        ffn=_shape(shapes, layer + "fc1.weight")[0],
        heads=_shape(shapes, layer + "self_attn.grep_a")[1],
        conv_pos=taps,
        conv_pos_groups=width // group,
        buckets=_shape(held, table)[0],
        max_distance=explicit.get("max_distance", BeatsConfig.max_distance),
        classes=_shape(shapes, prefix + "predictor.weight")[0],
    )


def _audio_features(shapes: Shapes) -> int:
    first = next(
        (name for name in ("model.mm_projector_a.0.weight", "model.mm_projector_a.weight") if name in shapes), None
    )
    return _shape(shapes, first or "model.mm_projector_a.0.weight")[1]


def _shape(shapes: Shapes, name: str) -> tuple[int, ...]:
    if name not in shapes:
        raise AvrewardError(f"checkpoint: expected an entry {name}, got none; give a complete checkpoint of AGAV-Rater")
    return tuple(shapes[name])


def _layers(shapes: Shapes, prefix: str) -> int:
    numbers = (re.match(r"\d+", name.removeprefix(prefix)) for name in shapes if name.startswith(prefix))
    return 1 + max((int(number[0]) for number in numbers if number), default=-1)


def _renamed(name: str, prefixes: Mapping[str, str]) -> str:
    for old, new in prefixes.items():
        if name.startswith(old):
            return new + name.removeprefix(old)
    raise AvrewardError(f"checkpoint: expected entries of AGAV-Rater, got {name}; give one of its checkpoints")
