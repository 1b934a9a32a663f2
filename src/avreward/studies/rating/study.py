"""A study in which people rate clips: who is asked what, in which order, and what they answered.

Everything is in one SQLite file. What a person is asked is stored when it is shown first, so that a reload, a way back
and another day find the same question. Keys in addresses are random: they can't be computed from names.
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import astuple
from datetime import datetime
from functools import lru_cache
from os import PathLike
from typing import Any

from avreward._parsing import parsed_json
from avreward.errors import ArgumentError, Described, unknown_name
from avreward.studies._experiment import Experiment
from avreward.studies.rating._pairing import known_orders, most_telling, order_share
from avreward.studies.rating._tables import CLIP_COLUMNS, TABLES
from avreward.studies.rating._tasks import (
    MODES,
    RELOAD,
    Mode,
    RatedClip,
    RatingAnswer,
    RatingProgress,
    RatingTask,
    checked_answer,
    questions,
)
from avreward.studies.rating.adaptive import KnownOrder
from avreward.studies.rating.dimensions import RatedDimension, as_settings, of_settings, rated_dimensions

LOOKED_AT = 600.0  # seconds that a question without an answer counts as being looked at


class RatingStudy(Experiment):
    """The study in a folder.

    Args:
        folder: where ``study.sqlite`` and the media are.
        mode: ``"scores"`` (sliders for each clip), ``"pairs"`` (which of two clips of a group is better, or a tie) or
            ``"soundtracks"`` (one video, several soundtracks: sliders for each, or without dimensions the best one).
            `None`: the study that is there.
        dimensions: what is rated, see `rated_dimensions`. Default: three for scores, ``overall`` for pairs, none for
            soundtracks.
        seed: of orders and places.
        every_pair: whether each person compares every pair. Default: the pair that tells most comes next, and nobody is
            asked any more once the order is known, see `known_order`. It counts ``overall``, or the first dimension.
        daily_limit: number of questions that a person answers on one day (*optional*).

    Raises:
        ArgumentError: for an unknown mode, or a limit that is not positive.
        AvrewardError: if the folder holds another study, or none where `mode` is `None`.

    Example:
        >>> study = RatingStudy("rated", "scores", rated_dimensions(["overall"]))
        >>> study.add([RatedClip("a.mp4", "clips_files/1.mp4"), RatedClip("b.mp4", "clips_files/2.mp4")])
        >>> anna = study.person("Anna")
        >>> task = study.task(anna, 1)
        >>> study.record(anna, task.key, {task.clips[0].name: {"overall": 3.5}})
        True
        >>> study.progress(anna).answered, study.progress(anna).total
        (1, 2)
    """

    FILE = "study.sqlite"
    KIND = "study"
    BEGUN = "SELECT 1 FROM clips WHERE file IS NOT NULL UNION ALL SELECT 1 FROM answers LIMIT 1"
    CONTENT = ("clips", "asked", "answers")

    def __init__(
        self,
        folder: str | PathLike[str],
        mode: Mode | None = None,
        dimensions: Sequence[RatedDimension] | None = None,
        *,
        seed: int = 0,
        every_pair: bool = False,
        daily_limit: int | None = None,
    ) -> None:
        about = None
        if mode is not None:
            if mode not in MODES:
                raise unknown_name("mode", mode, MODES)
            if dimensions is None:
                dimensions = default_dimensions(mode)
            if not dimensions and mode != "soundtracks":
                raise ArgumentError("dimensions", "at least one", Described("none"))
            about = {"mode": mode, "dimensions": as_settings(dimensions), "seed": seed}
            about |= {"every_pair": every_pair} if mode == "pairs" else {}
        if daily_limit is not None and daily_limit < 1:
            raise ArgumentError("daily_limit", "a positive integer", daily_limit)
        self.clock: Callable[[], float] = time.time
        self._kept = lru_cache(1)(self._content)
        super().__init__(folder, about)
        self.mode: Mode = self.about["mode"]
        self.dimensions = of_settings(self.about["dimensions"])
        self._set_limit(daily_limit)

    def _make_tables(self, database: sqlite3.Connection) -> None:
        database.executescript(TABLES)

    def _set_limit(self, limit: int | None) -> None:
        """Keep the limit, which may change from day to day; `None` keeps the last one."""
        if limit is not None:
            with self._writing, self._open() as database:
                database.execute("INSERT OR REPLACE INTO experiment VALUES ('daily_limit', ?)", (json.dumps(limit),))
            self.about["daily_limit"] = limit

    @property
    def adaptive(self) -> bool:
        """Whether the next comparison is the one that tells most, until the order is known."""
        return self.mode == "pairs" and not self.about["every_pair"]

    def orders(self) -> dict[str, KnownOrder]:
        """Return what the comparisons say about the order in each group; only where pairs are compared."""
        return known_orders(self.questions(), self.answers(), self.dimensions) if self.mode == "pairs" else {}

    @property
    def daily_limit(self) -> int | None:
        """Number of questions that a person answers on one day; `None` for any."""
        return self.about.get("daily_limit")

    def add(self, clips: Sequence[RatedClip]) -> None:
        """Add clips, all or nothing; those of a name that is there are replaced."""
        with self._writing, self._open() as database:
            before = database.execute("SELECT COUNT(*) FROM clips").fetchone()[0]
            query = f"INSERT OR REPLACE INTO clips ({CLIP_COLUMNS}, listed) VALUES ({', '.join('?' * 11)})"  # noqa: S608
            database.executemany(query, [(*astuple(clip), before + place) for place, clip in enumerate(clips)])
            self._changed(database)

    def clips(self) -> list[RatedClip]:
        """Return all clips in the order in which they were listed, also those that can't be shown."""
        with self._open() as database:
            rows = database.execute(f"SELECT {CLIP_COLUMNS} FROM clips ORDER BY listed, name").fetchall()  # noqa: S608
        return [_clip(row) for row in rows]

    def questions(self) -> dict[str, tuple[RatedClip, ...]]:
        """Return what is asked: name of a question → its clips."""
        return self._kept(self._changes())

    def _content(self, changes: int) -> dict[str, tuple[RatedClip, ...]]:
        return questions(self.mode, self.clips())

    def task(self, token: str, place: int) -> RatingTask | None:
        """Return the question at a place of a person's order; `None` where there is none, or none yet.

        The next one is drawn once all before it are answered, unless the person has done enough for today.
        """
        found = self._asked(token)
        if place == len(found) + 1 and self.progress(token).place == place:
            self._ask(token, place)
            found = self._asked(token)
        if not 0 < place <= len(found):
            return None
        question, names = found[place - 1]
        known = {clip.name: clip for clip in self.questions().get(question, ())}
        if not known or any(name not in known for name in names):
            return None
        clips = tuple(known[name] for name in names)
        answer = self._answers_of(token).get(question)
        return RatingTask(self._key(token, question), place, clips, clips[0].training, answer)

    def progress(self, token: str) -> RatingProgress:
        """Return how far a person is, and where to go on."""
        answers, asked, known = self._answers_of(token), self._asked(token), self.questions()
        main = [name for name, clips in known.items() if not clips[0].training]
        open_places = (place for place, (name, _) in enumerate(asked, 1) if name in known and name not in answers)
        place = next(open_places, None)
        if place is None and self._next(token, {name for name, _ in asked}) is not None:
            place = len(asked) + 1
        with self._open() as database:
            query = "SELECT COUNT(*) FROM answers WHERE person = ? AND day = ? AND NOT training"
            today = database.execute(query, (token, self._today())).fetchone()[0]
        resting = place is not None and self.daily_limit is not None and today >= self.daily_limit
        answered = sum(name in answers for name in main)
        share = order_share(self.orders()) if self.adaptive else answered / max(1, len(main))
        return RatingProgress(answered, len(main), today, None if resting else place, resting, len(asked), share)

    def record(self, token: str, key: str, answer: Mapping[str, Any], seconds: float | None = None) -> bool:
        """Store an answer at once and return whether it says something new: it is the first, or another one.

        The last answer to a question counts; how often it was changed is stored. An answer is clip → dimension → score
        where clips are rated on sliders; dimension → ``"first"``, ``"second"`` or ``"tie"`` for two clips;
        ``{"best": clip}``, or `None` for can't tell, for soundtracks of which one is chosen.

        Raises:
            ArgumentError: for an unknown person, question or answer.
            AvrewardError: where it can't be stored.
        """
        task = self.task_of(token, key)
        if self.name_of(token) is None:
            raise ArgumentError("answer", "a person of this study", Described("an unknown one"), RELOAD)
        given = json.dumps(checked_answer(self.mode, self.dimensions, task.clips, answer))
        question, _ = self._asked(token)[task.place - 1]
        row = (token, question, task.training, given, seconds, self._today(), self.clock())
        query = """INSERT INTO answers VALUES (?, ?, ?, ?, ?, ?, ?, 0) ON CONFLICT (person, question) DO UPDATE SET
            answer = excluded.answer, seconds = excluded.seconds, at = excluded.at, changed = changed + 1
            WHERE answer <> excluded.answer"""
        with self._writing, self._open() as database:
            return database.execute(query, row).rowcount == 1

    def task_of(self, token: str, key: str) -> RatingTask:
        """Return the one of a person's questions that has this key.

        Raises:
            ArgumentError: if there is none.
        """
        keys = [self._key(token, question) for question, _ in self._asked(token)]
        task = self.task(token, keys.index(key) + 1) if key in keys else None
        if task is None:
            raise ArgumentError("answer", "a question that this person was asked", Described(repr(key)), RELOAD)
        return task

    def number_of(self, token: str, task: RatingTask) -> int:
        """Return the place of a question among those that are not for practice."""
        known = self.questions()
        before = [question for question, _ in self._asked(token)[: task.place]]
        return sum(name in known and not known[name][0].training for name in before)

    def answers(self) -> list[RatingAnswer]:
        """Return all answers in the order of time; those about a clip that is now for practice are for practice."""
        query = """SELECT people.name, answers.question, clips, answer, seconds, answers.at, changed, training
            FROM answers JOIN people ON people.token = answers.person
            JOIN asked ON asked.person = answers.person AND asked.question = answers.question ORDER BY answers.at"""
        with self._open() as database:
            rows = database.execute(query).fetchall()
            trained = {name for (name,) in database.execute("SELECT name FROM clips WHERE training")}
        return [
            RatingAnswer(person, question, shown, parsed_json(given), took, at, changed, practice)
            for person, question, names, given, took, at, changed, was in rows
            for shown in [tuple(parsed_json(names))]
            for practice in [bool(was) or not trained.isdisjoint(shown)]
        ]

    def _asked(self, token: str) -> list[tuple[str, list[str]]]:
        with self._open() as database:
            query = "SELECT question, clips FROM asked WHERE person = ? ORDER BY place"
            return [(question, parsed_json(clips)) for question, clips in database.execute(query, (token,))]

    def _answers_of(self, token: str) -> dict[str, Mapping[str, Any]]:
        with self._open() as database:
            rows = database.execute("SELECT question, answer FROM answers WHERE person = ?", (token,)).fetchall()
        return {question: parsed_json(answer) for question, answer in rows}

    def _ask(self, token: str, place: int) -> None:
        """Draw the next question of a person and store it; two requests at once store one."""
        question = self._next(token, {name for name, _ in self._asked(token)})
        if question is None:
            return
        person, names = self._person(token), [clip.name for clip in self.questions()[question]]
        shown = sorted(names, key=lambda name: self._drawn("places", person, question, name))
        row = (token, place, question, json.dumps(shown), self.clock())
        with self._writing, self._open() as database:
            database.execute("INSERT OR IGNORE INTO asked VALUES (?, ?, ?, ?, ?)", row)

    def _next(self, token: str, asked: set[str]) -> str | None:
        """Return the question to ask next; practice comes first, in its own order."""
        known, person = self.questions(), self._person(token)
        left = [name for name in known if name not in asked]
        practice = next((name for name in left if known[name][0].training), None)
        if practice is not None:
            return practice
        if self.adaptive:
            return most_telling(self.orders(), left, self._open_questions(token))
        return min(left, key=lambda name: self._drawn("order", person, name), default=None)

    def _open_questions(self, token: str) -> dict[str, int]:
        """Return how many others look at a question now: it was shown lately and is not answered."""
        query = """SELECT asked.question, COUNT(*) FROM asked LEFT JOIN answers ON answers.person = asked.person
            AND answers.question = asked.question WHERE answers.person IS NULL AND asked.person <> ? AND asked.at > ?
            GROUP BY asked.question"""
        with self._open() as database:
            return dict(database.execute(query, (token, self.clock() - LOOKED_AT)))

    def _key(self, token: str, question: str) -> str:
        return self._hidden("question", token, question)

    def _today(self) -> str:
        return datetime.fromtimestamp(self.clock()).date().isoformat()


def default_dimensions(mode: Mode) -> list[RatedDimension]:
    """Return what is rated where nobody says."""
    return {"scores": rated_dimensions(), "pairs": rated_dimensions(["overall"]), "soundtracks": []}[mode]


def _clip(row: Sequence[Any]) -> RatedClip:
    name, file, kind, group, prompt, system, training, width, height, reason = row
    return RatedClip(name, file, kind, group, prompt, system, bool(training), width, height, reason)
