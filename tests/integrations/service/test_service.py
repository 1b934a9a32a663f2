"""The reward service: what it answers, whom it refuses, and what a bad clip or a full queue costs the others."""

from __future__ import annotations

import base64
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import quote

import pytest
import torch
from served import Fussy, ask, decoded_here, sound
from toy_raters import Toy

from avreward import Clip, load_rater
from avreward.errors import ArgumentError, AvrewardError
from avreward.integrations import RewardServer, ServiceLimits
from avreward.raters import RemoteRater


class Gated(Toy):
    """A toy that rates when it is told to."""

    def __init__(self) -> None:
        super().__init__("gated", per_clip=False)
        self.open, self.entered = threading.Event(), threading.Event()

    def rate(self, samples, work=None):
        self.entered.set()
        assert self.open.wait(60)
        return super().rate(samples, work)


@pytest.fixture
def files(tmp_path):
    (tmp_path / "served").mkdir()
    for name, level in (("served/a.wav", 0.5), ("served/b.wav", 0.25), ("hidden.wav", 0.1)):
        sound(level).save(tmp_path / name)
    (tmp_path / "served" / "bad.wav").write_bytes(b"RIFF nothing")
    (tmp_path / "served" / "link.wav").symlink_to(tmp_path / "hidden.wav")
    return tmp_path


def test_paths_uploads_pairs_and_counts(files):
    root, toy = files / "served", Toy()
    local = toy([Clip.open(root / "a.wav"), Clip.open(root / "b.wav")])["power"].tolist()
    with RewardServer(toy["power"], roots=[root]) as server:
        body = {"clips": [{"path": str(root / "a.wav")}, {"path": "b.wav"}, {"path": "bad.wav"}, {"path": "c.wav"}]}
        status, _, found = ask(server, "POST", "/v1/score", body)
        assert status == 200
        a, b, bad, lost = found["clips"]
        assert [a["reward"], b["reward"]] == local
        assert a["raters"]["toy"]["values"]["power"] == local[0]
        assert "no picture" in a["raters"]["toy"]["reasons"]["brightness"]
        assert bad["reward"] is None
        assert bad["error"].startswith("bad.wav: ")
        assert "no such file" in lost["error"]
        for path in ("../hidden.wav", str(files / "hidden.wav"), "link.wav", "/etc/passwd", "a\0b", "../lost.wav"):
            (refused,) = ask(server, "POST", "/v1/score", {"clips": [{"path": path}]})[2]["clips"]
            assert "expected a file in one of the folders" in refused["error"], path
        content = (root / "b.wav").read_bytes()
        query = f"?name=b.wav&prompt={quote('ein Hund bellt: wöff')}"
        assert ask(server, "POST", f"/v1/upload{query}", content)[2]["clips"] == [b]
        broken = ask(server, "POST", "/v1/upload?name=../x/b.wav", content[:-900])[2]["clips"][0]
        assert (broken["reward"], broken["error"][:12]) == (None, "../x/b.wav: ")
        pairs = ask(server, "POST", "/v1/compare", {"clips": [{"path": "a.wav"}, {"path": "b.wav"}] * 2})[2]["pairs"]
        assert pairs == [{"better": "first", "margin": local[0] - local[1], "reason": None}] * 2
        pair = {"clips": [{"path": "b.wav"}, {"path": "bad.wav"}]}
        assert ask(server, "POST", "/v1/compare", pair)[2]["pairs"][0]["reason"].startswith("second: bad.wav: ")
        assert ask(server, "POST", "/v1/compare", {"clips": [{"path": "b.wav"}]})[0] == 400
        counts = ask(server, "GET", "/metrics")[2].decode()
        assert 'avreward_requests_total{endpoint="/v1/score",status="200"} 7.0' in counts
        assert 'avreward_clips_total{outcome="unusable"} 10.0' in counts
        assert 'avreward_clips_total{outcome="scored"} 8.0' in counts
        assert "avreward_waiting_clips 0.0" in counts


def test_bodies_that_are_no_requests_are_told(tmp_path):
    with RewardServer(Toy()["power"]) as server:
        for body, kind, part in (
            (b"{", "application/json", "expected JSON"), (b'{"clips": [{"wrong": 1}]}', "application/json", "wrong"),
            (b'{"clips": []}', "application/json", "at least one"), (b"\x80\x04pickle", "application/json", "JSON"),
            (b"\x80\x04pickle", "application/vnd.safetensors", "expected safetensors"),
            (b"x", "text/plain", "Content-Type"),
        ):  # fmt: skip
            status, _, found = ask(server, "POST", "/v1/score", body, Content_Type=kind)
            assert status in (400, 415), body
            assert part in found["error"], found
        assert ask(server, "POST", "/v1/upload", b"")[0] == 400
        status, _, found = ask(server, "GET", "/nowhere")
        assert (status, "Not Found" in found["error"]) == (404, True)
        assert "expected a path, got none" in ask(server, "POST", "/v1/score", {"clips": [{}]})[2]["clips"][0]["error"]
        path = {"clips": [{"path": "/etc/passwd"}]}
        assert "reads no folder" in ask(server, "POST", "/v1/score", path)[2]["clips"][0]["error"]
    with pytest.raises(ArgumentError, match="roots"):
        RewardServer(Toy()["power"], roots=[tmp_path / "lost"])
    with pytest.raises(ArgumentError, match="queue"):
        ServiceLimits(queue=0)


def test_a_clip_that_the_rater_fails_on_costs_no_other_one():
    fussy = Fussy()
    with RewardServer(fussy["power"]) as server:
        found = RemoteRater(server.url)([sound(0.2), sound(1.0), sound(0.4)])
    assert found.present[:, 0].tolist() == [True, False, True]
    assert "too loud" in found.reasons[1]["reward"]
    assert found.values.dtype == torch.float64


def test_who_may_ask():
    with RewardServer(Toy()["power"], token="abc") as server:
        assert ask(server, "GET", "/health")[2]["status"] == "ok"
        for headers in ({}, {"Authorization": "Bearer abd"}, {"Authorization": "abc"}, {"Authorization": "Basic abc"}):
            assert ask(server, "GET", "/v1/describe", **headers)[0] == 401
            assert ask(server, "GET", "/metrics", **headers)[0] == 401
        assert ask(server, "GET", "/v1/describe", Authorization="Bearer abc")[0] == 200
        assert ask(server, "GET", "/v1/describe", Authorization="Bearer abc", Host="evil.example")[0] == 403
        own = {"Authorization": "Bearer abc", "Origin": "http://evil.example"}
        assert ask(server, "POST", "/v1/score", {"clips": []}, **own)[0] == 403
        with pytest.raises(AvrewardError, match="token: expected the one of this server"):
            RemoteRater(server.url)
        assert RemoteRater(server.url, token="abc").name == "remote"
    with RewardServer(Toy()["power"], host="0.0.0.0") as server:
        assert len(server.token) > 20
        assert ask(server, "GET", "/v1/describe")[0] == 401


def test_requests_are_rated_together_and_a_full_queue_says_when_to_come_again():
    gated = Gated()
    limits = ServiceLimits(batch=4, queue=6, clips=5, wait=0.05, bytes=100_000)
    with RewardServer(gated["power"], limits=limits) as server, ThreadPoolExecutor(8) as threads:
        raters = [RemoteRater(server.url, retries=0) for _ in range(7)]
        first = threads.submit(raters[0], [sound(0.1)])
        assert gated.entered.wait(60)
        others = [threads.submit(raters[i], [sound(i / 10)]) for i in range(1, 6)]
        end = time.monotonic() + 60
        while ask(server, "GET", "/health")[2]["waiting"] < 6:
            assert time.monotonic() < end
        body = {"clips": [{"path": "a.wav"}]}
        status, headers, found = ask(server, "POST", "/v1/score", body)
        assert (status, "6 clips are waiting" in found["error"]) == (429, True)
        assert 1 <= int(headers["retry-after"]) <= 60
        later = threads.submit(RemoteRater(server.url, retries=8), [sound(0.7)])
        gated.open.set()
        values = [one.result()["reward"].item() for one in (first, *others)]
        assert values == pytest.approx([(i / 10) ** 2 for i in (1, 1, 2, 3, 4, 5)])
        assert later.result()["reward"].item() == pytest.approx(0.49)
        assert gated.calls[:2] == [1, 4]
        status, _, found = ask(server, "POST", "/v1/score", {"clips": [{"path": "a.wav"}] * 6})
        assert (status, "at most 5, got 6" in found["error"]) == (413, True)
        assert ask(server, "POST", "/v1/upload", b"x" * 100_001)[0] == 413
        assert len(RemoteRater(server.url)([sound(0.1)] * 12)) == 12  # in three requests
        large = Clip(audio=torch.zeros(1, 30_000), sample_rate=8000)
        mixed = RemoteRater(server.url)([sound(0.5), large])
        assert mixed.present.tolist() == [[True], [False]]
        assert "at most 100000 bytes" in mixed.reasons[1]["reward"]


def test_leaving_answers_what_was_admitted():
    gated = Gated()
    with ThreadPoolExecutor(1) as threads:
        with RewardServer(gated["power"]) as server:
            asked = threads.submit(RemoteRater(server.url, retries=0), [sound(0.5)])
            assert gated.entered.wait(60)
            threading.Timer(0.3, gated.open.set).start()
        assert asked.result()["reward"].item() == pytest.approx(0.25)


@pytest.mark.usefixtures(decoded_here.__name__)
def test_the_contract_of_unirl(files):
    toy = Toy()
    video = files / "v.mp4"
    Clip(video=torch.full((4, 3, 16, 16), 0.5), fps=4, audio=torch.full((1, 8000), 0.5), sample_rate=8000).save(video)
    expected = toy([Clip.open(video)])
    content = base64.b64encode(video.read_bytes()).decode()
    identity = {"request_id": "r", "sample_id": "s", "group_id": None, "source_rank": 3, "policy_version": 7,
                "idempotency_key": "k"}  # fmt: skip
    one = {"history": [{"text": "a", "video_b64": "eA=="}, {"text": "b", "video_b64": content}],
           "required_rewards": ["reward", "toy"], "metadata": {"any": [1]}, **identity}  # fmt: skip
    mute = {"history": [{"text": "a", "image_b64": "eA=="}], "required_rewards": ["toy"]}
    with RewardServer(toy["power"], roots=[files]) as server:
        assert ask(server, "GET", "/rewards")[2] == {"rewards": ["reward", "toy"]}
        assert set(ask(server, "GET", "/health")[2]["rewards"]) == {"reward", "toy"}
        status, _, found = ask(server, "POST", "/score", {"protocol_version": "1", "requests": [one, mute]})
        assert status == 200
        row = found["results"][0]
        assert row["reward"] == {"reward": expected["power"].item()}
        assert list(row["toy"]) == ["overall", "power", "brightness"]  # the client may read the first alone
        assert found["errors"][0] == found["results"][1] == {}
        assert found["errors"][1]["toy"].startswith("requests[1]: ")
        assert found["identities"][0] == {**identity, "scorer_version": server._handler.served.fingerprint}
        wav = {"history": [{"text": "a", "video_path": str(files / "served" / "a.wav")}], "required_rewards": ["toy"]}
        found = ask(server, "POST", "/score", {"requests": [wav]})[2]
        assert found["results"] == [{}]
        assert "brightness: " in found["errors"][0]["toy"]
        for wrong, status in (
            ({**mute, "required_rewards": ["clip"]}, 400), ({**mute, "scorer_version": "x"}, 409),
            ({**mute, "history": []}, 400), ({**mute, "history": [{"text": "a"}]}, 400),
            ({**mute, "history": [{"text": "a", "image_b64": "?"}]}, 400),
        ):  # fmt: skip
            assert ask(server, "POST", "/score", {"requests": [wrong]})[0] == status
        assert ask(server, "POST", "/score", {"protocol_version": "2", "requests": []})[0] == 400


def test_the_contract_of_verl_omni():
    toy, wave = Toy(), torch.full((800,), 0.5)
    body = {
        "protocol_version": "1", "waveform_f32_base64": base64.b64encode(wave.numpy().astype("<f4").tobytes()).decode(),
        "num_samples": 800, "sample_rate": 8000, "prompt": "a dog", "metadata": {"id": 1},
    }  # fmt: skip
    with RewardServer(toy["power"], also=[load_rater("signals")]) as server:
        status, _, found = ask(server, "POST", "/verl-omni/audio", body)
        assert (status, found["score"], found["toy.power"]) == (200, 0.25, 0.25)
        assert all(isinstance(value, float) for value in found.values())
        for wrong, status in (
            ({"num_samples": 801}, 400), ({"protocol_version": "2"}, 400), ({"waveform_f32_base64": "?"}, 400),
            ({"sample_rate": 0}, 422),
        ):  # fmt: skip
            refused = ask(server, "POST", "/verl-omni/audio", body | wrong)
            assert (refused[0], "error" in refused[2]) == (status, True), wrong
        assert "pickles" in ask(server, "POST", "/verl-omni/image", b"\x80\x04.")[2]["error"]
