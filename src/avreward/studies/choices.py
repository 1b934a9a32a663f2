"""An experiment in which people choose between what a rater picked and another candidate: who saw what, and chose what.

Everything is in one SQLite file. What a person sees, and in which order, follows from the experiment's seed, the
person's name and the video alone. With two candidates a video, it doesn't depend on the rater in any way.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
import time
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

from avreward.errors import ArgumentError, AvrewardError, Described
from avreward.studies._agreement import Answer

FILE = "experiment.sqlite"
FIRST, SECOND, NEITHER = "first", "second", "none"
CHOICES = (FIRST, SECOND, NEITHER)

_TABLES = """
CREATE TABLE IF NOT EXISTS experiment (key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS videos (
    name TEXT PRIMARY KEY, picked INTEGER, category TEXT NOT NULL, reason TEXT,
    poster TEXT NOT NULL, width INTEGER NOT NULL, height INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS candidates (
    video TEXT NOT NULL, number INTEGER NOT NULL, source TEXT NOT NULL, reward REAL, reason TEXT, file TEXT,
    PRIMARY KEY (video, number));
CREATE TABLE IF NOT EXISTS people (token TEXT PRIMARY KEY, name TEXT NOT NULL UNIQUE, since REAL NOT NULL);
CREATE TABLE IF NOT EXISTS answers (
    person TEXT NOT NULL, video TEXT NOT NULL, first INTEGER NOT NULL, second INTEGER NOT NULL,
    picked INTEGER NOT NULL, choice TEXT NOT NULL, seconds REAL, at REAL NOT NULL, PRIMARY KEY (person, video));
"""


@dataclass(frozen=True)
class ShownClip:
    """One candidate of a video: `number` among its candidates, where it is from, its reward or why it has none.

    `file` is what a browser plays, relative to the experiment's folder; `None` where the candidate isn't shown.
    """

    number: int
    source: str
    reward: float | None = None
    reason: str | None = None
    file: str | None = None


@dataclass(frozen=True)
class StudyVideo:
    """One video with its candidates; `picked` is the number of the rater's pick, `reason` why there is none."""

    name: str
    candidates: Sequence[ShownClip]
    picked: int | None
    category: str = ""
    reason: str | None = None
    poster: str = ""
    width: int = 16
    height: int = 9


@dataclass(frozen=True)
class StudyQuestion:
    """What one person is asked about one video; `first` and `second` are numbers of candidates, in the order shown."""

    key: str
    video: StudyVideo
    first: int
    second: int

    def file(self, place: int) -> str:
        """Return the file shown in the first (0) or second (1) place."""
        number = (self.first, self.second)[place]
        return next(str(shown.file) for shown in self.video.candidates if shown.number == number)


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
        >>> choices.record(anna, question.key, "none"), choices.record(anna, question.key, "first")
        (True, False)
        >>> choices.answers()
        [Answer(video='rain', person='Anna', agrees=None, category='Water')]
    """

    def __init__(self, folder: str | PathLike[str], about: Mapping[str, Any] | None = None) -> None:
        self.folder = Path(folder)
        self.path = self.folder / FILE
        if about is None and not self.path.is_file():
            raise AvrewardError(f"{self.folder}: holds no experiment; prepare one there first")
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            why = f"can't be made ({error.strerror or error}); name another folder for the experiment"
            raise AvrewardError(f"{self.folder}: {why}") from error
        with self._open() as database:
            database.executescript(_TABLES)
            asked = "SELECT 1 FROM videos WHERE picked IS NOT NULL UNION ALL SELECT 1 FROM answers LIMIT 1"
            if about is not None and database.execute(asked).fetchone() is None:
                for table in ("experiment", "videos", "candidates", "people"):
                    database.execute(f"DELETE FROM {table}")  # noqa: S608 - our own words
            known = {key: json.loads(value) for key, value in database.execute("SELECT * FROM experiment")}
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
        with self._open() as database:
            row = (video.name, video.picked, video.category, video.reason, video.poster, video.width, video.height)
            database.execute("INSERT OR REPLACE INTO videos VALUES (?, ?, ?, ?, ?, ?, ?)", row)
            database.execute("DELETE FROM candidates WHERE video = ?", (video.name,))
            rows = [(video.name, s.number, s.source, s.reward, s.reason, s.file) for s in video.candidates]
            database.executemany("INSERT INTO candidates VALUES (?, ?, ?, ?, ?, ?)", rows)

    def videos(self, name: str | None = None) -> list[StudyVideo]:
        """All videos in the order of their names, or the one called `name`; without a pick they aren't asked about."""
        with self._open() as database:
            of: dict[str, list[ShownClip]] = {}
            query = "SELECT * FROM candidates WHERE ?1 IS NULL OR video = ?1 ORDER BY video, number"
            for video, *row in database.execute(query, (name,)):
                of.setdefault(video, []).append(ShownClip(*row))
            query = "SELECT * FROM videos WHERE ?1 IS NULL OR name = ?1 ORDER BY name"
            rows = database.execute(query, (name,)).fetchall()
        return [StudyVideo(row[0], of.get(row[0], []), *row[1:]) for row in rows]

    def person(self, name: str) -> str:
        """Return the token of a person, who is known by name; somebody new is added."""
        name = " ".join(unicodedata.normalize("NFC", name).split())  # one name, whatever keyboard it was typed on
        if not name or len(name) > 80:
            raise ArgumentError("name", "1 to 80 characters", name)
        token = _hash(self.about.get("seed"), "person", name.casefold())[:16]
        with self._open() as database:
            database.execute("INSERT OR IGNORE INTO people VALUES (?, ?, ?)", (token, name, time.time()))
        return token

    def name_of(self, token: str) -> str | None:
        """Return the name that belongs to a token; `None` for an unknown one."""
        with self._open() as database:
            found = database.execute("SELECT name FROM people WHERE token = ?", (token,)).fetchone()
        return found[0] if found else None

    def questions(self, token: str) -> list[StudyQuestion]:
        """Return what a person is asked, in an order of their own: the pick of each video against one other candidate.

        Of several others a person meets one, drawn at random, and each video once: a candidate that came back against
        one after the other would give itself away.
        """
        return sorted((q for video in self.videos() if (q := self._question(token, video))), key=lambda q: q.key)

    def question(self, token: str, key: str) -> StudyQuestion | None:
        """Return the one of a person's questions that has this key; `None` if there is none."""
        with self._open() as database:
            names = [name for (name,) in database.execute("SELECT name FROM videos")]
        name = next((name for name in names if self._key(token, name) == key), None)
        return None if name is None else self._question(token, self.videos(name)[0])

    def answered(self, token: str) -> set[str]:
        """Return the keys of the questions that a person has answered."""
        with self._open() as database:
            rows = database.execute("SELECT video FROM answers WHERE person = ?", (token,)).fetchall()
        return {self._key(token, video) for (video,) in rows}

    def record(self, token: str, key: str, choice: str, seconds: float | None = None) -> bool:
        """Store an answer at once and return whether it counts: only the first one to a question does.

        Raises `AvrewardError` for an unknown person, question or choice.
        """
        question = self.question(token, key)
        if choice not in CHOICES or question is None or self.name_of(token) is None:
            got = Described(f"{choice!r} to {key!r}")
            raise ArgumentError("answer", "a choice and a question of this experiment", got, "reload the page")
        picked = question.video.picked
        row = (token, question.video.name, question.first, question.second, picked, choice, seconds, time.time())
        with self._open() as database:
            done = database.execute("INSERT OR IGNORE INTO answers VALUES (?, ?, ?, ?, ?, ?, ?, ?)", row)
            return done.rowcount == 1

    def answers(self) -> list[Answer]:
        """All answers, in the order of time."""
        query = """SELECT answers.video, people.name, first, second, answers.picked, choice, category FROM answers
            JOIN people ON people.token = answers.person JOIN videos ON videos.name = answers.video ORDER BY at"""
        with self._open() as database:
            rows = database.execute(query).fetchall()
        chosen = {FIRST: 0, SECOND: 1}
        return [
            Answer(video, person, None if choice == NEITHER else shown[chosen[choice]] == picked, category)
            for video, person, *shown, picked, choice, category in rows
        ]

    def _question(self, token: str, video: StudyVideo) -> StudyQuestion | None:
        others = [s.number for s in video.candidates if s.file and s.number != video.picked]
        if video.picked is None or not others:
            return None
        key = self._key(token, video.name)
        drawn = int(_hash(self.about.get("seed"), "places", key), 16)
        pair = sorted((video.picked, others[(drawn >> 1) % len(others)]), reverse=bool(drawn & 1))
        return StudyQuestion(key, video, *pair)

    def _key(self, token: str, video: str) -> str:
        return _hash(self.about.get("seed"), "question", token, video)[:16]

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        """Open a connection for this thread; its changes are on disk when the block ends, or not made at all."""
        try:
            with closing(sqlite3.connect(self.path, timeout=30.0)) as database, database:
                yield database
        except sqlite3.Error as error:
            raise AvrewardError(
                f"{self.path}: can't be used ({error}); free some disk space, or name another folder"
            ) from error


def _hash(*parts: object) -> str:
    return hashlib.blake2b(repr(parts).encode(), digest_size=16).hexdigest()
