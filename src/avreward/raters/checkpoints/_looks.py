"""Recognise the system of a checkpoint from its entries, for errors about a wrong checkpoint."""

from __future__ import annotations

from collections.abc import Iterable

# Part of a name → the system; the first part that occurs decides, so more specific ones come first.
_MARKS = {
    "technical_backbone.stem.": "a checkpoint of DOVER-Mobile",
    "technical_backbone.": "a checkpoint of DOVER",
    "aesthetic_backbone.": "a checkpoint of DOVER",
    "fragments_backbone.": "a checkpoint of FAST-VQA",
    "fast_mlp.": "a relative of AIGV-Assessor with FAST-VQA tokens (fast_mlp)",
    "motion_mlp.": "a checkpoint of AIGV-Assessor",
    "mlpscore.": "a checkpoint of AIGV-Assessor",
    "finetune_blip_proj": "a checkpoint of AIGVEval",
    "slowfast_proj.": "a checkpoint of AIGVEval",
    "motion_positions.": "a checkpoint of AIGVEval",  # our names
    "technical_projector.": "a checkpoint of AIGVEval",
    "vision_projector.": "a checkpoint of AIGVEval",
    "mm_projector_a.": "a checkpoint of AGAV-Rater",
    "lm_head_reg.": "a checkpoint of AGAV-Rater",
    "connector.sampler.": "a checkpoint of AGAV-Rater",  # our name
    "regression_head.fc_1.": "a checkpoint of the sync evaluator",
    "rm_head.": "a checkpoint of VideoReward",
    "netcnnlip.": "a checkpoint of SyncNet",
    "time_dependency.model.": "a checkpoint of NISQA",
    "backbone.conformer.": "a checkpoint of DF Arena",
    "proj_layer.CE.": "a checkpoint of Audiobox Aesthetics",
    "mlp1.": "InternVL as OpenGVLab publishes it",
    "multi_modal_projector.": "a vision-language model in the layout of transformers",
    "multipathway_blocks.": "SlowFast alone",
    "relative_position_bias_table": "a Swin transformer",
    "language_model.": "a vision-language model",
    "self_attn.q_proj.": "a language model",
}


def looks_like(names: Iterable[str]) -> str:
    """Return a phrase for the system that the entries `names` of a checkpoint belong to.

    Example:
        >>> looks_like(["technical_backbone.norm.weight"])
        'a checkpoint of DOVER'
        >>> looks_like(["conv1.weight"])
        'another network, whose first entry is conv1.weight'
    """
    entries = sorted(names)
    if not entries:
        return "a file without entries"
    for mark, system in _MARKS.items():
        if any(mark in name for name in entries):
            return system
    if any(".lora_A." in name for name in entries):
        return "an adapter alone"
    return f"another network, whose first entry is {entries[0]}"
