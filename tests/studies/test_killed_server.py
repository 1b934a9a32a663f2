"""A server that is killed loses no answer that it has confirmed, and many people at once are served."""

import os
import re
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from study_requests import ask, experiment, key_in, started

from avreward.studies import Choices, ChoiceServer

SERVER = """
import sys
from avreward.studies import Choices, ChoiceServer

server = ChoiceServer(Choices(sys.argv[1]))
print(server.url, flush=True)
server.serve_forever()
"""


class At:
    """Where a server of another process is."""

    def __init__(self, url: str) -> None:
        host, port = re.fullmatch(r"http://(.*):(\d+)/", url).groups()
        self.server_address = host, int(port)


def test_a_killed_server_loses_no_answer(tmp_path):
    experiment(tmp_path / "study", videos=12)
    with subprocess.Popen(
        [sys.executable, "-c", SERVER, str(tmp_path / "study")], stdout=subprocess.PIPE, text=True
    ) as process:
        server = At(process.stdout.readline().strip())
        confirmed, enough = [], threading.Event()

        def person(number: int) -> None:
            try:
                where = started(server, f"person {number}")
                for place in range(1, 13):
                    key = key_in(ask(server, "GET", f"{where}/{place}")[2])
                    form = {"question": key, "choice": ("first", "second", "none")[(number + place) % 3]}
                    if ask(server, "POST", where.replace("ask", "answer"), form)[0] == 303:
                        confirmed.append((where.rsplit("/", 1)[1], key, form["choice"]))
                    if len(confirmed) > 20:
                        enough.set()
            except (OSError, AssertionError, ValueError):
                return  # the server is gone

        with ThreadPoolExecutor(4) as pool:
            done = [pool.submit(person, number) for number in range(4)]
            assert enough.wait(60), [one.exception() for one in done if one.done()]
            os.kill(process.pid, signal.SIGKILL)
    choices = Choices(tmp_path / "study")
    kept = {
        (token, key, said) for token in {t for t, _, _ in confirmed} for key, said in choices.answered(token).items()
    }
    assert set(confirmed) <= kept
    assert len(choices.answers()) <= len(confirmed) + 4  # one of each person may have been on its way


@pytest.mark.slow
def test_two_hundred_people_answer_at_one_moment(tmp_path):
    choices = experiment(tmp_path / "study", videos=1)
    together = threading.Barrier(200)
    with ChoiceServer(choices) as server:
        tokens = [choices.person(f"person {number}") for number in range(200)]

        def vote(token: str) -> int:
            form = {"question": choices.order(token)[0], "choice": "first"}
            together.wait()
            return ask(server, "POST", f"/answer/{token}", form)[0]

        with ThreadPoolExecutor(200) as pool:
            assert set(pool.map(vote, tokens)) == {303}
    assert len(choices.answers()) == 200
