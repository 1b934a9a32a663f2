"""The benchmark of calibration finds what it should, and its tables are whole."""

import calibration
import pytest
from calibration import CURVES, errors, normalized


@pytest.mark.parametrize("name", list(CURVES))
def test_the_right_curve_is_near_the_truth(name):
    found = errors(CURVES[name], 200, 0.2, 3)
    assert found["line" if name == "straight" else "logistic"] < 0.06
    assert found["raw"] > 0.2


@pytest.mark.parametrize("outlier", [False, True])
def test_order_is_kept_and_an_outlier_does_not_squeeze_ranks(outlier):
    rows = {name: (order, low, high) for name, order, low, high in normalized(outlier)}
    assert [order for order, _, _ in rows.values()] == [1.0, 1.0, 1.0]
    assert rows["percentile"][2] - rows["percentile"][1] > 0.4


def test_the_tables(capsys):
    calibration.main(["--clips", "25", "--noise", "0.2", "--seeds", "1"])
    lines = capsys.readouterr().out.splitlines()
    assert len([line for line in lines if line.startswith("| ")]) == 1 + 5 + 1 + 6
