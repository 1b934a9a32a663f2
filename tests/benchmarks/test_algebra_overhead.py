"""The benchmark of the algebra notices a rater that runs twice."""

import algebra_overhead
import pytest
from algebra_overhead import NAMES, Busy, measure, of_everything, of_sums


@pytest.mark.parametrize("build", [of_sums, of_everything])
@pytest.mark.parametrize("options", [{}, {"leaves": True}, {"uncertain": True}])
def test_both_parts_are_timed(build, options):
    raters = [Busy(name, 1, **options) for name in NAMES]
    forwards, algebra = measure(build(raters), raters, 3, 1)
    assert forwards > 0
    assert algebra > 0


def test_a_second_pass_is_an_error():
    class Twice(Busy):
        def rate(self, samples, work=None):
            super().rate(samples, work)
            return super().rate(samples, work)

    raters = [Busy("first", 0), Twice("second", 0), Busy("third", 0)]
    with pytest.raises(SystemExit, match=r"judged \[3, 6, 3\] clips in a call with 3"):
        measure(of_sums(raters), raters, 3, 1)


def test_the_table(monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["algebra_overhead.py", "--clips", "2", "--runs", "1", "--products", "0"])
    algebra_overhead.main()
    out = capsys.readouterr().out
    assert out.count("| 2 a call |") == 4
