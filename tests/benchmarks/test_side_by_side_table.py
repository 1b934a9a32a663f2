"""`benchmarks/side_by_side.py`: every network judges a file, and the ratios are those of a turn."""

from __future__ import annotations

import media_files
import pytest
import side_by_side
import torch


def test_rows_take_turns_with_the_floor(tmp_path) -> None:
    path = media_files.write(tmp_path / "a.mp4", 8, sound="aac")
    judged = []
    row = side_by_side.Entry("one", 2_500_000, "audio", "yes", judged.append)
    found = side_by_side.measured([row], path, 2)
    assert judged == [path] * 3  # the first one warms up
    assert [len(found[name]) for name in ("floor", "one")] == [2, 2]
    assert min(found["floor"]) > 0
    lines = side_by_side.table([row], {"floor": [0.2, 0.1, 0.1], "one": [0.2, 0.4, 0.3]})
    assert lines[2].endswith("| 0.10 / 0.10 / 0.20 | 1.0 |")
    assert lines[3] == "| one | 2.5 M | audio | yes | 0.20 / 0.30 / 0.40 | 3.0 |"  # the median of 1, 4 and 3


def test_pieces_of_dnsmos() -> None:
    """Short audio is doubled until it fills one; further pieces begin a second apart."""
    short = side_by_side.pieces(torch.arange(80_000.0))
    assert short.shape == (1, 144_160)
    assert torch.equal(short[0, 80_000:], short[0, : 144_160 - 80_000])
    long = side_by_side.pieces(torch.arange(12 * 16_000.0))
    assert long[:, 0].tolist() == [0, 16_000, 32_000]


@pytest.mark.slow
def test_every_network_judges_a_file(tmp_path) -> None:
    path = media_files.write(tmp_path / "a.mp4", 8, sound="aac")
    rows = side_by_side.entries()
    sizes = {row.name: row.weights for row in rows}
    assert 85e6 < sizes["Audiobox Aesthetics"] < 110e6
    assert 145e6 < sizes["CLIP ViT-B/32"] < 155e6
    assert 145e6 < sizes["CLAP, HTS-AT"] < 160e6
    assert 150e3 < sizes["DNSMOS P.835"] < 250e3
    for row in rows:
        assert row.score(path) is not None
