import threading
import time

import pytest

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
