import pytest
import torch

from avreward.clip import Clip
from avreward.datasets.synthetic._all_kinds import ALL_PERTURBATIONS
from avreward.datasets.synthetic._perturb_mix import heard_change
from avreward.datasets.synthetic._perturbations import NotPerturbable

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


def test_a_background_that_nobody_would_hear_is_refused(other: Clip) -> None:
    """Dense sound leaves no pause, and a quiet background is covered by it; a louder one is heard."""
    dense = Clip(audio=0.3 * torch.randn(1, 2 * RATE, generator=torch.Generator().manual_seed(0)), sample_rate=RATE)
    work = ALL_PERTURBATIONS["background"]
    with pytest.raises(NotPerturbable, match="its louder sounds cover the new background; give clips with pauses"):
        work.apply(dense, 25.0, other=other)
    hiss = Clip(audio=0.3 * torch.randn(1, 2 * RATE, generator=torch.Generator().manual_seed(1)), sample_rate=RATE)
    assert heard_change(dense.sound(), work.apply(dense, 0.0, other=hiss).sound(), RATE) > 0.1


def test_the_change_is_the_share_of_audible_cells() -> None:
    quiet, loud = tone(500), torch.cat((tone(500, 1.0), tone(500, 1.0) + tone(2000, 1.0)), -1)[None]
    assert heard_change(quiet[None], quiet[None], RATE) == 0
    assert heard_change(quiet[None], 1.3 * quiet[None], RATE) == 0  # 2.3 dB
    assert heard_change(quiet[None], loud, RATE) == pytest.approx(1 / 3, abs=0.12)
    assert heard_change(torch.zeros(1, 90), torch.zeros(1, 90), RATE) == 0
