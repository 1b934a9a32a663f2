"""Gradients through shared beginnings, with and without checkpointing: the same, and with less memory."""

from __future__ import annotations

import threading
from collections import Counter
from typing import Any

import pytest
import torch
from lmm_checks import alone, dubs, film, noise, picture, sound
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks
from torch.utils._python_dispatch import TorchDispatchMode
from toy_backbone import ToyBackbone, toy_rater
from toy_deep import DeepBackbone
from transformers.modeling_layers import GradientCheckpointingLayer

from avreward import Clip
from avreward.errors import ArgumentError
from avreward.raters.checkpoints._activation_checkpointing import Checkpointing, _offloaded, checkpointed, layers_of
from avreward.raters.checkpoints._shelf import _BLOCK
from avreward.raters.lmm.rater import LmmRater

WAYS: tuple[Checkpointing, ...] = (False, True, "selective", "offload")
BACKBONES = {"toy": ToyBackbone, "deep": DeepBackbone}


def leaves(count: int = 3, frames: int = 20) -> tuple[Tensor, list[Tensor]]:
    """A video and some audio tracks that require gradients."""
    seen = picture(frames)["video"].requires_grad_()
    return seen, [sound(4000 + 800 * i, seed=i)["audio"].requires_grad_() for i in range(count)]


def dubbed(seen: Tensor, heard: list[Tensor]) -> list[Clip]:
    silent = Clip(video=seen, fps=4, prompt="a dog")
    return [silent.with_audio(each, 16000) for each in heard]


def check_same(found: list[Tensor], expected: list[Tensor], rtol: float = 1e-4) -> None:
    for one, other in zip(found, expected, strict=True):
        assert other.any()
        torch.testing.assert_close(one, other, rtol=rtol, atol=rtol * float(other.abs().max()))


# ---- gradients


@pytest.mark.parametrize("kind", list(BACKBONES))
@pytest.mark.parametrize("checkpointing", WAYS)
@pytest.mark.parametrize("batch", [None, 2])
def test_gradients_of_dubs_are_those_of_each_alone(kind: str, checkpointing: Checkpointing, batch: int | None) -> None:
    rater = toy_rater(backbone=BACKBONES[kind](), checkpointing=checkpointing)
    seen, heard = leaves()
    clips = dubbed(seen, heard)
    weights = noise(3, 3, seed=5)
    each = [torch.stack([alone(rater, clip)[d.name] for d in rater.dimensions]) for clip in clips]
    expected = torch.autograd.grad((torch.stack(each) * weights).sum(), [seen, *heard])

    rater.backbone.calls.update(video=0, audio=0)
    scores = rater(clips, batch_size=batch)
    assert rater.backbone.calls == {"video": 1, "audio": 3}
    torch.testing.assert_close(scores.values, torch.stack(each), rtol=1e-4, atol=0)
    found = torch.autograd.grad((scores.values * weights).sum(), [seen, *heard])
    check_same(found, expected)


@pytest.mark.parametrize("checkpointing", WAYS)
def test_one_score_at_a_time(checkpointing: Checkpointing) -> None:
    """Backward of each clip by itself, through the beginning that all of them share."""
    rater = toy_rater(checkpointing=checkpointing)
    seen, heard = leaves()
    values = rater(dubbed(seen, heard))["av_consistency"]
    whole = torch.autograd.grad(values.sum(), [seen, *heard], retain_graph=True)
    parts = []
    for i, value in enumerate(values):
        on_picture, *on_sounds = torch.autograd.grad(value, [seen, *heard], retain_graph=True, allow_unused=True)
        assert [gradient is not None and bool(gradient.any()) for gradient in on_sounds] == [i == j for j in range(3)]
        parts.append(on_picture)
    check_same([sum(parts)], [whole[0]])


def test_tensors_of_equal_values_keep_their_own_gradients() -> None:
    """Two videos with equal content but different graphs aren't shared; audio without a graph is."""
    rater, (seen, _) = toy_rater(), leaves()
    other = seen.detach().clone().requires_grad_()
    heard = sound()["audio"]
    clips = [Clip(video=video, fps=4, audio=heard, sample_rate=16000) for video in (seen, other)]
    values = rater(clips)["av_consistency"]
    assert rater.backbone.calls == {"video": 2, "audio": 1}
    check_same(torch.autograd.grad(values[1], [other], retain_graph=True), torch.autograd.grad(values[0], [seen]))


def test_missing_scores_let_no_gradient_through() -> None:
    rater, (seen, [heard, *_]) = toy_rater(), leaves()
    scores = rater([Clip(video=seen, fps=4), Clip(audio=heard, sample_rate=16000)])
    scores.values[scores.present].sum().backward()
    assert seen.grad is None
    assert heard.grad.isfinite().all()


def test_gradients_in_half_precision() -> None:
    plain, rough = toy_rater(), toy_rater(checkpointing=True)
    rough.module.bfloat16()
    found = []
    for rater in (plain, rough):
        seen, heard = leaves()
        found.append(torch.autograd.grad(rater(dubbed(seen, heard)).values.sum(), [seen, *heard]))
    for one, other in zip(*found, strict=True):
        assert torch.nn.functional.cosine_similarity(one.flatten(), other.flatten(), dim=0) > 0.9


@pytest.mark.parametrize("checkpointing", [False, True], ids=["whole", "checkpointed"])
def test_autocast_with_gradients(checkpointing: bool) -> None:
    rater = toy_rater(checkpointing=checkpointing)
    seen, heard = leaves()
    with torch.autocast("cpu", torch.bfloat16):
        values = rater(dubbed(seen, heard)).values
    gradients = torch.autograd.grad(values.sum(), [seen, *heard])
    exact = torch.autograd.grad(rater(dubbed(seen, heard)).values.sum(), [seen, *heard])
    for one, other in zip(gradients, exact, strict=True):
        assert torch.nn.functional.cosine_similarity(one.flatten(), other.flatten(), dim=0) > 0.9


@pytest.mark.parametrize("way", WAYS[1:])
def test_scores_and_gradients_are_those_without_it(way: Checkpointing) -> None:
    """To the last bit: the same operations on the same numbers."""
    found = []
    for checkpointing in (False, way):
        seen, heard = leaves()
        values = toy_rater(checkpointing=checkpointing)(dubbed(seen, heard)).values
        found.append([values, *torch.autograd.grad(values.sum(), [seen, *heard])])
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=0)


@pytest.mark.parametrize("checkpointing", [1, "some", None])
def test_ways_that_do_not_exist(checkpointing: object) -> None:
    with pytest.raises(ArgumentError, match="checkpointing: expected False, True, 'selective' or 'offload', got"):
        toy_rater(checkpointing=checkpointing)


# ---- memory


def saved(rater: LmmRater, clips: list[Clip]) -> int:
    """Bytes kept for the backward pass, each tensor counted once, weights left out."""
    weights = {weight.data_ptr() for weight in rater.module.parameters()}
    kept: dict[int, int] = {}

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            on_shelf = storage.nbytes() == _BLOCK  # side by side with others, and most of it is not in use
            kept[(tensor if on_shelf else storage).data_ptr()] = tensor.nbytes if on_shelf else storage.nbytes()
        alive.append(tensor)  # or a later one could lie at the same place
        return tensor

    alive: list[Tensor] = []
    with saved_tensors_hooks(pack, lambda tensor: tensor):
        scores = rater(clips)
    assert scores.values.requires_grad
    return sum(kept.values())


def deep_rater(layers: int, checkpointing: bool) -> LmmRater:
    from transformers import Qwen2Config, Qwen2Model

    backbone = ToyBackbone()
    config = Qwen2Config(**{**backbone.language.config.to_dict(), "num_hidden_layers": layers, "layer_types": None})
    with torch.random.fork_rng():
        torch.manual_seed(3)
        backbone.module.language = Qwen2Model(config)
    return toy_rater(backbone=backbone, checkpointing=checkpointing)


def test_less_is_kept_for_the_backward_pass() -> None:
    seen, heard = leaves()
    clips = dubbed(seen, heard)
    whole, lean = (saved(deep_rater(8, on), clips) for on in (False, True))
    assert lean < 0.25 * whole
    more = saved(deep_rater(16, True), clips)
    assert (more - lean) / 8 < 0.1 * whole / 8  # what another layer adds: its input, keys and values alone


class Attention(GradientCheckpointingLayer):
    """Attention by PyTorch after a linear layer, which counts what its forward passes compute."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(8, 8)

    def forward(self, x: Tensor) -> Tensor:
        inner = self.linear(x).tanh()[:, None]
        return x + nn.functional.scaled_dot_product_attention(inner, inner * 2, inner - 1)[:, 0].tanh()


@pytest.mark.parametrize(("way", "attentions"), [(False, 1), (True, 2), ("selective", 1), ("offload", 1)])
def test_attention_is_computed_again_or_not(way: Checkpointing, attentions: int) -> None:
    layer, x = Attention().requires_grad_(False), noise(2, 40, 8).requires_grad_()
    (expected,) = torch.autograd.grad(layer(x).square().sum(), x)
    counted = CountOps()
    with counted:
        with checkpointed(layer, way):
            out = layer(x)
        (found,) = torch.autograd.grad(out.square().sum(), x, retain_graph=True)
        (again,) = torch.autograd.grad(out.square().sum(), x)
    forwards = counted.calls["aten::_scaled_dot_product_flash_attention_for_cpu"]
    assert forwards == attentions + (way is True)  # the second gradient computes it once more
    assert counted.calls["aten::addmm"] == (3 if way in (True, "selective") else 1)
    for gradient in (found, again):
        torch.testing.assert_close(gradient, expected, rtol=0, atol=0)


class CountOps(TorchDispatchMode):
    def __init__(self) -> None:
        super().__init__()
        self.calls: Counter[str] = Counter()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.calls[func._schema.name] += 1
        return func(*args, **(kwargs or {}))


def test_layers_of_one_sequence_leave_one_node_each() -> None:
    """All but the last, whose keys and values are computed before it."""
    rater, (_, [heard]) = toy_rater(checkpointing=True), leaves(1)
    nodes, found = [rater([Clip(audio=heard, sample_rate=16000)])["audio_quality"].grad_fn], set()
    while nodes:
        node = nodes.pop()
        if node is not None and node not in found:
            found.add(node)
            nodes += [before for before, _ in node.next_functions]
    assert sum(node.name() == "RerunBackward" for node in found) == len(rater.backbone.language.layers) - 1


def test_offloading_copies_all_but_weights() -> None:
    """Copies of weights would fill the memory that offloading is to save."""
    layer, x = Attention().requires_grad_(False), noise(2, 40, 8)
    hooks = _offloaded(layer)
    for tensor, same in ((layer.linear.weight.T, True), (x, False), (x[0].T, False)):
        held = hooks.pack_hook(tensor)
        assert (held[1].untyped_storage().data_ptr() == tensor.untyped_storage().data_ptr()) is same
        assert held[1].device.type == "cpu"
        assert torch.equal(hooks.unpack_hook(held), tensor)


def test_frozen_weights_get_no_gradient() -> None:
    rater = toy_rater(checkpointing=True)
    assert not any(weight.requires_grad for weight in rater.module.parameters())
    seen, heard = leaves()
    rater(dubbed(seen, heard)).values.sum().backward()
    assert all(weight.grad is None for weight in rater.module.parameters())
    assert not rater.module.training


def test_nothing_is_kept_for_clips_without_gradients() -> None:
    rater = toy_rater(checkpointing=True)
    with saved_tensors_hooks(lambda _: pytest.fail("kept"), lambda _: pytest.fail("asked for")):
        assert not rater(dubs(2)).values.requires_grad


def test_weights_can_be_trained() -> None:
    """Training opts in: the same gradients on weights with and without checkpointing."""
    found = []
    for checkpointing in (False, True):
        rater = toy_rater(checkpointing=checkpointing)
        rater.module.train().requires_grad_(True)
        rater(dubs(3, prompt="a dog")).values.sum().backward()
        found.append([weight.grad for weight in rater.module.parameters()])
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)
    assert any(gradient is not None and gradient.any() for gradient in found[0])


# ---- the layers


class Layer(GradientCheckpointingLayer):
    def __init__(self) -> None:
        super().__init__()
        self.runs = 0
        self.linear = nn.Linear(4, 4)

    def forward(self, hidden: Tensor) -> Tensor:
        self.runs += 1
        return self.linear(hidden).tanh()


def stack() -> nn.Sequential:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(Layer(), nn.ReLU(), Layer()).eval()


def test_layers_run_again_for_the_gradient_alone() -> None:
    module, at = stack(), noise(2, 4).requires_grad_()
    assert len(list(layers_of(module))) == 2
    with checkpointed(module):
        out = module(at)
    assert [layer.runs for layer in layers_of(module)] == [1, 1]
    (found,) = torch.autograd.grad(out.sum(), at)
    assert [layer.runs for layer in layers_of(module)] == [2, 2]
    (expected,) = torch.autograd.grad(module(at).sum(), at)
    torch.testing.assert_close(found, expected)


def test_off_means_off() -> None:
    module, at = stack(), noise(2, 4).requires_grad_()
    with checkpointed(module, on=False):
        module(at).sum().backward()
    with checkpointed(module), torch.no_grad():
        module(at)
    assert [layer.runs for layer in layers_of(module)] == [2, 2]


def test_layers_are_restored() -> None:
    module = stack()
    first, second = layers_of(module)
    hooked = second.forward = lambda hidden: Layer.forward(second, hidden) * 2  # as accelerate's hooks do
    with checkpointed(module):
        assert "forward" in first.__dict__
    assert "forward" not in first.__dict__
    assert second.forward is hooked
    with pytest.raises(ZeroDivisionError), checkpointed(module):
        raise ZeroDivisionError
    assert "forward" not in first.__dict__
    assert second.forward is hooked


def test_nested_means_once() -> None:
    module, at = stack(), noise(2, 4).requires_grad_()
    with checkpointed(module), checkpointed(module):
        with checkpointed(module[0]):
            pass
        module(at).sum().backward()
    assert [layer.runs for layer in layers_of(module)] == [2, 2]
    assert all("forward" not in layer.__dict__ for layer in layers_of(module))


def test_threads_leave_no_trace() -> None:
    module, entered, left = stack(), threading.Barrier(2), threading.Barrier(2)

    def first() -> None:
        with checkpointed(module):
            entered.wait()
        left.wait()

    def second() -> None:
        entered.wait()
        with checkpointed(module):
            left.wait()

    threads = [threading.Thread(target=work) for work in (first, second)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all("forward" not in layer.__dict__ for layer in layers_of(module))


def test_several_threads_with_gradients() -> None:
    rater, found = toy_rater(checkpointing=True), {}
    clip = film(6)

    def work(name: int) -> None:
        heard = clip.audio.clone().requires_grad_()
        values = rater([clip.with_audio(heard, 16000)])["av_consistency"]
        (found[name],) = torch.autograd.grad(values.sum(), heard)

    for turn in range(4):  # layers are prepared and restored while others run
        threads = [threading.Thread(target=work, args=(4 * turn + i,)) for i in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    work(-1)
    assert len(found) == 17
    for gradient in found.values():
        torch.testing.assert_close(gradient, found[-1], rtol=1e-4, atol=1e-6)
    assert all("forward" not in layer.__dict__ for layer in layers_of(rater.module))


def test_encoders_are_checkpointed_too() -> None:
    """SigLIP, BEATs and the connector: every layer that costs memory is one of those found, or within a method."""
    from tiny_agav_rater import random_network, tiny_config

    names = {type(layer).__name__ for layer in layers_of(random_network(tiny_config(64)))}
    expected = {"SiglipEncoderLayer", "_BeatsLayer", "_StcBottleneck", "Qwen2DecoderLayer", "AgavNetwork"}
    assert names == expected


@pytest.mark.parametrize("way", [True, "selective"])
@pytest.mark.parametrize("frames", [2, 5, 6])  # of 5 the last is not used
def test_pairs_of_frames_are_computed_again_together(way: Checkpointing, frames: int) -> None:
    """Their layers run once more for the gradient, not once more for each layer that holds them."""
    from tiny_agav_rater import random_network, tiny_config

    network = random_network(tiny_config(64))
    side = network.vision.config.image_size
    pixels = noise(frames, 3, side, side).requires_grad_()
    expected = network.encode_video(pixels)
    whole = network.encode_pairs(pixels)  # all frames at once
    torch.testing.assert_close(whole, expected, rtol=1e-4, atol=1e-5)
    weights = torch.randn_like(expected)
    (plain,) = torch.autograd.grad((expected * weights).sum(), pixels)
    counted = CountOps()
    with counted:
        with checkpointed(network, way):
            found = network.encode_video(pixels)
        gradients = [torch.autograd.grad((found * weights).sum(), pixels, retain_graph=True)[0] for _ in range(2)]
    for gradient in gradients:
        torch.testing.assert_close(gradient, plain, rtol=0, atol=0)
    torch.testing.assert_close(found, expected, rtol=0, atol=0)
    runs = frames // 2 * (network.config.vision_layer % (len(network.vision.encoder.layers) + 1))
    attentions = counted.calls["aten::_scaled_dot_product_flash_attention_for_cpu"]
    assert attentions == runs * (1 if way == "selective" else 3)
    assert "encode_pairs" not in vars(network)
