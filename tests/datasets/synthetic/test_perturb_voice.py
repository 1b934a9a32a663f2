import numpy as np
import pytest
import torch

from avreward.clip import Clip
from avreward.datasets.synthetic._all_kinds import ALL_PERTURBATIONS
from avreward.datasets.synthetic._figures import speech
from avreward.datasets.synthetic._perturb_voice import same_voice
from avreward.datasets.synthetic._perturbations import NotPerturbable
from avreward.datasets.synthetic._stage import Dice, Stage

pyworld = pytest.importorskip("pyworld")
RATE, FORMANT = 16000, 1000.0


def vowel(pitch: float, glide: float = 0.06, syllables: float = 4.0) -> Clip:
    """A voice with one formant: syllables, each with a pitch that glides."""
    time = torch.arange(2 * RATE) / RATE
    place = (syllables * time) % 1
    phase = 2 * torch.pi * torch.cumsum(pitch * (1 + glide * (place - 0.4)), 0) / RATE
    audio = torch.zeros(2 * RATE)
    for k in range(1, int(7000 / pitch)):
        audio += torch.sin(k * phase) / (1 + ((k * pitch - FORMANT) / 150) ** 2)
    audio *= (torch.sin(torch.pi * place / 0.8) * (place < 0.8)).clamp_min(0) if syllables else 1
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


def notes() -> Clip:
    """Plucked notes, four a second: a pitch and a beat, and no speech."""
    time = torch.arange(2 * RATE) / RATE
    place = (4 * time) % 1
    pitch = torch.tensor([147.0, 185.0, 220.0, 165.0])[(4 * time).long() % 4]
    phase = 2 * torch.pi * torch.cumsum(pitch, 0) / RATE
    audio = sum(torch.sin(k * phase) / k for k in range(1, 20)) * torch.exp(-4 * place)
    return Clip(audio=(0.1 * audio)[None], sample_rate=RATE)


def hiss() -> Clip:
    return Clip(audio=0.1 * torch.randn(1, RATE, generator=torch.Generator().manual_seed(0)), sample_rate=RATE)


@pytest.mark.parametrize(
    ("clip", "why"),
    [
        (hiss(), "hardly anything in it has a pitch"),
        (Clip(audio=torch.zeros(1, RATE), sample_rate=RATE), "hardly anything in it has a pitch"),
        (vowel(500.0), "its pitch is not that of a speaker"),
        (vowel(150.0, syllables=0.0), "its loudness lacks the rhythm of syllables"),
        (notes(), "its pitch is held as that of notes is"),
    ],
)
def test_what_is_not_speech_is_told(clip: Clip, why: str) -> None:
    for kind in ("gender", "speaker"):
        with pytest.raises(NotPerturbable, match=f"no speech is heard in it, since {why}; give clips in which"):
            ALL_PERTURBATIONS[kind].apply(clip)


@pytest.mark.parametrize("seed", [1, 2, 4])
def test_synthetic_words_are_speech(seed: int) -> None:
    sound, _ = speech(Stage(Dice(seed), 3.0, 1.5, RATE, 25.0, 0.85), bark=False)
    clip = Clip(audio=0.3 * sound[None] / sound.abs().max(), sample_rate=RATE)
    assert ALL_PERTURBATIONS["gender"].apply(clip).has_audio
