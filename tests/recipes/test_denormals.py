"""Small numbers count as 0 within the context alone."""

import pytest
import torch
from denormals import flushed_denormals


def counted():
    return bool((torch.tensor(1e-40) * 1 > 0).all())


def test_numbers_are_as_before_afterwards():
    assert counted()
    with flushed_denormals():
        assert not counted()
        with flushed_denormals():
            assert not counted()
        assert not counted()
    assert counted()
    with pytest.raises(ValueError, match="stop"), flushed_denormals():
        raise ValueError("stop")
    assert counted()
