"""Every configuration of a tuning run fits, with each of its variants, and says what was not run."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from avreward.rewards.io import reward_file
from avreward.training import read_tuning

FOLDER = Path(__file__).parents[2] / "recipes" / "tuning"
FILES = sorted(path for path in FOLDER.glob("*.yaml") if "sound_writer" not in path.name)
WANTED = {"draft_ltx2", "nft_ltx2", "flow_grpo_wan", "diffusion_dpo", "raft_audio", "draft_v2a", "tiny_v2a"}
CASES = [
    (path, variant)
    for path in FILES
    for variant in (None, *yaml.safe_load(path.read_text(encoding="utf-8")).get("variants", {}))
]


def test_all_are_there() -> None:
    assert {path.stem for path in FILES} == WANTED
    for path in FILES:
        text = path.read_text(encoding="utf-8")
        assert "tiny" in path.stem or "Not run" in text
        assert "tiny" in path.stem or "node_8x80gb" in text


@pytest.mark.parametrize(("path", "variant"), CASES, ids=lambda value: getattr(value, "stem", str(value)))
def test_a_configuration_fits(path: Path, variant: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(FOLDER.parents[1])
    run = read_tuning(path, variant=variant)
    assert run.loop_settings
    assert run.batch % 8 == 0 or variant != "node_8x80gb"
    named = reward_file(run.reward)
    assert (run.reward.endswith(".yaml") and named is not None) or re.search(r"\w\.\w", run.reward)
    if run.generator.startswith("recipes/"):
        assert Path(run.generator.partition(":")[0]).is_file()


@pytest.mark.parametrize("name", ["grpo_sound_writer", "grpo_sound_writer_8gpu"])
def test_settings_of_the_sound_writer_are_those_of_trl(name: str) -> None:
    trl = pytest.importorskip("trl")
    entries = yaml.safe_load((FOLDER / f"{name}.yaml").read_text(encoding="utf-8"))
    kinds = (trl.GRPOConfig, trl.ModelConfig, trl.ScriptArguments)
    known = {one for kind in kinds for one in kind.__dataclass_fields__}
    assert set(entries) - {"reward_funcs"} <= known
    config = {key: value for key, value in entries.items() if key in trl.GRPOConfig.__dataclass_fields__}
    assert trl.GRPOConfig(**config | {"bf16": False, "use_cpu": True}).num_generations in (8, 16)
