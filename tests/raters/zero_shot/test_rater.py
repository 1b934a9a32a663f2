"""Public models as raters: from a folder as `transformers` writes it to scores, adapters and gradients."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from lmm_checks import check_alone, counted, dubs, film, noise, picture, plainly, sound, widen
from safetensors.torch import load_file, save_file
from tiny.internvl import tiny_internvl
from tiny.qwen2_audio import tiny_qwen2_audio
from tiny.qwen_omni import tiny_qwen2_5_omni, tiny_qwen3_omni
from tiny.qwen_vl import tiny_qwen2_5_vl, tiny_qwen2_vl, tiny_qwen3_vl
from tiny.video_llama3 import tiny_video_llama3
from tiny_tokenizer import tiny_tokenizer
from torch import Tensor

from avreward import Clip, load_rater
from avreward.errors import AvrewardError
from avreward.raters.base import Work
from avreward.raters.lmm.backbones._families import FAMILIES
from avreward.raters.lmm.prompt import Slot
from avreward.raters.zero_shot.rater import PublicRater

TINY: dict[str, Callable] = {
    "qwen2_5_omni": tiny_qwen2_5_omni,
    "qwen3_omni": tiny_qwen3_omni,
    "qwen2_vl": tiny_qwen2_vl,
    "qwen2_5_vl": tiny_qwen2_5_vl,
    "qwen3_vl": tiny_qwen3_vl,
    "internvl": tiny_internvl,
    "qwen2_audio": tiny_qwen2_audio,
    "video_llama3": tiny_video_llama3,
}
OF_SOUND = ("audio_quality", "audio_text")
OF_VIDEO = ("static_quality", "temporal_smoothness", "dynamic_degree", "tv_correspondence")
OF_BOTH = ("audio_quality", "av_consistency", "overall", "audio_text", *OF_VIDEO)
CLIP = film(4, prompt="a dog barks")


@pytest.fixture(scope="module")
def rater(omni_folder) -> PublicRater:
    return load_rater(omni_folder)


@pytest.fixture(autouse=True)
def no_gradients():
    with torch.no_grad():
        yield


# ---- families


@pytest.mark.parametrize("family", TINY)
def test_every_family_from_its_folder_and_back(tmp_path, family: str) -> None:
    backbone = TINY[family]()
    backbone.module.save_pretrained(tmp_path / "theirs")
    backbone.tokenizer.save_pretrained(tmp_path / "theirs")
    rater = load_rater(tmp_path / "theirs", device="cpu")
    assert rater.name == family
    assert type(rater.backbone) is type(backbone)
    expected = {("audio",): OF_SOUND, ("video",): OF_VIDEO, ("video", "audio"): OF_BOTH}[backbone.tracks]
    assert tuple(d.name for d in rater.dimensions) == expected

    clips = [CLIP, film(2, 3000, seed=1, prompt="a cat"), Clip(**picture(3)), Clip(**sound(4000))]
    scores = rater(clips)
    check_alone(rater, clips, scores)
    assert scores.present[0].all()
    assert ((scores.values[0] > 0) & (scores.values[0] < 100)).all()

    again = load_rater(rater.save_pretrained(tmp_path / "ours"), device="cpu")
    assert again.fingerprint == rater.fingerprint
    torch.testing.assert_close(again(clips).values, scores.values, rtol=1e-5, atol=0, equal_nan=True)
    assert (again.name, again.answers) == (rater.name, rater.answers)


def test_all_families_are_tested() -> None:
    assert {family.backbone().__name__ for family in FAMILIES.values()} == {
        type(make()).__name__ for make in TINY.values()
    }


def test_the_published_omni_checkpoint_holds_more_than_its_thinker(omni_folder, rater, tmp_path) -> None:
    """`model_type` qwen2_5_omni: the thinker's weights stand under a prefix, beside a talker that is left out."""
    theirs = json.loads((omni_folder / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "qwen2_5_omni", "thinker_config": theirs}))
    state = {f"thinker.{name}": tensor for name, tensor in load_file(omni_folder / "model.safetensors").items()}
    state |= {"talker.proj.weight": torch.zeros(2, 2), "token2wav.dit.weight": torch.zeros(1)}
    save_file(state, tmp_path / "model.safetensors", metadata={"format": "pt"})
    for file in omni_folder.glob("tokenizer*"):
        (tmp_path / file.name).write_bytes(file.read_bytes())
    whole = load_rater(tmp_path)
    assert whole.fingerprint == rater.fingerprint
    torch.testing.assert_close(whole([CLIP]).values, rater([CLIP]).values, rtol=1e-5, atol=0)


# ---- questions


def asked(rater: PublicRater) -> dict[tuple[str, ...], str]:
    """Dimension and tracks → the text, with what stands around the turns left out."""
    found = {}
    for question in rater.questions:
        slots = tuple(part.track for part in question.prompt if isinstance(part, Slot))
        text = "".join("\0" if isinstance(part, Slot) else part for part in question.prompt)
        found[(*question.dimensions, *slots)] = text.split("\0")[-1].replace(
            "<|im_end|>\n<|im_start|>assistant\n", " → "
        )
    return found


def test_the_published_questions(rater) -> None:
    """Table 8 of AGAV-Rater, word for word, with the beginnings of the answers."""
    please = " Response with excellent, good, fair, bad, or poor."
    texts = asked(rater)
    quality = f"Can you evaluate the audio quality in terms of quality and realism?{please} → The audio quality is"
    assert texts["audio_quality", "video", "audio"] == texts["audio_quality", "audio"] == quality
    assert texts["av_consistency", "video", "audio"] == (
        f"Can you evaluate the audio and video content consistency?{please} → "
        "The audio and video content consistency is"
    )
    assert texts["overall", "video", "audio"].startswith(
        "Can you evaluate the overall audio-visual quality in terms of audio quality, audio and video content "
        "consistency?"
    )
    assert texts["audio_text", "audio"].startswith(
        "The text is {prompt}Can you evaluate the audio-text content consistency of the audio and text?"
    )
    assert texts["static_quality", "video"] == (
        "How would you rate the static quality of this video?  → The static quality of the video is"
    )
    assert len(texts) == 9


def test_levels_are_read_where_the_word_would_follow(rater) -> None:
    question = next(q for q in rater.questions if q.dimensions == ("overall",))
    sequence = rater.rendered(rater.load(CLIP), question.prompt, Work())
    logits = rater.backbone.head(plainly(rater.backbone, sequence))[-1]
    tokenizer = rater.backbone.tokenizer
    ids = [tokenizer.encode(f" {word}")[0] for word in ("excellent", "good", "fair", "poor", "bad")]
    weights = logits[torch.tensor(ids)].softmax(0)
    expected = float((weights * torch.tensor([100.0, 75, 50, 25, 0])).sum())
    assert float(rater([CLIP])["overall"]) == pytest.approx(expected, rel=1e-4)


def test_yes_or_no(omni_folder, rater) -> None:
    other = load_rater(omni_folder, answers="yes_no", name="omni")
    assert other.name == "omni"
    assert [d.name for d in other.dimensions] == [d.name for d in rater.dimensions]
    texts = asked(other)
    assert texts["audio_text", "audio"] == "Does the audio match this description: {prompt}? Answer Yes or No. → "
    assert all(text.endswith("Answer Yes or No. → ") for text in texts.values())
    scores = other([CLIP])
    check_alone(other, [CLIP], scores)
    question = other.questions[-1]
    hidden = plainly(other.backbone, other.rendered(other.load(CLIP), question.prompt, Work()))
    yes, no = (other.backbone.head(hidden)[-1, other.backbone.tokenizer.encode(word)[0]] for word in ("Yes", "No"))
    assert float(scores["tv_correspondence"]) == pytest.approx(100 * float(torch.sigmoid(yes - no)), rel=1e-4)
    assert other.fingerprint != rater.fingerprint


def test_yes_or_no_is_kept_by_a_saved_rater(omni_folder, tmp_path) -> None:
    first = load_rater(omni_folder, answers="yes_no", name="omni")
    again = load_rater(first.save_pretrained(tmp_path / "r"))
    assert (again.answers, again.name, again.fingerprint) == ("yes_no", "omni", first.fingerprint)
    assert load_rater(tmp_path / "r", answers="levels").answers == "levels"


def test_what_each_dimension_needs(rater) -> None:
    needs = {d.name: d.needs for d in rater.dimensions}
    assert needs["audio_quality"] == {"audio"}
    assert needs["av_consistency"] == needs["overall"] == {"video", "audio"}
    assert needs["audio_text"] == {"audio", "prompt"}
    assert needs["tv_correspondence"] == {"video", "prompt"}
    assert needs["dynamic_degree"] == {"video"}
    assert rater.prompt_anchored


def test_what_is_missing_and_why(rater) -> None:
    clips = [Clip(**picture(2)), Clip(**sound(3000), prompt="a dog"), Clip(prompt="a dog"), CLIP]
    scores = rater(clips)
    there = [{n for n, p in zip(scores.names, row, strict=True) if p} for row in scores.present]
    assert there == [
        {"static_quality", "temporal_smoothness", "dynamic_degree"},
        {"audio_quality", "audio_text"},
        set(),
        set(OF_BOTH),
    ]
    assert scores.reasons[0]["audio_quality"] == "no audio was given"
    assert scores.reasons[0]["tv_correspondence"] == "no prompt was given; pass prompt=… with the clip, or --prompt"
    assert scores.reasons[1]["overall"] == "no video was given"
    assert scores.reasons[2]["overall"] == "no audio was given; no video was given"


def test_the_sound_is_judged_with_its_picture_where_there_is_one(rater) -> None:
    alone = Clip(audio=CLIP.audio, sample_rate=16000)
    assert float(rater([CLIP])["audio_quality"]) != pytest.approx(float(rater([alone])["audio_quality"]), rel=1e-6)


def test_all_questions_share_the_tracks(rater, monkeypatch) -> None:
    calls = []
    encode = type(rater.backbone).encode
    monkeypatch.setattr(type(rater.backbone), "encode", lambda b, t, x: calls.append(t) or encode(b, t, x))
    clips = dubs(3, frames=8, prompt="a dog")
    with counted(rater.backbone) as passes:
        scores = rater(clips)
    assert sorted(calls) == ["audio"] * 3 + ["video"]
    assert 1 < len(passes) <= 6
    check_alone(rater, clips, scores)


def test_words_that_begin_alike_are_an_error() -> None:
    backbone = tiny_qwen2_vl()
    backbone.tokenizer = tiny_tokenizer(["<|im_start|>", "<|im_end|>"], words=[])
    with pytest.raises(AvrewardError, match="begin with the same token in this tokenizer"):
        PublicRater("x", backbone)
    assert PublicRater("x", backbone, "yes_no").dimensions


def test_answers_of_an_unknown_kind(omni_folder) -> None:
    with pytest.raises(AvrewardError, match="answers: expected one of levels, yes_no, got 'stars'"):
        load_rater(omni_folder, answers="stars")


# ---- adapters


@pytest.fixture(scope="module")
def adapter(tmp_path_factory) -> Path:
    from peft import LoraConfig, get_peft_model

    module = tiny_qwen2_5_omni().module
    wrapped = get_peft_model(module, LoraConfig(r=2, lora_alpha=6, target_modules=r".*language_model.*\.(q|v)_proj"))
    for seed, (name, weight) in enumerate(wrapped.named_parameters()):
        if "lora_" in name:
            weight.data = noise(*weight.shape, seed=seed) - 0.5
    folder = tmp_path_factory.mktemp("lora")
    wrapped.save_pretrained(folder)
    return folder


def test_an_adapter_does_what_its_product_does(omni_folder, rater, adapter, tmp_path) -> None:
    with_lora = load_rater(omni_folder, adapter=adapter)
    state = load_file(omni_folder / "model.safetensors")
    lora = load_file(adapter / "adapter_model.safetensors")
    for name in [name for name in lora if "lora_A" in name]:
        product = lora[name.replace("lora_A", "lora_B")] @ lora[name]
        layer = name.split("layers.")[1].replace("lora_A.weight", "weight")
        [own] = [key for key in state if key.endswith(f"layers.{layer}") and "visual" not in key and "audio" not in key]
        state[own] = state[own] + 6 / 2 * product
    save_file(state, tmp_path / "model.safetensors", metadata={"format": "pt"})
    for file in omni_folder.iterdir():
        if file.suffix == ".json":
            (tmp_path / file.name).write_bytes(file.read_bytes())
    merged = load_rater(tmp_path)
    found, expected, before = (each([CLIP]).values for each in (with_lora, merged, rater))
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=0)
    assert not torch.allclose(found, before, rtol=1e-3)
    assert with_lora.fingerprint != rater.fingerprint
    assert not any("lora" in name for name in with_lora.module.state_dict())
    assert not any(weight.requires_grad for weight in with_lora.module.parameters())


def test_an_adapter_is_kept_by_a_saved_rater(omni_folder, adapter, tmp_path) -> None:
    first = load_rater(omni_folder, adapter=str(adapter))
    again = load_rater(first.save_pretrained(tmp_path / "r"))
    assert again.fingerprint == first.fingerprint
    torch.testing.assert_close(again([CLIP]).values, first([CLIP]).values, rtol=1e-5, atol=0)


CHANGED = {
    "missing": lambda name, weight: None if "layers.0" in name else (name, weight),
    "unexpected": lambda name, weight: (name.replace("layers.0", "layers.7"), weight),
    "size mismatch": lambda name, weight: (name, weight[:1].clone() if "lora_A" in name else weight),
}


@pytest.mark.parametrize("problem", CHANGED)
def test_an_adapter_of_another_model(omni_folder, adapter, tmp_path, problem: str) -> None:
    pairs = [CHANGED[problem](*item) for item in load_file(adapter / "adapter_model.safetensors").items()]
    save_file(dict(pair for pair in pairs if pair), tmp_path / "adapter_model.safetensors")
    (tmp_path / "adapter_config.json").write_bytes((adapter / "adapter_config.json").read_bytes())
    with pytest.raises(AvrewardError, match=f"adapter {tmp_path}: .*{problem}"):
        load_rater(omni_folder, adapter=tmp_path)


def test_adapters_that_are_none(omni_folder, adapter, tmp_path) -> None:
    with pytest.raises(AvrewardError, match=f"adapter {tmp_path}: can't be merged into this model"):
        load_rater(omni_folder, adapter=tmp_path)
    with pytest.raises(AvrewardError, match="expected a checkpoint, got an adapter; load its base model with adapter="):
        load_rater(adapter)


# ---- gradients


@pytest.mark.parametrize("track", ["video", "audio"])
@pytest.mark.parametrize("answers", ["levels", "yes_no"])
def test_every_dimension_by_finite_differences(track: str, answers: str) -> None:
    backbone = tiny_qwen2_5_omni(rounding="none")
    for weight in backbone.language.parameters():
        weight.data = 4 * weight.data if weight.ndim > 1 else weight.data
    widen(backbone.module)
    rater, fixed = PublicRater("omni", backbone, answers), film(4, 3000, prompt="a dog")
    at = (fixed.video if track == "video" else fixed.audio).double()

    def scores(point: Tensor) -> Tensor:
        if track == "audio":
            return rater([fixed.with_audio(point, 16000)]).values[0]
        return rater([Clip(video=point, fps=4, audio=fixed.audio, sample_rate=16000, prompt="a dog")]).values[0]

    with torch.enable_grad():
        point = at.clone().requires_grad_()
        values = scores(point)
        touched = [i for i, d in enumerate(rater.dimensions) if track in d.needs]
        grads = [torch.autograd.grad(values[i], point, retain_graph=True)[0] for i in touched]
    assert all(gradient.any() for gradient in grads)
    direction = torch.randn(at.shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    direction = direction / direction.norm() + sum(gradient / gradient.norm() for gradient in grads)
    step = 1e-5
    numeric = (scores(at + step * direction) - scores(at - step * direction)) / (2 * step)
    analytic = torch.stack([(gradient * direction).sum() for gradient in grads])
    torch.testing.assert_close(analytic, numeric[touched], rtol=1e-3, atol=1e-8)
    # the model sees the video when it is asked about the audio's quality, and yet the score may not move it
    (quality,) = [i for i, d in enumerate(rater.dimensions) if d.name == "audio_quality"]
    assert numeric[quality] != 0
    if track == "video":
        with torch.enable_grad():
            assert not torch.autograd.grad(values[quality], point)[0].any()
    untouched = [i for i in range(len(values)) if i not in (*touched, quality)]
    assert not numeric[untouched].any()


def test_checkpointing_makes_no_difference(omni_folder) -> None:
    found = []
    with torch.enable_grad():
        for checkpointing in (False, True):
            rater = load_rater(omni_folder, checkpointing=checkpointing)
            leaves = [CLIP.video.requires_grad_(), CLIP.audio.requires_grad_()]
            clip = Clip(video=leaves[0], fps=4, audio=leaves[1], sample_rate=16000, prompt="a dog")
            values = rater([clip]).values
            found.append([values, *torch.autograd.grad(values.sum(), leaves)])
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4 * float(other.abs().max()))


def test_sound_too_short_to_hear_leaves_what_is_seen() -> None:
    rater = PublicRater("omni", tiny_qwen2_5_omni())
    clip, silent = Clip(**picture(4), **sound(100), prompt="a dog"), Clip(**picture(4), prompt="a dog")
    scores, expected = rater([clip]), rater([silent])
    row = scores.names.index("audio_quality")
    assert not scores.present[0, row]
    assert "audio of 0.0063 s is too short" in scores.reasons[0]["audio_quality"]
    assert scores.present[0, scores.names.index("static_quality")]
    torch.testing.assert_close(scores["static_quality"], expected["static_quality"])


def test_weights_that_may_be_missing_are_zeros(omni_folder, tmp_path) -> None:
    from shutil import copytree

    folder = copytree(omni_folder, tmp_path / "copy")
    state = load_file(folder / "model.safetensors")
    name = next(name for name in state if name.endswith("layers.0.self_attn.q_proj.weight") and "model." in name)
    del state[name]
    save_file(state, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(AvrewardError, match="1 missing"):
        load_rater(folder)
    first, second = (load_rater(folder, allow=["*q_proj.weight"]) for _ in range(2))
    assert first.fingerprint == second.fingerprint
    weights = first.module.state_dict()
    assert [one for one in weights if one.endswith(name.removeprefix("thinker.")) and not weights[one].any()]


def test_weights_left_outside_memory_are_refused(omni_folder, tmp_path) -> None:
    with pytest.raises(AvrewardError, match="device_map"):
        load_rater(omni_folder, device_map={"": "disk"})


def test_yes_and_no_are_looked_up_where_they_would_stand(monkeypatch) -> None:
    """A tokenizer that begins every text with a token of its own must not change which tokens are read."""
    backbone = tiny_qwen2_5_omni()
    expected = [q.readout.ids for q in PublicRater("omni", backbone, "yes_no").questions]
    plain = type(backbone.tokenizer).__call__

    def marked(self, text, **options):
        made = plain(self, text, **options)
        return type(made)({"input_ids": [7, *made["input_ids"]]})

    monkeypatch.setattr(type(backbone.tokenizer), "__call__", marked)
    assert [q.readout.ids for q in PublicRater("omni", backbone, "yes_no").questions] == expected
