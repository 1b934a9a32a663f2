"""An experiment in which people choose between what a rater picked and another candidate: who saw what, and chose what.

Everything is in one SQLite file. What a person sees, and in which order, follows from the experiment's seed, the
person's name and the video alone. With two candidates a video, it doesn't depend on the rater in any way. Keys in
addresses are random: they can't be computed from names.
"""

from __future__ import annotations

import hashlib
import json
import secrets
import sqlite3
import threading
import time
import unicodedata
from collections.abc import Mapping
from contextlib import AbstractContextManager
from functools import lru_cache
from os import PathLike
from pathlib import Path
from typing import Any

from avreward.errors import ArgumentError, AvrewardError, Described
from avreward.studies._agreement import Answer
from avreward.studies._database import make_tables, opened
from avreward.studies._questions import CHOICES, FIRST, NEITHER, SECOND, ShownClip, StudyQuestion, StudyVideo

FILE = "experiment.sqlite"
SECRET = "secret"  # noqa: S105 - the key of a row, as the next one
CHANGES = "changes"  # to the videos
PLANS = 64  # people whose order is kept in memory
_ASKED = """picked IS NOT NULL AND 2 <= (SELECT COUNT(*) FROM candidates
    WHERE candidates.video = videos.name AND file IS NOT NULL)"""


class Choices:
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

    def __init__(self, folder: str | PathLike[str], about: Mapping[str, Any] | None = None) -> None:
        self.folder = Path(folder)
        self.path = self.folder / FILE
        self._writing = threading.Lock()  # one writer at a time waits for no lock of the file
        self._plan = lru_cache(PLANS)(self._planned)
        if about is None and not self.path.is_file():
            raise AvrewardError(f"{self.folder}: holds no experiment; prepare one there first")
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            why = f"can't be made ({error.strerror or error}); name another folder for the experiment"
            raise AvrewardError(f"{self.folder}: {why}") from error
        with self._writing, self._open() as database:
            make_tables(database)
            asked = "SELECT 1 FROM videos WHERE picked IS NOT NULL UNION ALL SELECT 1 FROM answers LIMIT 1"
            if about is not None and database.execute(asked).fetchone() is None:
                for table in ("experiment", "videos", "candidates", "people"):
                    database.execute(f"DELETE FROM {table}")  # noqa: S608 - our own words
            fresh = (SECRET, json.dumps(secrets.token_hex(16)))
            database.execute("INSERT OR IGNORE INTO experiment VALUES (?, ?)", fresh)
            known = {key: json.loads(value) for key, value in database.execute("SELECT * FROM experiment")}
            self._secret = str(known.pop(SECRET))
            known.pop(CHANGES, None)
            if about is not None:
                self._belongs(known, about)
                rows = [(key, json.dumps(value)) for key, value in about.items()]
                database.executemany("INSERT OR REPLACE INTO experiment VALUES (?, ?)", rows)
        self.about: dict[str, Any] = known | dict(about or {})

    def _belongs(self, known: Mapping[str, Any], about: Mapping[str, Any]) -> None:
        for key, value in known.items():
            if key in about and about[key] != value:
                problem = f"expected an experiment with {key} {about[key]!r}, got one with {value!r}"
                raise AvrewardError(f"{self.folder}: {problem}; name another folder, or use its settings to continue")

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
            changed = "INSERT INTO experiment VALUES (?, '1') ON CONFLICT (key) DO UPDATE SET value = value + 1"
            database.execute(changed, (CHANGES,))

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

    def person(self, name: str) -> str:
        """Return the token of a person, who is known by name; somebody new is added."""
        name = " ".join(unicodedata.normalize("NFC", name).split())  # one name, whatever keyboard it was typed on
        if not name or len(name) > 80:
            raise ArgumentError("name", "1 to 80 characters", name)
        token = self._hidden("person", name.casefold())
        with self._writing, self._open() as database:
            known = dict(database.execute("SELECT name, token FROM people"))
            there = next((known[other] for other in known if other.casefold() == name.casefold()), None)
            if there is None:
                database.execute("INSERT INTO people VALUES (?, ?, ?)", (token, name, time.time()))
        return there or token

    def name_of(self, token: str) -> str | None:
        """Return the name that belongs to a token; `None` for an unknown one."""
        with self._open() as database:
            found = database.execute("SELECT name FROM people WHERE token = ?", (token,)).fetchone()
        return found[0] if found else None

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

    def hidden_name(self, *parts: object) -> str:
        """Return a name for an address or a file that tells nothing of `parts`, the same each time."""
        return self._hidden("name", *parts)

    def _planned(self, token: str, changes: int) -> dict[str, str]:
        """Return key of a question → name of the video, in a person's order; `changes` tells plans from older ones."""
        person = self._person(token)
        names = sorted(self.asked(), key=lambda name: self._drawn("order", person, name))
        return {self._key(token, name): name for name in names}

    def _changes(self) -> int:
        with self._open() as database:
            found = database.execute("SELECT value FROM experiment WHERE key = ?", (CHANGES,)).fetchone()
        return int(found[0]) if found else 0

    def _person(self, token: str) -> str:
        return (self.name_of(token) or "").casefold()

    def _question(self, token: str, person: str, video: StudyVideo) -> StudyQuestion | None:
        others = [s.number for s in video.candidates if s.file and s.number != video.picked]
        if video.picked is None or not others:
            return None
        drawn = int(self._drawn("places", person, video.name), 16)
        pair = sorted((video.picked, others[(drawn >> 1) % len(others)]), reverse=bool(drawn & 1))
        return StudyQuestion(self._key(token, video.name), video, *pair)

    def _key(self, token: str, video: str) -> str:
        return self._hidden("question", token, video)

    def _drawn(self, *parts: object) -> str:
        return _hash(self.about.get("seed"), *parts)

    def _hidden(self, *parts: object) -> str:
        return _hash(self._secret, *parts)

    def _open(self) -> AbstractContextManager[sqlite3.Connection]:
        return opened(self.path)


def _hash(*parts: object) -> str:
    return hashlib.blake2b(repr(parts).encode(), digest_size=16).hexdigest()
