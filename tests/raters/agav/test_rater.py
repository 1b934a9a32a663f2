"""AGAV-Rater from a folder in its published layout to scores, gradients and comparisons."""

from __future__ import annotations

import hashlib
import shutil
from dataclasses import replace

import pytest
import torch
from golden_weights import golden_state
from lmm_checks import check_alone, counted, dubs, film, noise, picture, plainly, sound, widen
from media_files import write
from safetensors.torch import load_file, save_file
from tiny_agav_rater import SPECIAL, random_network, tiny_config, write_tiny
from tiny_tokenizer import tiny_tokenizer
from torch import Tensor

from avreward import Clip, load_rater
from avreward.errors import ArgumentError, AvrewardError
from avreward.raters.agav._backbone import AgavBackbone
from avreward.raters.agav._keys import config_from_official, official_to_ours
from avreward.raters.agav._network import AgavNetwork
from avreward.raters.agav.rater import PUBLISHED, AgavRater
from avreward.raters.base import Work
from avreward.raters.lmm._decoding import read
from avreward.raters.lmm._template import Rendered
from avreward.raters.lmm.prompt import Read, Slot, Text, Tokens
from avreward.raters.lmm.readout import Regression

NAMES = ("audio_quality", "av_consistency", "overall")
SPREAD = 2 * 6.55582  # of the filter bank, which the network sees normalised


@pytest.fixture(scope="module")
def rater(agav_folder) -> AgavRater:
    return load_rater(agav_folder)


@pytest.fixture(scope="module")
def two_scores(tmp_path_factory):
    """A checkpoint for text to audio, or to music."""
    return write_tiny(tmp_path_factory.mktemp("agav") / "two", scores=2)


# ---- the text


def text_of(rater: AgavRater) -> list[str]:
    """The prompt's texts between the tracks."""
    texts = [""]
    for part in rater.questions[0].prompt:
        if isinstance(part, Slot):
            texts.append("")
        else:
            texts[-1] += part.text if isinstance(part, Read) else part
    return texts


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def test_the_prompt_is_the_published_one(rater) -> None:
    """Digests of the user's turn, with its placeholder, and of the answer, as they stand in the published code."""
    before, between, after = text_of(rater)
    assert before == "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n<|im_start|>user\n"
    assert between == ""
    user, answer = after.split("<|im_end|>\n<|im_start|>assistant\n")
    assert digest(f"<video>{user}") == "6f95f1f2d6084e24f1d8c0fca45843166ef418df852eb8d462e037a0b6501314"
    assert answer.endswith("<|im_end|>\n")
    answer = answer.removesuffix("<|im_end|>\n")
    assert digest(answer) == "127a27a48d436fc18f28d1773cc2df90071e318313b981067599bd1c53d08961"


def test_the_sequence_is_what_the_original_builds(rater) -> None:
    """Qwen2's chat template, split at the placeholder; each piece tokenized by itself, the tracks between them."""
    whole = (
        "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n"
        "<|im_start|>user\n<video>\nPlease evaluate the audio quality, audio-visual content consistency and overall "
        "audio-visual quality of the given content one by one. Provide three words to characterize each quality "
        "dimension.<|im_end|>\n<|im_start|>assistant\nAudio quality: /n, audio-visual consistency: /n, overall "
        "audio-visual quality: /n.<|im_end|>\n"
    )
    before, after = [tuple(rater.backbone.tokenizer(chunk).input_ids) for chunk in whole.split("<video>")]
    sequence = rater.rendered(rater.load(film()), rater.questions[0].prompt, Work())
    first, seen, heard, last = sequence.parts
    assert (first.ids, last.ids) == (before, after)
    assert (seen.length, heard.length) == (4 * 3 * 3, 187 * 8)
    assert sequence.keys[1][0][0] == "video"
    assert sequence.keys[2][0][0] == "audio"
    assert sequence.reads == [sum(part.length for part in sequence.parts) - 1]
    assert rater.backbone.tokenizer.decode(last.ids[-2:]) == "<|im_end|>\n"


def test_the_masked_scheme(agav_folder) -> None:
    """Section 4.2: a score is read at each mask, by the head's own row."""
    rater = load_rater(agav_folder, scheme="masked")
    _, between, after = text_of(rater)
    assert between == ""
    assert after == (
        "Can you evaluate the audio quality, audio-visual content consistency, and overall audio-visual quality of the "
        "given content one by one?<|im_end|>\n<|im_start|>assistant\nAudio quality: [Mask], audio-visual consistency: "
        "[Mask], overall audio-visual quality: [Mask].<|im_end|>\n"
    )
    clip = film()
    sequence = rater.rendered(rater.load(clip), rater.questions[0].prompt, Work())
    ids = [number for part in sequence.parts for number in (part.ids if isinstance(part, Text) else (0,) * part.length)]
    decode = rater.backbone.tokenizer.decode
    assert [decode(ids[at - 5 : at + 1]) for at in sequence.reads] == ["[Mask]"] * 3
    with torch.no_grad():
        hidden = plainly(rater.backbone, sequence)
        found = rater([clip]).values[0]
    torch.testing.assert_close(found, (hidden * rater.backbone.module.regression.weight).sum(dim=1), rtol=1e-4, atol=0)
    assert rater.published == {}
    assert rater.fingerprint != load_rater(agav_folder).fingerprint


@pytest.mark.parametrize("task", ["tta", "ttm"])
def test_text_to_audio_and_music(two_scores, task: str) -> None:
    rater = load_rater(two_scores, task=task)
    kind = {"tta": "audio", "ttm": "music"}[task]
    assert [d.name for d in rater.dimensions] == [f"{kind}_quality", f"{kind}_text"]
    assert {d.needs for d in rater.dimensions} == {frozenset({"audio", "prompt"})}
    assert all("experimental" in d.description for d in rater.dimensions)
    assert rater.tracks == ("audio",)
    assert rater.prompt_anchored
    [_, text] = text_of(rater)
    assert f"The text is {{prompt}}. Can you evaluate the {kind} quality and {kind}-text content consistency" in text
    heard = Clip(**sound(), prompt="a dog barks")
    scores = rater([heard, heard.with_prompt("a cat"), heard.with_prompt(None), film(prompt="a dog barks")])
    assert scores.present.all(dim=1).tolist() == [True, True, False, True]
    assert not torch.allclose(scores.values[0], scores.values[1])
    torch.testing.assert_close(scores.values[0], scores.values[3], rtol=1e-4, atol=0)  # a video makes no difference
    assert "no prompt was given" in scores.reasons[2][f"{kind}_text"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"scheme": "first"}, "scheme: expected one of last, masked, single, pooled, got 'first'"),
        ({"task": "t2v"}, "task: expected one of v2a, tta, ttm, got 't2v'"),
        ({"task": "tta"}, r"task: expected .* the checkpoint's head \(3\), got 'tta' with 2"),
        ({"adapter": "lora"}, "adapter: expected none, .*, got 'lora'; leave it out"),
        ({"answers": "yes_no"}, "expected one of scheme, task, reach_end, zeros_for_missing, .*, got 'answers'"),
    ],
)
def test_options_that_it_does_not_have(agav_folder, options, said: str) -> None:
    with pytest.raises(AvrewardError, match=said):
        load_rater(agav_folder, **options)


# ---- scores


def test_three_raw_scores(rater) -> None:
    assert tuple(d.name for d in rater.dimensions) == NAMES
    assert all(d.needs == {"video", "audio"} and not d.calibrated and d.low == -d.high for d in rater.dimensions)
    assert not rater.prompt_anchored
    clips = [film(5), film(9, 30_000, seed=1)]
    with torch.no_grad():
        scores = rater(clips)
    assert scores.present.all()
    assert scores.values.isfinite().all()
    assert len(scores.values.unique()) == 6
    check_alone(rater, clips, scores)
    with pytest.raises(ValueError, match="a calibrated one, which has levels"):
        scores.levels("overall")


def test_what_is_missing_and_why(rater) -> None:
    clips = [Clip(**picture()), Clip(**sound()), Clip(prompt="a dog"), film()]
    with torch.no_grad():
        scores = rater(clips)
    assert scores.present.tolist() == [[False] * 3] * 3 + [[True] * 3]
    assert scores.values[:3].isnan().all()
    why = [{reasons[name] for name in NAMES} for reasons in scores.reasons[:3]]
    assert why == [{"no audio was given"}, {"no video was given"}, {"no audio was given; no video was given"}]
    assert scores.reasons[3] == {}


def test_zeros_for_missing_sound(agav_folder, rater) -> None:
    original = load_rater(agav_folder, zeros_for_missing=True)
    silent = Clip(**picture())
    with torch.no_grad():
        scores = original([silent, Clip(**sound())])
        expected = rater([silent.with_audio(torch.zeros(30 * 16000), 16000)])
    assert scores.present.all(dim=1).tolist() == [True, False]
    assert torch.equal(scores.values[0], expected.values[0])
    assert original.fingerprint != rater.fingerprint
    assert original.settings["zeros for missing sound"] == "True"


LENGTHS = {
    "one frame": (Clip(**picture(1), **sound(16_000)), 16_000),
    "0.1 s of sound": (film(3, 1600), 1600),
    "one window": (film(3, 400), 400),
    "a minute": (Clip(video=noise(60, 3, 24, 24), fps=1, audio=noise(1, 960_000) - 0.5, sample_rate=16000), 960_000),
    "odd shapes": (Clip(video=noise(7, 3, 11, 301), fps=30, audio=noise(2, 30_011) - 0.5, sample_rate=44100), 30_011),
}


def test_sound_shorter_than_a_window_is_missing(rater) -> None:
    scores = rater([film(3, 399)])
    assert not scores.present.any()
    assert "too short" in scores.reasons[0]["overall"]


@pytest.mark.parametrize("kind", LENGTHS)
def test_clips_of_all_lengths(rater, kind: str) -> None:
    clip, samples = LENGTHS[kind]
    sample = rater.load(clip)
    assert sample.tracks["video"].shape == (8, 3, 84, 84)
    assert sample.tracks["audio"].shape == (2998, 128)
    with torch.no_grad():
        scores = rater([clip])
    assert scores.present.all()
    assert scores.values.isfinite().all()
    assert clip.audio.shape[-1] == samples


def test_a_file_that_cannot_be_decoded_is_missing_as_a_whole(rater, tmp_path) -> None:
    clip = Clip.open(write(tmp_path / "a.mkv", sound="pcm_s16le"))
    clip.path.write_bytes(b"changed since it was opened")
    with torch.no_grad():
        scores = rater([clip, film()])
    assert scores.present.all(dim=1).tolist() == [False, True]
    assert all("a.mkv" in reason for reason in scores.reasons[0].values())


def test_rounding_in_the_default_mode_is_exact(agav_folder, rater) -> None:
    """Bit for bit: only the gradient differs from the original's."""
    exact, none = (load_rater(agav_folder, rounding=mode) for mode in ("exact", "none"))
    clip = film(5, 20_000)
    with torch.no_grad():
        assert torch.equal(rater([clip]).values, exact([clip]).values)
        assert not torch.equal(rater([clip]).values, none([clip]).values)
    assert len({each.fingerprint for each in (rater, exact, none)}) == 3


def test_the_end_of_the_sound_is_heard_only_on_request(agav_folder, rater) -> None:
    later = load_rater(agav_folder, reach_end=True)
    clip = film(3, 100_000)
    changed = clip.audio.clone()
    changed[:, -4000:] = 0
    with torch.no_grad():
        assert torch.equal(rater([clip]).values, rater([clip.with_audio(changed, 16000)]).values)
        assert not torch.equal(later([clip]).values, later([clip.with_audio(changed, 16000)]).values)
    assert later.fingerprint != rater.fingerprint


def test_published_scores() -> None:
    assert [PUBLISHED[f"33_sora_elevenlabs_{clip}"]["overall"] for clip in (2, 0, 1, 4)] == [
        52.8438,
        41.4375,
        37.8438,
        33.8125,
    ]


# ---- what dubs share


def test_dubs_share_the_picture(rater, monkeypatch) -> None:
    seen = []
    encode = AgavNetwork.encode_video
    monkeypatch.setattr(AgavNetwork, "encode_video", lambda network, pixels: seen.append(1) or encode(network, pixels))
    clips = dubs(3, frames=4)
    with torch.no_grad(), counted(rater.backbone) as calls:
        scores = rater(clips)
    assert len(seen) == 1
    text = rater.backbone.tokenizer(text_of(rater)[0]).input_ids
    assert calls[0] == len(text) + 36  # the beginning and the video, once
    assert len(calls) == 4  # then each dub by itself, since it is long
    assert sum(calls) < calls[0] + 3 * (1496 + 250)
    check_alone(rater, clips, scores)


def test_gradients_of_dubs(agav_folder) -> None:
    """With checkpointing, on the shared video and on each audio track."""
    lean, plain = load_rater(agav_folder, checkpointing=True), load_rater(agav_folder)
    seen, heard = picture(3)["video"], [sound(4000, seed=i)["audio"] for i in range(2)]

    def gradients(rater: AgavRater, together: bool) -> list[Tensor]:
        leaves = [tensor.clone().requires_grad_() for tensor in (seen, *heard)]
        silent = Clip(video=leaves[0], fps=4)
        clips = [silent.with_audio(each, 16000) for each in leaves[1:]]
        values = rater(clips, batch_size=None if together else 1).values
        return list(torch.autograd.grad(values.sum(), leaves))

    for found, expected in zip(gradients(lean, True), gradients(plain, False), strict=True):
        assert expected.any()
        torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-4 * float(expected.abs().max()))


# ---- gradients


def small(rounding: str, ratio: float = 1.0) -> AgavRater:
    """Fewer and smaller layers, in double precision."""
    tokenizer = tiny_tokenizer(SPECIAL)
    config = tiny_config(len(tokenizer), frames=2)
    vision = {**config.vision, "num_hidden_layers": 2, "image_size": 42}
    audio = replace(config.audio, layers=1, gradient_ratio=ratio)
    language = {**config.language, "num_hidden_layers": 1}
    network = random_network(replace(config, vision=vision, audio=audio, language=language))
    widen(network)
    return AgavRater(AgavBackbone(network, tokenizer, rounding))


@pytest.mark.parametrize("track", ["video", "audio"])
def test_each_score_by_finite_differences(track: str) -> None:
    rater, fixed = small("none"), film(2, 8000)
    at = (fixed.video if track == "video" else fixed.audio).double()

    def scores(point: Tensor) -> Tensor:
        if track == "audio":
            return rater([fixed.with_audio(point, 16000)]).values[0]
        return rater([Clip(video=point, fps=4, audio=fixed.audio, sample_rate=16000)]).values[0]

    point = at.clone().requires_grad_()
    values = scores(point)
    assert values.dtype == torch.float64
    gradients = [torch.autograd.grad(value, point, retain_graph=True)[0] for value in values]
    step = 1e-5
    for seed in range(2):
        generator = torch.Generator().manual_seed(seed)
        direction = torch.randn(at.shape, generator=generator, dtype=torch.float64)
        signs = torch.randn(3, generator=generator, dtype=torch.float64)
        # noise alone is nearly at right angles to any gradient, and would show rounding errors instead
        direction = direction / direction.norm() + sum(s * g / g.norm() for s, g in zip(signs, gradients, strict=True))
        with torch.no_grad():
            numeric = (scores(at + step * direction) - scores(at - step * direction)) / (2 * step)
        analytic = torch.stack([(gradient * direction).sum() for gradient in gradients])
        torch.testing.assert_close(analytic, numeric, rtol=1e-5, atol=1e-9)


def test_gradients_pass_the_rounding_steps() -> None:
    """In the default mode they are about those without rounding; in the exact mode there are none on pixels."""
    found = {}
    for mode in ("none", "straight_through", "exact"):
        seen, heard = picture(2)["video"].double().requires_grad_(), sound(8000)["audio"].double().requires_grad_()
        values = small(mode)([Clip(video=seen, fps=4, audio=heard, sample_rate=16000)]).values
        found[mode] = torch.autograd.grad(values.sum(), [seen, heard])
    for one, other in zip(found["none"], found["straight_through"], strict=True):
        assert torch.nn.functional.cosine_similarity(one.flatten(), other.flatten(), dim=0) > 0.9
    assert not found["exact"][0].any()


def test_the_originals_gradients_on_request(agav_folder, rater) -> None:
    original = load_rater(agav_folder, original_gradients=True)
    gradients = []
    for each in (rater, original):
        heard = sound()["audio"].requires_grad_()
        values = each([Clip(**picture(2), audio=heard, sample_rate=16000)]).values
        gradients.append(torch.autograd.grad(values.sum(), heard)[0])
    torch.testing.assert_close(gradients[1], 0.6**2 * gradients[0], rtol=0.01, atol=1e-6)  # once a layer
    assert original.fingerprint == rater.fingerprint  # no score depends on it


# ---- the original


def golden_rater(case: dict) -> AgavRater:
    about = case["config"]
    file = {
        **about["language"],
        **about["multimodal"],
        "vision_config": about["vision"],
        "audio_config": about["audio"],
    }
    config = config_from_official(file, {name: tuple(shape) for name, shape, _ in case["state_dict"]})
    network = AgavNetwork(config)
    network.load_state_dict({official_to_ours(name): weight for name, weight in golden_state(case).items()})
    return AgavRater(AgavBackbone(network.requires_grad_(False).eval(), tiny_tokenizer(SPECIAL)))


def golden_sequences(golden, backbone: AgavBackbone, pixels: Tensor, fbank: Tensor) -> list[Rendered]:
    """The rows of a case, from frames and filter banks."""
    found = []
    for i, ids in enumerate(golden.data["input_ids"]):
        place = ids.index(golden.data["config"]["placeholder_id"])
        [seen], [heard] = backbone.encode("video", pixels[i]), backbone.encode("audio", fbank[i])
        before, after = Text(tuple(ids[:place])), Text(tuple(ids[place + 1 :]))
        found.append(Rendered((before, seen, heard, after), (before.ids, ("v", i), ("a", i), after.ids)))
    return found


@pytest.mark.golden(case="agav_rater")
@torch.no_grad()
def test_the_originals_scores(golden) -> None:
    """From the original's filter bank and frames, through `encode`, `read` and the readout, all clips at once."""
    tensors, backbone = golden.tensors(), golden_rater(golden.data).backbone
    golden.same(backbone.frames.count, golden.data["config"]["multimodal"]["num_frames"])
    levels = tensors["frames_uint8"].movedim(-1, 2).float() / 255
    pixels = [backbone.load(Clip(video=clip, fps=4), "video") for clip in levels]
    golden.close(torch.stack(pixels), tensors["pixels"], atol=golden.numbers("pixels")[0])
    answers = read(backbone, golden_sequences(golden, backbone, pixels, (tensors["fbank"] - 15.41663) / SPREAD))
    golden.check(torch.cat(answers), tensors["last_hidden"][:, -1], "intermediates")
    scores = torch.stack([Regression(backbone.module.regression)(hidden) for hidden in answers])
    golden.check(scores, tensors["scores"], "scores")


@pytest.mark.golden(case="agav_rater")
def test_the_originals_gradients(golden) -> None:
    """In float64: in float32 they depend on the number of threads."""
    tensors, backbone = golden.tensors(), golden_rater(golden.data).backbone
    widen(backbone.module)
    backbone.module.restore_buffers("cpu")
    pixels, fbank = (tensors[name].double().requires_grad_() for name in ("pixels", "fbank"))
    answers = read(backbone, golden_sequences(golden, backbone, pixels, (fbank - 15.41663) / SPREAD))
    scores = torch.stack([Regression(backbone.module.regression)(hidden) for hidden in answers])
    on_pixels, on_fbank = torch.autograd.grad(scores.sum(), [pixels, fbank])
    golden.check(on_pixels, tensors["grad_pixels"], "gradients")
    golden.check(on_fbank, tensors["grad_fbank_ratio1.0"], "gradients")


# ---- comparison


def test_which_dub_fits_best(rater) -> None:
    clips = dubs(2, frames=2)
    with torch.no_grad():
        chosen, swapped = rater.compare(clips), rater.compare(clips[::-1])
    assert float(chosen.sum()) == pytest.approx(1, rel=1e-5)
    torch.testing.assert_close(chosen, swapped.flip(0), rtol=1e-4, atol=0)


def test_text_to_audio_has_no_video_to_compare_for(two_scores) -> None:
    with pytest.raises(AvrewardError, match=r"dubs with video and audio, got .* without video \(no video\)"):
        load_rater(two_scores, task="tta").compare(dubs(2, frames=2))


# ---- memory and precision


@pytest.mark.parametrize("kind", ["bfloat16", "float16"])
def test_half_precision(agav_folder, rater, kind: str) -> None:
    """Scores stay near; rotary frequencies, which no checkpoint holds, stay in single precision."""
    half = load_rater(agav_folder, dtype=kind)
    assert {weight.dtype for weight in half.module.parameters()} == {getattr(torch, kind)}
    assert torch.equal(half.backbone.language.rotary_emb.inv_freq, rater.backbone.language.rotary_emb.inv_freq)
    clip = film(4)
    with torch.no_grad():
        found, expected = half([clip]).values, rater([clip]).values
    assert found.dtype == torch.float32
    step = torch.finfo(getattr(torch, kind)).eps  # how far rounding goes depends on the processor's instructions
    torch.testing.assert_close(found, expected, rtol=0.05, atol=25 * step)
    assert half.fingerprint != rater.fingerprint
    assert half.settings["dtype"] == kind


def test_a_map_of_devices(agav_folder, rater) -> None:
    spread = load_rater(agav_folder, device_map={"": "cpu"}, checkpointing=True)
    clip = film(4)
    heard = clip.audio.requires_grad_()
    values = spread([clip.with_audio(heard, 16000)]).values
    assert torch.autograd.grad(values.sum(), heard)[0].any()
    with torch.no_grad():
        torch.testing.assert_close(values.detach(), rater([clip]).values, rtol=1e-3, atol=0)


def test_eager_attention(agav_folder, rater) -> None:
    eager = load_rater(agav_folder, attention="eager")
    assert eager.settings["attention"] == "eager"
    assert eager.fingerprint != rater.fingerprint
    with torch.no_grad():
        torch.testing.assert_close(eager([film()]).values, rater([film()]).values, rtol=1e-4, atol=0)


def test_tokens_reach_the_language_model_whole(rater) -> None:
    """`encode` gives one piece for each track, without delimiters."""
    sample = rater.load(film())
    for track, count in (("video", 36), ("audio", 1496)):
        [tokens] = rater.backbone.encode(track, sample.tracks[track])
        assert isinstance(tokens, Tokens)
        assert tokens.values.shape == (count, 48)


# ---- what training starts from


def test_one_instruction_a_score(agav_folder, tmp_path) -> None:
    """Table 4's ablation: three questions, each about one score, which is its own row of the head."""
    rater = load_rater(agav_folder, scheme="single")
    assert [question.dimensions for question in rater.questions] == [(name,) for name in NAMES]
    asked = ["audio quality", "audio-visual consistency", "overall audio-visual quality"]
    for question, name in zip(rater.questions, asked, strict=True):
        parts = [part for part in question.prompt if not isinstance(part, Slot)]
        text = "".join(part.text if isinstance(part, Read) else part for part in parts)
        assert f"Can you evaluate the {name} of the given content?" in text
        assert text.count("[Mask]") == 1
    clip = film()
    with torch.no_grad():
        sample = rater.load(clip)
        scores = rater.rate([sample])
        for row, (question, name) in enumerate(zip(rater.questions, NAMES, strict=True)):
            [hidden] = read(rater.backbone, [rater.rendered(sample, question.prompt, Work())], None)
            found = rater.backbone.module.regression(hidden[-1])[row]
            torch.testing.assert_close(scores[name][0], found)
    saved = load_rater(rater.save_pretrained(tmp_path / "single"))
    assert saved.scheme == "single"
    assert saved.fingerprint == rater.fingerprint


def test_scores_pooled_by_attention(agav_folder, tmp_path) -> None:
    """The whole masked answer is read; queries begin as zeros, which is the mean, and are saved."""
    rater = load_rater(agav_folder, scheme="pooled")
    masked = load_rater(agav_folder, scheme="masked")
    clip = film()
    sequence = rater.rendered(rater.load(clip), rater.questions[0].prompt, Work())
    ids, other = (
        [n for part in one.parts for n in (part.ids if isinstance(part, Text) else (0,) * part.length)]
        for one in (sequence, masked.rendered(masked.load(clip), masked.questions[0].prompt, Work()))
    )
    assert len(ids) == len(other)
    answer = "Audio quality: [Mask], audio-visual consistency: [Mask], overall audio-visual quality: [Mask]."
    assert rater.backbone.tokenizer.decode([ids[at] for at in sequence.reads]) == answer
    network = rater.backbone.module
    with torch.no_grad():
        hidden = plainly(rater.backbone, sequence)
        torch.testing.assert_close(rater([clip]).values[0], network.regression(hidden.mean(0)))
        network.pooling.weight.normal_(generator=torch.Generator().manual_seed(0))
        scores = rater([clip]).values
        shares = (hidden @ network.pooling.weight.T / hidden.shape[-1] ** 0.5).softmax(0)
        expected = [network.regression.weight[i] @ (shares[:, i] @ hidden) for i in range(3)]
        torch.testing.assert_close(scores[0], torch.stack(expected))
        saved = load_rater(rater.save_pretrained(tmp_path / "pooled"))
        assert saved.scheme == "pooled"
        torch.testing.assert_close(saved([clip]).values, scores)
    network.pooling.requires_grad_()
    rater([clip]).values.square().sum().backward()
    assert network.pooling.weight.grad.abs().sum(1).gt(0).all()


def test_a_new_head_for_a_base_without_one(agav_folder, tmp_path) -> None:
    base = tmp_path / "base"
    shutil.copytree(agav_folder, base)
    state = load_file(base / "model.safetensors")
    del state["lm_head_reg.weight"]
    save_file(state, base / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(AvrewardError, match="lm_head_reg"):
        load_rater(base)
    rater = load_rater(base, scheme="masked", head_seed=3)
    head = rater.backbone.module.regression.weight
    assert torch.equal(head, load_rater(base, head_seed=3).backbone.module.regression.weight)
    assert not torch.equal(head, load_rater(base, head_seed=4).backbone.module.regression.weight)
    assert rater([film()]).present.all()
    with pytest.raises(ArgumentError, match="head_seed"):
        load_rater(rater.save_pretrained(tmp_path / "ours"), head_seed=3)
