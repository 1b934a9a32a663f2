import pytest
import torch

from avreward.clip import Clip
from avreward.datasets.synthetic.scenes import scene
from avreward.raters.signals._measurement import MEASUREMENTS
from avreward.raters.signals.rater import SignalsRater

RATER = SignalsRater()


@pytest.fixture(scope="module")
def explained():
    clip = scene(400_040, seconds=1.5).clip
    return RATER.explain(clip), RATER([clip])


def test_every_measurement_has_a_figure_a_source_and_a_cost(explained):
    rows, scores = explained
    assert [row.name for row in rows] == [m.name for m in MEASUREMENTS]
    for row in rows:
        assert row.source, row.name
        assert row.description, row.name
        assert row.softened, row.name
        assert row.cost_ms > 0
        assert row.value == pytest.approx(float(scores[row.name]), rel=1e-5), row.name


@pytest.mark.parametrize("dimension", ["audio_quality", "av_consistency", "static_quality", "temporal_smoothness"])
def test_the_penalties_add_up_to_the_score(explained, dimension):
    rows, scores = explained
    total = sum(row.penalty for row in rows if row.feeds == dimension)
    assert 100 / (1 + total) == pytest.approx(float(scores[dimension]), rel=1e-4)


def test_the_published_figure_has_hard_thresholds_and_another_name():
    wave = torch.zeros(1, 16_000)
    wave[0, :4000] = 0.1 * torch.randn(4000, generator=torch.Generator().manual_seed(0))
    row = RATER.explain(Clip(audio=wave, sample_rate=16_000))["silence"]
    assert row.as_published == pytest.approx(74)  # 13 of 50 frames of 20 ms hold sound
    assert row.value != row.as_published


def test_it_prints_as_a_table_and_names_what_is_missing():
    text = str(RATER.explain(Clip(audio=torch.zeros(1, 16_000), sample_rate=16_000)))
    assert "no video was given" in text
    assert "LUFS" in text
    with pytest.raises(KeyError, match="clipping"):
        RATER.explain(Clip(audio=torch.zeros(1, 16_000), sample_rate=16_000))["shrillness"]
