"""Tables of a comparison as LaTeX and CSV."""

import numpy as np
import pytest
from scored_tables import write

from avreward.evaluation import compare_systems
from avreward.report._compare_files import systems_csv, systems_latex


@pytest.fixture
def compared(tmp_path):
    def made(groups=8):
        rng = np.random.default_rng(0)
        rows = [
            {"clip": f"{g}/{s}.mp4", "group": str(g), "prompt": "50 % off & more",
             "toy.my_score": -5.0 * (s == "a_1") + rng.normal(), "toy.z": rng.normal()}
            for g in range(groups)
            for s in ("a_1", "b#2")
        ]  # fmt: skip
        table = write(tmp_path / "t.parquet", rows, ("toy.my_score", "toy.z"))
        return compare_systems(table, lower=["toy.my_score"], group_by="group", by="prompt")

    return made


def test_latex(compared):
    lines = systems_latex(compared()).splitlines()
    assert lines[2] == r"\begin{tabular}{lrr}"
    assert lines[4] == r"System & toy.my\_score $\downarrow$ & toy.z \\"
    assert lines[6].startswith(r"a\_1 & \textbf{$-$")
    assert r"$^\dagger$" in lines[6]
    assert lines[7].startswith(r"b\#2 & ")
    assert lines[9] == r"\multicolumn{3}{l}{\emph{50 \% off \& more}} \\"
    assert lines[-1] == r"\end{tabular}"
    assert sum(line.count(r"\textbf") for line in lines) == 2


def test_an_interval_without_an_end_is_left_out(compared):
    text = systems_latex(compared(4))
    assert r"\pm" not in text
    assert "dagger$" not in text


def test_csv_has_rows_for_categories(compared):
    import io

    import pandas

    frame = pandas.read_csv(io.StringIO(systems_csv(compared())), keep_default_na=False)
    assert frame.category.tolist() == [""] * 4 + ["50 % off & more"] * 4
    assert set(frame.system) == {"a_1", "b#2"}
