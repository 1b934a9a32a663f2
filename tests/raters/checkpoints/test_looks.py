"""Recognition of checkpoints by their entries."""

from __future__ import annotations

import pytest

from avreward.raters.checkpoints._looks import looks_like


@pytest.mark.parametrize(
    ("names", "system"),
    [
        (["technical_backbone.stem.0.weight", "technical_backbone.norm.weight"], "a checkpoint of DOVER-Mobile"),
        (["aesthetic_backbone.norm.weight"], "a checkpoint of DOVER"),
        (["blocks.0.multipathway_blocks.0.conv.weight", "slowfast_proj.weight"], "a checkpoint of AIGVEval"),
        (["mlp1.0.weight", "motion_mlp.0.weight"], "a checkpoint of AIGV-Assessor"),
        (
            ["language_model.x", "mlp1.0.weight", "slowfast.blocks.0.multipathway_blocks.0.conv.weight"],
            "InternVL as OpenGVLab publishes it",
        ),
        (["model.layers.0.self_attn.q_proj.weight", "rm_head.weight"], "a checkpoint of VideoReward"),
        (["model.layers.0.self_attn.q_proj.weight"], "a language model"),
        (["layers.0.attn.wqkv.lora_A.default.weight"], "an adapter alone"),
        (["language.norm.weight", "motion_positions.weight"], "a checkpoint of AIGVEval"),
        (["connector.sampler.0.weight", "language.norm.weight"], "a checkpoint of AGAV-Rater"),
        (["z.weight", "conv1.weight"], "another network, whose first entry is conv1.weight"),
        ([], "a file without entries"),
    ],
)
def test_the_most_specific_system_is_named(names: list[str], system: str) -> None:
    assert looks_like(names) == looks_like(reversed(names)) == system
