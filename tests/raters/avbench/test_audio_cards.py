"""Cards of the networks that rate the audio say what the raters say, and raters share what they decode."""

from __future__ import annotations

import pytest
import torch
from tiny.avbench_audio import tiny_audiobox, tiny_df_arena, tiny_nisqa, tiny_whisper

from avreward import Clip, list_raters
from avreward.raters._loop import rate

RATERS = {"nisqa": tiny_nisqa, "audiobox": tiny_audiobox, "df_arena": tiny_df_arena, "whisper": tiny_whisper}


@pytest.mark.parametrize("name", RATERS)
def test_a_card_and_its_rater(name: str) -> None:
    (card,) = list_raters(name)
    rater = RATERS[name]()
    assert rater.name == name
    assert rater.dimensions == card.dimensions
    assert card.needs == {"audio"} | ({"texts.speech"} if name == "whisper" else set())
    assert rater.versions.keys() == {"media", "avbench"}


def test_the_licence_of_nisqa_is_said() -> None:
    (card,) = list_raters("nisqa")
    assert "no commercial use" in card.licence


def test_the_main_scores_have_avbenchs_names_and_ranges() -> None:
    from avreward.raters.avbench._card import DIMENSIONS

    declared = {d.name: (d.low, d.high, d.needs) for d in DIMENSIONS}
    for make in RATERS.values():
        first = make().dimensions[0]
        assert declared[first.name] == (first.low, first.high, first.needs)


@torch.no_grad()
def test_audio_is_decoded_once_for_all(monkeypatch) -> None:
    texts = {"speech": "good dog"}
    clip = Clip(audio=torch.rand(1, 6000) - 0.5, sample_rate=16000, texts=texts)
    raters = [make() for make in RATERS.values()]
    calls: list[int] = []
    sound = Clip.sound
    monkeypatch.setattr(Clip, "sound", lambda self, *given: (calls.append(1), sound(self, *given))[1])
    shared = rate(raters, [clip])
    assert len(calls) == 1
    for rater, rated in zip(raters, shared, strict=True):
        torch.testing.assert_close(rated.scores.values, rater([clip]).values)
