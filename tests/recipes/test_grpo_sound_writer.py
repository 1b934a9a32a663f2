"""The recipe that trains a language model to write prompts for sounds."""

from __future__ import annotations

import json
import os
import pickle
import random
import subprocess
import sys
from pathlib import Path

import grpo_sound_writer as recipe
import pytest
import torch

from avreward import load_rater
from avreward.integrations.trl.rewards import trl_rewards


def test_the_smallest_form(monkeypatch, capsys, tmp_path) -> None:
    for name, value in {"STEPS": 2, "GROUP": 2, "GROUPS": 2, "FRESH": 4}.items():
        monkeypatch.setattr(recipe, name, value)
    monkeypatch.setattr(sys, "argv", ["grpo_sound_writer.py", "--seeds", "0", "--json", str(tmp_path / "out.json")])
    recipe.main()
    out = capsys.readouterr().out
    assert "reward: 0.1*signals.audio_quality + pitch.match" in out
    assert "| seed | before | after |" in out
    first, over, heldout, _ = json.loads((tmp_path / "out.json").read_text())
    assert first == over
    assert heldout["score"] == recipe.SCORES[1]
    assert all(value == value for value in (first | heldout).values())
    monkeypatch.setattr(recipe, "compare", lambda seeds: torch.tensor([[list(range(6))]] * 2).float())
    row = {"seed": 7, "before": 0.0, "gain": 2.0, "control": 4.0}
    assert recipe.gains_over_control([7]) == [row | {"score": score} for score in recipe.SCORES]


def test_the_held_out_pitch_is_that_of_the_tone() -> None:
    render = recipe.Synthesizer(0)
    low, high = (render("clear rumble clean").with_prompt(f"a {scene} sound") for scene in ("low", "high"))
    assert recipe.crossing_match(low) > -0.2
    assert recipe.crossing_match(high) < -4


def test_training_changes_the_writer_and_the_control_gets_others_rewards() -> None:
    def function(completions: list[str], **columns: object) -> list[float | None]:
        return [float(text) for text in completions]

    function.__name__ = "own"
    first, second = recipe.Shuffled(function, 3), recipe.Shuffled(function, 3)
    texts = [str(i) for i in range(20)]
    shuffled = first(completions=texts)
    assert sorted(shuffled) == [float(text) for text in texts] != shuffled
    assert second(completions=texts) == shuffled  # terms of one clip stay together
    assert first(completions=texts) != shuffled  # another batch, another order


def test_the_reward_tells_sounds_apart_and_reads_the_prompt() -> None:
    render, reward = recipe.Synthesizer(0), recipe.composite()
    low, high = "the sound of a low", "the sound of a high"
    texts = [("clear rumble clean", low), ("clear rumble clean", high), ("blaring rumble noisy", low)]
    good, other, bad = reward([render(text).with_prompt(prompt) for text, prompt in texts]).tolist()
    assert good > other + 3
    assert good > bad + 1
    assert reward.prompt_anchored
    assert len(reward.raters) == 2
    assert render("whistle").audio.ne(render("whistle").audio).any()  # fresh noise


def test_writing_less_gains_nothing() -> None:
    """A policy that loses its variety leaves words out. What is left out is drawn, or the control would rise by it."""
    render, reward, draws = recipe.Synthesizer(0), recipe.composite(), random.Random(0)
    kinds = {*recipe.PITCHES, *recipe.LEVELS, *recipe.TEXTURES}
    means = []
    for words in (recipe.WORDS, [word for word in recipe.WORDS if word not in kinds]):
        texts = [" ".join(draws.choices(words, k=4)) for _ in range(120)]
        rows = [recipe.request(list(recipe.SCENES)[i % 3]) for i in range(120)]
        clips = [render(text).with_prompt(row["scene"]) for text, row in zip(texts, rows, strict=True)]
        means.append(reward(clips).mean().item())
    assert means[0] == pytest.approx(means[1], abs=0.4)  # with fixed defaults: 0.95 and 2.29
    assert render.drawn({"one": 1.0}) == "one"
    assert {render.drawn(recipe.LEVELS) for _ in range(60)} == set(recipe.LEVELS)


def test_the_functions_can_be_pickled() -> None:
    functions, _ = trl_rewards(recipe.composite(), render=recipe.Synthesizer(0), prompt_column="scene")
    batch = {"prompts": ["x"], "completions": ["clear hum"], "scene": ["a low sound"]}
    copies = pickle.loads(pickle.dumps(functions))
    for function, copy in zip(functions, copies, strict=True):
        assert copy(**batch) == pytest.approx(function(**batch), rel=1e-4)


def test_a_change_and_its_error() -> None:
    before, after = torch.tensor([0.0, 2.0]), torch.tensor([4.0, 6.0])
    assert recipe.row_of(before, after, after, before) == pytest.approx([1, 5, 4, 2**0.5, -4, 2**0.5])


@pytest.mark.slow
def test_training_against_a_reward_in_another_process(monkeypatch, tmp_path) -> None:
    """The trainer reads the served composite by its address, with the same numbers, and the writer learns from it."""
    (tmp_path / "served.py").write_text(
        "import avreward, grpo_sound_writer as recipe\n"
        "from avreward.integrations import RewardServer\n"
        "server = RewardServer(recipe.composite())\n"
        "print(server.url, flush=True)\n"
        "server.serve_forever()\n"
    )
    place = os.pathsep.join([str(Path(recipe.__file__).parent), *filter(None, sys.path)])
    server = subprocess.Popen(
        [sys.executable, str(tmp_path / "served.py")], stdout=subprocess.PIPE, text=True,
        env=os.environ | {"PYTHONPATH": place},
    )  # fmt: skip
    try:
        reward = load_rater(server.stdout.readline().strip())["reward"]
        assert not reward.differentiable
        assert reward.prompt_anchored
        render = recipe.Synthesizer(0)
        clips = [render(text).with_prompt("a low sound") for text in ("clear rumble clean", "blaring whistle noisy")]
        assert reward(clips).tolist() == recipe.composite()(clips).tolist()
        for name, value in {"STEPS": 12, "FRESH": 48, "RATE": 3e-3}.items():
            monkeypatch.setattr(recipe, name, value)
        (before, _), (after, _) = recipe.train(reward, seed=0, control=False)
        assert after.mean() > before.mean() + 0.3
    finally:
        server.kill()
        server.wait()
        server.stdout.close()
