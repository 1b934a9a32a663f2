"""The judge network."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from avreward.errors import ArgumentError, AvrewardError
from avreward.preferences.judge_network import JudgeNetwork


def made(ties: bool, seed: int = 0) -> JudgeNetwork:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return JudgeNetwork(3, hidden=16, ties=ties).double()


def features(rows: int, seed: int = 1) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return tuple(torch.randn(2, rows, 3, generator=generator, dtype=torch.float64))


@pytest.mark.parametrize("ties", [False, True])
def test_swapping_the_two_swaps_win_and_loss_exactly(ties):
    judge, (one, other) = made(ties), features(20)
    assert torch.equal(judge(one, other), judge(other, one).flip(-1))
    found = judge.probabilities(one, other)
    assert torch.equal(found, judge.probabilities(other, one).flip(-1))
    assert torch.allclose(found.sum(-1), torch.ones(20, dtype=torch.float64))
    assert (found[:, 1] > 0).all() if ties else (found[:, 1] == 0).all()
    assert (found[:, 0] - found[:, 2]).abs().max() > 1e-3
    same = judge.probabilities(one, one)
    assert torch.equal(same[:, 0], same[:, 2])


@pytest.mark.parametrize("ties", [False, True])
def test_gradients_reach_the_features(ties, check_gradient):
    judge, (one, other) = made(ties), features(4)
    check_gradient(lambda x: judge.probabilities(x, other), one)
    check_gradient(lambda x: judge.probabilities(one, x), other)


def test_it_learns_what_no_difference_shows():
    """Who is nearer to 0 wins: a judge that saw the difference only could not tell."""
    judge = made(ties=False)
    one, other = features(512)
    lost = (one.norm(dim=1) > other.norm(dim=1)).long()
    optimizer = torch.optim.Adam(judge.parameters(), lr=1e-2)
    for _ in range(150):
        optimizer.zero_grad()
        F.cross_entropy(judge(one, other), lost).backward()
        optimizer.step()
    fresh, against = features(512, seed=2)
    right = (judge.probabilities(fresh, against)[:, 0] > 0.5) == (fresh.norm(dim=1) < against.norm(dim=1))
    assert right.double().mean() > 0.9


@pytest.mark.parametrize("ties", [False, True])
def test_saved_and_loaded_it_says_the_same(ties, tmp_path):
    judge, (one, other) = made(ties), features(5)
    judge.save(tmp_path / "judge.safetensors")
    back = JudgeNetwork.load(tmp_path / "judge.safetensors")
    assert not back.training
    assert torch.equal(back(one, other), judge(one, other))


def test_a_file_that_holds_no_judge_is_named(tmp_path):
    from safetensors.torch import save_file

    with pytest.raises(AvrewardError, match=r"absent.safetensors: expected a judge, got something else"):
        JudgeNetwork.load(tmp_path / "absent.safetensors")
    (tmp_path / "text").write_text("no tensors")
    save_file({"x": torch.zeros(1)}, tmp_path / "other")
    save_file({"x": torch.zeros(1)}, tmp_path / "wrong", {"width": "3", "hidden": "4", "ties": "0"})
    for name in ("text", "other", "wrong"):
        with pytest.raises(AvrewardError, match=f"{name}: expected a judge, got .*JudgeNetwork.save") as caught:
            JudgeNetwork.load(tmp_path / name)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("wrong", [{"width": 0}, {"width": 3, "hidden": 2.5}])
def test_sizes_are_positive_integers(wrong):
    with pytest.raises(ArgumentError, match=f"^{list(wrong)[-1]}: expected a positive integer, got"):
        JudgeNetwork(**wrong)


def test_wrong_widths_are_named():
    judge, (one, other) = made(False), features(4)
    for pair in ((one[:, :2], other[:, :2]), (one, other[:2]), (one[0], other[0])):
        with pytest.raises(ArgumentError, match=r"first, second: expected features \(pairs, 3\) each, got .* and .*"):
            judge(*pair)
