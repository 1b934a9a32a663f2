"""Two checkouts take turns; the first of a round changes, and scores that differ are seen."""

import pytest
import since


class Fake:
    def __init__(self, name: str, log: list[str], score: float) -> None:
        self.name, self.log, self.score = name, log, score

    def rate(self, dubs: int, tokens: int) -> tuple[float, list[float]]:
        self.log.append(self.name)
        return len(self.log), [self.score] * dubs


@pytest.mark.parametrize("moved", [0.0, 1e-3])
def test_turns_and_scores(moved: float) -> None:
    log: list[str] = []
    before, now = Fake("before", log, 2.0), Fake("now", log, 2.0 * (1 + moved))
    old, new, apart = since.compared(before, now, 2, 8, rounds=3)
    assert log == ["now", "before", "before", "now", "now", "before"]
    assert (old, new) == ([2, 3, 6], [1, 4, 5])
    assert apart == pytest.approx(moved)
    assert since.spread(old) == "2.00 / 3.00 / 6.00"
