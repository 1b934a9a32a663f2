"""The page as text: everything is there, nothing is let in, nothing is fetched."""

import html
import re
from pathlib import Path

import pytest

from avreward.report.data import Bar, CandidateView, FailedFile, MeasurementView, Page, PlayableMedia
from avreward.report.page import area, number, render, words, write_page, write_whole

NASTY = "\"><script>alert(1)</script><img src=x onerror=alert(2)>'{{ 7*7 }}"


def candidate(name: str, reward: float, **more) -> CandidateView:
    bars = [
        Bar("audio_quality", reward, 0, 100, "good", others=(10.0,), description="how good it sounds"),
        Bar("av_consistency", None, 0, 100, reason="no sound track"),
    ]
    measurements = [
        MeasurementView("clipping", 0.5, "%", 1.25, "a paper", "lower", feeds="audio_quality", points=12.34),
        MeasurementView("onset_motion", None, note="nothing moves"),
    ]
    media = more.pop("media", PlayableMedia("./a.mp4", "video", sound=(0.1, 0.9), motion=(0.0, 1.0)))
    more = {"measurements": measurements, "reasons": measurements[:1], "facts": ["4.0 s", "64 × 48"]} | more
    return CandidateView(name, reward, bars, media, **more)


def page(*candidates: CandidateView, **more) -> Page:
    return Page(candidates or [candidate("one.mp4", 70.0), candidate("two.mp4", 50.0)], **more)


def test_everything_is_on_it():
    text = render(
        page(
            failures=[FailedFile("broken.mp4", "the file is empty")],
            prompt="a ball bounces",
            expression="0.4*audio_quality",
            notes=["signals does not read the prompt"],
            settings={"Reward fingerprint": "abc123"},
            wall_s=1.5,
        )
    )
    for expected in (
        "Best of 2: one.mp4", "a ball bounces", "0.4*audio_quality", "signals does not read the prompt", "abc123",
        "broken.mp4", "the file is empty", "no sound track", "a paper", "1.2 ms", "nothing moves", "good", "1.5 s",
        "Costs most", "−12.3", "For information",
    ):  # fmt: skip
        assert expected in text, expected
    assert text.index("one.mp4", text.index('id="c1"')) < text.index('id="c2"')


@pytest.mark.parametrize(
    "where", ["name", "prompt", "failure", "setting", "note", "expression", "problem", "reason", "url"]
)
def test_no_text_becomes_markup(where):
    one = candidate(NASTY if where == "name" else "a", 1.0, caption=NASTY)
    if where in ("problem", "url"):
        media = (
            PlayableMedia("", "video", problem=NASTY)
            if where == "problem"
            else PlayableMedia(NASTY, "video", poster=NASTY)
        )
        one = candidate("a", 1.0, media=media)
    text = render(
        page(
            one,
            candidate("b", 0.5),
            prompt=NASTY if where == "prompt" else "",
            failures=[FailedFile(NASTY, NASTY)] if where in ("failure", "reason") else [],
            settings={NASTY: NASTY} if where == "setting" else {},
            notes=[NASTY] if where == "note" else [],
            expression=NASTY if where == "expression" else "x",
        )
    )
    body = re.sub(r"<script>.*?</script>", "", text, count=1, flags=re.S)  # our own one, at the end
    assert "<script" not in body
    assert "<img" not in body
    assert "{{ 7*7 }}" in html.unescape(text)  # nor a template
    assert html.escape("<script>alert(1)") in text


def test_nothing_is_fetched():
    text = render(page())
    assert not re.findall(r"(?:https?:)?//[a-z]", re.sub(r"xmlns=\S+", "", text))
    assert "default-src 'none'" in html.unescape(text)
    assert "@import" not in text
    assert 'preload="none"' in text


def test_one_candidate_needs_no_comparison():
    text = render(page(candidate("only.mp4", 3.0)))
    assert "At a glance" not in text
    assert 'id="switcher"' not in text


def test_no_candidate_is_a_page_too():
    assert "Nothing could be ranked" in render(Page([], failures=[FailedFile("a", "b")]))


def test_sound_alone_and_nothing_to_play():
    text = render(page(candidate("a.wav", 1, media=PlayableMedia("./a.wav", "audio"))))
    assert "<audio" in text
    assert "<video" not in text
    text = render(page(candidate("a.mp4", 1, media=PlayableMedia("", "video", problem="Nothing to play: gone"))))
    assert "Nothing to play: gone" in text
    assert "<video" not in text


def test_writing_replaces_at_one_stroke(tmp_path: Path):
    target = write_page(page(), tmp_path / "new folder" / "page.html")
    assert write_page(page(candidate("x", 1)), target) == target
    assert [entry.name for entry in target.parent.iterdir()] == ["page.html"]
    assert "<h1>x</h1>" in target.read_text(encoding="utf-8")


def test_a_page_of_many_stays_small():
    many = [candidate(f"{i}.mp4", float(i)) for i in range(500)]
    assert len(render(page(*many))) < 500 * 6000


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (-0.0, "0"),
        (73.46, "73.5"),
        (0.01234, "0.0123"),
        (-23.4, "−23.4"),
        (1e9, "1000000000"),
        (1e-9, "1e−09"),
    ],
)
def test_numbers(value, text):
    assert number(value) == text


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_no_number_is_no_number(value):
    assert "nan" not in number(value)
    assert "inf" not in number(value)


def test_words():
    assert words("av_consistency") == "AV consistency"
    assert words("") == ""


def test_places_stay_on_the_scale():
    bar = Bar("x", 5, 0, 10)
    assert [bar.place(v) for v in (-3, 0, 5, 10, 99)] == [0, 0, 50, 100, 100]
    assert Bar("x", 1, 2, 2).place(2) == 50


def test_area_closes_its_path():
    assert area((0.0, 1.0), 50, 46) == "M0 50V50h50V96h50V50z"
    assert area((), 50, 46) == ""


def test_no_dimension_of_a_composite_reward_is_left_out_of_the_glance() -> None:
    bars = [Bar("audio_quality", 50.0, 0, 100), Bar("av_consistency", 60.0, 0, 100)]
    media = PlayableMedia("a.mp4", "video")
    one = CandidateView("a", 1.0, bars, media)
    composite = Page([one], expression="0.4*signals.audio_quality + 0.6*signals.av_consistency")
    single = Page([one], expression="signals.av_consistency", own="av_consistency")
    assert composite.columns == ["audio_quality", "av_consistency"]
    assert single.columns == ["audio_quality"]


def test_a_full_disk_is_told_with_the_file(tmp_path, monkeypatch):
    def full(self, *rest, **options):
        self.touch()
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(OSError, match="No space left on device") as error:
        write_whole(tmp_path / "page.html", "text")
    assert error.value.filename == str(tmp_path / "page.html")
    assert not list(tmp_path.iterdir())
