"""The table of `benchmarks/gradient_memory.py`: ratios are those of a turn, above what only loads the rater."""

import gradient_memory


def test_ratios_are_those_of_a_turn() -> None:
    peaks = {"load": [1e9, 1e9], "forward": [1.1e9, 1.2e9], "backward": [1.5e9, 1.8e9]}
    seconds = {"load": [0.0, 0.0], "forward": [2.0, 4.0], "backward": [5.0, 8.0]}
    found = {
        way: [
            {"peak": peak, "seconds": time}
            for peak, time in zip(peaks.get(way, [2e9] * 2), seconds.get(way, [1.0] * 2), strict=True)
        ]
        for way in gradient_memory.WAYS
    }
    rows = gradient_memory.table(found)
    assert len(rows) == 2 + len(gradient_memory.WAYS) - 1
    assert rows[2] == ("| forward alone | 100 / 150 / 200 | 1.0 / 1.0 / 1.0 | 2.0 / 3.0 / 4.0 | 1.00 / 1.00 / 1.00 |")
    assert rows[3] == (
        "| forward and backward | 500 / 650 / 800 | 4.0 / 4.5 / 5.0 | 5.0 / 6.5 / 8.0 | 2.00 / 2.25 / 2.50 |"
    )
