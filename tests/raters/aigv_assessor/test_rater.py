"""AIGV-Assessor as a rater: folders, scores, words, preferences, gradients."""

from __future__ import annotations

import json
import re
from functools import partial
from pathlib import Path

import pytest
import torch
from assessor_folders import original_state, tiny_slowfast, write_original
from lmm_checks import check_alone, counted, widen
from safetensors.torch import load_file, save_file
from tiny.assessor import TOKENIZER, tiny_assessor, tiny_network
from torch import Tensor

from avreward import Clip, list_raters, load_rater
from avreward.errors import ArgumentError, AvrewardError
from avreward.media.sampling_rules import AigvAssessorFrames
from avreward.preferences import FromJudge, JudgeNetwork
from avreward.raters import AigvAssessorRater, Work, new_assessor
from avreward.raters.aigv_assessor import AssessorNetwork
from avreward.raters.aigv_assessor._backbone import AssessorBackbone
from avreward.raters.lmm.prompt import Read, Slot
from avreward.raters.lmm.readout import LEVEL_WORDS, applied

NAMES = ("static_quality", "temporal_smoothness", "dynamic_degree", "tv_correspondence")
LEVELS = tuple(f"{name}_level" for name in NAMES)


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def video(frames: int = 9, height: int = 30, width: int = 40, seed: int = 0, **texts: str) -> Clip:
    return Clip(video=noise(frames, 3, height, width, seed=seed), fps=8, **texts)


@pytest.fixture(scope="module")
def rater() -> AigvAssessorRater:
    return tiny_assessor()


@pytest.fixture(scope="module")
def original(tmp_path_factory) -> Path:
    return write_original(tmp_path_factory.mktemp("assessor") / "original")


@pytest.fixture(scope="module")
def loaded(original) -> AigvAssessorRater:
    return load_rater(original, device="cpu")


# ---- what is asked


def test_four_questions_and_their_answers(rater) -> None:
    texts = ["".join("<video>" if isinstance(p, Slot) else p for p in q.prompt) for q in rater.questions]
    assert not any(isinstance(part, Read) for question in rater.questions for part in question.prompt)
    system = (
        "你是由上海人工智能实验室联合商汤科技开发的书生多模态大模型，英文名叫InternVL, 是一个有用无害的人工智能助手。"
    )
    opening = f"<|im_start|>system\n{system}<|im_end|><|im_start|>user\n<video>"
    turn = "<|im_end|><|im_start|>assistant\n"
    pattern = "How would you rate the {0} of this video?" + turn + "The {0} of the video is"
    for text, name in zip(texts[:3], ("static quality", "temporal smoothness", "dynamic degree"), strict=True):
        assert text == opening + pattern.format(name)
    prompted = "The prompt of this video is: {prompt}\n" + pattern.format("text-video correspondence")
    assert texts[3] == opening + prompted


@pytest.mark.golden(case="aigv_assessor")
def test_the_text_is_that_of_the_original(golden) -> None:
    """The published prompt with its image tokens, for its number of frames, its question and its level."""
    stated = golden.data["prompt_template_text"]
    frames = stated.count("<image>") - 1
    backbone = AssessorBackbone(tiny_network(frames=frames), TOKENIZER)
    encoded = backbone.encode("video", backbone.load(video(), "video"))
    assert [part.length for part in encoded if not isinstance(part, str)] == [4] * frames + [1]
    written = "".join(part if isinstance(part, str) else "@" * part.length for part in encoded)
    found = []
    for question in AigvAssessorRater(backbone).questions[:3]:  # the original has no text for the fourth
        prompt = ["".join(written if isinstance(part, Slot) else part for part in question.prompt)]
        found += [f"{prompt[0]} {level}.<|im_end|>" for level in LEVEL_WORDS]
    golden.same(stated in [re.sub("<img>@+</img>", "<image>", text) for text in found], True)


def test_the_token_that_an_answer_is_read_at_is_fourth_from_the_end(rater) -> None:
    stem = "The static quality of the video is"
    ids = TOKENIZER(stem + " good.<|im_end|>", add_special_tokens=False)["input_ids"]
    assert TOKENIZER(stem, add_special_tokens=False)["input_ids"] == ids[:-3]
    assert rater.questions[0].readout.ids[1] == ids[-3]


@pytest.mark.parametrize(
    ("template", "opening", "between"),
    [
        ("internvl2_5", "<|im_start|>system\n你是书生·万象，", "<|im_end|>\n<|im_start|>assistant\n"),
        ("chatml", "<|im_start|>user\nQ", "<|im_end|>\n<|im_start|>assistant\n"),
    ],
)
def test_other_text_formats(template: str, opening: str, between: str) -> None:
    text = "".join(AssessorBackbone(tiny_network(template=template), TOKENIZER).chat(["Q"], ["A"], closed=True))
    assert text.startswith(opening)
    assert text.endswith(f"Q{between}A<|im_end|>\n")


@pytest.mark.golden("rows.resized_uint8")
def test_frames_are_prepared_as_by_the_original(golden) -> None:
    from tiny.assessor import tiny_config

    rows = [row for row in golden.data["rows"] if row["kind"] == "aigv_assessor_frame"]
    assert rows
    levels_off = golden.numbers("assessor")[-1]
    for row in rows:
        side = row["pixel_values"]["shape"][-1]
        config = tiny_config()
        config.base["vision_config"].update(image_size=[side, side], patch_size=[side // 4, side // 4])
        backbone = AssessorBackbone(AssessorNetwork(config), TOKENIZER)
        shape = row["frames"]["shape_H_W_C"]
        generator = torch.Generator().manual_seed(row["frames"]["seed"])
        frame = torch.randint(0, 256, shape, generator=generator, dtype=torch.uint8)
        pixels = backbone.load(Clip(video=frame.movedim(-1, 0)[None] / 255, fps=1), "video")
        assert pixels.shape == (8, *row["pixel_values"]["shape"])
        deviation = pixels.new_tensor((0.229, 0.224, 0.225))[:, None, None]
        levels = ((pixels[0] * deviation + pixels.new_tensor((0.485, 0.456, 0.406))[:, None, None]) * 255).round()
        theirs = golden.tensors()[f"{row['name']}.resized_uint8"].float()
        off = (levels.movedim(0, -1).flatten()[:: row["resized_uint8"]["flatten_step"]] - theirs).abs()
        golden.at_most(off.max(), levels_off, f"{levels_off:g} of 255")
        expected = golden.tensors()[f"{row['name']}.pixel_values"]
        found = pixels[0].flatten()[:: row["pixel_values"]["flatten_step"]]
        golden.close(found, expected, atol=1.001 * levels_off / 255 / 0.224)
        golden.close(float(pixels[0].mean()), row["pixel_values"]["mean"], atol=1e-4)


# ---- scores


def test_dimensions(rater) -> None:
    assert tuple(d.name for d in rater.dimensions) == NAMES + LEVELS
    assert [d.detail for d in rater.dimensions] == [False] * 4 + [True] * 4
    assert [sorted(d.needs) for d in rater.dimensions[:4]] == [["video"]] * 3 + [["prompt", "video"]]
    [card] = list_raters("aigv_assessor")
    assert card.dimensions == rater.dimensions
    assert rater.tracks == ("video",)


@torch.no_grad()
def test_scores_do_not_depend_on_the_batch(rater) -> None:
    clips = [video(prompt="a cat"), video(1, 7, 61, seed=1), video(50, 28, 28, seed=2, prompt="a much longer prompt")]
    scores = rater(clips)
    check_alone(rater, clips, scores)
    assert scores.present.tolist() == [[True] * 8, [True, True, True, False] * 2, [True] * 8]
    assert "no prompt was given" in scores.reasons[1]["tv_correspondence"]
    assert len(scores.values[scores.present].unique()) == 22
    assert bool((scores.values[:, 4:][scores.present[:, 4:]] - 3).abs().max() < 2)


def odd(kind: str) -> Clip:
    frames = {
        "one frame": noise(1, 3, 30, 40),
        "one color": torch.full((9, 3, 30, 40), 0.5),
        "black": torch.zeros(9, 3, 30, 40),
        "smaller than a patch": noise(9, 3, 2, 3),
        "one pixel": noise(3, 3, 1, 1),
        "a strip": noise(9, 3, 3, 700),
    }
    return Clip(video=frames[kind], fps=8)


@torch.no_grad()
@pytest.mark.parametrize("kind", ["one frame", "one color", "black", "smaller than a patch", "one pixel", "a strip"])
def test_odd_videos_have_scores(rater, kind: str) -> None:
    scores = rater([odd(kind)])
    assert scores.present[0, :3].all()
    assert scores.values[0, :3].isfinite().all()


def test_levels_of_scores_are_fifths_of_the_range() -> None:
    rater = AigvAssessorRater(tiny_assessor().backbone, mos_range=(0.2, 0.7))
    with torch.no_grad():
        scores = rater([video()])
    value = float(scores["static_quality"])
    expected = ("bad", "poor", "fair", "good", "excellent")[min(4, max(0, int((value - 0.2) / 0.5 * 5)))]
    assert scores.levels("static_quality") == [expected]
    assert rater.fingerprint == tiny_assessor().fingerprint  # the scores are the same
    with pytest.raises(ArgumentError, match="expected a calibrated one, which has levels"):
        tiny_assessor()([video()]).levels("static_quality")


@pytest.mark.parametrize("given", [(3, 1), (1, 1), (0, float("inf")), "ab", 5, (1, 2, 3)])
def test_a_range_that_is_none(given: object) -> None:
    with pytest.raises(ArgumentError, match="mos_range: expected two"):
        AigvAssessorRater(tiny_assessor().backbone, mos_range=given)


# ---- what is shared


@torch.no_grad()
def test_questions_and_dubs_share_the_work_on_the_video(rater, monkeypatch) -> None:
    seen: list[str] = []
    method = AssessorNetwork.encode_motion
    monkeypatch.setattr(AssessorNetwork, "encode_motion", lambda net, x: seen.append("motion") or method(net, x))
    tower = rater.backbone.module.base.model.vision_tower
    monkeypatch.setattr(tower, "forward", lambda f=tower.forward, **given: seen.append("frames") or f(**given))
    clip = video(prompt="a cat")
    dubs = [clip.with_audio(noise(1, 4000, seed=i) - 0.5, 16000) for i in range(3)]
    with counted(rater.backbone) as calls:
        scores = rater(dubs)
    assert torch.equal(scores.values[0], scores.values[1])
    assert sorted(seen) == ["frames", "motion"]  # once for twelve sequences
    whole = rater.rendered(rater.load(clip), rater.questions[3].prompt, Work())
    assert calls[0] >= sum(part.length for part in whole.parts[:-1])  # the beginning and the video, once
    assert sum(calls[1:]) < 4 * 2 * whole.parts[-1].length
    with counted(rater.backbone) as alone:
        rater(dubs[:1])
    assert sum(calls) <= sum(alone)  # two more dubs cost nothing


# ---- words


def test_words_are_the_most_probable_levels(rater) -> None:
    clips = [video(seed=3, prompt="a dog"), video(seed=4), Clip(audio=noise(1, 4000) - 0.5, sample_rate=16000)]
    words = rater.quality_levels(clips)
    assert [tuple(found) for found in words] == [NAMES, NAMES[:3], ()]
    for name in NAMES:
        hidden = rater.features(clips[:1], name)[0]
        ids = next(q for q in rater.questions if q.dimensions[0] == name).readout.ids
        best = applied(rater.backbone.head, hidden, ids).softmax(-1)
        assert words[0][name] == LEVEL_WORDS[int(best.argmax())]
        with torch.no_grad():
            level = rater(clips[:1])[f"{name}_level"][0]
        expected = best @ torch.tensor([5.0, 4.0, 3.0, 2.0, 1.0])
        torch.testing.assert_close(level, expected, rtol=1e-5, atol=0)


def test_another_level_is_named_where_its_word_is_more_probable() -> None:
    rater = tiny_assessor()
    clip = video()
    hidden = rater.features([clip])[0]
    for word, token in zip(LEVEL_WORDS, rater.questions[0].readout.ids, strict=True):
        head = rater.backbone.head.weight
        before = head.clone()
        head[token] += 100 * hidden / hidden.norm()
        assert rater.quality_levels([clip])[0]["static_quality"] == word
        head.copy_(before)


# ---- preferences


@pytest.mark.parametrize("ties", [False, True])
def test_swapping_two_videos_mirrors_the_probabilities_exactly(rater, ties: bool) -> None:
    torch.manual_seed(0)
    judge = JudgeNetwork(width=16, ties=ties)
    preference = FromJudge(judge, partial(rater.features, dimension="temporal_smoothness"))
    first, second = [video(seed=i) for i in range(3)], [video(5 + i, 41, 23, seed=9 + i) for i in range(3)]
    ahead, back = preference(first, second), preference(second, first)
    assert torch.equal(ahead.win, back.loss)
    assert torch.equal(ahead.tie, back.tie)
    assert torch.equal(ahead.loss, back.win)
    assert torch.equal(rater.features(first)[1:2], rater.features(first[1:2]))  # whatever else is compared
    assert float(preference(first[:1], first[:1]).score.detach()) == pytest.approx(0.5, abs=1e-7)
    logits = judge(rater.features(first), rater.features(second))
    swapped = judge(rater.features(second), rater.features(first))
    assert torch.equal(logits[:, 0] - logits[:, -1], -(swapped[:, 0] - swapped[:, -1]))


def test_a_judge_learns_which_video_is_better(rater) -> None:
    """Cross-entropy on the frozen features, as in the paper's third stage."""
    torch.manual_seed(0)
    judge = JudgeNetwork(width=16)
    dark = [Clip(video=0.2 * noise(4, 3, 28, 28, seed=i), fps=4) for i in range(6)]
    light = [Clip(video=1 - 0.2 * noise(4, 3, 28, 28, seed=i), fps=4) for i in range(6)]
    with torch.no_grad():
        worse, better = rater.features(dark), rater.features(light)
    optimizer = torch.optim.Adam(judge.parameters(), lr=0.01)
    for _ in range(60):
        loss = torch.nn.functional.cross_entropy(judge(better[:4], worse[:4]), torch.zeros(4, dtype=torch.long))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        found = FromJudge(judge, rater.features)(dark[4:], light[4:])
    assert bool((found.loss > 0.9).all())


def test_features_of_clips_that_cannot_be_rated(rater) -> None:
    with pytest.raises(ArgumentError, match=r"dimension: expected one of .*, got 'static'; did you mean"):
        rater.features([video()], "static")
    found = rater.features([video(), Clip(audio=noise(1, 4000) - 0.5, sample_rate=16000)])
    assert found.isnan().any(1).tolist() == [False, True]
    assert rater.features([video()], "tv_correspondence").isnan().all()


# ---- gradients


@pytest.mark.parametrize(("height", "width"), [(41, 23), (13, 57)])
def test_gradients_to_pixels_agree_with_finite_differences(check_gradient, height: int, width: int) -> None:
    rater = tiny_assessor("none", frames=4)
    widen(rater.module)

    def scores(pixels: Tensor) -> Tensor:
        return rater([Clip(video=pixels, fps=5, prompt="a cat")]).values[0]

    check_gradient(scores, noise(5, 3, height, width))


def test_gradients_of_features_agree_with_finite_differences(check_gradient) -> None:
    rater = tiny_assessor("none", frames=4)
    widen(rater.module)
    torch.manual_seed(0)
    judge = JudgeNetwork(width=16).double()
    other = video().video.double()
    preference = FromJudge(judge, rater.features)

    def wins(pixels: Tensor) -> Tensor:
        return preference([Clip(video=pixels, fps=5)], [Clip(video=other, fps=8)]).win

    check_gradient(wins, noise(5, 3, 19, 33), rtol=1e-4)


def test_checkpointing_changes_no_gradient() -> None:
    gradients = []
    for checkpointing in (False, True):
        rater = AigvAssessorRater(tiny_assessor().backbone, checkpointing=checkpointing)
        pixels = noise(9, 3, 30, 40).requires_grad_()
        rater([Clip(video=pixels, fps=8, prompt="a cat")]).values.sum().backward()
        gradients.append(pixels.grad)
    torch.testing.assert_close(gradients[0], gradients[1], rtol=1e-4, atol=1e-7)
    assert gradients[0].abs().sum(dim=(1, 2, 3)).gt(0).tolist() == [
        i in set(AigvAssessorFrames()(torch.arange(9.0)).tolist()) for i in range(9)
    ]


# ---- folders


@torch.no_grad()
def test_the_originals_folder_with_and_without_adapters(original, loaded, tmp_path) -> None:
    assert loaded.backbone.module.score.last_relu
    assert loaded.backbone.module.config.template == "internlm2-chat"
    clip = video(prompt="a cat")
    scores = loaded([clip]).values
    assert scores.isfinite().all()
    assert bool((scores >= 0).all())

    from avreward.raters.checkpoints._lora import merge_lora

    wrapped = write_original(tmp_path / "wrapped", "aigv_assessor_lora")
    merged = write_original(tmp_path / "merged", "aigv_assessor_lora")
    state = load_file(merged / "model.safetensors")
    bare = merge_lora(
        state, lambda n: n.replace(".base_model.model.", ".", 1).replace(".base_layer.", "."), lambda n, r: 2.0
    )
    assert len(bare) < len(state)
    save_file(bare, merged / "model.safetensors", metadata={"format": "pt"})
    one, other = (load_rater(folder, device="cpu") for folder in (wrapped, merged))
    torch.testing.assert_close(one([clip]).values, other([clip]).values, rtol=1e-5, atol=1e-6)
    weaker = load_rater(wrapped, device="cpu", lora_scale=1.0)
    assert not torch.allclose(weaker([clip])["static_quality_level"], one([clip])["static_quality_level"], rtol=1e-4)
    assert weaker.fingerprint != one.fingerprint


@torch.no_grad()
def test_a_saved_folder_gives_the_same_scores(loaded, tmp_path) -> None:
    rater = AigvAssessorRater(loaded.backbone, mos_range=(10, 90))
    folder = rater.save_pretrained(tmp_path / "saved")
    again = load_rater(folder, device="cpu")
    assert isinstance(again, AigvAssessorRater)
    assert again.mos_range == (10.0, 90.0)
    assert again.backbone.module.config == loaded.backbone.module.config
    clip = video(prompt="a cat")
    torch.testing.assert_close(rater([clip]).values, again([clip]).values, rtol=1e-5, atol=1e-7)
    assert again.fingerprint == rater.fingerprint


def test_another_attention_and_type(original) -> None:
    eager = load_rater(original, device="cpu", attention="eager", dtype="bfloat16")
    assert eager.settings["attention"] == "eager"
    assert eager.settings["dtype"] == "bfloat16"
    tower = eager.backbone.module.base.model.vision_tower
    assert tower.config._attn_implementation == "eager"
    with torch.no_grad():
        scores = eager([video()])
    assert scores.values.dtype == torch.float32
    assert scores.present[0, :3].all()


def rewritten(folder: Path, target: Path, weights=None, config=None) -> Path:
    write_original(target)
    if weights is not None:
        save_file(weights(original_state()), target / "model.safetensors", metadata={"format": "pt"})
    if config is not None:
        data = json.loads((target / "config.json").read_text())
        config(data)
        (target / "config.json").write_text(json.dumps(data))
    return target


def without(prefix: str, state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor for name, tensor in state.items() if not name.startswith(prefix)}


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        (partial(without, "mlpscore.fc2"), r"2 missing: score.fc2.bias, score.fc2.weight; is it another model"),
        (lambda state: {**state, "extra.weight": torch.zeros(1)}, r"AIGV-Assessor has no entry extra.weight"),
        (
            lambda state: {**state, "mlpscore.fc2.bias": torch.zeros(3)},
            r"1 of a different shape: score.fc2.bias \(3,\) instead of \(256,\)",
        ),
        (
            lambda state: without("motion_mlp", without("mlpscore", state)),
            r"expected AIGV-Assessor with motion_mlp., mlpscore.\*, got InternVL as OpenGVLab publishes it; "
            r"pass a folder of AIGV-Assessor, or start from this one with .*new_assessor",
        ),
        (lambda _: {"technical_backbone.norm.weight": torch.zeros(1)}, r"got a checkpoint of DOVER; "),
        (partial(without, "slowfast_model"), r"expected weights of SlowFast, got none; pass slowfast='FILE'"),
    ],
)
def test_a_checkpoint_that_is_not_one(original, tmp_path, weights, message: str) -> None:
    folder = rewritten(original, tmp_path / "wrong", weights)
    with pytest.raises(AvrewardError, match=message) as caught:
        load_rater(folder, device="cpu")
    assert "\n" not in str(caught.value)


def test_a_checkpoint_of_another_size(original, tmp_path) -> None:
    def wider(config: dict) -> None:
        config["llm_config"]["hidden_size"] = 128

    folder = rewritten(original, tmp_path / "wider", config=wider)
    with pytest.raises(AvrewardError, match=r"expected 256 rows in .*wqkv, as config.json has it, got 128; is it of"):
        load_rater(folder, device="cpu")
    with pytest.raises(ArgumentError, match="adapter: expected nothing, got 'x'"):
        load_rater(original, adapter="x")


def test_slowfast_from_a_file_of_its_own(original, loaded, tmp_path) -> None:
    folder = rewritten(original, tmp_path / "bare", partial(without, "slowfast_model"))
    torch.save({"model_state": tiny_slowfast()}, tmp_path / "SLOWFAST.pyth")
    rater = load_rater(folder, device="cpu", slowfast=tmp_path / "SLOWFAST.pyth")
    with torch.no_grad():
        torch.testing.assert_close(
            rater([video()]).values[:, :3], loaded([video()]).values[:, :3], rtol=1e-5, atol=1e-7
        )
    assert rater.source["slowfast"] == str(tmp_path / "SLOWFAST.pyth")


@torch.no_grad()
def test_a_new_one_from_an_original_and_from_a_native_base(original, tmp_path) -> None:
    torch.save(tiny_slowfast(), tmp_path / "slowfast.pth")
    base = rewritten(original, tmp_path / "base", lambda s: without("motion_mlp", without("mlpscore", s)))
    first = new_assessor(base, tmp_path / "slowfast.pth", device="cpu", mos_range=(0, 100))
    assert not first.backbone.module.score.last_relu
    assert first.backbone.module.config.template == "internlm2-chat"
    again = new_assessor(base, tmp_path / "slowfast.pth", device="cpu", seed=1)
    same = new_assessor(base, tmp_path / "slowfast.pth", device="cpu")
    assert same.fingerprint == first.fingerprint != again.fingerprint
    assert same([video(prompt="x")]).present.all()

    native = tmp_path / "native"
    first.backbone.module.base.save_pretrained(native)
    TOKENIZER.save_pretrained(native)
    other = new_assessor(native, tmp_path / "slowfast.pth", device="cpu")
    assert other.backbone.module.config.template == "chatml"
    for name, tensor in first.module.state_dict().items():
        assert torch.equal(tensor, other.module.state_dict()[name])
    saved = load_rater(other.save_pretrained(tmp_path / "saved"), device="cpu")
    torch.testing.assert_close(saved([video()]).values[:, :3], other([video()]).values[:, :3], rtol=1e-5, atol=1e-7)
    with pytest.raises(AvrewardError, match="expected InternVL, got a checkpoint of AIGV-Assessor; name InternVL2"):
        new_assessor(tmp_path / "saved", tmp_path / "slowfast.pth", device="cpu")


def test_a_base_that_shares_its_embeddings_with_its_head(tmp_path) -> None:
    """As InternVL3-1B does, with Qwen2."""
    from tiny.internvl import tiny_internvl

    backbone = tiny_internvl()
    backbone.module.config.text_config.tie_word_embeddings = True
    backbone.module.config.tie_word_embeddings = True
    backbone.module.tie_weights()
    backbone.module.save_pretrained(tmp_path / "base")
    backbone.tokenizer.save_pretrained(tmp_path / "base")
    torch.save(tiny_slowfast(), tmp_path / "slowfast.pth")
    rater = new_assessor(tmp_path / "base", tmp_path / "slowfast.pth", device="cpu")
    network = rater.backbone.module.base
    assert network.lm_head.weight is network.model.language_model.embed_tokens.weight
    again = load_rater(rater.save_pretrained(tmp_path / "saved"), device="cpu")
    with torch.no_grad():
        torch.testing.assert_close(rater([video()]).values[:, :3], again([video()]).values[:, :3], rtol=1e-5, atol=1e-7)


# ---- weights that may be missing


@torch.no_grad()
@pytest.mark.parametrize("allow", [["*"], ["motion_mlp.*"], ["mlpscore.*", "language_model.*"]])
def test_allowed_weights_that_are_there_count(original, loaded, allow) -> None:
    assert load_rater(original, device="cpu", allow=allow).fingerprint == loaded.fingerprint


@torch.no_grad()
@pytest.mark.parametrize(
    ("gone", "pattern"),
    [
        ("mlpscore.fc2.bias", "mlpscore.*"),
        ("language_model.model.layers.0.attention.wqkv.weight", None),
        ("vision_model.encoder.layers.1.attn.qkv.weight", None),
        ("language_model.model.norm.weight", "language_model.*"),
    ],
)
def test_missing_weights_are_allowed_by_the_originals_names(original, loaded, tmp_path, gone, pattern) -> None:
    folder = write_original(tmp_path / "missing")
    state = load_file(folder / "model.safetensors")
    state = {name: t for name, t in state.items() if name != gone} | {"other.weight": torch.zeros(1)}
    save_file(state, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(AvrewardError, match=r"AIGV-Assessor has no entry other\.weight"):
        load_rater(folder, device="cpu", allow=[pattern or gone])
    with pytest.raises(AvrewardError, match="missing"):
        load_rater(folder, device="cpu", allow=["other.*"])
    found = load_rater(folder, device="cpu", allow=[pattern or gone, "other.*"])
    assert found.fingerprint != loaded.fingerprint
    assert found([video()])["static_quality"].isfinite().all()


@pytest.mark.parametrize(
    ("saved", "options", "said"),
    [
        (True, {"slowfast": "/nonexistent"}, "slowfast: expected nothing for"),
        (True, {"lora_scale": 9}, "lora_scale: expected nothing for"),
        (False, {"lora_scale": float("nan")}, "lora_scale: expected a finite number, got nan"),
        (
            False,
            {"slowfast": "/nonexistent"},
            "slowfast: expected a file with the weights of slowfast_r50, got '/n",
        ),
        (False, {"mos_range": "05"}, "mos_range: expected two numbers, lowest and highest, got '05'"),
        (False, {"mos_range": (False, "5")}, "mos_range: expected two numbers, lowest and highest"),
    ],
)
def test_options_are_checked(original, loaded, tmp_path, saved, options, said) -> None:
    folder = loaded.save_pretrained(tmp_path / "saved") if saved else original
    with pytest.raises(ArgumentError, match=said):
        load_rater(folder, device="cpu", **options)


def test_slowfast_in_the_home_folder(original, tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    torch.save(tiny_slowfast(), tmp_path / "slow.pyth")
    assert load_rater(original, device="cpu", slowfast="~/slow.pyth").name == "aigv_assessor"


# ---- ablations


@pytest.mark.parametrize("kept", ["spatial", "temporal"])
def test_one_encoder_alone(loaded, tmp_path, kept) -> None:
    folder = loaded.save_pretrained(tmp_path / "whole")
    rater = load_rater(folder, device="cpu", encoders=[kept])
    assert rater.fingerprint != loaded.fingerprint
    backbone, clip = rater.backbone, video()
    pieces = backbone.encode("video", rater.load_track(clip, "video"))
    whole = loaded.backbone.encode("video", loaded.load_track(clip, "video"))
    texts = [piece for piece in pieces if isinstance(piece, str)]
    if kept == "spatial":
        assert "Motion" not in "".join(texts)
        assert len(pieces) == len(whole) - 2
    else:
        assert texts == ["Motion Feature: <img>", "</img>"]
        torch.testing.assert_close(pieces[1].values, whole[-2].values)
    scores = rater([clip]).values
    assert not torch.allclose(scores.nan_to_num(), loaded([clip]).values.nan_to_num())
    again = load_rater(rater.save_pretrained(tmp_path / kept), device="cpu")
    assert again.fingerprint == rater.fingerprint
    torch.testing.assert_close(again([clip]).values, scores, equal_nan=True)


def test_an_unknown_encoder_is_named(loaded, tmp_path) -> None:
    folder = loaded.save_pretrained(tmp_path / "whole")
    for wrong in ([], ["frames"], ["temporal", "spatial"]):
        with pytest.raises(ArgumentError, match="encoders: expected spatial and temporal, or one of them"):
            load_rater(folder, encoders=wrong)
