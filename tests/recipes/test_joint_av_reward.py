"""The joint reward loads from its file, with tiny raters; each term moves its own tracks and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from tiny.avbench_audio import tiny_audiobox
from tiny.embedding import tiny_clap
from tiny.qwen_vl import tiny_qwen2_vl
from tiny_tokenizer import tiny_tokenizer
from torch import Tensor, nn

from avreward import Clip, load_reward
from avreward.raters.video_reward.rater import VideoRewardRater, backbone_options, with_tokens
from avreward.rewards import Reward, zscore

RECIPE = Path(__file__).parents[2] / "recipes" / "joint_av_reward.yaml"
VISION = ("<|vision_start|>", "<|image_pad|>", "<|video_pad|>", "<|vision_end|>")
TERMS = {
    "video.VQ": (True, False),
    "video.TA": (True, False),
    "audio.audio_aesthetics": (False, True),
    "sound.audio_text": (False, True),
    "sync.av_consistency": (True, True),
}


def tiny_video_reward() -> VideoRewardRater:
    backbone = tiny_qwen2_vl("none", **backbone_options())
    backbone.tokenizer = with_tokens(tiny_tokenizer(["<|im_start|>", "<|im_end|>", *VISION]))
    backbone.module.resize_token_embeddings(len(backbone.tokenizer), mean_resizing=False)
    head = nn.Linear(backbone.module.config.text_config.hidden_size, 1, bias=False)
    nn.init.normal_(head.weight, generator=torch.Generator().manual_seed(0))
    return VideoRewardRater(backbone, head.requires_grad_(False))


@pytest.fixture(scope="module")
def reward(tmp_path_factory) -> Reward:
    """The recipe with tiny folders in place of the published raters."""
    place = tmp_path_factory.mktemp("joint")
    tiny_video_reward().save_pretrained(place / "video")
    tiny_audiobox().save_pretrained(place / "audio")
    clap = tiny_clap()
    clap.network.save_pretrained(place / "clap")
    clap.tokenizer.save_pretrained(place / "clap")
    text = RECIPE.read_text(encoding="utf-8")
    for published, folder in (
        ("KwaiVGI/VideoReward", "./video"),
        ("facebook/audiobox-aesthetics", "./audio"),
        ("laion/clap-htsat-unfused", "./clap"),
    ):
        assert text.count(f"rater: {published}\n") == 1
        text = text.replace(f"rater: {published}\n", f"rater: {folder}\n")
    (place / RECIPE.name).write_text(text, encoding="utf-8")
    return load_reward(place / RECIPE.name)


def tracks() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    video = torch.rand(8, 3, 32, 32, generator=generator).requires_grad_()
    audio = (torch.rand(1, 16000, generator=generator) - 0.5).requires_grad_()
    return video, audio


def gradients(reward: Reward) -> list[Tensor | None]:
    video, audio = tracks()
    (value,) = reward([Clip(video=video, fps=8, audio=audio, sample_rate=16000, prompt="a red ball")])
    return list(torch.autograd.grad(value, [video, audio], allow_unused=True))


def test_terms_and_weights(reward: Reward) -> None:
    audio = "0.05*audio.audio_aesthetics + 0.5*sound.audio_text"
    assert str(reward) == f"0.5*video.VQ + 0.5*video.TA + {audio} + 0.01*sync.av_consistency + 0.5"
    assert reward.needs == {"video", "audio", "prompt"}
    assert reward.prompt_anchored
    assert reward.differentiable


@pytest.mark.parametrize("name", TERMS)
def test_a_term_moves_its_own_tracks_alone(reward: Reward, name: str) -> None:
    alias, _, dimension = name.partition(".")
    rater = next(rater for rater in reward.raters if rater.name == alias)
    moved = [gradient is not None and bool(gradient.any()) for gradient in gradients(rater[dimension])]
    assert tuple(moved) == TERMS[name]


def test_nothing_leaks_into_the_other_track(reward: Reward) -> None:
    """The audio terms have no gradient at the video at all, nor the video terms at the audio."""
    raters = {rater.name: rater for rater in reward.raters}
    of_video = 0.5 * raters["video"]["VQ"] + 0.5 * raters["video"]["TA"]
    of_audio = 0.05 * raters["audio"]["audio_aesthetics"] + 0.5 * raters["sound"]["audio_text"]
    sync = 0.01 * raters["sync"]["av_consistency"]
    video, audio = gradients(reward)
    torch.testing.assert_close(video, gradients(of_video + sync)[0], rtol=1e-5, atol=0)
    torch.testing.assert_close(audio, gradients(of_audio + sync)[1], rtol=1e-5, atol=0)
    assert gradients(of_audio)[0] is None
    assert gradients(of_video)[1] is None


def test_fitted_terms_vary_alike_and_keep_their_streams(reward: Reward, tmp_path) -> None:
    generator = torch.Generator().manual_seed(1)
    samples = [
        Clip(
            video=torch.rand(8, 3, 32, 32, generator=generator) ** (1 + n),
            fps=8,
            audio=(n + 1) / 4 * (torch.rand(1, 16000, generator=generator) - 0.5),
            sample_rate=16000,
            prompt="a red ball",
        )
        for n in range(3)
    ]
    with torch.no_grad():
        term = {one.name: zscore(one, samples) for one in reward.terms}
        assert [float(one(samples).std()) for one in term.values()] == pytest.approx([1.0] * 5, rel=1e-3)
    assert list(term) == list(TERMS)
    joint = (term["video.VQ"] + term["video.TA"]) / 2 + term["audio.audio_aesthetics"] + term["sync.av_consistency"]
    assert load_reward(joint.save(tmp_path / "joint")) == joint
    for name, moves in TERMS.items():
        assert tuple(gradient is not None and bool(gradient.any()) for gradient in gradients(term[name])) == moves
