"""The recipe that writes a tiny AGAV-Rater, and its tokenizer."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
import tiny_agav_rater
import torch
from lmm_checks import film
from tiny_agav_rater import SPECIAL, main, random_network, tiny_config, write_tiny
from tiny_tokenizer import WORDS, tiny_tokenizer

from avreward import load_rater
from avreward.raters.agav._keys import ours_to_official


def test_the_command(tmp_path, monkeypatch, capsys) -> None:
    out = tmp_path / "deep" / "folder"
    monkeypatch.setattr(sys, "argv", ["tiny_agav_rater.py", str(out), "--seed", "3"])
    main()
    assert f"{out}: a tiny AGAV-Rater with random weights; its scores mean nothing" in capsys.readouterr().out
    assert load_rater(out).fingerprint == load_rater(write_tiny(tmp_path / "same", seed=3)).fingerprint
    assert load_rater(out).fingerprint != load_rater(write_tiny(tmp_path / "other", seed=4)).fingerprint


def test_the_layout_is_the_published_one(tmp_path) -> None:
    from safetensors import safe_open

    folder = write_tiny(tmp_path / "r", frames=4)
    config = json.loads((folder / "config.json").read_text())
    assert config["model_type"] == "videollama2_qwen2"
    assert config["num_frames"] == 4
    with safe_open(folder / "model.safetensors", framework="pt") as tensors:
        names = set(tensors.keys())
    assert names == {ours_to_official(name) for name in random_network(tiny_config(400)).state_dict()}
    assert "lm_head_reg.weight" in names
    assert "model.vision_tower.vision_tower.vision_model.embeddings.patch_embedding.weight" in names


def test_every_part_matters_to_the_scores(tmp_path) -> None:
    """Picture, sound and the order of frames move each score by more than rounding does."""
    rater, clip = load_rater(write_tiny(tmp_path / "r")), film(8)
    changed = [clip.with_audio(clip.audio.flip(1), 16000), type(clip)(video=clip.video.flip(0), fps=4)]
    changed[1] = changed[1].with_audio(clip.audio, 16000)
    with torch.no_grad():
        first, *others = rater([clip, *changed]).values
    for other in others:
        assert ((other - first).abs() > 1e-4).all()
    assert first.abs().max() < 10


def test_scores_of_the_caller_are_left_alone(tmp_path) -> None:
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    write_tiny(tmp_path / "r")
    assert torch.equal(torch.rand(1), expected)


# ---- the tokenizer


def test_words_are_one_token_each_alone_and_after_a_space() -> None:
    tokenizer = tiny_tokenizer(SPECIAL)
    for word in WORDS:
        assert len(tokenizer.encode(word)) == 1
        assert len(tokenizer.encode(f" {word}")) == 1
    assert len({tokenizer.encode(f" {word}")[0] for word in WORDS}) == len(WORDS)


@pytest.mark.parametrize("text", ["The quality is good.", "naïve 日本 \n\t<|im_start|>x<|im_end|>", "", "🎬🔊"])
def test_any_text_comes_back(text: str) -> None:
    tokenizer = tiny_tokenizer(SPECIAL)
    assert tokenizer.decode(tokenizer(text)["input_ids"]) == text


def test_special_tokens_are_one_each_and_survive_saving(tmp_path) -> None:
    from transformers import AutoTokenizer

    tokenizer = tiny_tokenizer(SPECIAL)
    assert [tokenizer.encode(token) for token in SPECIAL] == [[tokenizer.convert_tokens_to_ids(t)] for t in SPECIAL]
    tokenizer.save_pretrained(tmp_path)
    again = AutoTokenizer.from_pretrained(tmp_path)
    text = "<|im_start|>user\nThe audio is good<|im_end|>"
    assert again(text)["input_ids"] == tokenizer(text)["input_ids"]
    assert len(again) == len(tokenizer)


def test_it_is_a_script_that_stands_alone() -> None:
    folder = Path(tiny_agav_rater.__file__).parent
    assert {file.name for file in folder.glob("tiny_*.py")} >= {"tiny_agav_rater.py", "tiny_tokenizer.py"}
