"""The server of a study: who may ask, what is refused, and what a bad connection costs the others."""

import http.client
import os
import socket
import struct
import time
from contextlib import suppress
from urllib.parse import urlencode

import pytest

from avreward._serving.guard import DEADLINE, LARGEST, RequestProblem
from avreward._serving.protocol import TimedProtocol
from avreward.errors import AvrewardError
from avreward.studies import Choices, ChoiceServer, ShownClip, StudyServer, StudyVideo
from avreward.studies._app import form_of, media, page, study_app

KEY = "a key that nobody guesses"


def application(folder):
    from starlette.routing import Route

    async def echo(request):
        return page(repr(sorted((await form_of(request)).items())))

    def refuse(request):
        raise RequestProblem(418, "not here")

    def full(request):
        raise AvrewardError("disk: it is full; free some space")

    def broken(request):
        raise ZeroDivisionError("a bug")

    routes = [
        Route("/", lambda request: page("hello")), Route("/start", echo, methods=["POST"]),
        Route("/refuse", refuse), Route("/full", full), Route("/broken", broken),
        Route("/file/{name:path}", lambda request: media(folder / request.path_params["name"], folder)),
    ]  # fmt: skip
    return lambda local, key: study_app(routes, "default-src 'none'", local=local, key=key)


@pytest.fixture
def server(tmp_path):
    (tmp_path / "served").mkdir()
    with StudyServer(application(tmp_path / "served")) as running:
        yield running


def ask(server, method: str, path: str, form: dict | None = None, **headers: str):
    """Status, headers, body."""
    connection = http.client.HTTPConnection(*server.server_address, timeout=20)
    try:
        body = urlencode(form).encode() if form is not None else None
        connection.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
        answer = connection.getresponse()
        return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()
    finally:
        connection.close()


def sent(server, *lines: str, body: str = "") -> bytes:
    """The status line of what comes back for a request as it stands."""
    with socket.create_connection(server.server_address, timeout=20) as connection:
        connection.sendall("\r\n".join([*lines, "", body]).encode("latin-1"))
        return connection.makefile("rb").readline()


def test_every_answer_carries_the_policy(server):
    for path, status in {"/": 200, "/nowhere": 404, "/refuse": 418, "/full": 503}.items():
        found, headers, _ = ask(server, "GET", path)
        assert found == status
        assert headers["content-security-policy"] == "default-src 'none'"
        assert (headers["cache-control"], headers["x-content-type-options"]) == ("no-store", "nosniff")
        assert "server" not in headers
    assert ask(server, "GET", "/refuse")[2] == b"not here"
    assert b"disk: it is full" in ask(server, "GET", "/full")[2]


def test_a_bug_is_told_to_whoever_runs_the_server(server, caplog):
    status, _, body = ask(server, "GET", "/broken")
    assert (status, b"a bug" in body) == (500, False)
    end = time.monotonic() + 20
    while not caplog.records:  # written after the answer
        assert time.monotonic() < end
    (record,) = caplog.records
    assert record.getMessage() == "GET /broken failed"
    assert record.exc_info[0] is ZeroDivisionError


def test_forms_of_another_site_are_refused(server):
    own = "http://{}:{}".format(*server.server_address)
    form = {"name": "Anna"}
    for headers in (
        {"Origin": "http://evil.example"}, {"Origin": "null"}, {"Origin": "http://127.0.0.1:1"},
        {"Sec_Fetch_Site": "cross-site"}, {"Sec_Fetch_Site": "same-site"},
        {"Origin": own, "Sec_Fetch_Site": "cross-site"}, {"Origin": "http://[x"},
    ):  # fmt: skip
        assert ask(server, "POST", "/start", form, **headers)[0] == 403, headers
    for headers in ({}, {"Origin": own}, {"Origin": own, "Sec_Fetch_Site": "same-origin"}):
        assert ask(server, "POST", "/start", form, **headers)[2] == b"[('name', 'Anna')]", headers


def test_another_address_needs_a_key(tmp_path):
    with StudyServer(application(tmp_path), host="0.0.0.0", key=KEY) as server:
        assert server.url == f"http://{socket.gethostname()}:{server.server_address[1]}/?key={KEY}"
        for path in ("/", "/?key=", "/?key=other", "/?key=%C3%A4", "/start", "/start?key=other"):
            assert ask(server, "POST" if "start" in path else "GET", path, {})[0] == 403, path
        assert ask(server, "GET", f"/?{urlencode({'key': KEY})}")[2] == b"hello"
        assert ask(server, "GET", "/nowhere")[0] == 404  # other addresses hold keys of their own
        assert ask(server, "GET", f"/?{urlencode({'key': KEY})}", Host="any.example")[0] == 200
    with (
        StudyServer(application(tmp_path), host="0.0.0.0") as one,
        StudyServer(application(tmp_path), "0.0.0.0") as two,
    ):
        assert len({one.key, two.key}) == 2
        assert len(one.key) > 20
    assert StudyServer(application(tmp_path), key=KEY).key is None


def test_the_key_of_an_experiment_stays(tmp_path):
    choices = Choices(tmp_path, {"seed": 0})
    keys = {ChoiceServer(choices, "0.0.0.0").key, ChoiceServer(Choices(tmp_path), "0.0.0.0").key}
    assert len(keys) == 1
    assert ChoiceServer(Choices(tmp_path / "other", {"seed": 0}), "0.0.0.0").key not in keys


def test_another_sites_name_for_this_machine_is_refused(server):
    for host in ("evil.example", "evil.example:8000", "127.0.0.1.evil.example", ""):
        assert ask(server, "GET", "/", Host=host)[0] == 403, host
    for host in ("localhost:8000", "127.0.0.1", "[::1]:80"):
        assert ask(server, "GET", "/", Host=host)[0] == 200, host


def test_what_is_no_request_is_told_so(server):
    local, form = "Host: localhost", "a=1&" * 400
    assert b" 400 " in sent(server, "GET / HTTP/1.1", "Host: [x")
    assert b" 400 " in sent(server, "POST /start HTTP/1.1", local, f"Content-Length: {len(form)}", body=form)
    for number in ("\u00b2", "-1", "", "9" * 5000):
        assert b" 400 " in sent(server, "POST /start HTTP/1.1", local, f"Content-Length: {number}")
    assert b" 400 " in sent(server, "no request at all")
    assert ask(server, "GET", "/")[0] == 200


def test_a_body_is_bounded_whatever_it_says(server):
    assert ask(server, "POST", "/start", {"name": "x" * LARGEST})[0] == 413
    chunk = f"{LARGEST + 1:x}\r\n{'x' * (LARGEST + 1)}\r\n0\r\n\r\n"
    head = ("POST /start HTTP/1.1", "Host: localhost", "Transfer-Encoding: chunked")
    assert b" 413 " in sent(server, *head, body=chunk)


def test_a_body_that_does_not_come_ends_at_the_deadline(server, monkeypatch):
    server._server.config.app.deadline = 0.2
    assert b" 408 " in sent(server, "POST /start HTTP/1.1", "Host: localhost", "Content-Length: 9", body="a=")
    assert DEADLINE <= 60


def test_heads_that_never_end_are_closed_and_hinder_nobody(server, monkeypatch):
    monkeypatch.setattr(TimedProtocol, "headers_within", 0.3)
    held = [socket.create_connection(server.server_address, timeout=20) for _ in range(60)]
    for connection in held:
        connection.sendall(b"GET / HTTP/1.1\r\nX-Slow: ")
    assert ask(server, "GET", "/")[0] == 200
    for connection in held:  # closed by the server
        with suppress(ConnectionResetError):
            assert connection.recv(1) == b""
        connection.close()


def test_connections_are_bounded(tmp_path, monkeypatch):
    monkeypatch.setattr("avreward._serving.server.CONNECTIONS", 5)
    with StudyServer(application(tmp_path)) as server:
        held = [socket.create_connection(server.server_address, timeout=20) for _ in range(8)]
        assert ask(server, "GET", "/")[0] == 503
        for connection in held:
            connection.close()
        end = time.monotonic() + 20
        while ask(server, "GET", "/")[0] != 200:
            assert time.monotonic() < end


def test_somebody_who_hangs_up_is_no_trouble(server, caplog):
    head = b"POST /start HTTP/1.1\r\nHost: localhost\r\nContent-Length: 90\r\n\r\nname="
    for request in (b"GET /nowhere HTTP/1.1\r\nHost: localhost\r\n\r\n", b"GET /", head):
        connection = socket.create_connection(server.server_address)
        connection.sendall(request)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # a reset, no farewell
        connection.close()
    assert ask(server, "GET", "/")[0] == 200
    assert not caplog.records


def test_only_media_within_the_folder_are_served(server, tmp_path):
    served = tmp_path / "served"
    (tmp_path / "secret.mp4").write_bytes(b"secret")
    (served / "clip.mp4").write_bytes(b"video")
    (served / "sound.wav").write_bytes(b"audio")
    (served / "notes.txt").write_bytes(b"secret")
    (served / "link.mp4").symlink_to(tmp_path / "secret.mp4")
    (served / "folder.mp4").mkdir()
    os.mkfifo(served / "pipe.mp4")
    assert ask(server, "GET", "/file/clip.mp4")[2] == b"video"
    assert ask(server, "GET", "/file/sound.wav")[1]["content-type"].startswith("audio/")
    for name in (
        "../secret.mp4", "%2e%2e/secret.mp4", "link.mp4", "notes.txt", "folder.mp4", "pipe.mp4", "/etc/passwd",
        "gone.mp4",
    ):  # fmt: skip
        status, _, body = ask(server, "GET", f"/file/{name}")
        assert status == 404, name
        assert b"secret" not in body


def test_an_experiment_that_names_other_files_serves_none_of_them(tmp_path):
    (tmp_path / "secret.mp4").write_bytes(b"secret")
    choices = Choices(tmp_path / "study", {"seed": 0})
    named = [ShownClip(0, "a", file="../secret.mp4"), ShownClip(1, "b", file=str(tmp_path / "secret.mp4"))]
    choices.add(StudyVideo("rain", named, 0))
    anna = choices.person("Anna")
    key = choices.order(anna)[0]
    with ChoiceServer(choices) as server:
        assert [ask(server, "GET", f"/media/{anna}/{key}/{place}")[0] for place in (0, 1)] == [404, 404]


def test_where_it_cannot_listen(server, tmp_path):
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
            StudyServer(application(tmp_path), **options)


def test_it_is_on_this_machine_alone_by_default(server):
    assert server.server_address[0] == "127.0.0.1"
    assert server.url == f"http://127.0.0.1:{server.server_address[1]}/"


def test_somebody_who_takes_nothing_of_an_answer_is_let_go(server, tmp_path, monkeypatch):
    monkeypatch.setattr(TimedProtocol, "stalled_after", 0.3)
    with (tmp_path / "served" / "long.mp4").open("wb") as file:
        file.truncate(200_000_000)  # more than the buffers of both sides hold
    state = server._server.server_state
    with socket.create_connection(server.server_address, timeout=20) as connection:
        connection.sendall(b"GET /file/long.mp4 HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert connection.recv(15) == b"HTTP/1.1 200 OK"
        end = time.monotonic() + 20
        while state.connections or state.tasks:
            assert time.monotonic() < end, "the connection is still held"
            time.sleep(0.05)
    assert ask(server, "GET", "/")[0] == 200
