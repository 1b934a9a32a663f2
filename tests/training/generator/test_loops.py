"""The loops: gradients that are right, streams that stay apart, rewards that rise, and runs that go on."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from tiny.flow import JointGenerator
from torch import Tensor, nn

from avreward import Clip, term
from avreward.errors import ArgumentError, AvrewardError
from avreward.generators import Condition, FlowGenerator, Noise, sample_flow
from avreward.rewards import Reward
from avreward.training import (
    DiffusionNft,
    Draft,
    FlowGrpo,
    OnlineDpo,
    Raft,
    TuningStep,
    add_lora,
    load_lora,
    load_tuning,
    save_lora,
    save_tuning,
)
from avreward.training.generator.lora import lora_state
from avreward.training.generator.windows import sliding_windows


@term(needs="video", low=0, high=1)
def warmth(clip: Clip) -> Tensor:
    """Red less blue."""
    return 0.5 + 0.5 * (clip.video[:, 0].mean() - clip.video[:, 2].mean())


@term(needs="audio", low=-1, high=1)
def level(clip: Clip) -> Tensor:
    """The mean sample."""
    return clip.audio.mean()


@term(needs="video", low=0, high=1)
def never(clip: Clip) -> Tensor:
    """NaN for all."""
    return clip.video.mean() * math.nan


@term(needs="video", low=0, high=1)
def broken(clip: Clip) -> Tensor:
    """An error for all."""
    raise RuntimeError("cannot")


WARM, LOUD, NEVER, BROKEN = warmth["warmth"], level["level"], never["never"], broken["broken"]
Loop = Draft | FlowGrpo | DiffusionNft | OnlineDpo | Raft


def made(kind: Callable[..., Loop], **settings: Any) -> Callable[..., Loop]:
    """What makes a loop of a generator, a reward and other settings."""
    common = {"steps": 6, "learning_rate": 2e-2}
    return lambda generator, reward, **others: kind(generator, reward, **{**common, **settings, **others})


LOOPS: dict[str, Callable[..., Loop]] = {
    "draft": made(Draft, truncation=2, kl_weight=0.0),
    "alignprop": made(Draft, truncation="random", kl_weight=0.0),
    "refl": made(Draft, truncation="refl", kl_weight=0.0),
    "flow_grpo": made(FlowGrpo, kl_weight=0.0, clip_range=0.1),
    "mixgrpo": made(FlowGrpo, window=2, window_updates=2, kl_weight=0.0, clip_range=0.1),
    "ddpo": made(FlowGrpo, step="ddim", noise_level=1.0, kl_weight=0.0, clip_range=0.1),
    "nft": made(DiffusionNft),
    "awm": made(DiffusionNft, loss="awm"),
    "dpo": made(OnlineDpo, learning_rate=1e-2, beta=10),
    "raft": made(Raft),
    "weighted": made(Raft, weights="exponential"),
}


def tuned(seed: int = 0, dtype: torch.dtype = torch.float32) -> JointGenerator:
    """A generator with a LoRA that is not 0 any more."""
    generator = JointGenerator(seed, dtype)
    add_lora(generator.network, rank=4, seed=seed)
    draw = torch.Generator().manual_seed(seed)
    for name, parameter in generator.network.named_parameters():
        if "lora_B" in name:
            parameter.data.copy_(0.1 * torch.randn(parameter.shape, generator=draw))
        parameter.data = parameter.data.to(dtype)
    return generator


def update(loop: Loop, number: int) -> TuningStep:
    if isinstance(loop, Draft):
        return loop.update([Condition()] * 4, [Noise.of(4 * number + i) for i in range(4)])
    return loop.update([Condition()] * 2, [[Noise.of(16 * number + 8 * c + i) for i in range(8)] for c in range(2)])


def mean_reward(generator: FlowGenerator, reward: Reward) -> float:
    with torch.no_grad():
        noises = [Noise.of(10**6 + i) for i in range(64)]
        latents = sample_flow(generator, 0.0, noises, generator.sigmas(6, 0.0))
        return float(reward(generator.decode(latents, 0.0)).mean())


@pytest.mark.parametrize("name", LOOPS)
def test_every_loop_raises_its_reward(name: str) -> None:
    generator = tuned()
    before = mean_reward(generator, WARM)
    fast = {"checkpointing": False} | ({"rows": 8} if name in GROUPED else {})
    loop = LOOPS[name](generator, WARM, **fast)
    for number in range(25):
        step = update(loop, number)
    assert mean_reward(generator, WARM) > before + 0.05
    assert step.denoising_steps > 0
    assert math.isfinite(step.gradient_norm)
    assert set(step.terms) == {"warmth.warmth"}


@pytest.mark.parametrize("last", [1, 3, 6])
def test_the_gradient_through_the_last_steps_is_that_of_finite_differences(last: int) -> None:
    generator = tuned(dtype=torch.float64)
    sigmas, noises = generator.sigmas(6, 0.0), [Noise.of(5)]
    trained = range(6 - last, 6)
    weight = next(p for n, p in generator.network.named_parameters() if "hidden" in n and "lora_A" in n)
    frozen = weight.detach().clone()

    def value(weights: Tensor) -> Tensor:
        """The reward where only the trained steps, and only each stream's own latents, follow the weights."""
        weight.data.copy_(frozen)
        with torch.no_grad():
            fixed = [generator.start(0.0, noises)]
            for step in range(6):
                velocity = generator.velocity(fixed[-1], torch.full((1,), sigmas[step], dtype=torch.float64), 0.0)
                fixed.append({n: x + (sigmas[step + 1] - sigmas[step]) * velocity[n] for n, x in fixed[-1].items()})
            weight.data.copy_(weights)
            video = fixed[trained[0]]["video"]
            for step in trained:
                latents = {"video": video, "audio": fixed[step]["audio"]}
                velocity = generator.velocity(latents, torch.full((1,), sigmas[step], dtype=torch.float64), 0.0)
                video = video + (sigmas[step + 1] - sigmas[step]) * velocity["video"]
            weight.data.copy_(frozen)
        return WARM(generator.decode({"video": video, "audio": fixed[-1]["audio"]}, 0.0))[0].double()

    latents = sample_flow(generator, 0.0, noises, sigmas, trained=trained)
    WARM(generator.decode(latents, 0.0)).sum().backward()
    found = weight.grad.clone()
    for at in ((0, 0), (1, 4), (3, 5)):
        change = torch.zeros_like(frozen)
        change[at] = 1e-5
        expected = (value(frozen + change) - value(frozen - change)) / 2e-5
        assert float(found[at]) == pytest.approx(float(expected), rel=1e-4, abs=1e-9)


def test_a_term_moves_the_latents_of_its_streams_and_exactly_no_others() -> None:
    generator = tuned()
    start = {name: x.requires_grad_() for name, x in generator.start(0.0, [Noise.of(1)]).items()}
    generator.start = lambda *_: start  # type: ignore[method-assign]
    latents = sample_flow(generator, 0.0, [Noise.of(1)], generator.sigmas(4, 0.0), trained=range(4))
    clips = generator.decode(latents, 0.0)
    for reward, moved, still in ((WARM, "video", "audio"), (LOUD, "audio", "video")):
        gradients = torch.autograd.grad(
            reward(clips).sum(), [start[moved], start[still]], retain_graph=True, allow_unused=True
        )
        assert float(gradients[0].abs().max()) > 0
        assert gradients[1] is None or float(gradients[1].abs().max()) == 0


@pytest.mark.parametrize(("reward", "still"), [(LOUD, "video"), (WARM, "audio")], ids=["sound", "picture"])
@pytest.mark.parametrize("kl_weight", [0.0, 1.0])
@pytest.mark.parametrize("name", LOOPS)
def test_a_stream_without_a_term_follows_nothing(name: str, kl_weight: float, reward: Reward, still: str) -> None:
    """With a reward of one stream, the weights that only the other's velocity has do not move at all."""
    generator = tuned()  # away from the frozen network, so that its distance has a gradient
    loop = LOOPS[name](generator, reward, **({} if name == "dpo" else {"kl_weight": kl_weight}))
    before = {n: p.detach().clone() for n, p in generator.network.named_parameters() if p.requires_grad}
    step = update(loop, 0)
    assert step.kl > 0 or not kl_weight or name == "dpo"
    moved = {n for n, p in generator.network.named_parameters() if n in before and not torch.equal(p, before[n])}
    assert moved == {n for n in before if not n.startswith(still)}


@pytest.mark.parametrize("weights", ["winners", "exponential"])
def test_raft_learns_nothing_from_a_group_without_differences(weights: str) -> None:
    same, other = [Noise.of(0)] * 3, [Noise.of(seed) for seed in (1, 2, 3)]
    found = []
    for groups in ([same, same], [same, other], [other]):
        generator = tuned()
        before = lora_state(generator.network)
        step = Raft(generator, WARM, weights=weights, steps=4).update([Condition()] * len(groups), groups)
        moved = any(not torch.equal(value, before[name]) for name, value in lora_state(generator.network).items())
        found.append((moved, step.gradient_norm > 0, step.loss > 0))
    assert found == [(False, False, False), (True, True, True), (True, True, True)]


def test_advantages_of_conflicting_terms_are_routed() -> None:
    from avreward.training.generator._rated import rated
    from avreward.training.generator._routing import advantages_of

    generator, reward = tuned(), WARM + 3 * LOUD
    latents = sample_flow(generator, 0.0, [Noise.of(i) for i in range(6)], generator.sigmas(3, 0.0))
    with torch.no_grad():
        found = rated(reward, generator.decode(latents, 0.0))
        alone = {name: rated(one, generator.decode(latents, 0.0)) for name, one in (("video", WARM), ("audio", LOUD))}
    routed = advantages_of(reward, found, [0] * 6, generator.streams)
    for stream, one in alone.items():
        expected = advantages_of(reward.children[0] if stream == "video" else LOUD, one, [0] * 6, [stream])[stream]
        assert torch.corrcoef(torch.stack([routed[stream], expected]))[0, 1] == pytest.approx(1.0, abs=1e-5)


@pytest.mark.parametrize("step", ["flow", "ddim"])
def test_replaying_a_rollout_gives_a_ratio_of_exactly_one(step: str) -> None:
    """The loss of a replay is minus the mean advantage of each stream, and no ratio is outside the smallest range."""
    generator = tuned()
    loop = FlowGrpo(generator, WARM, steps=5, step=step, kl_weight=0.0, clip_range=0.0, rows=2)
    with torch.no_grad():
        rollout = loop._sample(Condition(), [Noise.of(i) for i in range(3)], range(4), torch.Generator().manual_seed(0))
    assert [transition.step for transition in rollout.transitions] == [0, 1, 2, 3]
    advantages = dict.fromkeys(generator.streams, torch.tensor([1.0, -2.0, 4.0]))
    for share, _, transition, own in loop._batches([rollout], advantages):
        loss, kl, clipped = loop._loss(rollout, transition, own)
        assert loss.requires_grad
        assert (float(loss.detach()), kl, clipped) == (-float(own["video"].mean()), 0.0, 0.0)
        assert share == pytest.approx(len(own["video"]) / 3 / 4)


def test_clipping_acts_from_the_second_pass_on() -> None:
    once, twice = (
        update(FlowGrpo(tuned(), WARM, steps=4, learning_rate=2e-2, clip_range=1e-4, passes=passes), 0).parts["clipped"]
        for passes in (1, 2)
    )
    assert once == 0
    assert 0.25 < twice <= 0.5  # half of what is trained


def test_a_window_is_never_empty() -> None:
    loop = FlowGrpo(tuned(), WARM, steps=10, window=4, window_updates=3)
    expected = filter(None, sliding_windows(9, width=4, iterations=3, stride=1))
    for loop.updates in range(70):
        assert loop._trained_steps() == next(expected)
    assert FlowGrpo(tuned(), WARM, steps=10)._trained_steps() == range(9)


def test_weights_of_streams_weight_their_losses() -> None:
    found = []
    for weights in ({"audio": 1.0}, {"audio": 3.0}, None):
        loop = FlowGrpo(tuned(), WARM + LOUD, steps=3, kl_weight=0.0, stream_weights=weights, passes=2, clip_range=1.0)
        with torch.no_grad():
            rollout = loop._sample(Condition(), [Noise.of(i) for i in range(2)], range(2), torch.Generator())
        advantages = {"video": torch.tensor([1.0, 1.0]), "audio": torch.tensor([2.0, 2.0])}
        found.append(float(loop._loss(rollout, rollout.transitions[0], advantages)[0].detach()))
    assert found == pytest.approx([-1.5, -3.5, -1.5])
    with pytest.raises(ArgumentError, match="stream_weights: expected weights of video, audio"):
        FlowGrpo(tuned(), WARM, stream_weights={"sound": 1.0})


GROUPED = ["flow_grpo", "mixgrpo", "ddpo", "nft", "dpo", "raft", "weighted", "awm"]


@pytest.mark.parametrize("name", GROUPED)
def test_rows_and_checkpointing_change_no_gradient(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor what is drawn or rated: an update is the same for any number of rows at once."""

    @term(needs=("video", "audio"), low=-1, high=1)
    def picky(clip: Clip) -> Tensor:
        """NaN for some, so that the rows that are trained are not those that were sampled."""
        red = clip.video[:, 0].mean()
        return (red if float(red.detach()) > 0.6 else red * math.nan) + clip.audio.mean()

    found, most = [], []
    for options in ({"rows": 8, "checkpointing": False}, {"rows": 3, "checkpointing": True}, {"rows": 1}):
        generator, seen = tuned(dtype=torch.float64), []
        velocity, decode = generator.velocity, generator.decode
        generator.velocity = lambda x, s, e, v=velocity, seen=seen: (seen.append(len(s)), v(x, s, e))[1]
        generator.decode = lambda x, e, d=decode, seen=seen: (seen.append(len(x["video"])), d(x, e))[1]
        loop = LOOPS[name](generator, picky["picky"], **options)
        monkeypatch.setattr(loop.optimizer, "step", lambda: None)
        monkeypatch.setattr(loop.optimizer, "zero_grad", lambda **_: None)
        step = update(loop, 0)
        assert step.missing
        gradients = torch.cat([p.grad.flatten() for p in loop.parameters if p.grad is not None])
        found.append((gradients, step.every_reward, torch.tensor([step.loss, step.kl, *step.parts.values()])))
        most.append(max(seen))
    assert most == [8, 3, 2 if name == "dpo" else 1]  # a pair stays together
    for other in found[1:]:
        for mine, theirs in zip(found[0], other, strict=True):
            torch.testing.assert_close(mine.double(), theirs.double(), rtol=1e-6, atol=1e-9, equal_nan=True)


@pytest.mark.parametrize("name", ["draft", "flow_grpo", "nft", "dpo", "raft"])
def test_a_clip_without_a_reward_is_left_out_and_named(name: str) -> None:
    @term(needs="video", low=0, high=1)
    def picky(clip: Clip) -> Tensor:
        """NaN for some."""
        red = clip.video[:, 0].mean()
        return red if float(red.detach()) > 0.63 else red * math.nan

    generator = tuned()
    step = update(LOOPS[name](generator, picky["picky"]), 0)
    assert 0 < len(step.missing) < step.clips
    assert len(step.rewards) == step.clips - len(step.missing)
    assert all(bool(p.isfinite().all()) for p in generator.network.parameters())


@pytest.mark.parametrize("name", LOOPS)
@pytest.mark.parametrize("reward", [NEVER, BROKEN], ids=["nan", "error"])
def test_an_update_without_any_reward_trains_nothing_and_the_next_one_goes_on(name: str, reward: Reward) -> None:
    generator = tuned()
    loop = LOOPS[name](generator, WARM)
    update(loop, 0)
    weights = lora_state(generator.network)
    loop.reward = reward
    step = update(loop, 1)
    assert (len(step.rewards), len(step.missing), step.loss, step.kl, step.gradient_norm) == (0, step.clips, 0, 0, 0)
    assert step.every_reward.isnan().all()
    expected = "not a finite number" if reward is NEVER else "broken: RuntimeError: cannot"
    assert all(expected in reason for reason in step.missing)
    assert all(torch.equal(value, weights[name]) for name, value in lora_state(generator.network).items())
    loop.reward = WARM
    update(loop, 2)
    assert loop.updates == 3
    assert any(not torch.equal(value, weights[name]) for name, value in lora_state(generator.network).items())


def test_several_processes_without_a_reward_report_none() -> None:
    whole = update(LOOPS["draft"](tuned(), WARM), 0)
    none = update(LOOPS["draft"](tuned(), NEVER), 0)
    assert math.isnan(TuningStep.together([none, none]).terms["never.never"])
    assert TuningStep.together([whole, replace(none, terms={"warmth.warmth": math.nan})]).terms == whole.terms


def test_settings_are_checked_at_once() -> None:
    generator = JointGenerator()
    generator.network.requires_grad_(False)
    with pytest.raises(ArgumentError, match="network: expected one with parameters to train"):
        Draft(generator, WARM)
    add_lora(generator.network)
    with pytest.raises(ArgumentError, match="network: expected one without a LoRA"):
        add_lora(generator.network)
    with pytest.raises(ArgumentError, match="truncation: expected 1 to 4 steps"):
        Draft(generator, WARM, steps=4, truncation=5)
    with pytest.raises(ArgumentError, match="loss: expected"):
        DiffusionNft(generator, WARM, loss="ppo")
    with pytest.raises(ArgumentError, match="targets"):
        add_lora(JointGenerator().network, targets=["nothing"])


@pytest.mark.parametrize("name", LOOPS)
def test_a_run_that_stopped_goes_on_with_the_same_result(name: str, tmp_path) -> None:
    whole, stopped, again = tuned(), tuned(), tuned(seed=0)
    one, two = LOOPS[name](whole, WARM), LOOPS[name](stopped, WARM)
    for number in range(4):
        update(one, number)
    for number in range(2):
        update(two, number)
    save_tuning(two, tmp_path / "run.pt")
    three = LOOPS[name](again, WARM)
    load_tuning(three, tmp_path / "run.pt")
    for number in range(2, 4):
        update(three, number)
    for (label, mine), theirs in zip(whole.network.named_parameters(), again.network.parameters(), strict=True):
        assert torch.equal(mine, theirs), label


def test_a_saved_lora_is_read_and_another_file_is_refused(tmp_path) -> None:
    first, second = tuned(0), tuned(1)
    save_lora(first.network, tmp_path / "lora.safetensors")
    load_lora(second.network, tmp_path / "lora.safetensors")
    mine, theirs = ([p for n, p in g.network.named_parameters() if "lora_" in n] for g in (first, second))
    assert all(torch.equal(a, b) for a, b in zip(mine, theirs, strict=True))
    larger = JointGenerator()
    add_lora(larger.network, rank=5)
    with pytest.raises(AvrewardError, match="expected the parameters that the network trains"):
        load_lora(larger.network, tmp_path / "lora.safetensors")
    save_tuning(LOOPS["draft"](first, WARM), tmp_path / "run.pt")
    with pytest.raises(AvrewardError, match="expected the state of DiffusionNft, got that of Draft"):
        load_tuning(LOOPS["nft"](second, WARM), tmp_path / "run.pt")
    (tmp_path / "other.pt").write_bytes(b"no state")
    with pytest.raises(AvrewardError, match="expected a file that save_tuning wrote"):
        load_tuning(LOOPS["draft"](second, WARM), tmp_path / "other.pt")


def test_an_update_that_fails_leaves_the_trained_network_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    generator = tuned()
    loop = LOOPS["nft"](generator, WARM)
    for number in range(2):
        update(loop, number)
    weights = lora_state(generator.network)
    monkeypatch.setattr(generator, "decode", lambda *_: 1 / 0)  # while the old network's weights are in the generator
    with pytest.raises(ZeroDivisionError):
        update(loop, 2)
    assert loop.updates == 2
    assert all(torch.equal(value, weights[name]) for name, value in lora_state(generator.network).items())


@pytest.mark.parametrize("name", ["draft", "flow_grpo", "nft", "dpo", "raft"])
def test_gradients_of_an_interrupted_update_do_not_count(name: str) -> None:
    whole, interrupted = tuned(), tuned()
    for parameter in interrupted.network.parameters():
        if parameter.requires_grad:
            parameter.grad = torch.ones_like(parameter)
    found = [update(LOOPS[name](one, WARM), 0) for one in (whole, interrupted)]
    assert found[0].gradient_norm == found[1].gradient_norm


@pytest.mark.parametrize("name", ["nft", "awm", "dpo", "raft"])
def test_noise_levels_above_the_first_one_are_not_trained(name: str) -> None:
    generator, seen = tuned(), []
    velocity, generator.sigmas = generator.velocity, lambda *_: [0.4, 0.3, 0.2, 0.15, 0.1, 0.05, 0.0]
    generator.velocity = lambda x, sigma, encoded: (seen.append(float(sigma.max())), velocity(x, sigma, encoded))[1]
    update(LOOPS[name](generator, WARM), 0)
    assert max(seen) <= 0.4 + 1e-6


def test_what_dpo_reports() -> None:
    """A group whose samples are equally good has no pair, and does not dilute the accuracy."""
    same, pair = [Noise.of(0)] * 2, [Noise.of(1), Noise.of(2)]
    accuracies = set()
    for seed in range(6):
        loop = OnlineDpo(tuned(seed), WARM, steps=6, times=1)
        step = loop.update([Condition()] * 2, [pair, same])
        assert step.parts["pairs"] == 1
        assert step.kl > 0
        accuracies.add(step.parts["accuracy"])
    assert 1.0 in accuracies <= {0.0, 1.0}


@pytest.mark.parametrize("name", ["draft", "flow_grpo", "nft", "dpo", "raft"])
def test_noises_fit_the_conditions(name: str) -> None:
    loop, one = LOOPS[name](tuned(), WARM), Noise.of(0)
    with pytest.raises(ArgumentError, match="conditions: expected at least one, got none"):
        loop.update([], [])
    with pytest.raises(ArgumentError, match="noises: expected one for each of 2 conditions, got 1"):
        loop.update([Condition()] * 2, [one if name == "draft" else [one, one]])
    for group in (one, [one]) if name != "draft" else ():
        with pytest.raises(ArgumentError, match="noises: expected a list of two or more for each condition"):
            loop.update([Condition()], [group])


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda g: Draft(g, WARM, steps=0, truncation="refl"), "steps: expected a positive integer, got 0"),
        (lambda g: FlowGrpo(g, WARM, steps=1), "steps: expected at least 2"),
        (lambda g: FlowGrpo(g, WARM, step="ode"), 'step: expected "flow" or "ddim"'),
        (lambda g: FlowGrpo(g, WARM, window=0), "window: expected a positive integer"),
        (lambda g: DiffusionNft(g, WARM, times=0), "times: expected a positive integer"),
        (lambda g: OnlineDpo(g, WARM, times=0), "times: expected a positive integer"),
        (lambda g: Raft(g, WARM, times=0), "times: expected a positive integer"),
        (lambda g: add_lora(g.network, rank=0), "rank: expected a positive integer"),
    ],
)
def test_settings_out_of_range(make: Callable, said: str) -> None:
    with pytest.raises(ArgumentError, match=said):
        make(tuned())


@pytest.mark.parametrize(
    ("targets", "said"),
    [
        (["to_q"], "targets: expected layers' names, got 'to_q'; choose from hidden, video, audio"),
        (["hidden", "vidoe"], "targets: expected layers' names, got 'vidoe'; choose from hidden, video, audio"),
        ("layers.*", "targets: expected a regular expression that is the path of a layer, got 'layers.*'; choose from"),
        ("(", "targets: expected a regular expression (missing ), unterminated subpattern at position 0), got '('"),
        ([""], "targets: expected layers that take a LoRA, got ['']; choose from hidden, video, audio"),
    ],
)
def test_targets_that_name_no_layer(targets: Any, said: str) -> None:
    network = JointGenerator().network
    with pytest.raises(ArgumentError) as caught:
        add_lora(network, targets=targets)
    assert str(caught.value).startswith(said)
    assert not [name for name, _ in network.named_parameters() if "lora" in name]


def test_names_of_layers_in_a_message_are_few_and_whole() -> None:
    network = nn.ModuleDict({f"to_{i}": nn.Sequential(nn.Linear(1, 1), nn.ReLU()) for i in range(14)})
    listed = ", ".join(f"to_{i}.0" for i in range(12))
    with pytest.raises(ArgumentError, match=f"choose from {listed} and 2 more$"):
        add_lora(network, targets=["to_q"])
    with pytest.raises(
        ArgumentError, match="layers that take a LoRA, got a ReLU, which has none; train another network"
    ):
        add_lora(nn.ReLU())


def test_draft_needs_a_term_that_moves_what_is_generated() -> None:
    generator = tuned()
    generator.streams = ("audio",)
    with pytest.raises(ArgumentError, match="reward: expected terms that may move audio, got 'warmth"):
        Draft(generator, WARM, kl_weight=0.1)


def test_the_moving_average_is_read_wherever_the_network_is(tmp_path) -> None:
    first, second = tuned(0), tuned(0)
    one, two = LOOPS["nft"](first, WARM), LOOPS["nft"](second, WARM)
    update(one, 0)
    save_tuning(one, tmp_path / "run.pt")
    elsewhere = torch.nn.Parameter(torch.empty(1, device="meta"), requires_grad=False)
    second.network.register_parameter("elsewhere", elsewhere)  # the first parameter, on another device
    load_tuning(two, tmp_path / "run.pt")
    assert all(torch.equal(value, one.old[name]) for name, value in two.old.items())


@pytest.mark.parametrize("name", ["missing", "other"])
def test_files_that_are_not_there_or_others(tmp_path, name: str) -> None:
    generator = tuned()
    (tmp_path / "other").write_bytes(b"not a tensor")
    with pytest.raises(AvrewardError, match="expected a file that save_lora wrote"):
        load_lora(generator.network, tmp_path / name)
    with pytest.raises(AvrewardError, match="expected a file that save_tuning wrote"):
        load_tuning(LOOPS["draft"](generator, WARM), tmp_path / name)
