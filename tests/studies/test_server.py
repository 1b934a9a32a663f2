"""The page's server: nothing gives the pick away, answers count once, and nothing else can be reached."""

import http.client
import re
import socket
import struct
import sys
import threading
from contextlib import contextmanager
from urllib.parse import urlencode

import pytest

from avreward.errors import AvrewardError
from avreward.studies.choices import Choices, ShownClip, StudyVideo
from avreward.studies.server import ChoiceServer, _StudyHandler

CLIP = bytes(range(256)) * 40


def experiment(folder, picked: int = 0, videos: int = 6) -> Choices:
    choices = Choices(folder, {"seed": 0})
    media = choices.folder / "clips_files"
    media.mkdir()
    for i in range(videos):
        for number in (0, 1):
            (media / f"{i}{number}.mp4").write_bytes(bytes([i, number]) + CLIP)
        shown = [
            ShownClip(n, f"SOURCE{n}", 98.765 if n == picked else 12.345, file=f"clips_files/{i}{n}.mp4")
            for n in (0, 1)
        ]
        choices.add(StudyVideo(f"NAME{i}", shown, picked, category="CATEGORY"))
    return choices


@contextmanager
def served(choices, **options):
    server = ChoiceServer(choices, **options)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()


def ask(server, method: str, path: str, form: dict | None = None, headers: dict | None = None):
    """Status, headers, body."""
    connection = http.client.HTTPConnection(*server.server_address[:2], timeout=20)
    try:
        connection.putrequest(method, path, skip_host="Host" in (headers or {}))
        body = urlencode(form).encode() if form is not None else b""
        for name, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
            connection.putheader(name, value)
        connection.endheaders(body)
        answer = connection.getresponse()
        told = {name: value for name, value in answer.getheaders() if name != "Date"}
        return answer.status, told, answer.read()
    finally:
        connection.close()


@pytest.fixture
def server(tmp_path, monkeypatch):
    broken: list = []
    monkeypatch.setattr(ChoiceServer, "handle_error", lambda self, *given: broken.append(sys.exc_info()))
    with served(experiment(tmp_path / "experiment")) as running:
        yield running
    assert not broken


def started(server, name: str = "Anna") -> str:
    status, headers, _ = ask(server, "POST", "/start", {"name": name})
    assert status == 303
    return headers["Location"]


def key_in(page: bytes) -> str:
    return re.search(rb'name="question" value="(\w+)"', page)[1].decode()


def walk(server) -> list:
    """Everything that a person is told on the way through the experiment, always choosing the first clip."""
    where = started(server)
    told = [ask(server, "GET", "/")]
    for _ in range(6):
        told.append(page := ask(server, "GET", where))
        for source in re.findall(rb'src="([^"]+)"', page[2]):
            told.append(ask(server, "GET", source.decode()))
        form = {"question": key_in(page[2]), "choice": "first", "seconds": "2.5"}
        told.append(ask(server, "POST", where.replace("ask", "answer"), form))
    return [*told, ask(server, "GET", where)]


def test_two_experiments_that_differ_in_the_picks_alone_are_told_from_each_other_by_nothing(tmp_path):
    told = []
    for picked in (0, 1):
        with served(experiment(tmp_path / f"{picked}", picked)) as server:
            told.append(walk(server))
    assert told[0] == told[1]
    assert [status for status, _, _ in told[0]].count(200) == 1 + 6 * 3 + 1
    everything = b"".join(body for _, headers, body in told[0] if headers.get("Content-Type", "").startswith("text"))
    for word in (b"NAME", b"SOURCE", b"CATEGORY", b"98.7", b"12.3", b".mp4", b"picked"):
        assert word not in everything
    assert b"Thank you, Anna" in everything


def test_answers_are_stored_and_people_come_back_where_they_were(server):
    where = started(server)
    first = key_in(ask(server, "GET", where)[2])
    for _ in range(2):  # a double click
        status, headers, _ = ask(
            server, "POST", where.replace("ask", "answer"), {"question": first, "choice": "none", "seconds": "9.5"}
        )
        assert (status, headers["Location"]) == (303, where)
    assert [answer.agrees for answer in server.choices.answers()] == [None]
    again = started(server, " anna ")
    assert again == where
    page = ask(server, "GET", again)[2]
    assert b"2 of 6" in page
    assert key_in(page) != first
    assert started(server, "Ben") != where


def test_a_part_of_a_clip(server):
    where = started(server)
    source = re.search(rb'src="([^"]+)"', ask(server, "GET", where)[2])[1].decode()
    status, headers, whole = ask(server, "GET", source)
    assert (status, headers["Content-Type"], headers["Accept-Ranges"]) == (200, "video/mp4", "bytes")
    size = len(CLIP) + 2
    assert whole[2:] == CLIP
    for asked, part in {
        "bytes=0-": slice(0, size), "bytes=10-19": slice(10, 20), "bytes=-5": slice(size - 5, size),
        f"bytes=10000-{10 * size}": slice(10000, size),
    }.items():  # fmt: skip
        status, headers, body = ask(server, "GET", source, headers={"Range": asked})
        assert body == whole[part]
        assert status == (200 if len(body) == size else 206)
        if status == 206:
            assert headers["Content-Range"] == f"bytes {part.start}-{part.stop - 1}/{size}"
    for asked in (f"bytes={size}-", "bytes=9-3", "bytes=-0"):
        status, headers, _ = ask(server, "GET", source, headers={"Range": asked})
        assert (status, headers["Content-Range"]) == (416, f"bytes */{size}")
    assert ask(server, "GET", source, headers={"Range": "lines=1-2"})[2] == whole


def test_nothing_else_can_be_reached(server, tmp_path):
    (tmp_path / "secret.txt").write_text("secret")
    where = started(server)
    token = where.rsplit("/", 1)[1]
    key = key_in(ask(server, "GET", where)[2])
    for path in (
        "/experiment.sqlite", "/clips_files/00.mp4", "/../secret.txt", "/media/../../secret.txt", "/%2e%2e/secret.txt",
        f"/media/{token}/{key}/2", f"/media/{token}/{key}/../../secret.txt", f"/media/{token}/nokey/0",
        f"/media/nobody/{key}/0", "/ask/nobody", "/ask", f"/media/{token}/{key}/%2e%2e%2fsecret.txt", "/start",
    ):  # fmt: skip
        status, _, body = ask(server, "GET", path)
        assert status == 404, path
        assert b"secret" not in body
    assert ask(server, "PUT", "/")[0] == 501


@pytest.mark.parametrize("form", [{"choice": "first"}, {"question": "nokey", "choice": "first"}, {"choice": "third"}])
def test_a_form_that_fits_no_question_is_refused(server, form):
    where = started(server)
    assert ask(server, "POST", where.replace("ask", "answer"), form)[0] == 400
    assert ask(server, "POST", "/answer/nobody", form)[0] == 404
    assert not server.choices.answers()


def test_large_forms_wrong_names_and_odd_seconds(server):
    assert ask(server, "POST", "/start", {"name": "x" * 20_000})[0] == 413
    status, _, page = ask(server, "POST", "/start", {"name": "  "})
    assert status == 400
    assert b"1 to 80 characters" in page
    where = started(server, "<b>&amp;\"'")
    for _ in range(6):
        key = key_in(ask(server, "GET", where)[2])
        form = {"question": key, "choice": "second", "seconds": "1e999"}
        assert ask(server, "POST", where.replace("ask", "answer"), form)[0] == 303
    assert b"<b>" not in ask(server, "GET", where)[2]


def test_another_sites_name_for_this_machine_is_refused(server):
    for host in ("evil.example", "evil.example:8000", "127.0.0.1.evil.example", ""):
        assert ask(server, "GET", "/", headers={"Host": host})[0] == 403, host
    for host in ("localhost:8000", "127.0.0.1", "[::1]:80"):
        assert ask(server, "GET", "/", headers={"Host": host})[0] == 200, host


def sent(server, *lines: str, body: str = "") -> bytes:
    """The status line of what comes back for a request as it stands."""
    with socket.create_connection(server.server_address[:2], timeout=20) as connection:
        connection.sendall("\r\n".join([*lines, "", body]).encode("latin-1"))
        return connection.makefile("rb").readline()


def test_what_is_no_request_is_told_so(server):
    local = "Host: localhost"
    form = "a=1&" * 30
    length = f"Content-Length: {len(form)}"
    assert b" 400 " in sent(server, "GET / HTTP/1.1", "Host: [x")
    assert b" 400 " in sent(server, "GET http://[x/ HTTP/1.1", local)
    assert b" 400 " in sent(server, "POST /start HTTP/1.1", local, length, body=form)
    for number in ("\u00b2", "-1", "", "9" * 5000):
        assert b" 400 " in sent(server, "POST /start HTTP/1.1", local, f"Content-Length: {number}")
    where = started(server)
    source = re.search(rb'src="([^"]+)"', ask(server, "GET", where)[2])[1].decode()
    for asked in ("{}-", "-{}", "0-{}"):
        asked = asked.format("9" * 5000)
        assert b" 400 " in sent(server, f"GET {source} HTTP/1.1", local, f"Range: bytes={asked}")


@pytest.mark.parametrize("request_line", ["GET /nowhere HTTP/1.1\r\nHost: localhost\r\n\r\n", "GET /"])
def test_somebody_who_hangs_up_is_no_trouble(server, monkeypatch, request_line):
    gone, met, raised = threading.Event(), threading.Event(), []
    handled = _StudyHandler.handle

    def late(self):
        assert gone.wait(20)
        try:
            handled(self)
        except Exception as error:
            raised.append(error)
        finally:
            met.set()

    monkeypatch.setattr(_StudyHandler, "handle", late)
    connection = socket.create_connection(server.server_address[:2])
    connection.sendall(request_line.encode())
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # a reset, no farewell
    connection.close()
    gone.set()
    assert met.wait(20)
    assert not raised


def test_where_it_cannot_listen(server):
    port = server.server_address[1]
    for options, told in (
        (
            {"port": 80_000},
            r"port: expected a free port, got 80000 at 127\.0\.0\.1 .ports are 0 to 65535.; name another one",
        ),
        ({"port": -1}, "port: expected a free port, got -1 .*; name another one"),
        (
            {"port": port},
            rf"port: expected a free port, got {port} at 127\.0\.0\.1 .Address already in use.; name another one",
        ),
        (
            {"host": "192.0.2.1"},
            r"port: expected a free port, got 0 at 192\.0\.2\.1 .*; name this machine: 127\.0\.0\.1",
        ),
        ({"host": "no host"}, "host: expected an address of this machine, got 'no host' .*; name this machine"),
    ):
        with pytest.raises(AvrewardError, match=told):
            ChoiceServer(server.choices, **options)


def test_it_listens_on_this_machine_alone_and_forbids_foreign_content(server):
    assert server.server_address[0] == "127.0.0.1"
    _, headers, page = ask(server, "GET", "/")
    assert "default-src 'none'" in headers["Content-Security-Policy"]
    assert headers["Cache-Control"] == "no-store"
    assert b"http" not in page.replace(b"http-equiv", b"")


def test_a_clip_that_is_gone_and_a_disk_that_refuses(server, monkeypatch):
    where = started(server)
    page = ask(server, "GET", where)[2]
    for path in (server.choices.folder / "clips_files").iterdir():
        path.unlink()
    source = re.search(rb'src="([^"]+)"', page)[1].decode()
    assert ask(server, "GET", source)[0] == 404
    server.choices.path.write_bytes(b"not a database any more, and long enough to be read " * 50)
    status, _, body = ask(server, "POST", where.replace("ask", "answer"), {"question": key_in(page), "choice": "first"})
    assert status == 503
    assert b"can't be used" in body
