"""Which published system a checkpoint belongs to, by the names of its entries."""

from __future__ import annotations

from collections.abc import Collection

# Parts of names that only one system has, in the order in which they are tried.
_SYSTEMS = (
    (("fast_mlp.",), "a relative of AIGV-Assessor with FAST-VQA tokens (fast_mlp)"),
    (("motion_mlp.", "mlpscore."), "AIGV-Assessor"),
    (("finetune_blip_proj", "slowfast_proj."), "AIGVEval"),
    (("technical_backbone.", "aesthetic_backbone."), "DOVER"),
    (("mm_projector_a.", "lm_head_reg."), "AGAV-Rater"),
    (("rm_head.",), "VideoReward"),
    (("multi_modal_projector.",), "InternVL in the form of transformers"),
    (("mlp1.",), "InternVL itself, as OpenGVLab publishes it"),
    (("multipathway_blocks.",), "SlowFast alone"),
    (("lora_A.",), "an adapter alone"),
)


def looks_like(names: Collection[str]) -> str:
    """Return which system the entries of a checkpoint look like, in words for an error message.

    Args:
        names: of the entries.

    Example:
        >>> looks_like(["technical_head.fc_hid.weight", "technical_backbone.norm.weight"])
        'DOVER'
        >>> looks_like(["conv1.weight"])
        'a network that is not known here (its first entry is conv1.weight)'
    """
    for parts, system in _SYSTEMS:
        if any(part in name for name in names for part in parts):
            return system
    first = next(iter(names), None)
    return "an empty file" if first is None else f"a network that is not known here (its first entry is {first})"
