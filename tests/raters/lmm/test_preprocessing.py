"""Preprocessing options: kept by a saved rater, and chosen when one is loaded."""

from __future__ import annotations

import json
import warnings
from dataclasses import dataclass, is_dataclass

import pytest
import torch
from lmm_checks import film
from tiny.qwen2_audio import tiny_qwen2_audio
from tiny.qwen_omni import tiny_qwen2_5_omni
from tiny.video_llama3 import tiny_video_llama3

from avreward import load_rater
from avreward.errors import ArgumentError
from avreward.media import sampling, sampling_rules
from avreward.media.sampling import Spread
from avreward.media.sampling_rules import QwenFrames
from avreward.raters.lmm._preprocessing import chosen, frame_rules, plain, preprocessing_of
from avreward.raters.lmm.backbones import video_llama3
from avreward.raters.zero_shot.rater import PublicRater

OPTIONS = {
    "omni": (tiny_qwen2_5_omni, {"frames": QwenFrames(1.0), "max_pixels": 14 * 14 * 64, "max_audio_seconds": 0.2}),
    "audio": (tiny_qwen2_audio, {"max_seconds": 0.3, "through_wav": True}),
    "llama": (tiny_video_llama3, {"frames": Spread(2), "min_pixels": 784, "max_pixels": 12544, "compress": False}),
}
CLIP = film(24, 16000, prompt="a dog barks")


@pytest.mark.parametrize("kind", OPTIONS)
def test_a_saved_rater_looks_as_it_did(tmp_path, kind: str) -> None:
    make, options = OPTIONS[kind]
    rater, published = PublicRater(kind, make(**options)), PublicRater(kind, make())
    folder = rater.save_pretrained(tmp_path / "saved")
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("error")
        again = load_rater(folder, device="cpu")
        torch.testing.assert_close(again([CLIP]).values, rater([CLIP]).values, rtol=1e-5, atol=0)
        assert not torch.allclose(published([CLIP]).values, rater([CLIP]).values, rtol=1e-4)
    assert again.fingerprint == rater.fingerprint != published.fingerprint
    assert again.settings == rater.settings
    assert preprocessing_of(again.backbone) == json.loads(json.dumps(preprocessing_of(rater.backbone)))


def test_a_look_is_an_option_of_loading(tmp_path) -> None:
    make, options = OPTIONS["omni"]
    folder = PublicRater("omni", make()).save_pretrained(tmp_path)
    wanted = PublicRater("omni", make(**options))
    for preprocessing in (options, {name: plain(value) for name, value in options.items()}):
        rater = load_rater(folder, device="cpu", preprocessing=preprocessing)
        assert rater.fingerprint == wanted.fingerprint
        assert json.loads(json.dumps(rater.source))["preprocessing"] == {
            name: plain(value) for name, value in options.items()
        }


@pytest.mark.parametrize(
    ("preprocessing", "said"),
    [
        ({"fps": 2}, "Qwen2_5Omni: expected one of frames, min_pixels, max_pixels, .*, through_wav, got 'fps'"),
        ({"frames": 8}, r"preprocessing\['frames'\]: expected a frame rule such as QwenFrames\(1.0\), got 8"),
        ({"max_pixels": "big"}, r"preprocessing\['max_pixels'\]: expected a positive number, got 'big'"),
        ({"max_pixels": 0}, r"preprocessing\['max_pixels'\]: expected a positive number, got 0"),
        ({"resampler": "sox"}, "resampler: expected one of 'julius', 'ffmpeg', 'librosa', got 'sox'"),
        (5, "preprocessing: expected a mapping such as .*, got 5"),
        ({"frames": {"rule": "Every", "n": 2}}, r"frame rule\): expected one of AllFrames, .*, got 'Every'"),
        ({"frames": {"n": 2}}, "got 'None'"),
        ({"frames": {"rule": "QwenFrames", "speed": 2}}, "unexpected keyword argument 'speed'"),
    ],
)
def test_unknown_options_and_values(preprocessing, said: str) -> None:
    with pytest.raises(ArgumentError, match=said):
        chosen(type(tiny_qwen2_5_omni()), preprocessing)


@dataclass(frozen=True)
class FirstFrame:
    """A custom rule."""

    def __call__(self, times):
        """Return the first frame."""
        return times[:1].long()


def test_a_rule_of_ones_own_can_be_used_and_not_saved(tmp_path) -> None:
    rater = PublicRater("omni", tiny_qwen2_5_omni(frames=FirstFrame()))
    assert rater([CLIP]).present.all()
    with pytest.raises(ArgumentError, match=r"frames: expected a frame rule of avreward, got FirstFrame\(\); a rater"):
        rater.save_pretrained(tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_another_preprocessing_than_the_saved_one_is_said(tmp_path) -> None:
    folder = PublicRater("audio", tiny_qwen2_audio()).save_pretrained(tmp_path)
    path = folder / "config.json"
    config = json.loads(path.read_text())
    assert "30 s" in config["settings"]["sound"]
    config["settings"]["sound"] = "16000 Hz, all of it"
    path.write_text(json.dumps(config))
    with pytest.warns(UserWarning, match="saved with sound '16000 Hz, all of it', which is '16000 Hz mono,"):
        load_rater(folder)


def test_every_rule_that_chooses_frames_has_its_name() -> None:
    found = {
        name: rule
        for module in (sampling, sampling_rules, video_llama3)
        for name, rule in vars(module).items()
        if is_dataclass(rule) and rule.__module__ == module.__name__ and "__call__" in vars(rule)
    }
    assert frame_rules() == found
