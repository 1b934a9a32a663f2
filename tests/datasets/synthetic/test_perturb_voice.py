import numpy as np
import pytest
import torch

from avreward.clip import Clip
from avreward.datasets.synthetic._all_kinds import ALL_PERTURBATIONS
from avreward.datasets.synthetic._perturb_voice import same_voice
from avreward.datasets.synthetic._perturbations import NotPerturbable

pyworld = pytest.importorskip("pyworld")
RATE, FORMANT = 16000, 1000.0


def vowel(pitch: float) -> Clip:
    """A voice with one formant."""
    time = torch.arange(RATE) / RATE
    audio = torch.zeros(RATE)
    for k in range(1, int(7000 / pitch)):
        audio += torch.sin(2 * torch.pi * k * pitch * time) / (1 + ((k * pitch - FORMANT) / 150) ** 2)
    return Clip(audio=(0.3 * audio / audio.abs().max()).expand(2, -1).contiguous(), sample_rate=RATE)


def heard(clip: Clip) -> tuple[float, float]:
    """The pitch and the formant, in Hz."""
    wave = clip.sound()[0].double().numpy()
    f0, times = pyworld.harvest(wave, RATE)
    envelope = pyworld.cheaptrick(wave, f0, times, RATE)
    middle = envelope[len(envelope) // 4 : -len(envelope) // 4].mean(0)
    return float(np.median(f0[f0 > 0])), float(middle.argmax()) * RATE / 2 / (len(middle) - 1)


@pytest.mark.parametrize(("pitch", "factor", "formants"), [(110.0, 1.8, 1.17), (220.0, 1 / 1.8, 1 / 1.17)])
def test_a_low_voice_becomes_a_high_one_and_the_reverse(pitch: float, factor: float, formants: float) -> None:
    clip = vowel(pitch)
    bad = ALL_PERTURBATIONS["gender"].apply(clip)
    new, formant = heard(bad)
    assert new / pitch == pytest.approx(factor, rel=0.03)
    assert formant / heard(clip)[1] == pytest.approx(formants, rel=0.08)
    assert bad.sound().shape == clip.sound().shape
    assert float(bad.sound().square().mean()) == pytest.approx(float(clip.sound().square().mean()), rel=0.05)


def test_a_speaker_moves_by_semitones_and_the_control_stays() -> None:
    clip = vowel(150.0)
    found = {round(12 * np.log2(heard(ALL_PERTURBATIONS["speaker"].apply(clip, 5.0, s))[0] / 150)) for s in range(3)}
    assert found == {-5, 5}
    control = heard(same_voice(clip, 0.0, torch.Generator(), None))
    assert control == pytest.approx(heard(clip), rel=0.03)
    assert ALL_PERTURBATIONS["speaker"].control is same_voice


def test_without_a_voice_it_is_told() -> None:
    noise = Clip(audio=0.1 * torch.randn(1, RATE, generator=torch.Generator().manual_seed(0)), sample_rate=RATE)
    for clip in (noise, Clip(audio=torch.zeros(1, RATE), sample_rate=RATE)):
        with pytest.raises(NotPerturbable, match="no voice is heard in it; give clips in which someone speaks"):
            ALL_PERTURBATIONS["gender"].apply(clip)
