import math

import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st

from avreward.raters.signals._fusion import DIMENSIONS, Constants, Fusion, badness, shipped
from avreward.raters.signals._measurement import MEASUREMENTS, feeding

FUSED = [m for m in MEASUREMENTS if m.feeds]
USUAL = {m.name: torch.tensor(10.0 if m.unit in ("%", "dB", "kHz") else 0.5, dtype=torch.float64) for m in MEASUREMENTS}


def test_the_shipped_constants_cover_every_measurement_and_dimension():
    fusion = shipped()
    assert set(fusion.constants) == {m.name for m in FUSED}
    assert all(c.weight > 0 and c.scale > 0 for c in fusion.constants.values())
    assert sum(fusion.overall.values()) == pytest.approx(1, abs=1e-3)
    assert set(fusion.overall) == set(DIMENSIONS) - {"dynamic_degree"}


def figure(measurement, bad):
    """The figure whose badness is `bad`: the inverse of `badness`."""
    turned = -bad if measurement.higher_is_better else bad
    if measurement.form == "log":
        return math.exp(turned) - measurement.offset
    return turned


@pytest.mark.parametrize("measurement", FUSED, ids=lambda m: m.name)
@given(place=st.floats(-3, 12), step=st.floats(0.3, 5))
def test_a_worse_figure_lowers_its_dimension_and_overall(measurement, place, step):
    c = shipped().constants[measurement.name]
    bads = [c.reference + c.scale * k for k in (place, place + step)]
    assume(bads[1] > bads[0])
    values = [torch.tensor(figure(measurement, bad), dtype=torch.float64) for bad in bads]
    assume(
        measurement.form != "log" or float(values[0 if not measurement.higher_is_better else 1]) > measurement.offset
    )
    better, worse = (shipped().fuse({**USUAL, measurement.name: v})[0] for v in values)
    assert better[measurement.feeds] > worse[measurement.feeds]
    assert measurement.feeds == "dynamic_degree" or better["overall"] > worse["overall"]


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
