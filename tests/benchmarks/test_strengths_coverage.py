"""The coverage table can fail: it tells right standard errors from wrong ones."""

import strengths
import torch


def test_each_quantity_of_each_model_is_counted():
    for model in strengths.TRUE:
        found = strengths.coverage(model, 3, 0)
        assert found.strengths.shape == (3, strengths.ITEMS)
        assert found.differences.shape == (3, len(strengths.PAIRS))
        assert found.ties.shape == (3, 0 if model == "bradley_terry" else 1)
        assert found.strengths.abs().max() < 6
        assert found.strengths.std() > 0.3


def test_the_share_is_that_of_normal_errors_within_two_standard_errors():
    errors = torch.tensor([[0.0, 1.9, -2.0, 5.0], [0.0, 0.0, 0.0, -1.95]])
    share, spread = strengths.covered(errors)
    assert share == 0.75
    assert abs(spread - 0.25) < 1e-6  # shares of 0.5 and 1


def test_wrong_standard_errors_fail(monkeypatch, capsys):
    generator = torch.Generator().manual_seed(0)
    right = torch.randn(200, 8, generator=generator)

    def of(factor):
        return lambda *_: strengths.Coverage(right * factor, right, right[:, :0], 0, 0.0)

    monkeypatch.setattr(strengths, "coverage", of(1.0))
    assert strengths.main(["--simulations", "200"]) == 0
    assert "| bradley_terry | strengths | 9" in capsys.readouterr().out
    for factor in (1.3, 0.7):
        monkeypatch.setattr(strengths, "coverage", of(factor))
        assert strengths.main(["--simulations", "200"]) == 1
