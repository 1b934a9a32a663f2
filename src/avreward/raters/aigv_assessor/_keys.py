"""Checkpoints of AIGV-Assessor and of InternVL in the original layout: names, adapters and sizes in our terms."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from fnmatch import fnmatchcase
from typing import Any, get_args

from torch import Tensor

from avreward.errors import ArgumentError, AvrewardError, Described
from avreward.raters.aigv_assessor._network import AssessorConfig, Template
from avreward.raters.checkpoints._looks import looks_like
from avreward.raters.checkpoints._lora import merge_lora
from avreward.raters.encoders.slowfast import SlowFastConfig, slowfast_config

Shapes = Mapping[str, tuple[int, ...]]

SLOWFAST = "slowfast_model.feature_extraction."
INTERNVL = ("vision_model.", "mlp1.", "language_model.")
ASSESSOR = (*INTERNVL, "motion_mlp.", "mlpscore.")
LANGUAGES = {"llama": "LlamaForCausalLM", "qwen2": "Qwen2ForCausalLM"}

_UNUSED = "mlpscore.ln1."  # in the original's state dict, and in no computation
_CLASSIFIER = re.compile(r"blocks\.[56]\.")  # of the public SlowFast: its pooling and its classes

# In the order in which they are tried; the rest of a name is replaced part by part.
_PREFIXES = {
    SLOWFAST: "motion.blocks.",
    "motion_mlp.": "motion_mlp.",
    "mlpscore.": "score.",
    "mlp1.0.": "base.model.multi_modal_projector.layer_norm.",
    "mlp1.1.": "base.model.multi_modal_projector.linear_1.",
    "mlp1.3.": "base.model.multi_modal_projector.linear_2.",
    "vision_model.": "base.model.vision_tower.",
    "language_model.output.": "base.lm_head.",
    "language_model.lm_head.": "base.lm_head.",
    "language_model.model.": "base.model.language_model.",
}
_VISION = {
    "embeddings.class_embedding": "embeddings.cls_token",
    "embeddings.position_embedding": "embeddings.position_embeddings",
    "embeddings.patch_embedding.": "embeddings.patch_embeddings.projection.",
    "encoder.layers.": "encoder.layer.",
    ".attn.": ".attention.",
    ".attention.proj.": ".attention.projection_layer.",
    ".ls1": ".lambda_1",
    ".ls2": ".lambda_2",
    ".norm1.": ".layernorm_before.",
    ".norm2.": ".layernorm_after.",
}
_INTERNLM2 = {
    "tok_embeddings.": "embed_tokens.",
    ".attention.wo.": ".self_attn.o_proj.",
    ".feed_forward.w1.": ".mlp.gate_proj.",
    ".feed_forward.w3.": ".mlp.up_proj.",
    ".feed_forward.w2.": ".mlp.down_proj.",
    ".attention_norm.": ".input_layernorm.",
    ".ffn_norm.": ".post_attention_layernorm.",
}


def original_to_ours(name: str) -> str:
    """Return the name in `AssessorNetwork` of the entry `name` of an original checkpoint, wrapped by `peft` or not.

    The joint weights of queries, keys and values end in ``qkv`` or ``wqkv``; `to_ours` splits them.

    Raises:
        AvrewardError: if AIGV-Assessor has no such entry.

    Example:
        >>> original_to_ours("language_model.base_model.model.model.layers.0.attention.wo.base_layer.weight")
        'base.model.language_model.layers.0.self_attn.o_proj.weight'
        >>> original_to_ours("vision_model.encoder.layers.1.ls2")
        'base.model.vision_tower.encoder.layer.1.lambda_2'
    """
    bare = name.replace(".base_model.model.", ".", 1).replace(".base_layer.", ".")
    for old, new in _PREFIXES.items():
        if bare.startswith(old):
            rest = bare.removeprefix(old)
            inner = {"vision_model.": _VISION, "language_model.model.": _INTERNLM2}.get(old, {})
            for one, other in inner.items():
                rest = rest.replace(one, other)
            return new + rest
    raise AvrewardError(
        f"checkpoint: AIGV-Assessor has no entry {name}; pass one of its checkpoints, or allow=[{name!r}] to accept it"
    )


def known(name: str) -> bool:
    """Return whether AIGV-Assessor has an entry like `name`, as in `original_to_ours`."""
    try:
        original_to_ours(name)
    except AvrewardError:
        return False
    return True


def allowed_by_our_names(allow: Iterable[str]) -> list[str]:
    """Return patterns of our names for the entries that patterns of original names stand for.

    Example:
        >>> allowed_by_our_names(["mlpscore.fc?.*", "mlp1.*"])[:2]
        ['score.fc?.*', 'base.model.multi_modal_projector.layer_norm.*']
    """
    found = []
    for pattern in allow:
        if known(pattern):
            ours = original_to_ours(pattern)
            found.append(re.sub(r"attention\.wqkv\b", "self_attn.?_proj", ours).replace(".qkv.", ".?_proj."))
        found += [f"{new}*" for old, new in _PREFIXES.items() if fnmatchcase(old, pattern)]
    return found


def to_ours(
    state: Mapping[str, Tensor], config: AssessorConfig, scales: Mapping[str, float], source: object = "checkpoint"
) -> dict[str, Tensor]:
    """Return the entries of an original checkpoint under our names: adapters merged, joint projections split.

    Args:
        state: name → tensor.
        config: sizes, as from `config_from_original`.
        scales: α/rank of the adapters of ``"vision_model"`` and ``"language_model"``.
        source: named by errors about adapters.

    Raises:
        AvrewardError: for an entry that AIGV-Assessor does not have, or half an adapter.
    """

    def scale(name: str, _: int) -> float:
        return scales["vision_model" if name.startswith("base.model.vision_tower.") else "language_model"]

    used = {name: tensor for name, tensor in state.items() if not name.startswith(_UNUSED)}
    ours: dict[str, Tensor] = {}
    for name, tensor in merge_lora(used, original_to_ours, scale, source=source).items():
        ours |= _split(name, tensor, config.base["text_config"])
    return ours


def slowfast_to_ours(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the entries of a public SlowFast checkpoint under our names, without its classifier."""
    return {f"motion.{name}": tensor for name, tensor in state.items() if not _CLASSIFIER.match(name)}


def slowfast_sizes(shapes: Shapes, prefix: str, source: object) -> SlowFastConfig:
    """Return the sizes of SlowFast from the shapes of its entries.

    Args:
        shapes: name → shape.
        prefix: of SlowFast's entries, before the number of a block.
        source: what the error names.

    Raises:
        AvrewardError: if there is no SlowFast.
    """
    try:
        return slowfast_config(shapes, prefix)
    except KeyError as error:
        what = f"{source}: expected SlowFast ({prefix}0.multipathway_blocks…), got {looks_like(shapes)}"
        raise AvrewardError(what) from error


def check_system(names: Collection[str], needed: Collection[str], source: object, remedy: str) -> None:
    """Raise `AvrewardError` that says which system a checkpoint looks like, unless it has all parts of the wanted one.

    Args:
        names: of its entries.
        needed: beginnings of names.
        source: what the error names.
        remedy: what to do.
    """
    if absent := [part for part in needed if not any(name.startswith(part) for name in names)]:
        wanted = "AIGV-Assessor" if "motion_mlp." in needed else "InternVL"
        what = looks_like(names)
        if what == f"a checkpoint of {wanted}":
            what = "a part of it"
        raise AvrewardError(f"{source}: expected {wanted} with {', '.join(absent)}*, got {what}; {remedy}")


def config_from_original(
    config: Mapping[str, Any], shapes: Shapes, motion: SlowFastConfig, last_relu: bool = True
) -> AssessorConfig:
    """Return the sizes of a checkpoint from its ``config.json`` (InternVL's) and the names of its entries.

    Args:
        config: with ``vision_config``, ``llm_config`` and, where they differ from InternVL2-8B's, ``template``,
            ``downsample_ratio`` and ``select_layer``.
        shapes: name → shape.
        motion: sizes of SlowFast.
        last_relu: whether the score head ends in a ReLU, as the original's does.

    Raises:
        AvrewardError: if an entry is missing or of a kind that is not supported.
    """
    for part in ("vision_config", "llm_config"):
        if not isinstance(config.get(part), Mapping):
            raise AvrewardError(f"config.json: expected sizes under {part!r}, got none; use the checkpoint's own file")
    template = config.get("template", "internlm2-chat")
    if template not in get_args(Template):
        known = f"one of {', '.join(get_args(Template))}"
        raise ArgumentError("config.json: template", known, template, "only these text formats are supported")
    if config.get("ps_version", "v2") != "v2":
        raise ArgumentError("config.json: ps_version", "'v2'", config["ps_version"])
    base = {
        "model_type": "internvl",
        "vision_config": _vision(config["vision_config"]),
        "text_config": _language(config["llm_config"], shapes),
        "downsample_ratio": config.get("downsample_ratio", 0.5),
        "vision_feature_layer": config.get("select_layer", -1),
        "tie_word_embeddings": bool(config["llm_config"].get("tie_word_embeddings", False)),
    }
    return AssessorConfig(base, motion, template=template, last_relu=last_relu)


def _vision(told: Mapping[str, Any]) -> dict[str, Any]:
    names = ("hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads", "image_size", "patch_size")
    _check_there("vision_config", told, names)
    sizes = {name: told[name] for name in names[:4]} | {name: [told[name]] * 2 for name in names[4:]}
    return sizes | {
        "attention_bias": told.get("qkv_bias", False),
        "use_qk_norm": told.get("qk_normalization", False),
        "norm_type": told.get("norm_type", "layer_norm"),
        "layer_norm_eps": told.get("layer_norm_eps", 1e-6),
        "hidden_act": told.get("hidden_act", "gelu"),
        "use_mean_pooling": True,  # leaves out the norm at the end, which InternVL lacks
    }


def _language(told: Mapping[str, Any], shapes: Shapes) -> dict[str, Any]:
    names = ("hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads", "vocab_size")
    _check_there("llm_config", told, names)
    internlm2 = any(".attention.wqkv." in name for name in shapes)
    kind = "llama" if internlm2 else str(told.get("model_type", ""))
    if kind not in LANGUAGES:
        got = told.get("model_type") or told.get("architectures")
        raise ArgumentError("config.json: llm_config", "InternLM2, Llama or Qwen2", got, "use another base model")
    if not internlm2:
        return {**told, "model_type": kind}
    heads = told.get("num_key_value_heads", told["num_attention_heads"])
    if told.get("bias", False):
        raise ArgumentError("config.json: llm_config.bias", "False", told["bias"])
    return {
        **{name: told[name] for name in names},
        "model_type": kind,
        "num_key_value_heads": heads,
        "hidden_act": told.get("hidden_act", "silu"),
        "rms_norm_eps": told.get("rms_norm_eps", 1e-5),
        "max_position_embeddings": told.get("max_position_embeddings", 32768),
        # The original's dynamic scaling changes nothing up to max_position_embeddings.
        "rope_parameters": {"rope_type": "default", "rope_theta": float(told.get("rope_theta", 1e6))},
        "attention_bias": False,
        "tie_word_embeddings": bool(told.get("tie_word_embeddings", False)),
    }


def _check_there(part: str, told: Mapping[str, Any], names: Collection[str]) -> None:
    if absent := [name for name in names if name not in told]:
        raise AvrewardError(f"config.json: expected {absent[0]!r} under {part!r}, got none; use the checkpoint's file")


def _split(name: str, tensor: Tensor, language: Mapping[str, Any]) -> dict[str, Tensor]:
    """Return a joint projection as those of queries, keys and values; any other entry as it is."""
    stem, _, kind = name.rpartition(".")
    if stem.endswith(".attention.qkv"):
        return _named(stem.removesuffix("qkv"), kind, tensor.chunk(3))
    if not stem.endswith(".attention.wqkv"):
        return {name: tensor}
    groups = language["num_attention_heads"] // language["num_key_value_heads"]
    width = language["hidden_size"] // language["num_attention_heads"]
    rows = language["num_key_value_heads"] * (groups + 2) * width
    if len(tensor) != rows:
        said = f"{rows} rows in {stem}, as config.json has it"
        raise ArgumentError("checkpoint", said, Described(str(len(tensor))), "is it of another size?")
    joint = tensor.unflatten(0, (language["num_key_value_heads"], groups + 2, width))
    cuts = (joint[:, :groups], joint[:, -2], joint[:, -1])
    parts = [cut.reshape(-1, *tensor.shape[1:]) for cut in cuts]
    return _named(stem.removesuffix("attention.wqkv") + "self_attn.", kind, parts)


def _named(stem: str, kind: str, parts: Collection[Tensor]) -> dict[str, Tensor]:
    return {f"{stem}{one}_proj.{kind}": part.clone() for one, part in zip("qkv", parts, strict=True)}
