import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from avreward.raters.signals.fusion import DIMENSIONS, Constants, Fusion, badness, shipped
from avreward.raters.signals.measurement import MEASUREMENTS, feeding

FUSED = [m for m in MEASUREMENTS if m.feeds]
USUAL = {m.name: torch.tensor(10.0 if m.unit in ("%", "dB", "kHz") else 0.5, dtype=torch.float64) for m in MEASUREMENTS}


def test_the_shipped_constants_cover_every_measurement_and_dimension():
    fusion = shipped()
    assert set(fusion.constants) == {m.name for m in FUSED}
    assert all(c.weight > 0 and c.scale > 0 for c in fusion.constants.values())
    assert sum(fusion.overall.values()) == pytest.approx(1, abs=1e-3)
    assert set(fusion.overall) == set(DIMENSIONS) - {"dynamic_degree"}


@pytest.mark.parametrize("measurement", FUSED, ids=lambda m: m.name)
@given(low=st.floats(0, 60), step=st.floats(0.5, 40))
def test_a_worse_figure_never_raises_its_dimension(measurement, low, step):
    better, worse = (low + step, low) if measurement.higher_is_better else (low, low + step)
    if measurement.form == "distance":
        better, worse = measurement.offset + low, measurement.offset + low + step
    scores = [
        shipped().fuse({**USUAL, measurement.name: torch.tensor(v, dtype=torch.float64)})[0] for v in (better, worse)
    ]
    assert scores[0][measurement.feeds] > scores[1][measurement.feeds]
    if measurement.feeds != "dynamic_degree":
        assert scores[0]["overall"] > scores[1]["overall"]


def test_a_dimension_is_a_hundred_over_one_and_its_penalties():
    constants = {m.name: Constants(0.0, 0.0, 1.0) for m in FUSED} | {"flicker": Constants(2.0, 1.0, 0.5)}
    fusion = Fusion(constants, {"temporal_smoothness": 1.0})
    flicker = next(m for m in MEASUREMENTS if m.name == "flicker")
    value = torch.tensor(3.0, dtype=torch.float64)
    penalty = 2 * torch.nn.functional.softplus((badness(flicker, value) - 1) / 0.5)
    scores, basis = fusion.fuse({**USUAL, "flicker": value})
    assert float(scores["temporal_smoothness"]) == pytest.approx(float(100 / (1 + penalty)))
    assert float(scores["overall"]) == pytest.approx(float(scores["temporal_smoothness"]))
    assert basis == ("temporal_smoothness",)


def test_overall_is_made_of_what_is_there_and_says_so():
    sound_only = {m.name: USUAL[m.name] for m in feeding("audio_quality")}
    scores, basis = shipped().fuse(sound_only)
    assert basis == ("audio_quality",)
    assert scores.keys() == {"audio_quality", "overall"}
    assert float(scores["overall"]) == pytest.approx(float(scores["audio_quality"]))
    assert shipped().fuse({}) == ({}, ())
