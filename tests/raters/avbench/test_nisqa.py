"""NISQA: front end, network and outputs against the original; as a rater."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from golden_weights import golden_state
from tiny.avbench_audio import NISQA, tiny_nisqa, write_tiny_nisqa
from torch import Tensor

from avreward import Clip, load_rater
from avreward.errors import ArgumentError, AvrewardError
from avreward.raters.avbench import NisqaConfig, NisqaNetwork, NisqaRater
from avreward.raters.avbench._nisqa_network import nisqa_mel

NAMES = ("speech_quality", "noisiness", "discontinuity", "coloration", "loudness")


def speech(seconds: float = 0.4, seed: int = 0, rate: int = 16000) -> Tensor:
    """Gliding harmonics in bursts, over noise: float64 (samples,)."""
    generator = torch.Generator().manual_seed(seed)
    noise = torch.rand(int(seconds * rate), generator=generator, dtype=torch.float64) - 0.5
    time = torch.arange(len(noise), dtype=torch.float64) / rate
    voice = sum(torch.sin(2 * torch.pi * (110 + 20 * seed) * k * (time + 0.1 * time**2)) / k for k in (1, 2, 3, 5, 9))
    return 0.2 * voice * (0.6 + 0.4 * torch.sin(2 * torch.pi * 4 * time)) + 0.02 * noise


def clip(seconds: float = 0.4, seed: int = 0, rate: int = 16000) -> Clip:
    return Clip(audio=speech(seconds, seed, rate).float()[None], sample_rate=rate)


def original(golden) -> NisqaNetwork:
    network = NisqaNetwork(NisqaConfig.of(golden.data["config"])).eval()
    network.load_state_dict(golden_state(golden.data))
    return network


@pytest.mark.golden("mel_rows")
def test_the_spectrogram(golden) -> None:
    tensors, config = golden.tensors(), NisqaConfig.of(golden.data["config"])
    normal, margin, near_floor = golden.numbers("mel.*.spec")[0], *golden.numbers("mel.*.spec")[1:]
    for row in golden.data["mel_rows"]:
        found = nisqa_mel(tensors[f"{row['key']}.wave"] / 32768, row["sample_rate"], config)
        expected = tensors[f"{row['key']}.spec"]
        golden.same(found.shape[1], row["frames"])
        above = expected > expected.min() + near_floor
        golden.close(found[above], expected[above], atol=normal)
        golden.close(found[~above], expected[~above], atol=margin)
        pieces = found.unfold(1, config.ms_seg_length, config.ms_seg_hop_length)
        golden.same(pieces.shape[1], row["segments"])


@pytest.mark.golden("mel_rows")
@torch.no_grad()
def test_the_network(golden) -> None:
    tensors, network = golden.tensors(), original(golden)
    limit, whole = golden.numbers("net.* and whole_rows")
    specs = [tensors[f"net.{i}.spec"] for i in range(len(golden.data["net"]["segments"]))]
    golden.near(network(specs), tensors["net.out"], limit)
    golden.near(torch.cat([network([spec]) for spec in specs]), tensors["net.out_single"], limit)
    rater = NisqaRater(network)
    assert tuple(d.name for d in rater.dimensions) == NAMES
    for row, about in zip(golden.data["whole_rows"], golden.data["mel_rows"], strict=True):
        rater.sample_rate = about["sample_rate"]
        (found,) = rater.judged([tensors[f"{row['mel']}.wave"] / 32768])
        golden.near(torch.stack([*found.values()]), torch.tensor(row["out"]), whole)
    rater.sample_rate = 16000
    limit = golden.numbers("published rows, real rows")[0]
    for row in golden.data["real_rows"]:
        heard = Clip(audio=tensors[row["wave"]][None] / 32768, sample_rate=16000)
        golden.close(rater([heard]).values[0], row["rule_weights_out"], atol=limit)


@pytest.mark.golden("mel_rows")
def test_the_published_entries(golden) -> None:
    entries = {name: tuple(shape) for name, shape, _ in golden.file("full_size_keys.json")}
    ours = {name: tuple(tensor.shape) for name, tensor in NisqaNetwork(NisqaConfig()).state_dict().items()}
    golden.same(ours, entries)


@torch.no_grad()
def test_neighbours_do_not_matter_and_shared_audio_is_heard_once() -> None:
    rater, given = tiny_nisqa(), [clip(0.3 + 0.2 * i, i) for i in range(3)]
    together = rater(given).values
    assert together.std(0).min() > 1e-4
    for one, expected in zip(given, together, strict=True):
        torch.testing.assert_close(rater([one]).values[0], expected, rtol=1e-4, atol=1e-5)
    counts: list[int] = []
    rater.module.register_forward_pre_hook(lambda _, inputs: counts.append(len(inputs[0])))
    rater([given[0], given[1], given[0].with_prompt("another")])
    assert counts == [2]


def test_gradients_agree_with_finite_differences(check_gradient) -> None:
    rater = tiny_nisqa(rounding="none")
    rater.module.double()
    check_gradient(lambda w: rater([Clip(audio=w, sample_rate=16000)]).values[0], speech(0.25)[None], rtol=1e-4)


def test_audio_that_has_no_score() -> None:
    given = [
        clip(0.1),
        Clip(audio=torch.full((1, 16000), 1e-5), sample_rate=16000),
        clip(53),
        Clip(video=torch.rand(2, 3, 8, 8), fps=2),
        clip(0.14),
    ]
    scores = tiny_nisqa()(given)
    assert [bool(row.all()) for row in scores.present] == [False, False, False, False, True]
    assert "too short for NISQA, which needs 0.14 s" in scores.reasons[0]["speech_quality"]
    assert "silent" in scores.reasons[1]["loudness"]
    assert "too long for NISQA, which reads 52 s" in scores.reasons[2]["noisiness"]
    assert "no video" not in scores.reasons[3]["noisiness"]
    assert "no audio" in scores.reasons[3]["noisiness"]


@torch.no_grad()
def test_the_published_file_and_a_saved_rater(tmp_path: Path) -> None:
    loaded = load_rater(write_tiny_nisqa(tmp_path / "published"))
    assert isinstance(loaded, NisqaRater)
    assert loaded.module.config == NISQA
    given = [clip()]
    torch.testing.assert_close(loaded(given).values, tiny_nisqa()(given).values)
    again = NisqaRater.from_pretrained(tiny_nisqa(sample_rate=48000).save_pretrained(tmp_path / "saved"))
    assert again.sample_rate == 48000
    assert again.fingerprint == tiny_nisqa(sample_rate=48000).fingerprint != loaded.fingerprint
    assert not torch.allclose(again(given).values, loaded(given).values)
    assert load_rater(tmp_path / "saved", sample_rate=8000)(given).values.isfinite().all()


def test_other_files(tmp_path: Path) -> None:
    write_tiny_nisqa(tmp_path / "tts", cnn_model="standard", td="lstm")
    with pytest.raises(AvrewardError, match="expected NISQA v2 with five outputs, got cnn_model='standard', td='lstm'"):
        load_rater(tmp_path / "tts")
    (tmp_path / "other").mkdir()
    torch.save({"netcnnlip.0.weight": torch.zeros(3)}, tmp_path / "other" / "nisqa.tar")
    with pytest.raises(AvrewardError, match="it looks like a checkpoint of SyncNet"):
        load_rater(tmp_path / "other")
    with pytest.raises(ArgumentError, match="attention: expected no such option for NISQA"):
        load_rater(write_tiny_nisqa(tmp_path / "good"), attention="eager")
    with pytest.raises(ArgumentError, match="sample_rate: expected an integer of at least 8000, in Hz, got 100"):
        tiny_nisqa(sample_rate=100)
