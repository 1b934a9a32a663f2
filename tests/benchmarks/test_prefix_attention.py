"""The ways to attend to a common beginning agree, and one that does not run is named in the table."""

import prefix_attention
import pytest
import torch


@torch.no_grad()
@pytest.mark.parametrize("what", ["attention", "layer"])
def test_ways_agree(what: str) -> None:
    ways = getattr(prefix_attention, f"{what}_ways")(2, 24)
    expected = ways["two blocks"]()
    for name, way in ways.items():
        if name != "FlexAttention":  # takes a compiler and a minute
            torch.testing.assert_close(way(), expected, rtol=1e-4, atol=1e-5, msg=name)


def test_a_way_that_does_not_run_has_a_row() -> None:
    def broken() -> torch.Tensor:
        raise RuntimeError

    ways = {"two blocks": lambda: torch.zeros(2), "other": lambda: torch.ones(2), "broken": broken}
    rows = list(prefix_attention.table("attention", 24, ways, 2))
    assert rows[0].startswith("| attention | 24 | two blocks | ")
    assert rows[1].endswith("| 1e+00 |")
    assert "does not run here: RuntimeError" in rows[2]
