"""The sync evaluator against the library's own forward pass, its published file, and its uses."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest
import torch
from lmm_checks import check_alone, dubs, film, picture, plainly, sound, widen
from tiny.qwen_omni import tiny_qwen2_5_omni
from torch import Tensor, nn

from avreward import Clip, best_of_n, load_rater
from avreward.errors import ArgumentError, AvrewardError
from avreward.media import AllFrames, FramePlan
from avreward.preferences import FromReward
from avreward.raters import SyncRater, new_sync
from avreward.raters.base import Work
from avreward.raters.lmm.prompt import Text, Tokens
from avreward.raters.sync._backbone import SyncBackbone, SyncFrames
from avreward.raters.sync.rater import ANSWER, SYSTEM, USER

ALL = FramePlan(AllFrames())
THINKER = tiny_qwen2_5_omni()


def tiny_sync(rounding="none") -> SyncRater:
    head = nn.Linear(THINKER.module.config.text_config.hidden_size, 1)
    nn.init.normal_(head.weight, generator=torch.Generator().manual_seed(1))
    nn.init.constant_(head.bias, 0.5)
    return SyncRater(SyncBackbone(THINKER.module, THINKER.tokenizer, rounding), head)


@pytest.fixture(scope="module")
def rater() -> SyncRater:
    return tiny_sync()


def seconds(length: float, fps: int = 12, seed: int = 0) -> Clip:
    generator = torch.Generator().manual_seed(seed)
    video = torch.rand(int(length * fps), 3, 40, 56, generator=generator)
    audio = torch.rand(1, int(length * 16000), generator=generator) - 0.5
    return Clip(video=video, fps=fps, audio=audio, sample_rate=16000)


@torch.no_grad()
def test_the_original_score(rater: SyncRater) -> None:
    """The library's thinker on the processor's ids, with its own positions: use_audio_in_video, 12 frames a second."""
    clip, module, tokenizer = seconds(5.0), THINKER.module, THINKER.tokenizer
    config = module.config
    sample = rater.load(clip)
    video, mel = sample.tracks["video"], sample.tracks["audio"]
    assert video.grid == (30, 10, 10)
    assert mel.shape[-1] == 500
    seen, heard = "<|VIDEO|>", "<|AUDIO|>"
    # 2 s are 12 steps of 5 × 5 tokens, and 50 tokens of audio
    turns = "".join(seen * 300 + heard * 50 for _ in range(2)) + seen * 150 + heard * 25
    text = (
        f"<|im_start|>system\n{SYSTEM}<|im_end|>\n<|im_start|>user\n{USER}<|vision_bos|><|audio_bos|>{turns}"
        f"<|audio_eos|><|vision_eos|><|im_end|>\n<|im_start|>assistant\n{ANSWER}<|im_end|>\n<|im_start|>assistant"
    )
    ids = torch.tensor([tokenizer(text, add_special_tokens=False)["input_ids"]])
    assert int((ids == config.video_token_id).sum()) == 750
    assert int((ids == config.audio_token_id).sum()) == 125
    grid, mask = torch.tensor([video.grid]), torch.ones_like(ids)
    positions, _ = module.get_rope_index(
        ids, None, grid, mask, use_audio_in_video=True, audio_seqlens=torch.tensor([500]),
        second_per_grids=torch.tensor([2 / 12]),
    )  # fmt: skip
    sequence = rater.rendered(sample, rater.questions[0].prompt, Work())
    assert torch.equal(rater.backbone.positions(sequence.parts), positions[:, 0])
    output = module(
        input_ids=ids, attention_mask=mask, position_ids=positions, pixel_values_videos=video.patches,
        video_grid_thw=grid, input_features=mel[None], feature_attention_mask=torch.ones(1, 500, dtype=torch.long),
        output_hidden_states=True,
    )  # fmt: skip
    expected = rater.module["head"](output.hidden_states[-1][:, -1])
    torch.testing.assert_close(rater([clip]).values, expected, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(plainly(rater.backbone, sequence), output.hidden_states[-1][:, -1], rtol=1e-4, atol=1e-5)


def test_frames() -> None:
    def times(count: int, fps: float) -> Tensor:
        return torch.arange(count, dtype=torch.float64) / fps

    rule = SyncFrames()
    assert torch.equal(rule(times(60, 12)), torch.arange(60))
    assert rule(times(240, 24))[:3].tolist() == [0, 2, 4]  # 10 s: 120 frames from the first to the last, then cut
    assert len(rule(times(240, 24))) == 60
    assert rule(times(48, 24)).tolist()[-1] == 47  # 2 s
    assert rule(times(20, 4)).tolist() == [i // 3 for i in range(60)]
    assert int(rule(times(24 * 100, 24))[-1]) in range(115, 121)  # 100 s: still 12 frames a second


def test_short_clips_are_filled_and_long_ones_cut(rater: SyncRater) -> None:
    whole = seconds(5.0)
    video, audio = whole.frames(ALL), whole.sound()
    longer = Clip(video=torch.cat([video, video[:12]]), fps=12, audio=torch.cat([audio, audio[:, :16000]], 1),
                  sample_rate=16000)  # fmt: skip
    short = Clip(video=video[:24], fps=12, audio=audio[:, :32000], sample_rate=16000)
    filled = Clip(video=torch.cat([video[:24], torch.zeros_like(video[:36])]), fps=12,
                  audio=torch.cat([audio[:, :32000], torch.zeros(1, 48000)], 1), sample_rate=16000)  # fmt: skip
    with torch.no_grad():
        values = rater([whole, longer, short, filled])["sync"]
    assert values[0] != values[2]
    torch.testing.assert_close(values[2], values[3], rtol=1e-4, atol=1e-5)
    steps = rater.load(longer).tracks
    assert steps["video"].grid == (30, 10, 10)
    assert steps["audio"].shape[-1] == 500


@torch.no_grad()
def test_neighbours_and_missing_tracks(rater: SyncRater) -> None:
    clips = [film(4), *dubs(2), Clip(**picture(3)), Clip(**sound(4000)), film(4, 100)]
    scores = rater(clips)
    check_alone(rater, clips, scores)
    assert scores.present[:, 0].tolist() == [True, True, True, False, False, False]
    assert scores.reasons[3] == {"sync": "no audio was given"}
    assert "too short" in scores.reasons[5]["sync"]
    assert rater.reads("sync") == {"video", "audio"}


def test_gradients_reach_both_tracks(rater: SyncRater) -> None:
    clip = film(4)
    tracks = [clip.frames(ALL).requires_grad_(), clip.sound().requires_grad_()]
    value = rater.score(video=tracks[0][None], fps=4, audio=tracks[1][None], sample_rate=16000)
    gradients = torch.autograd.grad(value.sum(), tracks)
    assert all(bool(gradient.isfinite().all()) and bool(gradient.any()) for gradient in gradients)


@pytest.mark.slow
def test_gradients_agree_with_finite_differences(check_gradient) -> None:
    module = copy.deepcopy(THINKER.module)
    widen(module)
    backbone = SyncBackbone(module, THINKER.tokenizer, "none")
    head = nn.Linear(module.config.text_config.hidden_size, 1).double()
    rater, clip = SyncRater(backbone, head), film(4)
    video, audio = clip.frames(ALL).double(), clip.sound().double()

    def score(video: Tensor, audio: Tensor) -> Tensor:
        return rater.score(video=video[None], fps=4, audio=audio[None], sample_rate=16000)

    check_gradient(lambda given: score(given, audio), video)
    check_gradient(lambda given: score(video, given), audio)


@torch.no_grad()
def test_it_chooses_and_judges(rater: SyncRater) -> None:
    candidates = dubs(3)
    values = rater(candidates)["sync"]
    assert best_of_n(candidates, rater["sync"]).order == tuple(values.argsort(descending=True).tolist())
    chances = FromReward(rater["sync"])(candidates[:1], candidates[1:2])
    assert bool(chances.score > 0.5) == bool(values[0] > values[1])
    with pytest.raises(ArgumentError, match=r"got the sync evaluator; compare its scores, with FromReward"):
        rater.compare(candidates)


def published(rater: SyncRater, folder: Path, *, towers: bool = True) -> Path:
    """The published file, with the names of its transformers, and the base model beside it."""
    state = {}
    for name, weight in rater.module.state_dict().items():
        theirs = name.replace("head.", "regression_head.fc_1.") if name.startswith("head.") else name
        for ours, old in (
            ("base.model.language_model.", "transformer.model."),
            ("base.model.", "transformer."),
            ("base.", "transformer."),
        ):
            theirs = old + theirs.removeprefix(ours) if theirs.startswith(ours) else theirs
        if towers or "visual." not in name:
            state[theirs] = weight.clone()
    assert {name.split(".")[1] for name in state} <= {"fc_1", "audio_tower", "visual", "model", "lm_head"}
    folder.mkdir()
    torch.save({"state_dict": state}, folder / "avsync_eval_weights.pt")
    THINKER.module.save_pretrained(folder / "base_model")
    THINKER.tokenizer.save_pretrained(folder / "base_model")
    return folder


@torch.no_grad()
def test_the_published_file_and_a_saved_rater(rater: SyncRater, tmp_path: Path) -> None:
    clips = [film(4)]
    expected = rater(clips).values
    folder = published(rater, tmp_path / "whole")
    (folder / "base_model" / "model.safetensors").unlink()  # not needed
    loaded = load_rater(folder, rounding="none")
    assert isinstance(loaded, SyncRater)
    assert loaded.fingerprint == rater.fingerprint
    torch.testing.assert_close(loaded(clips).values, expected)
    again = load_rater(loaded.save_pretrained(tmp_path / "saved"), rounding="none")
    assert again.fingerprint == rater.fingerprint
    torch.testing.assert_close(again(clips).values, expected)
    part = load_rater(published(rater, tmp_path / "part", towers=False), rounding="none")
    assert part.fingerprint == rater.fingerprint  # the encoders are the base model's


def test_a_new_one_from_the_base_model(rater: SyncRater, tmp_path: Path) -> None:
    base = published(rater, tmp_path / "whole") / "base_model"
    fresh, other = (new_sync(base, seed=seed, rounding="none") for seed in (0, 1))
    assert not torch.equal(fresh.module["head"].weight, other.module["head"].weight)
    torch.testing.assert_close(new_sync(base, rounding="none").module["head"].weight, fresh.module["head"].weight)
    for name, weight in rater.module["base"].state_dict().items():
        assert torch.equal(fresh.module["base"].state_dict()[name], weight), name
    with torch.no_grad():
        again = load_rater(fresh.save_pretrained(tmp_path / "start"), rounding="none")
        torch.testing.assert_close(again([film(4)]).values, fresh([film(4)]).values)
    with pytest.raises(ArgumentError, match="adapter: expected none for a new evaluator"):
        new_sync(base, adapter="x")


def test_broken_folders(rater: SyncRater, tmp_path: Path) -> None:
    folder = published(rater, tmp_path / "whole")
    with pytest.raises(ArgumentError, match="adapter: expected none"):
        load_rater(folder, adapter="x")
    file = folder / "avsync_eval_weights.pt"
    state = torch.load(file, weights_only=True)["state_dict"]
    del state["regression_head.fc_1.bias"]
    torch.save({"state_dict": state}, file)
    with pytest.raises(AvrewardError, match=r"1 missing: head\.bias"):
        load_rater(folder)
    (folder / "base_model" / "config.json").write_text('{"model_type": "qwen2_vl"}')
    with pytest.raises(AvrewardError, match=r"expected Qwen/Qwen2\.5-Omni-3B, got another model"):
        load_rater(folder)


def test_interleaving_keeps_every_token(rater: SyncRater) -> None:
    """Whatever the lengths: video in steps of 2 s, each followed by the audio of those 2 s."""
    width, backbone = 4, rater.backbone
    video = Tokens(torch.arange(26.0)[:, None].expand(-1, width), (13, 1, 2), 2 / 12)
    audio = Tokens(-torch.arange(1.0, 131)[:, None].expand(-1, width))
    parts = backbone.interleaved(video, audio)
    assert parts[0] == backbone.opening
    assert parts[-1] == backbone.closing
    assert [part.length for part in parts] == [2, 24, 50, 2, 50, 30, 2]
    values = torch.cat([part.values[:, 0] for part in parts[1:-1] if isinstance(part, Tokens)])
    torch.testing.assert_close(values[values >= 0], torch.arange(26.0))
    torch.testing.assert_close(values[values < 0], -torch.arange(1.0, 131))
    places = backbone.positions([Text((1, 2)), *parts, Text((3,))])
    assert places[0, :4].tolist() == [0, 1, 2, 2]  # two delimiters share a position
    assert places[0, -3:].tolist() == [133, 133, 134]  # 3 + 130 tokens of audio
