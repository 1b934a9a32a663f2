from functools import cache

import pytest

from avreward.datasets.synthetic.scenes import KINDS, Scene, scene


@cache
def made(seed: int, kind: str) -> Scene:
    return scene(seed, kind, seconds=3.0)


@pytest.fixture(scope="session")
def few_scenes() -> list[Scene]:
    """One scene of every third kind."""
    return [made(1, kind) for kind in KINDS[::3]]


@pytest.fixture(scope="session")
def scenes() -> list[Scene]:
    """Three scenes of every kind, made once for all tests: nothing may change them."""
    return [made(seed, kind) for kind in KINDS for seed in (1, 2, 3)]
