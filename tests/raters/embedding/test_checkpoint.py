"""Checkpoints as `transformers` writes them, read back; and what their preprocessor files may say."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny.embedding import tiny_clap, tiny_clip, tiny_naflex, tiny_siglip

from avreward import Clip, load_rater
from avreward.errors import AvrewardError
from avreward.media.sampling import Spread
from avreward.raters.embedding._checkpoint import preprocessing
from avreward.raters.embedding._clap_mel import ClapMel
from avreward.raters.embedding._frames import NaflexPictures, Pictures
from avreward.raters.embedding.base import EmbeddingRater
from avreward.raters.embedding.clap import ClapRater
from avreward.raters.embedding.image_text import CLIP_MEAN, CLIP_STD, ImageTextRater

CLIP = Clip(video=torch.rand(3, 3, 40, 30), fps=8, audio=torch.rand(1, 9000), sample_rate=48000, prompt="a good one")


def saved(rater: EmbeddingRater, folder: Path, *processors: Any) -> Path:
    rater.network.save_pretrained(folder)
    rater.tokenizer.save_pretrained(folder)
    for processor in processors:
        processor.save_pretrained(folder)
    return folder


def naflex_processor() -> Any:
    from transformers import Siglip2ImageProcessorPil

    return Siglip2ImageProcessorPil(patch_size=8, max_num_patches=12)


@pytest.mark.parametrize("make", [tiny_clap, tiny_clip, tiny_siglip, tiny_naflex])
def test_a_checkpoint_is_read_back(make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = make()
    folder = saved(first, tmp_path, *([naflex_processor()] if make is tiny_naflex else []))
    if make is tiny_naflex:  # for its model type, transformers takes no tokenizer but Gemma's
        from transformers import AutoTokenizer

        monkeypatch.setattr(AutoTokenizer, "from_pretrained", lambda _, **__: first.tokenizer)
    again = type(first).from_pretrained(folder, device="cpu", dtype="float32")
    torch.testing.assert_close(again([CLIP]).values, first([CLIP]).values, rtol=0, atol=1e-6)
    assert again.fingerprint == first.fingerprint
    half = type(first).from_pretrained(str(folder), "cpu", "bfloat16", rounding="none")
    assert half.settings["dtype"] == "bfloat16"
    assert half.settings["rounding"] == "none"


def test_options_go_to_the_constructor(tmp_path: Path) -> None:
    folder = saved(tiny_siglip(), tmp_path)
    rater = ImageTextRater.from_pretrained(folder, "cpu", score="probability", frames=Spread(2))
    assert rater.measure == "probability"
    assert rater.frames == Spread(2)


def test_what_the_files_of_the_image_processor_say_is_followed(tmp_path: Path) -> None:
    from transformers import CLIPImageProcessorPil

    processor = CLIPImageProcessorPil(
        size={"shortest_edge": 30}, crop_size={"height": 24, "width": 24}, image_mean=[0.1, 0.2, 0.3], resample=2
    )
    rater = ImageTextRater.from_pretrained(saved(tiny_clip(), tmp_path, processor), "cpu")
    assert rater.pictures == Pictures(30, (24, 24), "bilinear", (0.1, 0.2, 0.3), CLIP_STD)


def test_what_the_file_of_the_feature_extractor_says_is_followed(tmp_path: Path) -> None:
    from transformers import ClapFeatureExtractor

    extractor = ClapFeatureExtractor(truncation="rand_trunc", frequency_min=50, padding="pad")
    rater = ClapRater.from_pretrained(saved(tiny_clap(), tmp_path, extractor), "cpu")
    assert rater.mel == ClapMel("rand_trunc", "pad", low=50)


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({}, Pictures(24, (24, 24), "bicubic", CLIP_MEAN, CLIP_STD)),
        ({"size": 32, "crop_size": 20}, Pictures(32, (20, 20), "bicubic", CLIP_MEAN, CLIP_STD)),
        ({"do_center_crop": False, "crop_size": 20}, Pictures(24, None, "bicubic", CLIP_MEAN, CLIP_STD)),
        (
            {"size": {"height": 40, "width": 30}, "resample": 0},
            Pictures((40, 30), (24, 24), "nearest", CLIP_MEAN, CLIP_STD),
        ),
    ],
)
def test_old_and_new_ways_of_writing_sizes(files: dict, expected: Pictures) -> None:
    assert ImageTextRater.prepared(files, tiny_clip().network.config)["pictures"] == expected


def test_siglip_is_squashed_unless_its_file_says_otherwise() -> None:
    config = tiny_siglip().network.config
    assert ImageTextRater.prepared({}, config)["pictures"] == Pictures((24, 24))
    assert ImageTextRater.prepared({}, tiny_naflex().network.config)["pictures"] == NaflexPictures(8, 256)


@pytest.mark.parametrize(
    ("files", "name"),
    [
        ({"resample": 1}, "resample: expected one of"),
        ({"rescale_factor": 1.0}, "rescale_factor: expected 1/255, got 1.0"),
        ({"size": {"shortest_edge": 3, "longest_edge": 9}}, "size: expected shortest_edge alone, or .*longest_edge"),
        ({"crop_size": 30}, "crop: expected at most"),
    ],
)
def test_what_is_not_supported_is_named(files: dict, name: str) -> None:
    with pytest.raises(AvrewardError, match=name):
        ImageTextRater.prepared(files, tiny_clip().network.config)


def test_later_files_and_their_parts_count(tmp_path: Path) -> None:
    files = {
        "preprocessor_config.json": {"size": 1, "sampling_rate": 2},
        "video_preprocessor_config.json": {"size": 3},
        "processor_config.json": {"video_processor": {"size": 4, "num_frames": 16}, "feature_extractor": None},
    }
    for name, content in files.items():
        (tmp_path / name).write_text(json.dumps(content))
    found = preprocessing(tmp_path)
    assert (found["size"], found["sampling_rate"], found["num_frames"]) == (4, 2, 16)
    (tmp_path / "preprocessor_config.json").write_text("{")
    with pytest.raises(AvrewardError, match=r"preprocessor_config.json: expected JSON"):
        preprocessing(tmp_path)


def test_a_checkpoint_of_another_kind_is_named(tmp_path: Path) -> None:
    folder = saved(tiny_siglip(), tmp_path)
    with pytest.raises(AvrewardError, match="expected a checkpoint of clap, got a model of type 'siglip'"):
        ClapRater.from_pretrained(folder, "cpu")


def test_a_checkpoint_that_lacks_weights_is_named(tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    folder = saved(tiny_siglip(), tmp_path)
    weights = load_file(folder / "model.safetensors")
    weights.pop("logit_bias")
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(AvrewardError, match="1 missing: logit_bias"):
        ImageTextRater.from_pretrained(folder, "cpu")
    allowed = ImageTextRater.from_pretrained(folder, "cpu", allow=["logit_bias"])
    assert not allowed.network.logit_bias.any()  # a zero, not what chance would make of it


def test_weights_that_nobody_reads_are_named(tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    folder = saved(tiny_siglip(), tmp_path)
    weights = load_file(folder / "model.safetensors")
    ids = {"text_model.embeddings.position_ids": torch.arange(4)[None]}  # saved by older releases
    save_file({**weights, **ids}, folder / "model.safetensors", metadata={"format": "pt"})
    ImageTextRater.from_pretrained(folder, "cpu")
    save_file({**weights, "extra.weight": torch.zeros(1)}, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(AvrewardError, match=r"1 unexpected: extra\.weight"):
        ImageTextRater.from_pretrained(folder, "cpu")
    load_rater(folder, device="cpu", allow=["extra.*"])


def test_an_empty_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(AvrewardError, match="transformers cannot load it"):
        ImageTextRater.from_pretrained(tmp_path, "cpu")


def test_load_rater_finds_the_kind(tmp_path: Path) -> None:
    from avreward import load_rater

    rater = load_rater(saved(tiny_siglip(), tmp_path), device="cpu", score="probability")
    assert isinstance(rater, ImageTextRater)
    assert rater.measure == "probability"
