import pytest
import torch

from avreward.clip import Clip
from avreward.datasets.synthetic._all_kinds import ALL_PERTURBATIONS

RATE = 16000


def tone(pitch: float, seconds: float = 2.0) -> torch.Tensor:
    return 0.3 * torch.sin(2 * torch.pi * pitch * torch.arange(round(seconds * RATE)) / RATE)


def power(audio: torch.Tensor, pitch: float) -> torch.Tensor:
    """The level of a pitch in each tenth of a second."""
    blocks = audio[0].view(-1, RATE // 10)
    return torch.fft.rfft(blocks).abs()[:, round(pitch / 10)] / (RATE // 20)


@pytest.fixture
def clip() -> Clip:
    return Clip(audio=torch.cat((tone(500, 1.0), torch.zeros(RATE))), sample_rate=RATE)


@pytest.fixture
def other() -> Clip:
    return Clip(audio=tone(2000), sample_rate=RATE)


@pytest.mark.parametrize("share", [0.2, 0.5])
def test_an_event_takes_its_share(other: Clip, share: float) -> None:
    clip = Clip(audio=tone(500), sample_rate=RATE)
    bad = ALL_PERTURBATIONS["event"].apply(clip, share, seed=4, other=other).sound()
    assert float((power(bad, 2000) > 0.1).float().mean()) == pytest.approx(share, abs=0.11)
    assert float((power(bad, 500) > 0.1).float().mean()) == pytest.approx(1 - share, abs=0.11)
    assert float(bad.square().mean()) == pytest.approx(float(clip.sound().square().mean()), rel=0.1)


def test_the_background_is_another_and_the_foreground_stays(clip: Clip, other: Clip) -> None:
    levels = {}
    for level in (25.0, 5.0):
        bad = ALL_PERTURBATIONS["background"].apply(clip, level, seed=1, other=other).sound()
        assert power(bad, 500)[:9].min() > 0.25
        levels[level] = float(power(bad, 2000)[15])
    assert levels[5.0] / levels[25.0] == pytest.approx(10, rel=0.1)  # 20 dB
