"""The saved networks that rate the audio in commands, expressions, ensembles, best-of-N and TRL."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from rater_uses import Uses, run
from tiny.avbench_audio import NISQA, seeded, tiny_nisqa, write_tiny_nisqa, write_tiny_whisper

from avreward import Clip, load_rater
from avreward.raters.avbench import NisqaNetwork, NisqaRater


@pytest.fixture(scope="module")
def uses(tmp_path_factory) -> Uses:
    place: Path = tmp_path_factory.mktemp("nisqa")
    for i in range(3):
        time = torch.arange(8000) / 16000
        tone = 0.3 * torch.sin(2 * torch.pi * 200 * (i + 1) * time) * (1 + torch.sin(2 * torch.pi * 5 * time))
        noise = 0.05 * torch.randn(8000, generator=torch.Generator().manual_seed(i))
        Clip(audio=(tone + noise)[None], sample_rate=16000).save(place / f"{i}.wav")
    return Uses(tiny_nisqa().save_pretrained(place / "rater"), sorted(place.glob("*.wav")), "nisqa", "speech_quality")


def test_score_rank_and_verify(uses, tmp_path) -> None:
    uses.check_score_rank_and_verify(tmp_path)


def test_convert(uses, tmp_path) -> None:
    uses.check_convert(write_tiny_nisqa(tmp_path / "published"), tmp_path)


def test_an_expression_an_ensemble_best_of_n_and_trl(uses) -> None:
    uses.check_rewards(NisqaRater(seeded(lambda: NisqaNetwork(NISQA), 1.2)), "noisiness")


def test_probe(uses, tmp_path) -> None:
    uses.check_probe(tmp_path)


def test_the_words_to_be_said_stand_in_a_manifest(uses, tmp_path) -> None:
    folder = write_tiny_whisper(tmp_path / "whisper")
    said = ["excellent audio", "is it good", "The quality"]
    lines = [f"{path},{text}" for path, text in zip(uses.files, said, strict=True)]
    (tmp_path / "list.csv").write_text("\n".join(["file,texts.speech", *lines]) + "\n")
    table = tmp_path / "scores.jsonl"
    run("score", tmp_path / "list.csv", "--rater", folder, "--out", table, "--no-store")
    rows = [json.loads(line) for line in table.read_text().splitlines()]
    expected = load_rater(folder)([Clip.open(p, texts={"speech": t}) for p, t in zip(uses.files, said, strict=True)])
    assert [row["whisper.speech_content"] for row in rows] == pytest.approx(expected["speech_content"].tolist())
    ranked = json.loads(run("rank", table, "--reward", "whisper.speech_content", "--json"))
    again = json.loads(run("rank", tmp_path / "list.csv", "--rater", folder, "--reward", "speech_content", "--json"))
    assert len(ranked["candidates"]) == 3
    assert [one["clip"] for one in again["candidates"]] == [one["clip"] for one in ranked["candidates"]]


def test_the_audio_does_not_move_the_video() -> None:
    video, audio = torch.rand(4, 3, 8, 8).requires_grad_(), (torch.rand(1, 4000) - 0.5).requires_grad_()
    load = tiny_nisqa()
    load["speech_quality"]([Clip(video=video, fps=4, audio=audio, sample_rate=16000)]).sum().backward()
    assert video.grad is None
    assert audio.grad.abs().sum() > 0
