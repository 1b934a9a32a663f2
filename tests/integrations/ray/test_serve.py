"""A real Ray Serve on this machine with two replicas, of which one is killed while it is asked."""

from __future__ import annotations

import os
import signal
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import ray
from served import ask, sound

from avreward.errors import ArgumentError, AvrewardError
from avreward.integrations import RayRewardServer, ServiceLimits, reward_application
from avreward.raters import RemoteRater, term
from avreward.rewards import load_reward


def load():
    """Return a reward that takes a while, and fails on loud clips; replicas call this."""
    import time

    @term(needs="audio", low=0, high=1)
    def slow(clip):
        time.sleep(0.02)
        level = clip.sound().abs().mean()
        if level > 0.9:
            raise ValueError("too loud")
        return level

    return slow["slow"], [slow], None


def replicas() -> list[int]:
    found = []
    for place in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if b"ray::ServeReplica" in place.read_bytes():
                found.append(int(place.parent.name))
        except OSError:
            continue
    return found


@pytest.mark.slow
def test_two_replicas_answer_as_the_reward_does_and_one_that_is_killed_loses_nothing():
    os.environ |= {"RAY_USAGE_STATS_ENABLED": "0", "RAY_worker_niceness": "0"}
    ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])  # replicas do not import the tests
    ray.init(num_cpus=3, object_store_memory=100_000_000, include_dashboard=False, log_to_driver=False)
    reward, _, _ = load()
    clips = [sound(0.01 + number / 100) for number in range(80)]
    expected = reward(clips).tolist()
    limits = ServiceLimits(batch=4, clips=8, bytes=100_000)
    try:
        with RayRewardServer(load, port=0, token="abc", limits=limits) as server:
            assert len(replicas()) == 2
            assert ask(server, "GET", "/v1/describe")[0] == 401
            asked = {"Authorization": "Bearer abc"}
            assert ask(server, "GET", "/v1/describe", Host="evil.example", **asked)[0] == 403
            status, _, found = ask(server, "POST", "/v1/upload", b"x" * 100_001, **asked)
            assert (status, "more than the 100000 bytes" in found["error"]) == (413, True)
            rater = RemoteRater(server.url, token="abc")
            found = rater([sound(0.2), sound(1.0), sound(0.4)])
            assert found.present[:, 0].tolist() == [True, False, True]
            assert "too loud" in found.reasons[1]["reward"]
            done, answers = threading.Semaphore(0), {}

            def one(number: int) -> None:
                answers[number] = RemoteRater(server.url, token="abc")([clips[number]]).values[0, 0].item()
                done.release()

            with ThreadPoolExecutor(8) as threads:
                running = [threads.submit(one, number) for number in range(len(clips))]
                for _ in range(20):
                    done.acquire()
                os.kill(replicas()[0], signal.SIGKILL)
                for future in running:
                    future.result()
            assert [answers[number] for number in range(len(clips))] == expected
            counts = ask(server, "GET", "/metrics", **asked)[2].decode()
            assert 'avreward_clips_total{outcome="scored",replica="' in counts
            with pytest.raises(AvrewardError, match="a reward is served there already"), RayRewardServer(load, port=0):
                pass
        assert not replicas()
    finally:
        ray.shutdown()


def test_wrong_arguments_are_told_before_anything_starts():
    for wrong in (0, True, 1.5, (2, 1), (1, 2, 3)):
        with pytest.raises(ArgumentError, match="replicas: expected a positive integer"):
            reward_application("overall", replicas=wrong)
    with pytest.raises(ArgumentError, match="reward: expected a reward or an expression"):
        reward_application(7)
    with pytest.raises(ArgumentError, match="roots"):
        RayRewardServer(load_reward("overall"), roots=["/nowhere/at/all"])
    with pytest.raises(ArgumentError, match="port"):
        RayRewardServer("overall", host="192.0.2.99")
