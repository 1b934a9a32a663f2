"""Scores that other versions of libraries gave: known only where a recorded equivalence says so, else rated again."""

from __future__ import annotations

import json
import sqlite3
import warnings
from collections.abc import Callable
from pathlib import Path
from types import MappingProxyType

import pytest
from toy_raters import Toy, both, sound

from avreward.raters import _environment
from avreward.raters._environment import environment
from avreward.scoring.run import score_files
from avreward.scoring.store import _equivalence
from avreward.scoring.store._equivalence import difference
from avreward.scoring.store.store import Store

CLIPS = [sound(0.1), both(0.2, 0.3)]
Install = Callable[..., None]


class Networked(Toy):
    """Runs a network of transformers."""

    versions = MappingProxyType({**Toy.versions, "lmm": 3, "agav": 1})
    libraries = (*Toy.libraries, "transformers")


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> Install:
    """Simulate that these versions of libraries are installed."""

    def install(**versions: str) -> None:
        found = {"av": "18.1.0 (libavcodec 62)", "torch": "2.13.0", "transformers": "5.23.0"} | versions
        monkeypatch.setattr(_environment, "_version_of", found.__getitem__)

    install()
    return install


@pytest.fixture
def equivalent(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Put in the place of the shipped table."""

    def record(**table: dict[str, list[str]]) -> None:
        monkeypatch.setattr(_equivalence, "table", lambda: table)

    record()
    return record


def filled(path: Path, rater: Toy) -> None:
    with Store(path) as store:
        store.put(rater, CLIPS, rater(CLIPS))


def known(path: Path, rater: Toy) -> tuple[list[bool], list[str]]:
    """Which clips are known, and what is told while they are looked up one by one."""
    with warnings.catch_warnings(record=True) as told, Store(path) as store:
        warnings.simplefilter("always")
        found = [store.get(rater, [clip])[0] is not None for clip in CLIPS]
    return found, [str(one.message) for one in told]


def test_another_decoder_is_another_score(tmp_path: Path, installed: Install, equivalent: Install) -> None:
    filled(tmp_path, Toy())
    assert known(tmp_path, Toy()) == ([True, True], [])
    installed(av="17.0.1 (libavcodec 61)")
    found, told = known(tmp_path, Toy())
    assert found == [False, False]
    assert told == [
        f"{tmp_path}: scores of toy were made with PyAV 18.1.0 (libavcodec 62), and this run has PyAV 17.0.1 "
        "(libavcodec 61); those clips are rated again"
    ]  # once


def test_both_stay(tmp_path: Path, installed: Install, equivalent: Install) -> None:
    filled(tmp_path, Toy())
    installed(av="17.0.1")
    filled(tmp_path, Toy())
    assert known(tmp_path, Toy()) == ([True, True], [])  # nothing to tell: every clip is known under this version too
    installed()
    assert known(tmp_path, Toy()) == ([True, True], [])
    with Store(tmp_path) as store:
        store.compact()
        assert store.files == 1
    assert known(tmp_path, Toy()) == ([True, True], [])


def test_only_libraries_that_the_rater_names_count(tmp_path: Path, installed: Install, equivalent: Install) -> None:
    filled(tmp_path, Toy())
    filled(tmp_path, Networked("networked"))
    installed(transformers="5.30.0")
    assert known(tmp_path, Toy()) == ([True, True], [])
    found, [told] = known(tmp_path, Networked("networked"))
    assert found == [False, False]
    assert "scores of networked were made with transformers 5.23.0, and this run has transformers 5.30.0" in told


def test_another_torch_gives_the_same_up_to_rounding(tmp_path: Path, installed: Install, equivalent: Install) -> None:
    filled(tmp_path, Toy())
    installed(torch="2.14.0")
    assert known(tmp_path, Toy()) == ([True, True], [])
    with Store(tmp_path) as store:
        [row] = store._shards()[0].raters()
    assert json.loads(row.environment) == {"av": "18.1.0 (libavcodec 62)", "torch": "2.13.0"}  # kept all the same


def test_recorded_equivalence(tmp_path: Path, installed: Install, equivalent: Install) -> None:
    media, decoders = Toy.versions["media"], ["18.1.0 (libavcodec 62)", "17.0.1 (libavcodec 61)"]
    networks = ["5.23.0", "5.17.0"]
    rater = Networked("networked")
    filled(tmp_path, rater)
    installed(av=decoders[1], transformers=networks[1])
    for table, same in (
        ({}, False),
        ({"av": {f"media {media}": decoders}}, False),  # transformers differs
        ({"av": {f"media {media}": decoders}, "transformers": {"lmm 3": networks}}, False),  # nothing of agav
        ({"av": {f"media {media}": decoders}, "transformers": {"lmm 3": networks, "agav 1": networks[:1]}}, False),
        ({"av": {f"media {media}": decoders}, "transformers": {"lmm 2": networks, "agav 1": networks}}, False),
        ({"av": {f"media {media + 1}": decoders}, "transformers": {"lmm 3": networks, "agav 1": networks}}, False),
        ({"av": {f"media {media}": decoders}, "transformers": {"lmm 3": networks, "agav 1": networks}}, True),
    ):
        equivalent(**table)
        found, told = known(tmp_path, rater)
        assert found == [same, same], table
        assert bool(told) is not same


def test_a_library_that_was_not_stored(equivalent: Install) -> None:
    then, now = json.dumps({"av": "1"}), json.dumps({"av": "1", "onnxruntime": "2"})
    assert difference(then, now, {"media": 1}) == "with onnxruntime not stored, and this run has onnxruntime 2"


def _as_version_1(path: Path) -> None:
    """Rewrite a store's only file as earlier releases wrote it."""
    [file] = path.glob("*.sqlite")
    with sqlite3.connect(file) as database:
        database.executescript(
            """
            ALTER TABLE raters RENAME TO newer;
            CREATE TABLE raters (id BLOB PRIMARY KEY, name TEXT, fingerprint TEXT, dimensions TEXT) WITHOUT ROWID;
            INSERT INTO raters SELECT x'0102030405060708', name, fingerprint, dimensions FROM newer;
            UPDATE scores SET rater = x'0102030405060708';
            DROP TABLE newer;
            ALTER TABLE scores DROP COLUMN checksum;
            ALTER TABLE files DROP COLUMN checksum;
            PRAGMA application_id = 0;
            PRAGMA user_version = 1;
            """
        )
    database.close()


def test_old_stores_say_nothing_of_libraries(tmp_path: Path, installed: Install, equivalent: Install) -> None:
    filled(tmp_path, Toy())
    _as_version_1(tmp_path)
    found, [told] = known(tmp_path, Toy())
    assert found == [False, False]
    assert "were made before the versions of libraries were stored with scores; those clips are rated again" in told
    with Store(tmp_path) as store:
        assert store.fingerprints("toy") == {"toy 1"}
    filled(tmp_path, Toy())
    with Store(tmp_path) as store:
        assert store.files == 2
        store.compact()  # also what lies in files of version 1
        assert (store.files, len(store)) == (1, 2 * len(CLIPS))
    assert known(tmp_path, Toy()) == ([True, True], [])


def test_a_run_rates_them_again_and_says_so_once(tmp_path: Path, installed: Install, equivalent: Install) -> None:
    filled(tmp_path, Toy())
    installed(av="17.0.1")
    told: list[str] = []
    with Store(tmp_path) as store:
        store.tell = told.append
        toy = Toy()
        assert [row.known for row in score_files(CLIPS, toy, store=store)] == [False, False]
        assert toy.calls == [1, 1]
        assert len(told) == 1
        assert [row.known for row in score_files(CLIPS, toy, store=store)] == [True, True]
        assert len(told) == 1


def test_what_is_installed_here() -> None:
    found = environment(("transformers", "av", "torch", "no-such-library"))
    assert list(found) == ["av", "no-such-library", "torch", "transformers"]
    assert found["no-such-library"] == "not installed"
    assert "+" not in found["torch"]
    assert "libavcodec" in found["av"]


def test_the_shipped_table_names_versions_as_the_environment_does() -> None:
    table = _equivalence.table()
    assert table.keys() <= {"av", "transformers"}
    for library, subjects in table.items():
        for subject, versions in subjects.items():
            name, number = subject.split()
            assert int(number) > 0
            assert (name == "media") == (library == "av")
            assert len(set(versions)) == len(versions) > 0
