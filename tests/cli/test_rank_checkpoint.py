"""`avreward rank`, `score` and `raters` with a checkpoint: dubs of one video share its picture."""

from __future__ import annotations

import json

import pytest

pytest.importorskip("transformers")

import torch
from lmm_checks import alone
from media_files import write

from avreward import Clip, load_rater
from avreward.raters.agav._backbone import AgavBackbone
from avreward.raters.agav._network import AgavNetwork


@pytest.fixture(scope="module")
def media(tmp_path_factory):
    folder = tmp_path_factory.mktemp("media")
    dubs = [
        write(folder / f"dub{i}.wav", codec=None, sound="pcm_s16le", rate=(16000, 44100)[i % 2], seconds=0.5 + 0.7 * i)
        for i in range(3)
    ]
    return write(folder / "silent.mp4", 20), dubs


@pytest.fixture
def work(monkeypatch):
    """Which tracks were encoded, and how many positions each call of the decoder computed."""
    encoded: list[str] = []
    read: list[int] = []
    encode, build = AgavBackbone.encode, AgavNetwork.__init__

    def note(_, arguments, options) -> None:
        read.append(options["inputs_embeds"].shape[0] * options["inputs_embeds"].shape[1])

    def built(network, *arguments) -> None:
        build(network, *arguments)
        network.language.register_forward_pre_hook(note, with_kwargs=True)

    monkeypatch.setattr(AgavBackbone, "encode", lambda self, t, x: encoded.append(t) or encode(self, t, x))
    monkeypatch.setattr(AgavNetwork, "__init__", built)
    return encoded, read


def test_dubs_of_a_silent_video(run, agav_folder, media, work) -> None:
    silent, dubs = media
    result = run("rank", "--rater", agav_folder, "--video", silent, *dubs, "--json")
    assert result.exit_code == 0
    encoded, read = work
    assert sorted(encoded) == ["audio"] * 3 + ["video"]
    assert len(read) == 4  # the beginning with the picture once, then the rest of each, since it is long
    assert read[0] < min(read[1:]) / 3

    rater = load_rater(agav_folder)
    told = json.loads(result.stdout)
    assert told["raters"] == {"agav": rater.fingerprint}
    with torch.no_grad():
        expected = {str(dub): alone(rater, Clip.open(silent).with_audio(Clip.open(dub))) for dub in dubs}
    for candidate in told["candidates"]:
        scores = expected[candidate["clip"]]
        assert candidate["reward"] == pytest.approx(float(scores["overall"]), rel=1e-4)
        assert candidate["scores"] == {
            f"agav.{n}": pytest.approx(float(v), rel=1e-4, abs=2e-6) for n, v in scores.items()
        }
    order = sorted(expected, key=lambda name: -float(expected[name]["overall"]))
    assert [candidate["clip"] for candidate in told["candidates"]] == order
    assert told["best"] == order[0]


def test_what_counts_can_be_said(run, agav_folder, media) -> None:
    silent, dubs = media
    result = run(
        "rank", "--rater", agav_folder, "--video", silent, *dubs, "--reward", "0.5*agav.overall - audio_quality"
    )
    assert result.exit_code == 0
    assert "Reward: 0.5*agav.overall - agav.audio_quality" in result.stdout


def test_a_page_is_written(run, agav_folder, media, tmp_path) -> None:
    silent, dubs = media
    page = tmp_path / "page.html"
    assert run("rank", "--rater", agav_folder, "--video", silent, *dubs[:2], "--report", page).exit_code == 0
    assert load_rater(agav_folder).fingerprint.removeprefix("agav:") in page.read_text()


def test_scores_in_a_table(run, omni_folder, media, tmp_path) -> None:
    silent, _ = media
    out = tmp_path / "scores.parquet"
    result = run("score", silent, "--rater", omni_folder, "--out", out)
    assert result.exit_code == 0
    import pyarrow.parquet

    table = pyarrow.parquet.read_table(out).to_pydict()
    with torch.no_grad():
        expected = alone(load_rater(omni_folder), Clip.open(silent))
    assert table["qwen2_5_omni.dynamic_degree"] == [pytest.approx(float(expected["dynamic_degree"]), rel=1e-4)]
    assert table["qwen2_5_omni.overall"] == [None]


def test_checkpoints_are_listed(run, agav_folder, omni_folder) -> None:
    result = run("raters", agav_folder, omni_folder, "--json")
    assert result.exit_code == 0
    told = {each["name"]: each for each in json.loads(result.stdout)}
    assert list(told) == ["agav", "qwen2_5_omni"]
    assert told["agav"]["fingerprint"] == load_rater(agav_folder).fingerprint
    assert [d["name"] for d in told["agav"]["dimensions"]] == ["audio_quality", "av_consistency", "overall"]
    assert told["agav"]["dimensions"][0]["low"] is None
    assert "agav" in run("raters", agav_folder).stdout


def test_a_checkpoint_that_is_none(run, files, tmp_path) -> None:
    result = run("rank", files.loud, files.soft, "--rater", tmp_path)
    assert result.exit_code == 2
    assert "no rater that avreward knows" in " ".join(result.stderr.replace("│", " ").split())
