"""Single bit flips in a store's file; `store_flips.py` runs more of them."""

from __future__ import annotations

import tempfile
from pathlib import Path

from attacks.store_flips import Victim, flip, memory


def test_no_flip_changes_a_score_or_ends_a_run() -> None:
    with tempfile.TemporaryDirectory(dir=memory()) as folder:
        victim = Victim(Path(folder))
        assert victim.remembered
        outcomes = flip(victim, 200, seed=1)
    assert sum(outcomes.values()) == 200
    assert not outcomes["WRONG"]
    assert not outcomes["ENDED"]
    assert outcomes["rated again"] > 20
