"""The benchmark of descent on the shift at tiny size: its scenes, its network's first layer, its descent, its table."""

from __future__ import annotations

import avbench_offset
import pytest
import small_syncnet
import torch

from avreward.raters.avbench import SyncNetConfig

TINY = SyncNetConfig((2, 2, 2, 2, 2, 4), (2, 2, 2, 2, 2, 4), 6, 4)


def test_audio_is_as_late_as_it_says_and_the_tower_sees_motion_alone() -> None:
    scene = small_syncnet.striking(0, 5.0)
    sync, late = (avbench_offset.heard(scene, torch.tensor(seconds).double()) for seconds in (0.0, 0.2))
    torch.testing.assert_close(late[3200:], sync[:-3200], rtol=0, atol=2)
    network = small_syncnet.new_network([scene], TINY)
    still = torch.rand(1, 3, 1, 224, 224).expand(1, 3, 5, 224, 224) * 255
    assert network.netcnnlip[0](still).abs().max() < 1e-3
    first, last = (network.state_dict()[name].clone() for name in ("netcnnlip.0.weight", "netfcaud.3.weight"))
    losses = small_syncnet.train(network, [small_syncnet.prepared(network, scene)], 2, batch=2)
    assert len(losses) == 2
    assert torch.equal(network.netcnnlip[0].weight, first)
    assert not torch.equal(network.netfcaud[3].weight, last)


def test_descent_ends_where_the_offset_is_zero() -> None:
    assert avbench_offset.descended(lambda shift: 0.3 - shift) == pytest.approx(0.3, abs=1e-3)
    assert avbench_offset.descended(lambda shift: -1 - shift, steps=2) == pytest.approx(-0.08)  # two steps of 40 ms


def test_the_table_has_a_row_a_start_and_all() -> None:
    ends = torch.zeros(3, 3, 2, dtype=torch.float64)
    ends[:, 1, :] = 0.4
    ends[0, 2, 0] = 0.2
    lines = avbench_offset.report(ends, (-0.1, 0.1)).splitlines()
    assert [line.split("|")[1].strip() for line in lines[2:]] == ["-0.1 s", "+0.1 s", "all"]
    cells = [cell.strip() for cell in lines[-1].split("|")[2:-1]]
    assert cells[:2] == ["0; 0 (0–0)", "1.00 (1.00–1.00)"]
    assert cells[2:4] == ["400; 400 (400–400)", "0.00 (0.00–0.00)"]
    assert cells[4].startswith("0; 33 (")
    assert cells[5].startswith("0.83 (")
