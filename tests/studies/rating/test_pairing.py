"""People compare what tells most, each pair once, until the order is known."""

import numpy as np

from avreward.studies import RatedClip, RatingStudy

TRUE = dict(zip("abcdef", (5.0, 4, 3, 2, 1, 0), strict=True))


def clips(names="abcdef", group="g"):
    return [RatedClip(f"{group}/{name}", f"clips_files/{group}{name}.mp4", group=group) for name in names]


def vote(study, token, generator=None, place=None):
    """Answer the next question by the true strengths; return its two clips, or nothing at the end."""
    place = place or study.progress(token).place
    if place is None:
        return None
    task = study.task(token, place)
    first, second = (clip.name for clip in task.clips)
    gap = 3 * (TRUE[first[-1]] - TRUE[second[-1]])
    wins = gap > 0 if generator is None else generator.random() < 1 / (1 + np.exp(-gap))
    study.record(token, task.key, {"overall": "first" if wins else "second"})
    return tuple(sorted((first, second)))


def test_asking_stops_once_the_order_is_known_and_the_order_is_right(tmp_path):
    study = RatingStudy(tmp_path, "pairs")
    study.add(clips("abcd"))
    rng = np.random.default_rng(0)
    asked = 0
    for number in range(40):
        token = study.person(f"person {number}")
        seen = []
        while (pair := vote(study, token, rng)) is not None:
            seen.append(pair)
        assert len(set(seen)) == len(seen)  # nobody compares a pair twice
        asked += len(seen)
        if study.progress(token).share == 1:
            break
    (order,) = study.orders().values()
    assert [name[-1] for name in order.order] == list("abcd")
    assert 6 < asked < 80
    assert study.progress(study.person("late")).place is None
    assert study.task(study.person("late"), 1) is None


def test_what_somebody_looks_at_is_not_asked_of_the_next_person_unless_it_waits_too_long(tmp_path):
    study = RatingStudy(tmp_path, "pairs")
    now = [1_000_000.0]
    study.clock = lambda: now[0]
    study.add(clips())
    shown = [{clip.name for clip in study.task(study.person(f"p{i}"), 1).clips} for i in range(3)]
    assert len({frozenset(one) for one in shown}) == 3
    now[0] += 3600
    assert {clip.name for clip in study.task(study.person("p9"), 1).clips} == shown[0]


def test_everyone_compares_every_pair_if_asked_to(tmp_path):
    study = RatingStudy(tmp_path, "pairs", every_pair=True)
    study.add([*clips("abc"), *clips("ab", "h")])
    seen = [[vote(study, token) for _ in range(4)] for token in map(study.person, ("Anna", "Ben"))]
    assert seen[0] != seen[1]
    assert sorted(seen[0]) == sorted(seen[1])
    assert len(set(seen[0])) == 4
    assert [study.progress(study.person("Anna")).share, study.progress(study.person("Anna")).place] == [1, None]


def test_groups_are_ordered_each_for_itself_and_practice_counts_in_nothing(tmp_path):
    study = RatingStudy(tmp_path, "pairs")
    practice = [RatedClip(f"p/{n}", f"f/p{n}.mp4", group="g", training=True) for n in "ab"]
    study.add([*practice, *clips("abc"), *clips("de", "h")])
    token = study.person("Anna")
    assert vote(study, token) == ("p/a", "p/b")
    seen = {vote(study, token) for _ in range(3)}
    assert {pair[0][0] for pair in seen} == {"g", "h"}
    orders = study.orders()
    assert {group: len(order.items) for group, order in orders.items()} == {"g": 3, "h": 2}
    assert "p/a" not in str(orders["g"].items)


def test_a_changed_vote_counts_as_changed(tmp_path):
    study = RatingStudy(tmp_path, "pairs")
    study.add(clips("ab"))
    token = study.person("Anna")
    task = study.task(token, 1)
    values = []
    for choice in ("first", "second", "tie"):
        study.record(token, task.key, {"overall": choice})
        order = study.orders()["g"]
        values.append(order.values[order.items.index(task.clips[0].name)])
    assert values[0] > 0
    assert values[1] == -values[0]
    assert abs(values[2]) < 1e-9
