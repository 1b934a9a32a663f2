"""A rater in another process: the same scores as here, whatever a clip is made of, and what goes wrong on the way."""

from __future__ import annotations

import json
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import media_files
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from rater_uses import run
from served import Fussy, ask, decoded_here, sound
from toy_raters import Toy

from avreward import Clip, load_rater, load_reward
from avreward.errors import ArgumentError, AvrewardError
from avreward.integrations import RewardServer
from avreward.raters import RaterCard, RemoteRater, UnknownRater
from avreward.raters.registry import card_for
from avreward.raters.remote._http import TOKENS, parts_of, token_for
from avreward.raters.remote._parts import Packer, _written, clip_from, unpacked
from avreward.raters.signals import rater as signals_rater
from avreward.scoring import Evaluator, Store

pytestmark = pytest.mark.usefixtures(decoded_here.__name__)


@pytest.fixture(scope="module")
def clips(tmp_path_factory) -> list[Clip]:
    """Whole files, dubs of files, tensors of every type, clips that lack a track, a damaged file."""
    folder = tmp_path_factory.mktemp("clips")
    film = Clip.open(media_files.write(folder / "a b.mp4", sound="aac"))
    mute = Clip.open(media_files.write(folder / "mute.mp4"))
    wave = Clip.open(media_files.write(folder / "w.wav", codec=None, sound="pcm_s16le"))
    video = torch.rand(6, 3, 16, 24, generator=torch.Generator().manual_seed(0))
    damaged = folder / "damaged.mp4"
    content = media_files.write(folder / "whole.mp4", sound="aac").read_bytes()
    damaged.write_bytes(content[: len(content) // 2] + bytes(900) + content[len(content) // 2 + 900 :])
    uneven = torch.tensor([0.0, 0.1, 0.25, 0.3, 0.5, 0.9], dtype=torch.float64)
    return [
        film, film.with_prompt("ein Hund bellt: wöff", {"sound": "bark"}), mute, wave, film.with_audio(wave),
        film.with_audio(torch.rand(2, 4000) - 0.5, 8000), mute.with_audio(film),
        Clip(video=video.double(), fps=23.976, prompt="x"), Clip(video=video, times=uneven).with_audio(wave),
        Clip(video=video.half(), fps=7).with_audio(film), Clip(audio=torch.rand(3, 900) - 0.5, sample_rate=8000),
        Clip(video=video.permute(0, 1, 3, 2), fps=8, texts={"sound": "a"}), Clip.open(damaged),
        film.decoded_once(list),
    ]  # fmt: skip


def equal(one, two) -> None:
    assert one.values.dtype == two.values.dtype
    assert torch.equal(one.values.nan_to_num(-1), two.values.nan_to_num(-1))
    assert one.present.tolist() == two.present.tolist()
    assert (one.reasons, one.basis) == (two.reasons, two.basis)
    assert one.dimensions == two.dimensions


def test_scores_and_reasons_are_those_of_the_rater_itself(clips):
    toy, fussy = Toy(), Fussy()
    with RewardServer(toy["overall"], also=[fussy]) as server:
        there, reward, other = (load_rater(server.url + name) for name in ("#toy", "", "#fussy"))
        assert (there.name, reward.name, there.differentiable) == ("toy", "remote", False)
        assert str(clips[12].path) in toy([clips[12]]).reasons[0]["power"]
        for clip in clips[:11]:
            equal(there([clip]), toy([clip]))
        torch.testing.assert_close(there([clips[11]])["brightness"], toy([clips[11]])["brightness"])  # another layout
        alike = [clip for clip in clips if clip not in (clips[7], clips[9], clips[11])]  # of one type
        equal(there(alike), toy(alike))
        equal(other(alike), fussy(alike))
        expected = toy["overall"].evaluate(alike)
        found = reward(alike)
        assert torch.equal(found["reward"].nan_to_num(-1), expected.values.nan_to_num(-1))
        assert [row.get("reward") for row in found.reasons] == expected.reasons
        assert there.reads("power") == toy.reads("power")
        assert there.dimension("peak").detail
        for i, clip in enumerate(clips[:3]):  # the batch does not matter
            equal(there([clip]), Toy()([clip]))
            assert (
                there([clip]).values.nan_to_num(-1).tolist() == there(clips).values[i : i + 1].nan_to_num(-1).tolist()
            )


@pytest.mark.parametrize("kind", ["file", "tensors"])
def test_requests_share_work_after_their_files_and_tensors_are_gone(tmp_path, monkeypatch, kind):
    calls, measured = [], signals_rater._measured
    monkeypatch.setattr(signals_rater, "_measured", lambda views: calls.append(views) or measured(views))
    clip = Clip.open(media_files.write(tmp_path / "a.mp4", 12, sound="aac"))
    sent = clip if kind == "file" else Clip(video=clip.video, fps=10, audio=clip.audio, sample_rate=clip.sample_rate)
    with RewardServer(load_rater("signals")["overall"]) as server:
        there = load_rater(server.url)
        first, second = there([sent]), there([sent])
    assert torch.equal(first.values, second.values)
    assert len(calls) == 3  # picture, sound, both


@given(st.text(max_size=20), st.dictionaries(st.text(min_size=1, max_size=5), st.text(max_size=9), max_size=3))
@settings(max_examples=25, deadline=None)
def test_texts_and_tensors_come_back_as_they_were(prompt, texts):
    wave = torch.rand(2, 50, dtype=torch.float64) - 0.5
    shared = Clip(video=torch.rand(3, 3, 4, 6).bfloat16(), fps=29.97, prompt=prompt, texts=texts)
    sent = [shared, shared.with_audio(wave, 8000), Clip(audio=wave, sample_rate=8000, prompt=None)]
    bodies, parts = unpacked(Packer(sent).body())
    assert len(parts) == 3  # frames, their times, the waveform: each once
    for clip, body in zip(sent, bodies, strict=True):
        found = clip_from(body, parts, Path("/nowhere"))
        assert (found.prompt, found.texts, dict(found.keys)) == (clip.prompt, clip.texts, dict(clip.keys))
        assert (found.fps, found.ends) == (clip.fps, clip.ends)


def test_clips_that_share_a_file_are_opened_side_by_side(tmp_path):
    parts = {"0.file.mp4": torch.randint(0, 256, (4_000_000,), dtype=torch.uint8)}
    for turn in range(20):
        folder = tmp_path / str(turn)
        folder.mkdir()
        start = threading.Barrier(8)

        def size(folder=folder, start=start) -> int:
            start.wait()
            return _written("0.file.mp4", parts, folder).stat().st_size

        with ThreadPoolExecutor(8) as pool:
            assert {done.result() for done in [pool.submit(size) for _ in range(8)]} == {4_000_000}
        assert [path.name for path in folder.iterdir()] == ["0.mp4"]


def test_paths_are_named_where_the_server_sees_them(clips):
    root, toy = clips[0].path.parent, Toy()
    mixed = [clips[0], clips[5], clips[3], clips[12]]
    with RewardServer(toy["power"], roots=[root]) as server:
        equal(RemoteRater(server.url + "#toy", paths=True)(mixed), toy(mixed))
        counted = server._handler.metrics.text().decode()
        assert 'endpoint="/v1/score",status="200"} 2.0' in counted  # one by path, one as bytes


def test_everything_that_takes_a_rater_takes_an_address(clips, tmp_path):
    toy, sounds = Toy(), [sound(0.1), sound(0.3)]
    with RewardServer(toy["power"]) as server:
        (tmp_path / "r.yaml").write_text(f"reward: 2*far.reward\nraters:\n  far: {server.url}\n")
        reward = load_reward(tmp_path / "r.yaml")
        assert reward(sounds).tolist() == pytest.approx([0.02, 0.18])
        assert not reward.differentiable
        reward.save(tmp_path / "again.yaml")
        assert load_reward(tmp_path / "again.yaml") == reward
        known = load_rater(server.url, token="secret")
        assert known.source == {"rater": server.url}
        with Store(tmp_path / "store") as store:
            first = Evaluator(known, store=store).evaluate(clips[:2])
            assert store.get(load_rater(server.url), clips[:2])[0]["reward"].item() == first["reward"][0].item()
            calls = len(toy.calls)
            equal(Evaluator(load_rater(server.url), store=store).evaluate(clips[:2]), first)
            assert len(toy.calls) == calls
        files = [str(clips[0].path), str(clips[3].path)]
        assert "far.reward" in run("rank", *files, "--rater", f"far={server.url}", "--json")


def test_a_reward_from_another_hand_says_where_clips_go(tmp_path, monkeypatch):
    path = tmp_path / "r.yaml"
    path.write_text("reward: far.reward\nraters:\n  far: http://192.0.2.1:9\n")
    monkeypatch.setattr(RemoteRater, "__init__", lambda self, *a, **b: Toy.__init__(self))
    with pytest.warns(UserWarning, match=r"clips are sent to http://192\.0\.2\.1:9"), pytest.raises(AvrewardError):
        load_reward(path)


def test_wrong_addresses_and_names(monkeypatch):
    for wrong in ("http://", "http://h:x", "http://h/path", "ftp://h", "http://u:p@h", "http://h?x=1", 3):
        with pytest.raises(ArgumentError, match=r"^address: expected an address such as"):
            parts_of(wrong)
    assert parts_of("https://h:1/#a") == ("https://h:1", "a")
    with pytest.raises(UnknownRater, match=r"expected an address of http, https"):
        load_rater("gopher://h:1")
    with pytest.raises(AvrewardError, match=r"http://127.0.0.1:9: expected an answer, got none"):
        load_rater("http://127.0.0.1:9", retries=0)
    with RewardServer(Toy()["power"]) as server:
        with pytest.raises(ArgumentError, match="did you mean 'toy'"):
            load_rater(f"{server.url}#tooy")
        with pytest.raises(ArgumentError, match="option"):
            load_rater(server.url, dtype="float16")
    monkeypatch.setenv(TOKENS, "a:1=x, B:2=y=z")
    assert [token_for(f"http://{place}") for place in ("a:1", "b:2", "a:2", "a.evil:1")] == ["x", "y=z", None, None]


def test_a_card_of_another_package_may_claim_a_scheme(monkeypatch):
    from avreward.raters import registry

    class Point:
        name, dist = "spool", None

        def load(self):
            return RaterCard("spool", make_from=lambda address, *, much=1: Toy(f"toy{much}"), schemes=("spool",))

    monkeypatch.setattr(registry, "_installed", lambda: (Point(),))
    assert load_rater("spool://anything", much=3).name == "toy3"
    assert card_for("http://h").name == "remote"
    with pytest.raises(ArgumentError, match="option"):
        load_rater("spool://anything", many=3)


class Unsteady(BaseHTTPRequestHandler):
    """Passes requests on to a service, but breaks off, or refuses, every first time."""

    target: RewardServer
    seen: list[str]
    protocol_version = "HTTP/1.1"

    def log_message(self, *about):
        pass

    def broken_off(self):
        self.connection.shutdown(socket.SHUT_RDWR)
        self.close_connection = True

    def do_GET(self):
        self.do_POST()

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.seen.append(self.path)
        if len(self.seen) % 4 == 1:
            self.broken_off()
            return
        if len(self.seen) % 4 == 2:
            self.send_response(429)
            self.send_header("Retry-After", "0")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        if len(self.seen) % 4 == 3:
            self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{")  # the server is killed in its answer
            self.broken_off()
            return
        kind = self.headers.get("Content-Type", "")
        status, _, found = ask(self.target, self.command, self.path, body, Content_Type=kind)
        content = json.dumps(found).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


def test_requests_that_break_off_are_sent_again_and_count_once():
    toy, sounds = Toy(), [sound(i / 10) for i in range(1, 6)]
    with RewardServer(toy["power"]) as server:
        handler = type("Handler", (Unsteady,), {"target": server, "seen": []})
        between = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        threading.Thread(target=between.serve_forever, daemon=True).start()
        try:
            rater = RemoteRater(f"http://127.0.0.1:{between.server_port}")
            found = rater(sounds)["reward"]
        finally:
            between.shutdown()
            between.server_close()
    assert torch.equal(found, Toy()(sounds)["power"])
    assert handler.seen == ["/v1/describe"] * 4 + ["/v1/score"] * 4


def test_another_reward_at_the_same_address_is_noticed():
    with RewardServer(Toy()["power"]) as server:
        rater = RemoteRater(server.url)
        server._handler.served.fingerprint = "another"
        with pytest.raises(AvrewardError, match="have changed since this rater was loaded"):
            rater([sound(0.1)])
