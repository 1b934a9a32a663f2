"""AVBench: its prompts word for word, and its scores against the library's own models and processors."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from tiny.qwen2_audio import tiny_qwen2_audio
from tiny.qwen_checks import extracted, film, noise, rendered
from tiny.qwen_omni import tiny_qwen2_5_omni
from tiny.qwen_templates import QWEN2_5_OMNI
from torch import Tensor

from avreward import Clip
from avreward.errors import AvrewardError
from avreward.media.sampling_rules import QwenFrames
from avreward.raters.avbench.rater import LOOK, NETWORKS, AvBenchRater, load, load_avbench
from avreward.raters.base import Work
from avreward.raters.checkpoints.loading import Loading
from avreward.raters.lmm.backbones.qwen2_5_omni import Qwen2_5Omni
from avreward.raters.lmm.prompt import Slot
from avreward.raters.zero_shot.rater import PublicRater

TEXTS = {"audio_prompt": "A dog barks.", "speech": "Good dog."}


def livelier(backbone: Any) -> Any:
    """With weights that make a score depend on what is seen, heard and asked."""
    generator = torch.Generator().manual_seed(5)
    for weight in (w for w in (*backbone.language.parameters(), backbone.head.weight) if w.ndim == 2):
        weight.data = 0.3 * torch.randn(weight.shape, generator=generator)
    return backbone


def rater_of(rounding: Any = "straight_through", **options: Any) -> AvBenchRater:
    """All three evaluators; those of Qwen2.5-Omni share one network."""
    omni = livelier(tiny_qwen2_5_omni(rounding, **LOOK["audio_video"]))
    other = Qwen2_5Omni(omni.module, omni.tokenizer, rounding, **LOOK["video_text"])
    return AvBenchRater(
        audio_video=omni,
        video_text=other,
        audio_text=livelier(tiny_qwen2_audio(rounding, **LOOK["audio_text"])),
        **options,
    )


@pytest.fixture(scope="module")
def rater() -> AvBenchRater:
    return rater_of()


def clip_of(seconds: float = 5.0, **options: Any) -> Clip:
    """Four frames a second, of which AVBench looks at one, and sound."""
    sound = {"audio": noise(int(16000 * seconds)), "sample_rate": 16000}
    return Clip(**{"video": film(int(4 * seconds)), "fps": 4, **sound, "prompt": "A dog.", "texts": TEXTS, **options})


def probability(backbone: Any, logits: Tensor) -> Tensor:
    ids = [backbone.tokenizer(word, add_special_tokens=False)["input_ids"][0] for word in ("Yes", "No")]
    return logits[0, -1, ids].float().softmax(dim=0)[0]


def asked_by_the_library(backbone: Any, clip: Clip, tracks: tuple[str, ...], question: str) -> Tensor:
    """What the original does: the published chat template, the processor's steps, one pass, Yes against No."""
    seen = backbone.load(clip, "video")
    steps, rows, columns = seen.grid
    inputs: dict[str, Any] = {
        "pixel_values_videos": seen.patches,
        "video_grid_thw": torch.tensor([seen.grid]),
        "video_second_per_grid": torch.tensor([1.0]),  # the processor's default, whatever the rate of the frames
    }
    text = rendered(backbone.tokenizer, QWEN2_5_OMNI, tracks, question)
    text = text.replace("<|VIDEO|>", "<|VIDEO|>" * (steps * rows * columns // 4))
    if "audio" in tracks:
        inputs |= extracted(clip.sound(16000, 1)[0, : int(9.9 * 16000)])
        frames = int(inputs["feature_attention_mask"].sum())
        text = text.replace("<|AUDIO|>", "<|AUDIO|>" * (((frames - 1) // 2 + 1 - 2) // 2 + 1))
    ids = torch.tensor([backbone.tokenizer(text, add_special_tokens=False)["input_ids"]])
    logits = backbone.module(input_ids=ids, attention_mask=torch.ones_like(ids), **inputs).logits
    return probability(backbone, logits)


@pytest.mark.parametrize("seconds", [5.0, 10.5])
def test_audio_video_equals_the_librarys_forward(rater, seconds: float) -> None:
    clip = clip_of(seconds)
    backbone = rater.evaluators["audio_video"].backbone
    expected = asked_by_the_library(backbone, clip, ("video", "audio"), "Is this audio and video properly matched?")
    torch.testing.assert_close(rater([clip])["audio_video"][0], expected, rtol=0, atol=1e-5)


def test_video_text_equals_the_librarys_forward(rater) -> None:
    clip = clip_of()
    question = "Does the video match this description?" + chr(92) + "nA dog." + chr(92) + "nAnswer Yes or No."
    expected = asked_by_the_library(rater.evaluators["video_text"].backbone, clip, ("video",), question)
    torch.testing.assert_close(rater([clip])["video_text"][0], expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("texts", "description"),
    [(TEXTS, 'Audio Observation: A dog barks. Speech Content: "Good dog."'), ({"audio_prompt": "Rain."}, "Rain.")],
    ids=["with speech", "without"],
)
def test_audio_text_equals_the_librarys_processor_and_forward(rater, texts, description: str) -> None:
    from transformers import Qwen2AudioProcessor, WhisperFeatureExtractor

    clip, backbone = clip_of(texts=texts), rater.evaluators["audio_text"].backbone
    processor = Qwen2AudioProcessor(WhisperFeatureExtractor(feature_size=128), backbone.tokenizer)
    line = chr(92) + "n"
    text = (
        f"<|audio_bos|><|AUDIO|><|audio_eos|>{line}Audio Description: {description}{line}{line}"
        "Does this audio description accurately match the audio content? Answer only Yes or No."
    )
    inputs = processor(text=[text], audio=[clip.audio[0].numpy()], sampling_rate=16000, return_tensors="pt")
    expected = probability(backbone, backbone.module(**inputs).logits)
    torch.testing.assert_close(rater([clip])["audio_text"][0], expected, rtol=0, atol=1e-5)


def test_the_prompts_are_verbatim(rater) -> None:
    def text(name: str) -> list[str]:
        prompts = [question.prompt for question in rater.evaluators[name].questions]
        return ["".join(f"[{part.track}]" if isinstance(part, Slot) else part for part in prompt) for prompt in prompts]

    system = "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n<|im_start|>user\n"
    turn = "<|im_end|>\n<|im_start|>assistant\n"
    assert text("audio_video") == [f"{system}[video][audio]Is this audio and video properly matched?{turn}"]
    assert text("video_text") == [
        f"{system}[video]Does the video match this description?\\n{{prompt}}\\nAnswer Yes or No.{turn}"
    ]
    start = r"[audio]\nAudio Description: "
    ending = r"\n\nDoes this audio description accurately match the audio content? Answer only Yes or No."
    assert text("audio_text") == [
        start + 'Audio Observation: {texts.audio_prompt} Speech Content: "{texts.speech}"' + ending,
        start + "{texts.audio_prompt}" + ending,
    ]


def test_how_it_looks_at_clips(rater) -> None:
    wide, small = (rater.evaluators[name].backbone for name in ("audio_video", "video_text"))
    assert wide.frames == small.frames == QwenFrames(1.0)
    assert (wide.patches.most, small.patches.most) == (307200, 151200)
    assert wide.max_audio_seconds == 9.9
    assert rater.settings["video_text: frames"] == f"{QwenFrames(1.0)!r}, fast conversion"
    assert rater.tracks == ("video", "audio")
    assert rater.prompt_anchored


def test_judges_that_are_not_loaded_have_a_reason(rater) -> None:
    assert len(rater.dimensions) == 10
    scores = rater([clip_of()])
    assert scores.present[0].tolist() == [True] * 3 + [False] * 7
    assert scores.reasons[0].keys() == {network.dimension.name for network in NETWORKS}
    for network in NETWORKS:
        name = network.dimension.name
        assert scores.reasons[0][name] == f"not loaded: load it with {name}=, a folder or hub name of {network.judge}"
    assert ((scores.values[0, :3] > 0) & (scores.values[0, :3] < 1)).all()


def test_missing_tracks_and_texts_have_reasons(rater) -> None:
    scores = rater(
        [clip_of(prompt=None, texts={}), Clip(video=film(8), fps=4, prompt="A dog."), clip_of(video=None, fps=None)]
    )
    assert scores.present[:, :3].tolist() == [[True, False, False], [False, True, False], [False, False, True]]
    assert "no prompt was given" in scores.reasons[0]["video_text"]
    assert "no texts.audio_prompt was given" in scores.reasons[0]["audio_text"]
    assert "no audio was given" in scores.reasons[1]["audio_video"]
    assert "no audio was given" in scores.reasons[1]["audio_text"]
    assert "no video was given" in scores.reasons[2]["audio_video"]
    assert all(len(reasons) == 10 - 1 for reasons in scores.reasons)


def test_evaluators_that_were_not_loaded_have_reasons() -> None:
    audio = tiny_qwen2_audio()
    rater = AvBenchRater(audio_text=audio)
    scores = rater([clip_of()])
    assert scores.present[0, :3].tolist() == [False, False, True]
    assert "not loaded" in scores.reasons[0]["video_text"]
    assert "Qwen2.5-Omni" in scores.reasons[0]["audio_video"]
    assert rater.tracks == ("audio",)
    assert not rater.prompt_anchored
    with pytest.raises(AvrewardError, match="AvBenchRater: expected at least one of its ten judges, got none"):
        AvBenchRater()
    with pytest.raises(AvrewardError, match="video_text: expected a model that reads video, got Qwen2Audio"):
        AvBenchRater(video_text=audio)


def test_clips_do_not_depend_on_each_other(rater) -> None:
    clips = [clip_of(), clip_of(3.0), clip_of(prompt="A cat meows at the moon.")]
    together = rater(clips)
    for i, clip in enumerate(clips):
        torch.testing.assert_close(together.values[i, :3], rater([clip]).values[0, :3], rtol=0, atol=1e-5)
    assert abs(float(together["video_text"][0] - together["video_text"][2])) > 1e-4


def test_a_picture_is_encoded_once_for_all_dubs(rater, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[tuple[str, str]] = []
    for name, evaluator in rater.evaluators.items():
        own = evaluator.backbone.encode

        def encode(track: str, loaded: Any, name: str = name, own: Any = own) -> Any:
            calls.append((name, track))
            return own(track, loaded)

        monkeypatch.setattr(evaluator.backbone, "encode", encode)
    clip = clip_of()
    dubs = [clip.with_audio(noise(16000 * n), 16000) for n in (2, 3, 4)]
    work = Work()
    for few in (dubs[:2], dubs[2:]):  # also from one batch to the next
        rater.rate([rater.load(dub, work) for dub in few], work)
    assert calls.count(("audio_video", "video")) == 1
    assert calls.count(("video_text", "video")) == 1
    assert calls.count(("audio_video", "audio")) == calls.count(("audio_text", "audio")) == 3
    assert len(calls) == 8


@pytest.mark.parametrize(("name", "tracks"), [("audio_video", "va"), ("video_text", "v"), ("audio_text", "a")])
def test_gradients_reach_picture_and_sound(name: str, tracks: str) -> None:
    rater = rater_of(checkpointing=True)
    video, audio = film(12).requires_grad_(), noise(48000).requires_grad_()
    clip = Clip(video=video, fps=4, audio=audio, sample_rate=16000, prompt="A dog.", texts=TEXTS)
    rater([clip])[name].sum().backward()
    for leaf, letter in ((video, "v"), (audio, "a")):
        assert (leaf.grad is not None and bool(leaf.grad.abs().sum() > 0)) == (letter in tracks)


def test_one_network_is_held_once(rater) -> None:
    modules = rater.module
    assert modules["audio_video"] is modules["video_text"]
    single = sum(p.numel() for m in (modules["audio_video"], modules["audio_text"]) for p in m.parameters())
    assert sum(p.numel() for p in modules.parameters()) == single


def saved(backbone: Any, folder: Path) -> Path:
    backbone.module.save_pretrained(folder)
    backbone.tokenizer.save_pretrained(folder)
    return folder


def test_folders_are_loaded(rater, tmp_path: Path) -> None:
    omni, audio = (rater.evaluators[name].backbone for name in ("audio_video", "audio_text"))
    saved(omni, tmp_path / "video_text")
    elsewhere = saved(audio, tmp_path / "downloads" / "AT")
    clip = clip_of()
    expected = rater([clip]).values[0]
    loaded = load(tmp_path, {}, Loading(device="cpu"), audio_text=elsewhere)
    scores = loaded([clip])
    assert scores.present[0, :3].tolist() == [False, True, True]
    # frames of the tiny backbone are small, those of a loaded one as published
    torch.testing.assert_close(scores["audio_text"][0], expected[2], rtol=0, atol=1e-5)
    assert loaded.evaluators["video_text"].backbone.patches.most == 151200
    both = load_avbench(audio_video=tmp_path / "video_text", video_text=tmp_path / "video_text", device="cpu")
    assert both.module["audio_video"] is both.module["video_text"]
    torch.testing.assert_close(both([clip])["video_text"], scores["video_text"], rtol=0, atol=1e-5)
    with pytest.raises(AvrewardError, match="no evaluator"):
        load(tmp_path / "downloads", {}, Loading(device="cpu"))
    with pytest.raises(AvrewardError, match=r"expected the fine-tuned .* for audio_video, got a model of type None"):
        load_avbench(audio_video=tmp_path / "downloads", device="cpu")
    with pytest.raises(AvrewardError, match="for audio_video, got a model of type 'qwen2_audio'"):
        load_avbench(audio_video=elsewhere, device="cpu")
    with pytest.raises(
        AvrewardError, match=r"option of avbench: expected one of audio_video, .*, got 'audio_vide'; did you"
    ):
        load_avbench(audio_vide=elsewhere)
    with pytest.raises(AvrewardError, match="no such folder"):
        load_avbench(tmp_path / "nowhere")
    ours = PublicRater("omni", omni).save_pretrained(tmp_path / "ours")
    again = load_avbench(video_text=ours, device="cpu")
    torch.testing.assert_close(again([clip])["video_text"], scores["video_text"], rtol=0, atol=1e-5)
