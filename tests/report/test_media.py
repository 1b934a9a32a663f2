"""What a page can play, how it is addressed, and the small pictures of it."""

import base64
import io
from pathlib import Path

import av
import pytest
import torch
from PIL import Image

from avreward.clip import Clip
from avreward.report._media import browser_plays, media_of, own_file, relative_url


def moving(height: int = 32, width: int = 48, frames: int = 12) -> Clip:
    """Still, then one jump to another brightness at half time; a click at the same moment."""
    video = torch.full((frames, 3, height, width), 0.25)
    video[frames // 2 :] = 0.75
    audio = torch.zeros(1, 8000)
    audio[:, 4000:4100] = 0.64
    return Clip(video=video, fps=frames * 2, audio=audio, sample_rate=16000)


@pytest.fixture
def mp4(tmp_path) -> Path:
    moving().save(tmp_path / "a clip.mp4")
    return tmp_path / "a clip.mp4"


def test_a_file_that_browsers_play_is_linked(mp4, tmp_path):
    media = media_of(Clip.open(mp4), tmp_path / "page.html", "x")
    assert media.url == "./a%20clip.mp4"
    assert (media.kind, media.width, media.height, media.problem) == ("video", 48, 32, "")
    assert not (tmp_path / "page_files").exists()


def test_a_file_that_browsers_do_not_play_is_encoded(tmp_path):
    moving().save(tmp_path / "a.mkv")
    assert not browser_plays(tmp_path / "a.mkv")
    media = media_of(Clip.open(tmp_path / "a.mkv"), tmp_path / "my page.html", "1: a/b")
    assert media.url == "./my%20page_files/1-a-b.mp4"
    made = tmp_path / "my page_files" / "1-a-b.mp4"
    assert browser_plays(made)
    assert abs(Clip.open(made).seconds - 0.5) < 0.1


@pytest.mark.parametrize("size", [(33, 48), (32, 47), (35, 45)])
def test_odd_sizes_become_playable(tmp_path, size):
    clip = moving(*size)
    media = media_of(clip, tmp_path / "page.html", "odd")
    made = tmp_path / "page_files" / "odd.mp4"
    assert media.url == "./page_files/odd.mp4"
    assert browser_plays(made)
    assert (Clip.open(made).height, Clip.open(made).width) == (size[0] // 2 * 2, size[1] // 2 * 2)
    assert Clip.open(made).has_audio


def test_a_dub_is_not_the_file_of_its_picture(mp4, tmp_path):
    clip = Clip.open(mp4)
    assert own_file(clip) == mp4
    assert own_file(clip.with_prompt("a drum")) == mp4
    dub = clip.with_audio(torch.full((1, 8000), 0.1), 16000)
    assert own_file(dub) is None
    assert media_of(dub, tmp_path / "page.html", "dub").url == "./page_files/dub.mp4"


def test_sound_alone(tmp_path):
    media = media_of(Clip(audio=torch.ones(2, 1000), sample_rate=8000), tmp_path / "page.html", "s")
    assert (media.kind, media.url, media.poster, media.motion) == ("audio", "./page_files/s.wav", "", ())
    assert set(media.sound) == {1.0}
    assert browser_plays(tmp_path / "page_files" / "s.wav")


def test_pictures_of_what_is_in_it(mp4, tmp_path):
    media = media_of(Clip.open(mp4), tmp_path / "page.html", "x")
    kind, data = media.poster.split(",")
    assert kind == "data:image/jpeg;base64"
    assert Image.open(io.BytesIO(base64.b64decode(data))).size == (48, 32)
    loudest = media.sound.index(max(media.sound)) / len(media.sound)
    assert abs(loudest - 0.5) < 0.05
    assert media.motion.index(max(media.motion)) / len(media.motion) == pytest.approx(0.5, abs=0.1)
    assert max(media.sound) == pytest.approx(0.8, abs=0.1)  # the square root of the peak


def test_the_clip_can_have_a_gradient(tmp_path):
    video = torch.rand(4, 3, 16, 16, requires_grad=True)
    media = media_of(Clip(video=video, fps=8), tmp_path / "page.html", "g")
    assert media.url
    assert media.sound == ()


def test_a_file_that_went_away_says_so(mp4, tmp_path):
    clip = Clip.open(mp4)
    mp4.unlink()
    media = media_of(clip, tmp_path / "page.html", "x")
    assert media.url == ""
    assert "a clip.mp4" in media.problem


def test_addresses():
    folder = Path("/data/pages")
    assert relative_url(Path("/data/clips/a?b#c%d.mp4"), folder) == "../clips/a%3Fb%23c%25d.mp4"
    assert relative_url(Path("/data/pages/http:x.mp4"), folder) == "./http%3Ax.mp4"
    assert relative_url(Path("/data/pages/\"'<&.mp4"), folder) == "./%22%27%3C%26.mp4"


@pytest.mark.parametrize("codec", ["libx265", "mpeg4"])
def test_other_codecs_are_not_for_browsers(tmp_path, codec):
    path = tmp_path / "a.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p"
        for _ in range(3):
            container.mux(stream.encode(av.VideoFrame(64, 64, "yuv420p")))
        container.mux(stream.encode())
    assert not browser_plays(path)
    assert not browser_plays(tmp_path / "missing.mp4")
