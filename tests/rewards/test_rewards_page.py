"""The examples of docs/rewards.md run, one after another, and the term that they add works."""

import contextlib
import io
import re
from pathlib import Path

import pytest

pytest.importorskip("trl")

import torch
from trl_checks import trained

from avreward import Clip, load_reward, score_files
from avreward.integrations.trl.rewards import trl_rewards
from avreward.rewards.function_base import FUNCTIONS

PAGE = Path(__file__).parents[2] / "docs" / "guides" / "rewards.md"


@pytest.fixture(scope="module")
def names(tmp_path_factory):
    found = {"folder": tmp_path_factory.mktemp("page"), "printed": io.StringIO()}
    with contextlib.chdir(found["folder"]), contextlib.redirect_stdout(found["printed"]):
        for block in re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL):
            exec(compile(block, str(PAGE), "exec"), found)
    return found


def test_the_examples_run(names):
    assert "(0, 1)" in names["printed"].getvalue()
    assert load_reward(names["folder"] / "careful.yaml") == names["careful"]
    assert repr(names["worst"]) == "min(signals.audio_quality, signals.av_consistency)"


def test_the_new_term(names, tmp_path):
    warm = names["Warmth"]()["warm"]
    before, after = names["candidates"][1].video, names["pixels"].detach()
    assert warm([Clip(video=after.clamp(0, 1), fps=8)]) > warm([Clip(video=before, fps=8)]) + 0.05
    video = torch.rand(12, 3, 4, 4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda v: warm([Clip(video=v, fps=8)]), (video,))
    rewards = warm.evaluate([Clip(audio=torch.zeros(1, 100), sample_rate=8000)])
    assert rewards.reasons == ["warmth.warm: no video was given"]
    Clip(video=before, fps=8).save(tmp_path / "clip.mp4")
    [scored] = score_files([tmp_path / "clip.mp4"], warm)
    assert scored.rewards is not None
    assert scored.rewards.present.tolist() == [True]


def test_the_new_term_trains_a_writer(names, tmp_path):
    """GRPO's own steps; what a completion got is what the reward's parts say of its picture."""

    def render(text, /, **columns):
        return names["candidates"][len(text.split()) % 2]

    functions, weights = trl_rewards(names["reward"], render=render)
    options = {"reward_weights": weights, "multi_objective_aggregation": "normalize_then_sum"}
    logs = trained("GRPO", tmp_path, functions, **options)._logs
    assert len(logs["completion"]) == 8
    given = list(zip(*(logs["rewards"][function.__name__] for function in functions), strict=True))
    for text, parts in zip(logs["completion"], given, strict=True):
        expected = names["reward"]([render(text)]).item()
        assert sum(w * part for w, part in zip(weights, parts, strict=True)) == pytest.approx(expected, rel=1e-5)
    assert len(set(given)) == 2


def test_every_function_is_listed():
    listed = PAGE.read_text(encoding="utf-8")
    assert [name for name in FUNCTIONS if not name.endswith("_for_tests") and f"`{name}" not in listed] == []
