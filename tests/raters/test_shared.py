import threading
import time

import pytest
import torch

from avreward.media._keys.late import LateKey
from avreward.raters.shared import Shared


def test_threads_that_ask_at_a_time_compute_once():
    shared, calls, barrier, found = Shared(4), [], threading.Barrier(8), []

    def compute():
        calls.append(1)
        time.sleep(0.05)
        return object()

    def ask():
        barrier.wait()
        found.append(shared.get("key", compute))

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(calls) == 1
    assert len(set(map(id, found))) == 1


def test_the_key_used_longest_ago_goes_first():
    shared = Shared(2)
    for key in "aba":
        shared.get(key, lambda: 1)
    shared.get("c", lambda: 1)
    assert shared.get("a", lambda: 2) == 1
    assert shared.get("b", lambda: 2) == 2


def test_an_error_is_raised_and_not_kept():
    shared = Shared(2)
    with pytest.raises(ZeroDivisionError):
        shared.get("a", lambda: 1 // 0)
    assert shared.get("a", lambda: 5) == 5


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_work_without_gradients_is_not_handed_out_where_they_are_wanted(mode):
    shared, weight = Shared(4), torch.ones(3, requires_grad=True)

    def compute():
        return (2 * weight).sum()

    with mode():
        frozen = shared.get("key", compute)
        assert shared.get("key", compute) is frozen
    assert not frozen.requires_grad
    live = shared.get("key", compute)
    live.backward()
    assert weight.grad.tolist() == [2.0, 2.0, 2.0]
    with mode():
        assert shared.get("key", compute) is frozen  # a graph is not kept alive by those who need none


def test_work_of_inference_mode_is_not_handed_out_elsewhere():
    shared = Shared(4)
    with torch.inference_mode():
        shared.get("key", lambda: torch.ones(1))
    with torch.no_grad():
        found = shared.get("key", lambda: torch.ones(1))
    assert not found.is_inference()  # such a tensor can't be saved for a backward pass


def test_a_failure_after_its_eviction_leaves_the_newer_value():
    shared = Shared(1)

    def fails():
        shared.get("b", lambda: 1)  # evicts this computation
        assert shared.get("a", lambda: 2) == 2
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        shared.get("a", fails)
    assert shared.get("a", lambda: 3) == 2


def test_who_waited_for_what_failed_computes_it():
    shared, started, go = Shared(4), threading.Event(), threading.Event()

    def fails():
        started.set()
        go.wait(10)
        raise ZeroDivisionError

    def ask():
        with pytest.raises(ZeroDivisionError):
            shared.get("a", fails)

    found: list[object] = []
    first = threading.Thread(target=ask)
    second = threading.Thread(target=lambda: found.append(shared.get("a", lambda: "own")))
    first.start()
    started.wait(10)
    second.start()
    time.sleep(0.05)  # it waits
    go.set()
    first.join()
    second.join()
    assert found == ["own"]


def test_keys_that_look_alike_are_compared_while_others_go_on():
    comparing, go = threading.Event(), threading.Event()

    def whole():
        comparing.set()
        go.wait(10)
        return "content"

    shared = Shared(4)
    shared.get(LateKey(1, whole), lambda: "first")
    found = []
    slow = threading.Thread(target=lambda: found.append(shared.get(LateKey(1, lambda: "content"), lambda: "second")))
    slow.start()
    assert comparing.wait(10)
    assert shared.get("other", lambda: 3) == 3  # not held up
    go.set()
    slow.join()
    assert found == ["first"]
