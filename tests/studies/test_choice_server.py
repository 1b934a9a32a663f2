"""The page's server: nothing gives the pick away, answers are kept, and nothing else can be reached."""

import re

import pytest
from study_requests import CLIP, answered, ask, experiment, key_in, question_at, started

from avreward.studies import ChoiceServer


@pytest.fixture
def server(tmp_path, caplog):
    with ChoiceServer(experiment(tmp_path / "experiment")) as running:
        yield running
    assert not caplog.records  # no handler failed


def walk(server) -> list:
    """Everything that a person is told on the way through the experiment, always choosing the first clip."""
    where = started(server)
    told = [ask(server, "GET", "/")]
    for place in range(1, 7):
        told.append(page := ask(server, "GET", f"{where}/{place}"))
        for source in re.findall(rb'src="([^"]+)"', page[2]):
            told.append(ask(server, "GET", source.decode().partition("#")[0]))
        form = {"question": key_in(page[2]), "choice": "first", "seconds": "2.5"}
        told.append(ask(server, "POST", where.replace("ask", "answer"), form))
    return [*told, ask(server, "GET", f"{where}/done")]


def test_two_experiments_that_differ_in_the_picks_alone_are_told_from_each_other_by_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr("secrets.token_hex", lambda length: "0" * 2 * length)  # keys are another thing
    told = []
    for picked in (0, 1):
        with ChoiceServer(experiment(tmp_path / f"{picked}", picked)) as server:
            told.append(walk(server))
    assert told[0] == told[1]
    assert [status for status, _, _ in told[0]].count(200) == 1 + 6 * 3 + 1
    everything = b"".join(body for _, headers, body in told[0] if headers.get("Content-Type", "").startswith("text"))
    for word in (b"NAME", b"SOURCE", b"CATEGORY", b"98.7", b"12.3", b".mp4", b"picked"):
        assert word not in everything
    assert b"Thank you, Anna" in everything


def test_answers_are_stored_and_people_come_back_where_they_were(server):
    where = started(server)
    first = key_in(question_at(server, where)[1])
    for _ in range(2):  # a double click
        assert answered(server, where, first, "none", seconds="9.5") == f"{where}/2"
    assert [answer.agrees for answer in server.choices.answers()] == [None]
    again = started(server, " anna ")
    assert again == where
    place, page = question_at(server, again)
    assert place == f"{where}/2"
    assert b"2 of 6" in page
    assert key_in(page) != first
    assert started(server, "Ben") != where


def test_somebody_goes_back_and_changes_an_answer(server):
    where = started(server)
    first = key_in(question_at(server, where)[1])
    answered(server, where, first, "first")
    second = ask(server, "GET", f"{where}/2")[2]
    assert f'href="{where}/1"'.encode() in second
    assert b" checked" not in second
    before = ask(server, "GET", f"{where}/1")[2]
    assert key_in(before) == first
    assert re.search(rb'value="first" checked', before)
    answered(server, where, first, "second")
    assert [row[5] for row in server.choices.rows()] == ["second"]
    assert [row[8] for row in server.choices.rows()] == [1]
    assert re.search(rb'value="second" checked', ask(server, "GET", f"{where}/1")[2])
    assert question_at(server, where)[0] == f"{where}/2"
    for place in range(2, 7):
        last = answered(server, where, key_in(ask(server, "GET", f"{where}/{place}")[2]), "none")
    assert last == where
    assert ask(server, "GET", where)[1]["Location"] == f"{where}/done"
    assert f'href="{where}/6"'.encode() in ask(server, "GET", f"{where}/done")[2]


def test_pages_that_are_not_there_lead_to_where_one_was(server):
    where = started(server)
    for place in ("0", "7", "-1", "x", "9" * 5000, "done"):
        status, headers, _ = ask(server, "GET", f"{where}/{place}")
        assert (status, headers["Location"]) == (303, where), place


def test_a_part_of_a_clip(server):
    where = started(server)
    source = re.search(rb'src="([^"]+)"', question_at(server, where)[1])[1].decode().partition("#")[0]
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
        assert (status, headers["Content-Range"]) == (206, f"bytes {part.start}-{part.stop - 1}/{size}")
    for asked in (f"bytes={size}-", "bytes=-0"):
        status, headers, _ = ask(server, "GET", source, headers={"Range": asked})
        assert (status, headers["Content-Range"]) == (416, f"bytes */{size}")
    for asked in ("bytes=9-3", "lines=1-2", f"bytes={'9' * 5000}-"):
        assert ask(server, "GET", source, headers={"Range": asked})[0] == 400
    status, headers, body = ask(server, "HEAD", source)
    assert (status, headers["Content-Length"], body) == (200, str(size), b"")
    assert not {"Etag", "Last-Modified"} & set(headers)  # they tell when it was written


def test_nothing_else_can_be_reached(server, tmp_path):
    (tmp_path / "secret.txt").write_text("secret")
    where = started(server)
    token = where.rsplit("/", 1)[1]
    key = key_in(question_at(server, where)[1])
    for path in (
        "/experiment.sqlite", "/clips_files/00.mp4", "/../secret.txt", "/media/../../secret.txt", "/%2e%2e/secret.txt",
        f"/media/{token}/{key}/2", f"/media/{token}/{key}/../../secret.txt", f"/media/{token}/nokey/0",
        f"/media/nobody/{key}/0", "/ask/nobody", "/ask/nobody/1", "/ask", f"/media/{token}/{key}/%2e%2e%2fsecret.txt",
    ):  # fmt: skip
        status, _, body = ask(server, "GET", path)
        assert status == 404, path
        assert b"secret" not in body
    assert ask(server, "PUT", "/")[0] == 405


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
        key = key_in(question_at(server, where)[1])
        form = {"question": key, "choice": "second", "seconds": "1e999"}
        assert ask(server, "POST", where.replace("ask", "answer"), form)[0] == 303
    assert b"<b>" not in ask(server, "GET", f"{where}/done")[2]


def test_another_sites_name_for_this_machine_is_refused(server):
    for host in ("evil.example", "evil.example:8000", "127.0.0.1.evil.example", ""):
        assert ask(server, "GET", "/", headers={"Host": host})[0] == 403, host
    for host in ("localhost:8000", "127.0.0.1", "[::1]:80"):
        assert ask(server, "GET", "/", headers={"Host": host})[0] == 200, host


def test_it_listens_on_this_machine_alone_and_forbids_foreign_content(server):
    assert server.server_address[0] == "127.0.0.1"
    _, headers, page = ask(server, "GET", "/")
    assert "default-src 'none'" in headers["Content-Security-Policy"]
    assert headers["Cache-Control"] == "no-store"
    assert b"http" not in page.replace(b"http-equiv", b"")


def test_a_clip_that_is_gone_and_a_disk_that_refuses(server, monkeypatch):
    where = started(server)
    _, page = question_at(server, where)
    for path in (server.choices.folder / "clips_files").iterdir():
        path.unlink()
    source = re.search(rb'src="([^"]+)"', page)[1].decode().partition("#")[0]
    assert ask(server, "GET", source)[0] == 404
    server.choices.path.write_bytes(b"not a database any more, and long enough to be read " * 50)
    status, _, body = ask(server, "POST", where.replace("ask", "answer"), {"question": key_in(page), "choice": "first"})
    assert status == 503
    assert b"can't be used" in body


def test_another_machine_comes_in_with_the_key_alone(tmp_path):
    with ChoiceServer(experiment(tmp_path / "experiment"), "0.0.0.0") as server:
        assert server.url.endswith(f"/?key={server.key}")
        assert ask(server, "GET", "/")[0] == 403
        page = ask(server, "GET", f"/?key={server.key}")[2]
        action = re.search(rb'action="([^"]+)"', page)[1].decode()
        assert action == f"/start?key={server.key}"
        assert ask(server, "POST", "/start", {"name": "Anna"})[0] == 403
        assert ask(server, "POST", action, {"name": " "})[2].count(server.key.encode()) == 1
        status, headers, _ = ask(server, "POST", action, {"name": "Anna"})
        assert status == 303
        assert question_at(server, headers["Location"])[0] == f"{headers['Location']}/1"
