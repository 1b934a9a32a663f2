"""An experiment in which people choose between what a rater picked and another candidate: who saw what, and chose what.

Everything is in one SQLite file. What a person sees, and in which order, follows from the experiment's seed, the
person's name and the video alone. With two candidates a video, it doesn't depend on the rater in any way. Keys in
addresses are random: they can't be computed from names.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Mapping
from functools import lru_cache
from os import PathLike
from typing import Any

from avreward.errors import ArgumentError, Described
from avreward.studies._agreement import Answer
from avreward.studies._database import make_tables
from avreward.studies._experiment import Experiment
from avreward.studies._questions import CHOICES, FIRST, NEITHER, SECOND, ShownClip, StudyQuestion, StudyVideo

FILE = "experiment.sqlite"
PLANS = 64  # people whose order is kept in memory
_ASKED = """picked IS NOT NULL AND 2 <= (SELECT COUNT(*) FROM candidates
    WHERE candidates.video = videos.name AND file IS NOT NULL)"""


class Choices(Experiment):
    """The experiment in a folder.

    Args:
        folder: where ``experiment.sqlite`` and the media are.
        about: what the experiment depends on, such as reward and provider (*optional*). Where it is given, the folder
            is made if it isn't there; one that holds another experiment is an `AvrewardError`, unless nothing could be
            asked in that one: then it is replaced. Without it, a folder that holds none is one.

    Example:
        >>> choices = Choices("try", about={"seed": 0})
        >>> dubs = [ShownClip(0, "a.wav", 61.0, file="a.mp4"), ShownClip(1, "b.wav", 48.5, file="b.mp4")]
        >>> choices.add(StudyVideo("rain", dubs, picked=0, category="Water"))
        >>> anna = choices.person("Anna")
        >>> question = choices.questions(anna)[0]
        >>> choices.record(anna, question.key, "none"), choices.record(anna, question.key, "none")
        (True, False)
        >>> choices.answers()
        [Answer(video='rain', person='Anna', agrees=None, category='Water')]
    """

    FILE = FILE
    BEGUN = "SELECT 1 FROM videos WHERE picked IS NOT NULL UNION ALL SELECT 1 FROM answers LIMIT 1"
    CONTENT = ("videos", "candidates")

    def __init__(self, folder: str | PathLike[str], about: Mapping[str, Any] | None = None) -> None:
        self._plan = lru_cache(PLANS)(self._planned)
        super().__init__(folder, about)

    def _make_tables(self, database: sqlite3.Connection) -> None:
        make_tables(database)

    def add(self, video: StudyVideo) -> None:
        """Add a video, all or nothing; one that was there is replaced."""
        with self._writing, self._open() as database:
            size = (video.poster, video.width, video.height)
            told = (video.kind, video.prompt, video.group, video.margin)
            row = (video.name, video.picked, video.category, video.reason, *size, *told)
            database.execute("INSERT OR REPLACE INTO videos VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", row)
            database.execute("DELETE FROM candidates WHERE video = ?", (video.name,))
            rows = [(video.name, s.number, s.source, s.reward, s.reason, s.file) for s in video.candidates]
            database.executemany("INSERT INTO candidates VALUES (?, ?, ?, ?, ?, ?)", rows)
            self._changed(database)

    def videos(self, name: str | None = None) -> list[StudyVideo]:
        """All videos in the order of their names, or the one called `name`; without a pick they aren't asked about."""
        with self._open() as database:
            of: dict[str, list[ShownClip]] = {}
            query = "SELECT * FROM candidates WHERE ?1 IS NULL OR video = ?1 ORDER BY video, number"
            for video, *row in database.execute(query, (name,)):
                of.setdefault(video, []).append(ShownClip(*row))
            columns = "name, picked, category, reason, poster, width, height, kind, prompt, grouping, margin"
            query = f"SELECT {columns} FROM videos WHERE ?1 IS NULL OR name = ?1 ORDER BY name"  # noqa: S608
            rows = database.execute(query, (name,)).fetchall()
        return [StudyVideo(row[0], of.get(row[0], []), *row[1:]) for row in rows]

    def asked(self) -> dict[str, str]:
        """Return what people are asked about: name of a video → its kind."""
        with self._open() as database:
            return dict(database.execute(f"SELECT name, kind FROM videos WHERE {_ASKED}"))  # noqa: S608

    def order(self, token: str) -> list[str]:
        """Return the keys of a person's questions, in an order of their own."""
        return list(self._plan(token, self._changes()))

    def questions(self, token: str) -> list[StudyQuestion]:
        """Return what a person is asked, in an order of their own: the pick of each video against one other candidate.

        Of several others a person meets one, drawn at random, and each video once: a candidate that came back against
        one after the other would give itself away.
        """
        person = self._person(token)
        found = (self._question(token, person, video) for video in self.videos())
        asked = {question.key: question for question in found if question is not None}
        return [asked[key] for key in self.order(token)]

    def question(self, token: str, key: str) -> StudyQuestion | None:
        """Return the one of a person's questions that has this key; `None` if there is none."""
        name = self._plan(token, self._changes()).get(key)
        return None if name is None else self._question(token, self._person(token), self.videos(name)[0])

    def answered(self, token: str) -> dict[str, str]:
        """Return what a person has answered: key of the question → choice."""
        with self._open() as database:
            rows = database.execute("SELECT video, choice FROM answers WHERE person = ?", (token,)).fetchall()
        return {self._key(token, video): choice for video, choice in rows}

    def record(self, token: str, key: str, choice: str, seconds: float | None = None) -> bool:
        """Store an answer at once and return whether it says something new: it is the first, or another choice.

        The last answer to a question counts; how often it was changed is stored.

        Raises:
            AvrewardError: for an unknown person, question or choice, or where it can't be stored.
        """
        question = self.question(token, key)
        if choice not in CHOICES or question is None or self.name_of(token) is None:
            got = Described(f"{choice!r} to {key!r}")
            raise ArgumentError("answer", "a choice and a question of this experiment", got, "reload the page")
        picked = question.video.picked
        row = (token, question.video.name, question.first, question.second, picked, choice, seconds, time.time())
        query = """INSERT INTO answers VALUES (?, ?, ?, ?, ?, ?, ?, ?, 0) ON CONFLICT (person, video) DO UPDATE SET
            first = excluded.first, second = excluded.second, picked = excluded.picked, choice = excluded.choice,
            seconds = excluded.seconds, at = excluded.at, changed = changed + 1 WHERE choice <> excluded.choice"""
        with self._writing, self._open() as database:
            return database.execute(query, row).rowcount == 1

    def answers(self) -> list[Answer]:
        """All answers, in the order of time; `Answer.video` is the group of a pair that has one."""
        query = """SELECT CASE grouping WHEN '' THEN answers.video ELSE grouping END, people.name, first, second,
            answers.picked, choice, category FROM answers
            JOIN people ON people.token = answers.person JOIN videos ON videos.name = answers.video ORDER BY at"""
        with self._open() as database:
            rows = database.execute(query).fetchall()
        chosen = {FIRST: 0, SECOND: 1}
        return [
            Answer(video, person, None if choice == NEITHER else shown[chosen[choice]] == picked, category)
            for video, person, *shown, picked, choice, category in rows
        ]

    def rows(self) -> list[tuple[Any, ...]]:
        """Return a row an answer, in the order of time.

        It holds the video's name, the person's name, the numbers shown first and second and that of the pick, the
        choice, the seconds that it took, its time, and how often it was changed.
        """
        query = """SELECT answers.video, people.name, first, second, answers.picked, choice, seconds, at, changed
            FROM answers JOIN people ON people.token = answers.person ORDER BY at"""
        with self._open() as database:
            return database.execute(query).fetchall()

    def _planned(self, token: str, changes: int) -> dict[str, str]:
        """Return key of a question → name of the video, in a person's order; `changes` tells plans from older ones."""
        person = self._person(token)
        names = sorted(self.asked(), key=lambda name: self._drawn("order", person, name))
        return {self._key(token, name): name for name in names}

    def _question(self, token: str, person: str, video: StudyVideo) -> StudyQuestion | None:
        others = [s.number for s in video.candidates if s.file and s.number != video.picked]
        if video.picked is None or not others:
            return None
        drawn = int(self._drawn("places", person, video.name), 16)
        pair = sorted((video.picked, others[(drawn >> 1) % len(others)]), reverse=bool(drawn & 1))
        return StudyQuestion(self._key(token, video.name), video, *pair)

    def _key(self, token: str, video: str) -> str:
        return self._hidden("question", token, video)
