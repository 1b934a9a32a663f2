"""Who is asked what, in which order, and what is stored."""

import pytest
from rating_studies import SHORT

from avreward.errors import ArgumentError, AvrewardError
from avreward.studies import RatedClip, RatingStudy, rated_dimensions

ONE = rated_dimensions(["overall"])
DAY = 86400.0


def clips(count=4, groups=1, **more):
    return [RatedClip(f"{i}.mp4", f"clips_files/{i}.mp4", group=f"g{i % groups}", **more) for i in range(count)]


def answer_all(study, token, value=3.0):
    """Answer until there is nothing more; return the names of the questions in order."""
    seen = []
    while (place := study.progress(token).place) is not None:
        task = study.task(token, place)
        seen.append([clip.name for clip in task.clips])
        study.record(token, task.key, {clip.name: {"overall": value} for clip in task.clips})
    return seen


def test_each_person_has_an_order_of_their_own_that_stays(tmp_path):
    study = RatingStudy(tmp_path / "s", "scores", ONE)
    study.add(clips(8))
    orders = [answer_all(study, study.person(name)) for name in ("Anna", "Ben")]
    assert orders[0] != orders[1]
    assert sorted(orders[0]) == sorted(orders[1]) == [[f"{i}.mp4"] for i in range(8)]
    again = RatingStudy(tmp_path / "s")
    token = again.person("anna ")
    assert [[clip.name for clip in again.task(token, place).clips] for place in range(1, 9)] == orders[0]
    assert again.dimensions == ONE


def test_practice_comes_first_in_its_order_and_counts_in_nothing(tmp_path):
    study = RatingStudy(tmp_path, "scores", ONE, daily_limit=1)
    study.add([RatedClip("p2", "f/p2.mp4", training=True), RatedClip("p1", "f/p1.mp4", training=True), *clips(3)])
    token = study.person("Anna")
    assert answer_all(study, token)[:2] == [["p2"], ["p1"]]
    found = study.progress(token)
    assert (found.answered, found.total, found.today, found.resting) == (1, 3, 1, True)
    assert [a.training for a in study.answers()] == [True, True, False]


def test_a_daily_limit_ends_at_midnight_and_lets_answers_be_changed(tmp_path):
    study = RatingStudy(tmp_path, "scores", ONE, daily_limit=2)
    now = [1_000_000_000.0]
    study.clock = lambda: now[0]
    study.add(clips(5))
    token = study.person("Anna")
    assert len(answer_all(study, token)) == 2
    assert study.task(token, 3) is None
    first = study.task(token, 1)
    assert study.record(token, first.key, {first.clips[0].name: {"overall": 5}})
    assert study.progress(token).today == 2
    assert study.progress(study.person("Ben")).place == 1  # a limit a person
    now[0] += DAY
    assert study.record(token, first.key, {first.clips[0].name: {"overall": 1}})  # a change is not another question
    assert len(answer_all(study, token)) == 2
    assert RatingStudy(tmp_path).daily_limit == 2
    assert len(answer_all(RatingStudy(tmp_path, daily_limit=9), token)) == 1


def test_the_next_question_waits_for_the_answer_to_the_last(tmp_path):
    study = RatingStudy(tmp_path, "scores", ONE)
    study.add(clips(3))
    token = study.person("Anna")
    assert study.task(token, 2) is None
    assert study.task(token, 1) == study.task(token, 1)
    assert study.task(token, 2) is None
    assert study.task(token, 0) is None


def test_a_repeated_answer_says_nothing_new_and_the_last_one_counts(tmp_path):
    study = RatingStudy(tmp_path, "scores", SHORT)
    study.add(clips(2))
    token = study.person("Anna")
    task = study.task(token, 1)
    name = task.clips[0].name
    told = [study.record(token, task.key, {name: {"quality": v, "fit": 2}}, 1.5) for v in (3.14, 3.1, 3.2)]
    assert told == [True, False, True]  # a tenth is what a slider has
    (stored,) = study.answers()
    assert (stored.answer, stored.changed, stored.seconds) == ({name: {"quality": 3.2, "fit": 2.0}}, 1, 1.5)
    assert study.task(token, 1).answer == stored.answer


@pytest.mark.parametrize("value", [None, "3", True, -0.1, 5.1, float("nan"), float("inf"), [3], {"a": 1}])
def test_scores_that_no_slider_has_are_refused(tmp_path, value):
    study = RatingStudy(tmp_path, "scores", ONE)
    study.add(clips(2))
    token = study.person("Anna")
    task = study.task(token, 1)
    name = task.clips[0].name
    for answer in ({name: {"overall": value}}, {name: {}}, {}, {"other": {"overall": 1}}, {name: value}):
        with pytest.raises(ArgumentError, match="answer: expected"):
            study.record(token, task.key, answer)
    with pytest.raises(ArgumentError, match="a question that this person was asked"):
        study.record(study.person("Ben"), task.key, {name: {"overall": 1}})
    assert not study.answers()


def test_another_study_in_the_folder_and_wrong_settings(tmp_path):
    with pytest.raises(AvrewardError, match="holds no study"):
        RatingStudy(tmp_path / "none")
    RatingStudy(tmp_path, "scores", SHORT)
    study = RatingStudy(tmp_path, "scores", ONE)  # nothing could be asked in the other one
    study.add(clips(2))
    with pytest.raises(AvrewardError, match="expected a study with mode 'pairs', got one with 'scores'"):
        RatingStudy(tmp_path, "pairs", ONE)
    with pytest.raises(ArgumentError, match=r"did you mean 'scores'"):
        RatingStudy(tmp_path, "score")
    with pytest.raises(ArgumentError, match="daily_limit: expected a positive integer, got 0"):
        RatingStudy(tmp_path, daily_limit=0)
    with pytest.raises(ArgumentError, match="dimensions: expected at least one"):
        RatingStudy(tmp_path / "b", "pairs", [])


def test_clips_that_cannot_be_shown_are_not_asked_about(tmp_path):
    study = RatingStudy(tmp_path, "scores", ONE)
    study.add([*clips(2), RatedClip("bad.mp4", None, reason="it is broken")])
    assert list(study.questions()) == ["0.mp4", "1.mp4"]
    study.add([RatedClip("bad.mp4", "clips_files/b.mp4")])  # tried again
    assert len(study.questions()) == 3
