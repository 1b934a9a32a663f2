"""Recognise the system of a checkpoint from its entries, for errors about a wrong checkpoint."""

from __future__ import annotations

from collections.abc import Iterable

# Part of a name → the system; more specific parts first.
_MARKS = (
    ("technical_backbone.stem.", "DOVER-Mobile"),
    ("technical_backbone.", "DOVER"),
    ("fragments_backbone.", "FAST-VQA"),
    ("finetune_blip_proj.", "AIGVEval"),
    ("motion_mlp.", "AIGV-Assessor"),
    ("mm_projector_a.", "AGAV-Rater"),
    ("rm_head.", "VideoReward"),
    ("netcnnlip.", "SyncNet"),
    ("multipathway_blocks.", "SlowFast"),
    ("relative_position_bias_table", "a Swin transformer"),
    ("language_model.", "a vision-language model"),
    ("self_attn.q_proj.", "a language model"),
)


def looks_like(names: Iterable[str]) -> str:
    """Return a phrase for the system that the entries `names` of a checkpoint belong to.

    Example:
        >>> looks_like(["technical_backbone.norm.weight"])
        'a checkpoint of DOVER'
        >>> looks_like(["conv1.weight"])
        'another network, whose first entry is conv1.weight'
    """
    known = sorted(names)
    for mark, system in _MARKS:
        if any(mark in name for name in known):
            return f"a checkpoint of {system}" if system[:2] != "a " else system
    return f"another network, whose first entry is {known[0]}" if known else "a file without entries"
