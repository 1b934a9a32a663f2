"""The table of found defects can fail: it counts what it is given, and the defects are where they are said to be."""

import attribution as benchmark
import pytest
import torch
from attribution import Trial, clustered, judged, rows_of

from avreward.audit import Attribution, MomentEffects, RegionEffects
from avreward.datasets import scene


@pytest.fixture(scope="module")
def made():
    return scene(3, "strike", seconds=2.0)


def dice() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def test_a_frozen_second(made):
    defect = benchmark.frozen(made, dice())
    times, video = defect.clip.times, defect.clip.video
    still = video.diff(dim=0).abs().amax((1, 2, 3)) == 0
    inside = (times[1:] > defect.place[0] + 1e-6) & (times[1:] < defect.place[1] - 1e-6)
    assert torch.equal(still, inside)


def test_a_dropped_hit(made):
    defect = benchmark.dropped_hit(made, dice())
    assert min(abs(defect.place[0] - event) for event in made.events) < 1e-6
    rate = made.clip.sample_rate
    part = slice(round(defect.place[0] * rate), round((defect.place[0] + 0.1) * rate))
    before, after = made.clip.sound()[:, part].square().sum(), defect.clip.sound()[:, part].square().sum()
    assert float(after) < 0.01 * float(before)


def test_a_burst_of_noise(made):
    defect = benchmark.burst(made, dice())
    rate = made.clip.sample_rate
    power = defect.clip.sound().square().mean(0)
    start, stop = (round(second * rate) for second in defect.place)
    assert float(power[start:stop].mean()) > 2 * float(power[stop + 100 :].mean())


def test_a_blurred_quarter(made):
    defect = benchmark.blurred_quarter(made, dice())
    top, left, bottom, right = defect.place
    change = (defect.clip.video - made.clip.video).abs().mean((0, 1))
    rows, columns = (change > 0).any(1).nonzero(), (change > 0).any(0).nonzero()
    height, width = change.shape
    assert top <= float(rows.min()) / height <= float(rows.max()) / height <= bottom
    assert left <= float(columns.min()) / width <= float(columns.max()) / width <= right


def test_hits_and_chance():
    moments = MomentEffects("audio", (0.0, 0.5, 1.0, 1.5), (1.0, 1.5, 2.0, 2.5), (0.0, -4.0, 0.1, 9.0))
    found = Attribution("a", "r", 0.0, "occlusion", {"audio": moments}, RegionEffects(((0.0, 0.1), (0.0, -3.0))))
    assert judged(found, "audio", -5.0, (1.2, 1.5)) == (True, 0.5)  # lowered the score: the lowest, at 1.0
    assert judged(found, "audio", 5.0, (1.2, 1.5)) == (False, 0.5)  # raised it: the highest, at 2.0
    assert judged(found, "frame", -5.0, (0.5, 0.5, 1.0, 1.0)) == (True, 0.25)
    assert judged(found, "frame", -5.0, (0.0, 0.0, 0.5, 0.5)) == (False, 0.25)


def trial(seed: int, defect: str, hit: bool, moved: float = -5.0, method: str = "occlusion") -> Trial:
    return Trial(defect, method, seed, moved, hit, 0.25)


def test_rows():
    found = [trial(1, "frozen", True), trial(2, "frozen", False), trial(3, "frozen", True, moved=0.1)]
    row, total = rows_of(found)
    assert (row["n"], row["seen"], row["chance"]) == (3, 2, 0.25)
    assert row["occlusion seen"][0] == 0.5
    assert row["occlusion all"][0] == pytest.approx(2 / 3)
    assert row["gradient all"] is None
    assert total["defect"] == "all four"


def test_scenes_that_fail_together_widen_the_interval():
    apart = [trial(i, d, (i + k) % 2 == 0) for i in range(20) for k, d in enumerate(("frozen", "burst of noise"))]
    together = [trial(i, d, i % 2 == 0) for i in range(20) for d in ("frozen", "burst of noise")]
    (_, (low, high)), (_, (wide_low, wide_high)) = clustered(apart), clustered(together)
    assert wide_high - wide_low > 1.2 * (high - low)


def test_a_run(monkeypatch):
    monkeypatch.setattr(benchmark, "scene", lambda seed, kind, seconds: scene(seed, kind, 1.0))
    (found,) = benchmark.trials_of(5, "signals", ["burst of noise"], ["gradient"])
    assert (found.defect, found.method, found.seed) == ("burst of noise", "gradient", 5)
