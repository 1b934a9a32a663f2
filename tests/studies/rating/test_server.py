"""The page's server: nothing gives a system away, answers are kept, and nothing else can be reached."""

import re
from concurrent.futures import ThreadPoolExecutor

import pytest
from rating_studies import SHORT
from study_requests import CLIP, ask, key_in, started

from avreward.studies import RatedClip, RatingServer, RatingStudy


def study_of(folder, mode="scores", dimensions=SHORT, clips=4, **more):
    study = RatingStudy(folder, mode, dimensions, **more)
    (folder / "clips_files").mkdir()
    for i in range(clips):
        (folder / f"clips_files/{i}.mp4").write_bytes(bytes([i]) + CLIP)
    names = [f"NAME{i}.mp4" for i in range(clips)]
    study.add([RatedClip(n, f"clips_files/{i}.mp4", "video", "GROUP", "", f"SYSTEM{i}") for i, n in enumerate(names)])
    return study


@pytest.fixture
def server(tmp_path, caplog):
    with RatingServer(study_of(tmp_path / "study", daily_limit=3)) as running:
        yield running
    assert not caplog.records  # no handler failed


def rated(server, where, quality="3.4", fit="0", **more):
    """Rate the next clip; return where that leads."""
    place = ask(server, "GET", where)[1]["Location"]
    key = key_in(ask(server, "GET", place)[2])
    form = {"question": key, "score.0.quality": quality, "score.0.fit": fit, "seconds": "2.5", **more}
    return ask(server, "POST", where.replace("rate", "answer"), form)


def test_a_walk_through_the_study_tells_no_names_and_ends_for_the_day(server):
    where = started(server)
    told = [ask(server, "GET", "/")[2]]
    assert b"at most 3 questions a day" in told[0]
    for number in range(3):
        place = ask(server, "GET", where)[1]["Location"]
        assert place == f"{where}/{number + 1}"
        status, headers, page = ask(server, "GET", place)
        assert status == 200
        assert "script-src 'sha256-" in headers["Content-Security-Policy"]
        told.append(page)
        source = re.search(rb'src="([^"#]+)', page)[1].decode()
        assert ask(server, "GET", source)[2][1:] == CLIP
        assert rated(server, where)[0] == 303
    assert ask(server, "GET", where)[1]["Location"] == f"{where}/rest"
    told.append(ask(server, "GET", f"{where}/rest")[2])
    assert b"Come back tomorrow" in told[-1]
    assert f'href="{where}/3"'.encode() in told[-1]
    for word in (b"NAME", b"SYSTEM", b"GROUP", b"clips_files"):
        assert word not in b"".join(told)
    answers = server.study.answers()
    assert [a.answer for a in answers] == [{a.clips[0]: {"quality": 3.4, "fit": 0.0}} for a in answers]
    assert [a.seconds for a in answers] == [2.5] * 3


@pytest.mark.parametrize(
    ("quality", "fit"), [("5.1", "1"), ("-1", "1"), ("nan", "1"), ("1e1", "1"), ("", "1"), ("3", "x"), ("٣", "1")]
)
def test_scores_that_no_slider_gives_are_refused(server, quality, fit):
    assert rated(server, started(server), quality, fit)[0] == 400
    assert not server.study.answers()


def test_forms_that_fit_no_question_are_refused(server):
    where = started(server)
    ask(server, "GET", f"{where}/1")
    for form in ({}, {"question": "nokey"}, {"vote.quality": "first"}, {"score.7.quality": "1"}, {"best": "0"}):
        assert ask(server, "POST", where.replace("rate", "answer"), form)[0] == 400
    assert rated(server, where, **{"score.1.quality": "1"})[0] == 303  # a clip that is not shown counts for nothing
    assert ask(server, "POST", "/answer/nobody", {})[0] == 404
    assert len(server.study.answers()) == 1


def test_nothing_else_can_be_reached_and_other_sites_are_refused(server):
    where = started(server)
    token = where.rsplit("/", 1)[1]
    key = key_in(ask(server, "GET", f"{where}/1")[2])
    for path in (
        "/study.sqlite", "/clips_files/0.mp4", f"/media/{token}/{key}/1", f"/media/{token}/{key}/x", "/rate/nobody",
        f"/media/{token}/{key}/../../study.sqlite", f"/media/{token}/nokey/0", f"/media/nobody/{key}/0",
    ):  # fmt: skip
        assert ask(server, "GET", path)[0] == 404, path
    for place in ("2", "0", "-1", "x", "9" * 400):
        assert ask(server, "GET", f"{where}/{place}")[1]["Location"] == where
    assert ask(server, "POST", "/start", {"name": "A"}, {"Origin": "http://evil.example"})[0] == 403
    assert ask(server, "GET", "/", headers={"Host": "evil.example"})[0] == 403
    assert ask(server, "POST", "/start", {"name": " "})[0] == 400
    assert b"<script>alert" not in ask(server, "POST", "/start", {"name": "<script>alert" + "x" * 99})[2]


def test_another_machine_comes_in_with_the_key_alone(tmp_path):
    with RatingServer(study_of(tmp_path / "study"), "0.0.0.0") as server:
        assert server.url.endswith(f"/?key={server.key}")
        assert ask(server, "GET", "/")[0] == 403
        action = re.search(rb'action="([^"]+)"', ask(server, "GET", f"/?key={server.key}")[2])[1].decode()
        assert ask(server, "POST", action, {"name": "Anna"})[0] == 303


def test_forty_people_rate_at_one_moment(tmp_path):
    with RatingServer(study_of(tmp_path / "study")) as server, ThreadPoolExecutor(20) as pool:

        def person(number):
            where = started(server, f"person {number}")
            return [rated(server, where, quality=f"{number % 5}.{place}")[0] for place in range(4)]

        assert list(pool.map(person, range(40))) == [[303] * 4] * 40
        answers = server.study.answers()
    assert len({(a.person, a.question) for a in answers}) == len(answers) == 160


def test_the_best_of_several_soundtracks_or_none(tmp_path):
    with RatingServer(study_of(tmp_path / "study", "soundtracks", [], clips=3)) as server:
        for name, best in (("Anna", "2"), ("Ben", "none")):
            where = started(server, name)
            page = ask(server, "GET", f"{where}/1")[2]
            assert page.count(b"<video") == 3
            for wrong in ("3", "x", ""):
                form = {"question": key_in(page), "best": wrong}
                assert ask(server, "POST", where.replace("rate", "answer"), form)[0] == 400
            form = {"question": key_in(page), "best": best}
            assert ask(server, "POST", where.replace("rate", "answer"), form)[1]["Location"] == where
        anna, ben = server.study.answers()
        assert (anna.answer["best"], ben.answer["best"]) == (anna.clips[2], None)
