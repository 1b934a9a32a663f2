"""The network against the original's reference cases."""

from __future__ import annotations

import pytest
import torch
from golden_weights import golden_state, real_tokens, structured
from tiny.assessor import TOKENIZER, tiny_config, tiny_network
from torch import Tensor

from avreward.errors import ArgumentError
from avreward.raters.aigv_assessor import AssessorConfig, AssessorNetwork
from avreward.raters.aigv_assessor._backbone import AssessorBackbone
from avreward.raters.aigv_assessor._keys import config_from_original, to_ours
from avreward.raters.aigv_assessor._load import load_state
from avreward.raters.aigv_assessor._network import ScoreHead
from avreward.raters.aigv_assessor.rater import AssessorReadout
from avreward.raters.encoders.slowfast import SlowFastConfig
from avreward.raters.lmm._decoding import read
from avreward.raters.lmm._template import Rendered
from avreward.raters.lmm.prompt import Text, Tokens
from avreward.raters.lmm.readout import LEVEL_WORDS

TOWERS = {"vision_model": "vit", "language_model": "llm"}


def golden_network(case: dict) -> AssessorNetwork:
    sizes, state = case["config"], golden_state(case)
    file = {"vision_config": sizes["vision"], "llm_config": sizes["llm"]}
    file |= {name: sizes[name] for name in ("downsample_ratio", "ps_version", "select_layer")}
    config = config_from_original(file, {name: tuple(t.shape) for name, t in state.items()}, SlowFastConfig())
    lora = case.get("lora")
    scales = {tower: lora[part]["alpha"] / lora[part]["r"] if lora else 1.0 for tower, part in TOWERS.items()}
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = AssessorNetwork(config)
    load_state(network, to_ours(state, config, scales), ["motion.*"], "case")
    return network.eval().requires_grad_(False)


def sequence(ids: list[int], frames: Tensor, motion: Tensor, context: int, row: int) -> Rendered:
    """Return a row of token ids with the tokens in its places, read at every token of text."""
    parts: list[Text | Tokens] = []
    text: list[int] = []
    waiting = [*frames, motion]
    at = 0
    while at < len(ids):
        if ids[at] != context:
            text.append(ids[at])
            at += 1
            continue
        parts += [Text(tuple(text), tuple(range(len(text))))] if text else []
        text = []
        tokens = waiting.pop(0)
        assert ids[at : at + len(tokens)] == [context] * len(tokens)
        parts.append(Tokens(tokens))
        at += len(tokens)
    parts.append(Text(tuple(text), tuple(range(len(text)))))
    assert not waiting
    keys = tuple(part.ids if isinstance(part, Text) else (row, i) for i, part in enumerate(parts))
    return Rendered(tuple(parts), keys)


@pytest.mark.golden(case="aigv_assessor")
@torch.no_grad()
def test_everything_from_pixels_to_the_score_is_the_originals(golden) -> None:
    case, tensors = golden.data, golden.tensors()
    far = case["tolerances"]["hidden_and_logits"]
    network = golden_network(case)
    rule = case["inputs"]["pixel_values"]
    clips, _, count, height, width = rule["shape"]
    pixels = structured(rule["seed"], rule["shape"]).transpose(1, 2).reshape(clips * count, 3, height, width)

    tokens = network.base.model.get_image_features(pixels).pooler_output
    golden.near(tokens, tensors["vit_tokens"])
    dim = network.base.model.get_image_features(0.02 * pixels[: len(tensors["vit_tokens_dim"])]).pooler_output
    golden.near(dim, tensors["vit_tokens_dim"])
    motion = network.motion_mlp(tensors["slowfast_feature"])
    golden.near(motion, tensors["motion_token"])

    context = case["token_ids"]["img_context"]
    sequences = []
    real = real_tokens(tensors)
    for row, (given, mask) in enumerate(zip(tensors["input_ids"], real, strict=True)):
        ids = given[mask].tolist()
        own = tokens[row * count : (row + 1) * count]
        sequences.append(sequence(ids, own, motion[row : row + 1], context, row))
    backbone = AssessorBackbone(network, TOKENIZER)
    answers = read(backbone, sequences)
    text = (tensors["input_ids"] != context) & real
    expected = [hidden[mask] for hidden, mask in zip(tensors["hidden"], text, strict=True)]
    golden.near(torch.cat(answers), torch.cat(expected), far)
    at = torch.stack([hidden[-4] for hidden in answers])
    golden.near(at, tensors["score_head_input"], far)
    golden.near(backbone.head(at), tensors["logits_m4"], far)
    golden.near(torch.stack([backbone.head(h[-4:]) for h in answers]), tensors["logits_last4"], far)

    levels = tuple(case["token_ids"]["levels"][word] for word in LEVEL_WORDS)
    readout = AssessorReadout(network.score, backbone.head, levels)
    scores = torch.stack([readout(hidden[None]) for hidden in at])
    golden.near(scores[:, 0], tensors["score"])
    network.score.last_relu = False
    golden.near(network.score(at), tensors["score_pre_relu"])
    steps = torch.tensor([5.0, 4.0, 3.0, 2.0, 1.0])
    golden.near(scores[:, 1], tensors["level_probs"] @ steps, far)
    golden.near((scores[:, 0] - tensors["mos"]).abs().mean(), tensors["loss_l1"], far)


def test_a_score_head_without_the_last_relu_can_be_negative_and_learns() -> None:
    torch.manual_seed(0)
    for last_relu in (True, False):
        head = ScoreHead(8, last_relu)
        torch.nn.init.zeros_(head.fc5.weight)
        torch.nn.init.constant_(head.fc5.bias, -1.0)
        score = head(torch.randn(3, 8))
        score.sum().backward()
        assert score.tolist() == [0.0 if last_relu else -1.0] * 3
        assert bool(head.fc5.bias.grad.any()) is not last_relu


def test_scores_of_half_precision_weights_are_computed_in_single_precision() -> None:
    head = ScoreHead(8).bfloat16()
    hidden = torch.randn(2, 8, generator=torch.Generator().manual_seed(0)).bfloat16()
    assert head(hidden).dtype == torch.float32
    torch.testing.assert_close(head(hidden), head.float()(hidden.float()), rtol=0, atol=0)


def test_one_motion_token_that_depends_on_the_order_of_frames() -> None:
    network = tiny_network()
    pixels = torch.randn(8, 3, 28, 28, generator=torch.Generator().manual_seed(0))
    token = network.encode_motion(pixels)
    assert token.shape == (1, 16)
    assert not torch.allclose(token, network.encode_motion(pixels[[0, 2, 1, 3, 4, 6, 5, 7]]))


def test_a_configuration_is_written_and_read() -> None:
    config = tiny_config(template="chatml", last_relu=True, frames=4)
    assert AssessorConfig.from_dict(config.to_dict()) == config
    with pytest.raises(ArgumentError, match="frames: expected a multiple of 4, got 6"):
        tiny_config(frames=6)
    with pytest.raises(ArgumentError, match=r"template: expected one of .*, got 'chatm'; did you mean 'chatml'"):
        tiny_config(template="chatm")
