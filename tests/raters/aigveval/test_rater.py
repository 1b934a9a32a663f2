"""AIGVEval as a rater: scores, ablations, gradients, checkpoints, and shared work."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

pytest.importorskip("transformers")

import torch
from lmm_checks import plainly, widen
from tiny.aigveval import VIEWS, tiny_aigveval, tiny_config, tiny_network, write_tiny_aigveval
from transformers import AutoTokenizer

from avreward import Clip, load_rater
from avreward.errors import ArgumentError, AvrewardError
from avreward.raters import AigvEvalRater, Work, calibrated, list_raters
from avreward.raters.aigveval import AigvEvalConfig, AigvEvalViews, aigveval_lora, mos_curve
from avreward.raters.aigveval._backbone import ANCHORS, TASK
from avreward.raters.lmm.prompt import Text, Tokens

ENCODERS = ("semantic", "motion", "technical")


def clip(frames: int = 12, seed: int = 0, height: int = 40, width: int = 64, **more) -> Clip:
    video = torch.rand(frames, 3, height, width, generator=torch.Generator().manual_seed(seed))
    return Clip(video=video, fps=8, **more)


def clips(count: int = 3) -> list[Clip]:
    return [clip(5 + 4 * i, i, 40 - 9 * i, 30 + 20 * i) for i in range(count)]


def parts_of(rater: AigvEvalRater, one: Clip):
    """What the language model reads of one clip."""
    return rater.rendered(rater.load(one), rater.questions[0].prompt, Work()).parts


def words(rater: AigvEvalRater, parts) -> list[str]:
    return [rater.backbone.tokenizer.decode(part.ids[1:]) for part in parts if isinstance(part, Text)]


@torch.no_grad()
def test_what_is_read() -> None:
    rater = tiny_aigveval()
    parts = parts_of(rater, clip())
    assert words(rater, parts) == [*ANCHORS.values(), TASK]
    assert [part.ids[0] for part in parts if isinstance(part, Text)] == [rater.backbone.tokenizer.bos_token_id] * 4
    assert [part.length for part in parts if isinstance(part, Tokens)] == [4, 8, 32]
    assert parts[5].values.std(0).max() == 0  # one technical token, repeated


@torch.no_grad()
def test_the_score_is_the_expected_level() -> None:
    rater, one = tiny_aigveval(temperature=3.0), clip()
    rendered = rater.rendered(rater.load(one), rater.questions[0].prompt, Work())
    logits = rater.backbone.head(plainly(rater.backbone, rendered)[-1])
    ids = [rater.backbone.tokenizer(word)["input_ids"][0] for word in ("excellent", "good", "fair", "poor", "bad")]
    shares = (logits[ids] / 3).softmax(-1)
    expected = float(shares @ torch.tensor([5.0, 4, 3, 2, 1]))
    assert float(rater([one])["quality"]) == pytest.approx(expected, abs=1e-5)
    assert float(tiny_aigveval(temperature=3.0, inverted=True)([one])["quality"]) == pytest.approx(
        6 - expected, abs=1e-5
    )
    assert (rater.dimensions[0].low, rater.dimensions[0].high) == (1, 5)


@torch.no_grad()
def test_neighbours_do_not_matter_and_dubs_share_the_work() -> None:
    rater, given = tiny_aigveval(), clips()
    together = rater(given).values
    assert together.std(0).min() > 1e-3
    for one, expected in zip(given, together, strict=True):
        torch.testing.assert_close(rater([one]).values[0], expected, rtol=1e-4, atol=0)
    calls: list[int] = []
    rater.backbone.module.vision.register_forward_hook(lambda *_: calls.append(1))
    rater([given[0].with_audio(torch.rand(800) - 0.5, 8000) for _ in range(4)])
    assert len(calls) == 1


@torch.no_grad()
def test_short_small_and_plain_videos_have_scores_and_no_video_has_a_reason() -> None:
    plain = Clip(video=torch.zeros(4, 3, 9, 9), fps=1)
    odd = [clip(1, height=1, width=1), clip(2, height=3, width=700), clip(1), plain]
    scores = tiny_aigveval()([*odd, Clip(audio=torch.zeros(800), sample_rate=8000)])
    assert scores.values[:4].isfinite().all()
    assert "no video" in scores.reasons[4]["quality"]


@torch.no_grad()
@pytest.mark.parametrize(
    ("gone", "begins", "lengths"),
    [
        ("semantic", "The motion feature of the video is:\n", [8, 32]),
        ("motion", "The key frames of this video are:\n", [4, 32]),
        ("technical", "The key frames of this video are:\n", [4, 8]),
    ],
)
def test_without_an_encoder(gone, begins, lengths) -> None:
    rater = tiny_aigveval(encoders=tuple(name for name in ENCODERS if name != gone))
    parts = parts_of(rater, clip())
    assert words(rater, parts)[0] == begins
    assert len(words(rater, parts)) == 3
    assert [part.length for part in parts if isinstance(part, Tokens)] == lengths
    assert rater([clip()]).present.all()
    assert rater.fingerprint != tiny_aigveval().fingerprint


@torch.no_grad()
def test_technical_quality_alone() -> None:
    rater = tiny_aigveval(encoders=("technical",))
    assert words(rater, parts_of(rater, clip())) == ["The technical quality feature of the video is:\n", TASK]


@torch.no_grad()
@pytest.mark.parametrize(("combination", "length"), [("concatenation", 44), ("cross_attention", 4)])
def test_without_semantic_anchors(combination, length) -> None:
    rater = tiny_aigveval(combination=combination)
    parts = parts_of(rater, clip())
    assert words(rater, parts) == ["Please assess the quality of this video."]
    assert [part.length for part in parts if isinstance(part, Tokens)] == [length]
    changed = clip(height=40)
    other = Clip(video=changed.video.flip(-1), fps=8)  # other fragments, so other tokens
    assert not torch.equal(rater([changed]).values, rater([other]).values)


@pytest.mark.parametrize(("height", "width"), [(29, 41), (11, 50)])
@pytest.mark.parametrize("combination", ["anchors", "cross_attention"])
def test_gradients_agree_with_finite_differences(check_gradient, height, width, combination) -> None:
    rater = tiny_aigveval("none", combination=combination)
    widen(rater.module)
    video = clip(7, height=height, width=width).video.double() * 0.8 + 0.1
    check_gradient(lambda v: rater([Clip(video=v, fps=8)]).values[0], video)


def test_checkpointing_changes_no_gradient() -> None:
    found = []
    for checkpointing in (False, True):
        video = clip().video.requires_grad_()
        tiny_aigveval(checkpointing=checkpointing)["quality"]([Clip(video=video, fps=8)]).sum().backward()
        found.append(video.grad)
    assert found[0].any()
    torch.testing.assert_close(*found)


@torch.no_grad()
def test_bfloat16_scores_are_close_and_in_float32(tmp_path) -> None:
    wide = tiny_aigveval(temperature=20.0)
    narrow = load_rater(wide.save_pretrained(tmp_path / "rater"), dtype="bfloat16")
    assert next(narrow.module.parameters()).dtype == torch.bfloat16
    found = narrow(clips())
    assert found.values.dtype == torch.float32
    torch.testing.assert_close(found.values, wide(clips()).values, atol=0.05, rtol=0)


@pytest.mark.parametrize("encoder", ENCODERS)
def test_each_encoder_has_a_gradient(encoder) -> None:
    video = clip().video.requires_grad_()
    tiny_aigveval(encoders=(encoder,))["quality"]([Clip(video=video, fps=8)]).sum().backward()
    assert video.grad.any()


@torch.no_grad()
def test_a_published_file(tmp_path) -> None:
    folder = write_tiny_aigveval(tmp_path / "published")
    rater = load_rater(folder, temperature=1.0)
    assert isinstance(rater, AigvEvalRater)
    assert rater.inverted
    assert rater.backbone.module.config == tiny_config()
    assert rater.backbone.views == AigvEvalViews(side=32)
    rater.backbone.views = VIEWS
    torch.testing.assert_close(rater(clips()).values, tiny_aigveval(inverted=True)(clips()).values, rtol=1e-4, atol=0)
    assert load_rater(folder).temperature == 100
    less = load_rater(folder, encoders=["semantic", "technical"], combination="concatenation", inverted=False, seed=3)
    assert not hasattr(less.backbone.module, "motion")
    assert (less.inverted, less.backbone.views.seed) == (False, 3)


@torch.no_grad()
def test_a_published_file_without_its_tokenizer(tmp_path) -> None:
    folder = write_tiny_aigveval(tmp_path / "published")
    base = tmp_path / "vicuna"
    base.mkdir()
    for file in (*folder.glob("*.json"), *folder.glob("*.jinja")):
        file.rename(base / file.name)
    with pytest.raises(AvrewardError):
        load_rater(folder)
    assert load_rater(folder, base=base).source["base"] == str(base)


@torch.no_grad()
def test_saving_and_loading(tmp_path) -> None:
    first = tiny_aigveval(combination="cross_attention", inverted=True, temperature=2.5)
    again = AigvEvalRater.from_pretrained(first.save_pretrained(tmp_path / "rater"))
    assert again.fingerprint == first.fingerprint
    assert (again.inverted, again.temperature, again.backbone.views) == (True, 2.5, VIEWS)
    torch.testing.assert_close(again(clips()).values, first(clips()).values)
    assert json.loads((tmp_path / "rater" / "config.json").read_text())["rater"] == "aigveval"
    assert load_rater(tmp_path / "rater", inverted=False).fingerprint != first.fingerprint


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda s: s.pop("finetune_proj.bias"), "1 missing: technical_projector.bias"),
        (lambda s: s.update({"swin3d.extra": torch.zeros(1)}), "1 unexpected: technical.extra"),
        (lambda s: s.update({"llama_proj.weight": torch.zeros(1)}), "AIGVEval has no entry llama_proj.weight"),
        (
            lambda s: s.pop(next(n for n in s if ".lora_A." in n)),
            "has an adapter, but its lora_A is missing; download it again",
        ),
        (lambda s: s.pop("blip.pos_embed"), "got a checkpoint of AIGVEval, without 'blip.pos_embed'"),
        (lambda s: (s.clear(), s.update({"technical_backbone.x": torch.zeros(1)})), "got a checkpoint of DOVER; give"),
    ],
)
def test_missing_and_foreign_entries(tmp_path, change, said) -> None:
    folder = write_tiny_aigveval(tmp_path / "published")
    state = torch.load(folder / "aigveval.pth")["state_dict"]
    change(state)
    torch.save({"state_dict": state}, folder / "aigveval.pth")
    with pytest.raises(AvrewardError, match=said) as found:
        load_rater(folder)
    assert "\n" not in str(found.value)


@torch.no_grad()
def test_calibrated_to_opinions() -> None:
    rater = tiny_aigveval()
    curve = mos_curve(rater(clips())["quality"], mean=3.0, std=0.5)
    found = calibrated(rater, {"quality": curve})(clips())
    assert float(found["quality"].mean()) == pytest.approx(3.0, abs=1e-4)
    assert found.levels("quality")[0] in ("bad", "poor", "fair", "good", "excellent")


def test_lora_reaches_the_layers_of_the_language_model_alone() -> None:
    from peft import inject_adapter_in_model

    for targets, letters in (("query_key", "qk"), ("query_value", "qv")):
        network = inject_adapter_in_model(aigveval_lora(targets), tiny_network())
        adapted = {name.rpartition(".lora_A")[0] for name, _ in network.named_parameters() if "lora_A" in name}
        wanted = {f"language.layers.{i}.self_attn.{letter}_proj" for i in (0, 1) for letter in letters}
        assert adapted == wanted
        config = aigveval_lora(targets)
        assert (config.r, config.lora_alpha, config.lora_dropout) == (8, 16, 0.05)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (
            lambda: tiny_config(encoders=("sound",)),
            "encoders: expected one of semantic, motion, technical",
        ),
        (lambda: tiny_config(encoders=("motion", "semantic")), "in this order"),
        (lambda: tiny_config(encoders=()), "encoders: expected some of"),
        (lambda: tiny_config(combination="sum"), "combination: expected one of anchors, concatenation"),
        (lambda: tiny_config(combination="cross_attention", encoders=("motion",)), "two or more for cross_attention"),
        (lambda: tiny_aigveval(temperature=0), "temperature: expected a positive number, got 0"),
        (lambda: tiny_aigveval(inverted=1), "inverted: expected True or False, got 1"),
        (lambda: AigvEvalViews(frames=0), "frames: expected a positive integer, got 0"),
        (lambda: AigvEvalViews(seed="a"), "seed: expected an integer from 0"),
        (lambda: aigveval_lora("qk"), "targets: expected one of query_key, query_value, got 'qk'"),
        (lambda: mos_curve(torch.ones(3)), "scores: expected finite scores"),
        (lambda: mos_curve(torch.arange(3.0), std=0.0), "std: expected a positive number, got 0"),
    ],
)
def test_wrong_arguments(make, said) -> None:
    with pytest.raises(ArgumentError, match=said):
        make()


def test_sizes_survive_json() -> None:
    sizes = tiny_config(encoders=("semantic", "motion"), combination="cross_attention")
    assert AigvEvalConfig.from_dict(json.loads(json.dumps(sizes.to_dict()))) == sizes


def test_it_is_listed() -> None:
    (card,) = list_raters("aigveval")
    assert [d.name for d in card.dimensions] == ["quality"]
    assert card.needs == {"video"}


@torch.no_grad()
def test_places_are_drawn_from_a_seed() -> None:
    seen = clip(20, 3, 90, 110)
    middle, one, two = (tiny_aigveval(views=replace(VIEWS, seed=seed))([seen]).values for seed in (None, 1, 1))
    assert torch.equal(one, two)
    assert not torch.equal(one, middle)


@torch.no_grad()
def test_allowed_weights_that_are_there_count(tmp_path) -> None:
    folder = write_tiny_aigveval(tmp_path / "published")
    assert load_rater(folder, allow=["*"]).fingerprint == load_rater(folder).fingerprint


@torch.no_grad()
def test_a_base_changes_no_score_of_a_saved_folder(tmp_path) -> None:
    base = write_tiny_aigveval(tmp_path / "published")
    (base / "aigveval.pth").rename(tmp_path / "aigveval.pth")
    base_tokenizer = AutoTokenizer.from_pretrained(base)
    base_tokenizer.bos_token = "<s>"
    base_tokenizer.save_pretrained(base)
    first = tiny_aigveval(temperature=1.0)
    again = load_rater(first.save_pretrained(tmp_path / "saved"), base=base)
    assert again.tokenizer.bos_token == "</s>"
    torch.testing.assert_close(again(clips()).values, first(clips()).values)


@torch.no_grad()
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize(("height", "width"), [(3, 300), (20, 36)])
def test_a_clip_in_half_precision_scores_as_the_same_pixels(dtype, height, width) -> None:
    half = clips()[0].video[:, :, :1].expand(-1, -1, height, -1)[..., :1].expand(-1, -1, -1, width)
    half = (half * torch.linspace(0, 1, width)).to(dtype)
    scores = [tiny_aigveval()([Clip(video=video, fps=8)]).values for video in (half, half.float())]
    torch.testing.assert_close(scores[0], scores[1], rtol=1e-6, atol=1e-6)


def test_one_of_several_files(tmp_path) -> None:
    folder = write_tiny_aigveval(tmp_path / "published")
    (folder / "aigveval_2.pth").write_bytes((folder / "aigveval.pth").read_bytes())
    with pytest.raises(AvrewardError, match=r"got aigveval\.pth, aigveval_2\.pth; name one by file='aigveval\.pth'"):
        load_rater(folder)
    assert load_rater(folder, file="aigveval_2.pth").name == "aigveval"


@pytest.mark.parametrize(
    ("saved", "options", "said"),
    [
        (True, {"lora_alpha": 8}, "lora_alpha: expected nothing for"),
        (True, {"file": "aigveval.pth"}, "file: expected nothing for"),
        (False, {"lora_alpha": float("nan")}, "lora_alpha: expected a finite number, got nan"),
        (False, {"lora_alpha": "x"}, "lora_alpha: expected a finite number, got 'x'"),
        (False, {"stale_size": "no"}, "stale_size: expected True or False, got 'no'"),
        (False, {"temperature": True}, "temperature: expected a positive number, got True"),
        (False, {"temperature": float("inf")}, "temperature: expected a positive number, got inf"),
    ],
)
def test_options_are_checked(tmp_path, saved, options, said) -> None:
    folder = tmp_path / "rater"
    tiny_aigveval().save_pretrained(folder) if saved else write_tiny_aigveval(folder)
    with pytest.raises(ArgumentError, match=said):
        load_rater(folder, **options)


def test_an_adapter_is_not_saved_and_merged_is(tmp_path) -> None:
    from peft import get_peft_model

    rater = tiny_aigveval()
    adapted = get_peft_model(rater.module, aigveval_lora())
    with pytest.raises(AvrewardError, match=r"aigveval: expected weights alone, got an adapter .*merge_and_unload"):
        rater.save_pretrained(tmp_path / "rater")
    assert not (tmp_path / "rater").exists()
    adapted.merge_and_unload()
    assert load_rater(rater.save_pretrained(tmp_path / "rater")).fingerprint == rater.fingerprint


def test_what_errors_name(tmp_path) -> None:
    folder = write_tiny_aigveval(tmp_path / "published")
    for file in [*folder.glob("*token*"), *folder.glob("*vocab*")]:
        file.unlink()
    with pytest.raises(AvrewardError, match=r"name the folder of Vicuna-7B v1\.5 by base="):
        load_rater(folder)
    state = torch.load(folder / "aigveval.pth")["state_dict"]
    del state[next(name for name in state if ".lora_A." in name)]
    torch.save(state, folder / "aigveval.pth")
    with pytest.raises(AvrewardError, match=r"aigveval\.pth: llm_model\..* has an adapter, but its lora_A is missing"):
        load_rater(folder)
