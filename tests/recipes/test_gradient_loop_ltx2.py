"""The gradient loop at its smallest: gradients reach what is trained, and the control has nothing to learn."""

from __future__ import annotations

import json
import sys

import gradient_loop_ltx2 as recipe
import pytest
import torch
from tiny_ltx2 import PLAIN, prompt_embeds
from toy_raters import Toy

from avreward.clip import Clip
from avreward.rewards.per_prompt import PerPrompt

PROMPTS = [recipe.prompt("clean", 0), recipe.prompt("bad", 1)]


@pytest.fixture(autouse=True)
def small(monkeypatch):
    for name, value in {"SIZE": (5, 32, 32), "FPS": 25.0, "DENOISING": 3}.items():
        monkeypatch.setattr(recipe, name, value)


def toy():
    """Power and brightness, signed by what is asked for."""
    rater = Toy()
    signs = {recipe.prompt(kind, i): sign for kind, sign in recipe.KINDS.items() for i in range(4)}
    return PerPrompt(signs) * (rater["power"] + rater["brightness"])


def test_generates_what_the_pipeline_does():
    """The steps' graph is cut; the latents are those of the plain call."""
    pipe, _, _ = recipe.build(toy(), 0)
    ours = recipe.generate(pipe, PROMPTS, [5, 6], last=1)
    call = {"height": 32, "width": 32, "num_frames": 5, "frame_rate": 25.0, "num_inference_steps": 3}
    noise = [torch.Generator().manual_seed(seed) for seed in (5, 6)]
    theirs = pipe(**prompt_embeds(PROMPTS), **call, **PLAIN, generator=noise, output_type="latent", return_dict=False)  # fmt: skip  # noqa: E501
    for one, two in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, two)
        assert one.requires_grad
    assert torch.is_grad_enabled()


def test_a_prompt_means_the_same_in_any_batch():
    """And another prompt something else."""
    pipe, _, _ = recipe.build(toy(), 0)
    alone = recipe.generate(pipe, ["rain falls"], [5], last=0)
    beside = recipe.generate(pipe, ["rain falls", "a very long prompt"], [5, 6], last=0)
    other = recipe.generate(pipe, ["dog barks"], [5], last=0)
    for one, two, three in zip(alone, beside, other, strict=True):
        torch.testing.assert_close(one[0], two[0])
        assert (one[0] - three[0]).abs().max() > 1e-4


def graph(tensor: torch.Tensor) -> int:
    """How many nodes stand behind a tensor."""
    seen, todo = set(), [tensor.grad_fn]
    while todo:
        node = todo.pop()
        if node is not None and node not in seen:
            seen.add(node)
            todo += [following for following, _ in node.next_functions]
    return len(seen)


def test_only_the_last_steps_are_in_the_graph():
    pipe, _, _ = recipe.build(toy(), 0)
    sizes = [graph(recipe.generate(pipe, PROMPTS[:1], [5], last=n)[0]) for n in (1, 2, 3)]
    assert sizes[1] - sizes[0] == pytest.approx(sizes[2] - sizes[1], rel=0.1)
    assert sizes[0] < sizes[2] / 2
    plain = recipe.generate(pipe, PROMPTS[:1], [5], last=0)
    assert not plain[0].requires_grad


@pytest.fixture(scope="module")
def composite():
    return recipe.composite()


def test_gradients_of_the_composite_reach_the_lora(composite):
    """From both raters, through decoder and vocoder; nothing else is trained."""
    pipe, judged, parameters = recipe.build(composite, 0)
    with torch.no_grad():  # a fresh LoRA's first matrix has no gradient while its second is zero
        for parameter in parameters:
            parameter.add_(0.01)
    prompts = PROMPTS[:1]
    slopes = []
    for term in composite.terms:
        judged.reward = term
        latents = recipe.generate(pipe, prompts, [5], last=1)
        slopes.append(torch.autograd.grad(judged(*latents, prompts).sum(), parameters, allow_unused=True))
    names = [name for name, p in pipe.transformer.named_parameters() if p.requires_grad]
    assert all("lora" in name for name in names)
    for term, found in zip(composite.terms, slopes, strict=True):
        reached = [
            name for name, slope in zip(names, found, strict=True) if slope is not None and slope.abs().max() > 0
        ]
        assert len(reached) > len(names) / 2, term
    assert not any(p.requires_grad for part in (pipe.vae, pipe.audio_vae, pipe.vocoder) for p in part.parameters())


@pytest.mark.slow
def test_one_seed_one_result():
    def run(seed: int, control: bool = False) -> list[float]:
        return torch.cat(recipe.train(toy(), seed, control, steps=2, fresh=2)).tolist()

    first = run(0)
    assert first == run(0)
    assert first != run(1)
    assert first[:2] == run(0, control=True)[:2]  # evaluated on the same noise
    assert first[2:] != run(0, control=True)[2:]


def test_the_reward_rises(monkeypatch):
    """Both kinds of prompt learn their own: the reward is the difference of the two."""
    monkeypatch.setattr(recipe, "RATE", 2e-2)
    before, after = recipe.train(toy(), 0, False, steps=6, fresh=2)
    assert (after > before).all()


def test_the_control_hands_the_rewards_on(monkeypatch):
    """Of either kind, one clip is judged by a prompt of its kind, one by a prompt of the other; it can't be learnt."""
    made, judged = [], []
    generate = recipe.generate

    def recorded(pipe, prompts, noises, last):
        if last:
            made.append(prompts)
        return generate(pipe, prompts, noises, last)

    def reward(clips: list[Clip]) -> torch.Tensor:
        if clips[0].video.requires_grad:
            judged.append([clip.prompt for clip in clips])
        return torch.stack([clip.video.mean() for clip in clips])

    monkeypatch.setattr(recipe, "generate", recorded)
    recipe.train(reward, 0, True, steps=3, fresh=1)
    assert len(made) == len(judged) == 3
    for own, given in zip(made, judged, strict=True):
        assert sorted(own) == sorted(given)
        pairs = [(one.split()[0], other.split()[0]) for one, other in zip(own, given, strict=True)]
        assert sorted(pairs) == [("bad", "bad"), ("bad", "clean"), ("clean", "bad"), ("clean", "clean")]
    judged.clear()
    recipe.train(reward, 0, False, steps=3, fresh=1)
    assert judged == made[3:]


def test_writes_the_table(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(recipe, "composite", toy)
    monkeypatch.setattr(recipe, "STEPS", 1)
    fakes = {False: (torch.tensor([1.0, 3.0]), torch.tensor([2.0, 6.0])), True: (torch.tensor([1.0, 3.0]),) * 2}
    monkeypatch.setattr(recipe, "train", lambda reward, seed, control: fakes[control])
    monkeypatch.setattr(sys, "argv", ["gradient_loop_ltx2.py", "--seeds", "0", "1", "--json", str(tmp_path / "a.json")])
    recipe.main()
    assert "| 0 | 2.000 | 4.000 | +2.000 ± 1.000 | +0.000 ± 0.000 |" in capsys.readouterr().out
    rows = json.loads((tmp_path / "a.json").read_text())["rows"]
    assert [r["seed"] for r in rows] == ["0", "1", "all"]
    assert (rows[2]["change"], rows[2]["change_se"]) == (2.0, 0.0)
