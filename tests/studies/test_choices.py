"""Who sees what, and what they chose: the experiment's file."""

import sqlite3
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from avreward.errors import AvrewardError
from avreward.studies import Choices, ShownClip, StudyVideo
from avreward.studies._agreement import agreement


def video(name: str, picked: int | None = 0, count: int = 2, **changes) -> StudyVideo:
    shown = [ShownClip(i, f"{name}_{i}.wav", float(i == picked), file=f"{name}{i}.mp4") for i in range(count)]
    return StudyVideo(name, shown, picked, **changes)


@pytest.fixture
def choices(tmp_path) -> Choices:
    made = Choices(tmp_path / "experiment", {"seed": 0, "reward": "overall"})
    for i in range(40):
        made.add(video(f"video {i}", picked=i % 2, category=("Sea", "Fire")[i % 3 > 0]))
    return made


def test_order_and_places_are_of_each_persons_own_and_stay(choices):
    anna, ben = choices.person("Anna"), choices.person("Ben")
    first, second = choices.questions(anna), choices.questions(ben)
    assert {q.video.name for q in first} == {q.video.name for q in second} == {f"video {i}" for i in range(40)}
    assert [q.video.name for q in first] != [q.video.name for q in second]
    assert [q.video.name for q in first] != sorted(q.video.name for q in first)
    assert Choices(choices.folder).questions(anna) == first
    places = {q.video.name: q.first for q in second}
    assert 8 <= sum(q.first == places[q.video.name] for q in first) <= 32
    on_the_left = sum(q.first == q.video.picked for q in first)
    assert 10 <= on_the_left <= 30


def test_with_two_candidates_nothing_depends_on_the_pick(choices, tmp_path):
    other = Choices(tmp_path / "other", {"seed": 0, "reward": "-overall"})
    other._secret = choices._secret  # keys are random, and another thing
    for i in range(40):
        other.add(video(f"video {i}", picked=1 - i % 2))
    seen = [[(q.key, q.first, q.second) for q in c.questions(c.person("Anna"))] for c in (choices, other)]
    assert seen[0] == seen[1]


def test_of_several_candidates_each_person_meets_the_pick_once_against_any(tmp_path):
    choices = Choices(tmp_path, {"seed": 3})
    choices.add(video("only", picked=2, count=5))
    met = Counter()
    for i in range(120):
        (question,) = choices.questions(choices.person(f"person {i}"))
        assert 2 in (question.first, question.second)
        met[question.first + question.second - 2] += 1
    assert set(met) == {0, 1, 3, 4}
    assert min(met.values()) > 12


def test_a_candidate_without_a_file_is_not_shown(tmp_path):
    choices = Choices(tmp_path, {"seed": 0})
    shown = [
        ShownClip(0, "a", 1.0, file="a.mp4"),
        ShownClip(1, "b", reason="the reward failed"),
        ShownClip(2, "c", 0.5, file="c.mp4"),
    ]
    choices.add(StudyVideo("rain", shown, 0))
    choices.add(StudyVideo("left out", shown[:2], None, reason="fewer than two"))
    for i in range(10):
        (question,) = choices.questions(choices.person(f"{i}"))
        assert {question.first, question.second} == {0, 2}
        assert {question.file(0), question.file(1)} == {"a.mp4", "c.mp4"}


def test_the_last_answer_counts_and_the_same_one_twice_is_one(choices):
    anna = choices.person("Anna")
    key = choices.questions(anna)[0].key
    with ThreadPoolExecutor(8) as pool:
        said = list(pool.map(lambda i: choices.record(anna, key, "first"), range(16)))
    assert sum(said) == 1
    assert [choices.record(anna, key, choice) for choice in ("second", "second", "none")] == [True, False, True]
    assert choices.answered(anna) == {key: "none"}
    assert [answer.agrees for answer in choices.answers()] == [None]
    assert [row[8] for row in choices.rows()] == [2]


def test_keys_tell_nothing_and_cannot_be_computed(choices, tmp_path):
    again = Choices(tmp_path / "again", choices.about)
    again.add(video("video 0"))
    for found in (choices, again):
        found.person("Anna")
    assert choices.person("Anna") != again.person("Anna")
    assert choices.hidden_name("clip") != again.hidden_name("clip")
    assert Choices(choices.folder).person("Anna") == choices.person("Anna")
    assert "secret" not in Choices(choices.folder).about


def test_answers_say_whether_the_pick_was_preferred(choices):
    anna = choices.person("Anna")
    for i, question in enumerate(choices.questions(anna)[:3]):
        agree = "first" if question.first == question.video.picked else "second"
        other = {"first": "second", "second": "first"}[agree]
        choices.record(anna, question.key, (agree, other, "none")[i])
    assert [answer.agrees for answer in choices.answers()] == [True, False, None]
    assert {answer.person for answer in choices.answers()} == {"Anna"}
    assert {answer.category for answer in choices.answers()} <= {"Sea", "Fire"}


def test_they_are_on_disk_at_once(choices):
    anna = choices.person("Anna")
    choices.record(anna, choices.questions(anna)[0].key, "first", 3.5)
    rows = sqlite3.connect(choices.path).execute("SELECT choice, seconds FROM answers").fetchall()
    assert rows == [("first", 3.5)]


def test_the_same_name_is_the_same_person(choices):
    assert choices.person("  Anna  B ") == choices.person("anna b")
    assert choices.name_of(choices.person("Anna b")) == "Anna B"
    composed, apart = "Ren\u00e9", "Rene\u0301"
    assert choices.person(apart) == choices.person(composed)
    assert choices.name_of(choices.person(apart)) == composed
    assert choices.name_of("nobody") is None
    for name in ("", "  ", "x" * 81):
        with pytest.raises(AvrewardError, match="1 to 80"):
            choices.person(name)


@pytest.mark.parametrize("wrong", [{"choice": "third"}, {"key": "0" * 16}, {"token": "nobody"}])
def test_what_belongs_to_nothing_is_refused(choices, wrong):
    anna = choices.person("Anna")
    given = {"token": anna, "key": choices.questions(anna)[0].key, "choice": "first"} | wrong
    with pytest.raises(AvrewardError, match="expected a choice and a question of this experiment"):
        choices.record(**given)
    assert not choices.answers()


def test_a_folder_holds_one_experiment(choices, tmp_path):
    with pytest.raises(AvrewardError, match="reward 'other', got one with 'overall'"):
        Choices(choices.folder, {"seed": 0, "reward": "other"})
    assert len(Choices(choices.folder, {"seed": 0, "reward": "overall"}).videos()) == 40
    with pytest.raises(AvrewardError, match="holds no experiment"):
        Choices(tmp_path / "none")
    assert not (tmp_path / "none").exists()
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "experiment.sqlite").write_text("no database, but long enough to be looked at " * 40)
    with pytest.raises(AvrewardError, match="can't be used"):
        Choices(tmp_path / "bad")


def test_a_folder_that_cannot_be_one(tmp_path):
    (tmp_path / "file").write_text("")
    for folder, why in ((tmp_path / "file", "File exists"), (tmp_path / "file" / "sub", "Not a directory")):
        with pytest.raises(AvrewardError, match=f"{folder}: can't be made .{why}.; name another folder"):
            Choices(folder, {"seed": 0})


def test_an_experiment_in_which_nothing_can_be_asked_is_replaced(tmp_path):
    choices = Choices(tmp_path, {"seed": 0, "provider": "wrong"})
    choices.add(StudyVideo("rain", [ShownClip(0, "seed 0", reason="no answer")], None, reason="no dubs"))
    choices.person("Anna")
    choices = Choices(tmp_path, {"seed": 1, "provider": "right"})
    assert not choices.videos()
    assert choices.name_of(choices.person("Anna")) == "Anna"  # of the new seed
    choices.add(video("rain"))
    choices.record(choices.person("Anna"), choices.questions(choices.person("Anna"))[0].key, "first")
    with pytest.raises(AvrewardError, match="provider 'wrong', got one with 'right'"):
        Choices(tmp_path, {"seed": 1, "provider": "wrong"})
    choices.add(StudyVideo("rain", [], None, reason="its dubs are gone"))
    with pytest.raises(AvrewardError, match="provider 'wrong', got one with 'right'"):  # there are answers
        Choices(tmp_path, {"seed": 1, "provider": "wrong"})


def test_a_video_that_is_added_again_replaces_the_old_one(choices):
    choices.add(StudyVideo("video 0", [], None, reason="broken"))
    assert [(f.picked, f.reason, list(f.candidates)) for f in choices.videos() if f.name == "video 0"] == [
        (None, "broken", [])
    ]


def scripted(folder, behaviour: str, people: int = 10, videos: int = 40) -> Choices:
    """An experiment that people of one behaviour have answered in full."""
    choices = Choices(folder, {"seed": 0})
    for i in range(videos):
        choices.add(video(f"video {i}", picked=i % 2))
    rng = np.random.default_rng(4)
    for i in range(people):
        token = choices.person(f"person {i}")
        for question in choices.questions(token):
            pick = "first" if question.first == question.video.picked else "second"
            other = {"first": "second", "second": "first"}[pick]
            chosen = {
                "agrees": pick,
                "left": "first",
                "coin": ("first", "second")[rng.integers(2)],
                "80 %": pick if rng.random() < 0.8 else other,
            }[behaviour]
            choices.record(token, question.key, chosen)
    return choices


@pytest.mark.parametrize(("behaviour", "share"), [("agrees", 1), ("left", 0.5), ("coin", 0.5), ("80 %", 0.8)])
def test_scripted_people_of_known_behaviour(tmp_path, behaviour, share):
    people, videos = (4, 25)
    found = agreement(scripted(tmp_path, behaviour, people, videos).answers())
    assert found.answers == people * videos
    assert found.low <= share <= found.high
    assert (found.share == 1) == (behaviour == "agrees")
    if behaviour != "agrees":
        assert 0.05 < found.high - found.low < 0.6


def test_a_folder_of_the_first_version_goes_on(tmp_path):
    with sqlite3.connect(tmp_path / "experiment.sqlite") as database:
        database.executescript("""
            CREATE TABLE experiment (key TEXT PRIMARY KEY, value TEXT NOT NULL);
            CREATE TABLE videos (
                name TEXT PRIMARY KEY, picked INTEGER, category TEXT NOT NULL, reason TEXT,
                poster TEXT NOT NULL, width INTEGER NOT NULL, height INTEGER NOT NULL);
            CREATE TABLE candidates (
                video TEXT NOT NULL, number INTEGER NOT NULL, source TEXT NOT NULL, reward REAL, reason TEXT, file TEXT,
                PRIMARY KEY (video, number));
            CREATE TABLE people (token TEXT PRIMARY KEY, name TEXT NOT NULL UNIQUE, since REAL NOT NULL);
            CREATE TABLE answers (
                person TEXT NOT NULL, video TEXT NOT NULL, first INTEGER NOT NULL, second INTEGER NOT NULL,
                picked INTEGER NOT NULL, choice TEXT NOT NULL, seconds REAL, at REAL NOT NULL,
                PRIMARY KEY (person, video));
            INSERT INTO experiment VALUES ('seed', '0');
            INSERT INTO videos VALUES ('rain', 0, 'Water', NULL, '', 16, 9), ('sea', 1, '', NULL, '', 16, 9);
            INSERT INTO candidates VALUES ('rain', 0, 'a', 1.0, NULL, 'a.mp4'), ('rain', 1, 'b', 0.5, NULL, 'b.mp4'),
                ('sea', 0, 'a', 1.0, NULL, 'c.mp4'), ('sea', 1, 'b', 1.5, NULL, 'd.mp4');
            INSERT INTO people VALUES ('0123', 'Anna', 1.0);
            INSERT INTO answers VALUES ('0123', 'rain', 0, 1, 0, 'first', 2.5, 2.0);
        """)
    choices = Choices(tmp_path)
    anna = choices.person("anna")
    assert choices.name_of(anna) == "Anna"
    assert [answer.agrees for answer in choices.answers()] == [True]
    (left,) = [question for question in choices.questions(anna) if question.key not in choices.answered(anna)]
    assert (left.video.name, left.video.kind) == ("sea", "sound")
    assert choices.record(anna, left.key, "none")


def test_another_process_adds_videos_and_orders_follow(choices):
    anna = choices.person("Anna")
    before = choices.order(anna)
    Choices(choices.folder).add(video("new one"))
    after = choices.order(anna)
    assert [key for key in after if key in before] == before
    (new,) = set(after) - set(before)
    assert choices.question(anna, new).video.name == "new one"
