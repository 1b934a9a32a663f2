"""An attribution on the page: bars under the player, blocks over the frame."""

import pytest

from avreward.audit import Attribution, MomentEffects, RegionEffects
from avreward.report._attribution import view_of
from avreward.report.data import CandidateView, Page, PlayableMedia
from avreward.report.page import render

NASTY = "<img src=x onerror=alert(2)>"


def candidate(name: str, **more) -> CandidateView:
    return CandidateView(name, 1.0, [], PlayableMedia("./a.mp4", "video"), **more)


def made(reward: str = "power") -> Attribution:
    moments = MomentEffects("audio", (0.0, 0.5, 1.0, 1.5), (1.0, 1.5, 2.0, 2.5), (1.0, -4.0, None, 1.0))
    regions = RegionEffects(((1.0, -2.0), (None, 0.5)))
    return Attribution("a.mp4", reward, 0.5, "occlusion", {"audio": moments}, regions, ("a note",))


def test_bars():
    first, second, last = view_of(made(), 2.5, 200, 100).lines["audio"]
    assert (first.x, first.y, first.width, first.height, first.raises) == (0, 38.5, 30, 11.5, True)
    assert (second.x, second.y, second.width, second.height, second.raises) == (30, 50, 20, 46, False)
    assert last.x + last.width == pytest.approx(100)
    assert second.text == "0.50 to 1.50 s: −4"


def test_blocks():
    blocks = view_of(made(), 2.5, 200, 100).blocks
    assert [(b.x, b.y, b.width, b.height) for b in blocks] == [(0, 0, 100, 50), (100, 0, 100, 50), (100, 50, 100, 50)]
    assert [(b.raises, b.strength) for b in blocks] == [(True, 0.5), (False, 1.0), (True, 0.25)]


def test_on_the_page():
    text = render(Page([candidate("a", attribution=view_of(made(), 2.5, 200, 100)), candidate("b")]))
    assert 'class="heat" viewBox="0 0 16 9"' in text
    assert text.count('class="strip moments"') == 1
    assert "lowers the reward most from 0.50 to 1.50 s" in text
    assert "a note" in text
    nasty = render(Page([candidate("a", attribution=view_of(made(NASTY), 2.5, 200, 100))]))
    assert "<img" not in nasty
