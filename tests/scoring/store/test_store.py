"""The store: what is found again and under which conditions, its files, and what disks do to them."""

from __future__ import annotations

import os
import sqlite3
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from full_disk import run_limited
from hypothesis import given
from hypothesis import strategies as st
from toy_raters import Reading, Toy, both, picture, sound

from avreward.clip import Clip
from avreward.errors import ArgumentError
from avreward.raters.scores import Scores
from avreward.scoring.store._checksums import APPLICATION
from avreward.scoring.store._errors import StoreError
from avreward.scoring.store._rows import clip_key, decode, encode, rater_row
from avreward.scoring.store._shard import VERSION, Shard
from avreward.scoring.store._tables import Rows
from avreward.scoring.store.store import Store

CLIPS = [sound(0.1), picture(0.4), both(0.2, 0.3)]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "scores.store")


def same(found: Scores | None, expected: Scores) -> None:
    assert found is not None
    torch.testing.assert_close(found.values, expected.values, rtol=0, atol=0, equal_nan=True)
    assert (found.present.tolist(), found.reasons, found.basis, found.dimensions) == (
        expected.present.tolist(), expected.reasons, expected.basis, expected.dimensions,
    )  # fmt: skip
    if expected.sigma is None:
        assert found.sigma is None
    else:
        torch.testing.assert_close(found.sigma, expected.sigma, rtol=0, atol=0, equal_nan=True)


def shards(store: Store) -> list[Path]:
    return sorted(store.path.glob("*.sqlite"))


def test_what_goes_in_comes_out(store: Store) -> None:
    toy = Toy()
    scores = toy(CLIPS)
    assert store.get(toy, CLIPS) == [None] * 3
    assert not store.path.exists()  # nothing was written
    store.put(toy, CLIPS, scores)
    for again in (store, Store(store.path)):
        assert len(again) == 3
        for found, expected in zip(again.get(toy, [*CLIPS, sound(0.9)]), [*scores.split(), None], strict=True):
            if expected is None:
                assert found is None
            else:
                same(found, expected)


numbers = st.floats(allow_nan=False, width=32)


@given(
    st.lists(st.tuples(numbers, st.booleans(), st.none() | st.floats(0, 10, width=32)), min_size=4, max_size=4),
    st.sampled_from([torch.float32, torch.float64, torch.bfloat16]),
)
def test_values_are_exact(cells: list[tuple[float, bool, float | None]], dtype: torch.dtype) -> None:
    toy = Toy()
    present = torch.tensor([[there for _, there, _ in cells]])
    values = torch.tensor([[value for value, _, _ in cells]]).to(dtype).masked_fill(~present, float("nan"))
    spread = [float("nan") if s is None else s for _, _, s in cells]
    sigma = None if all(s is None for _, _, s in cells) else torch.tensor([spread]).to(dtype)
    reasons = {
        d.name: f"ä {d.name}\n" for d, there in zip(toy.dimensions, present[0].tolist(), strict=True) if not there
    }
    scores = Scores(values, present, [reasons], toy.dimensions, [{"overall": ("power", "peak")}], sigma)
    [row] = encode(rater_row(toy), [b"key"], CLIPS[:1], scores)
    assert row.missing == len(reasons)
    same(decode(row, CLIPS[0], toy.dimensions).scores, scores)


def test_an_error_is_told_of_the_file_that_is_asked_for(tmp_path: Path) -> None:
    toy, paths = Toy(), [tmp_path / "a.wav", tmp_path / "b.wav"]
    for path in paths:
        sound(0.2, samples=800).save(path)
    first, second = map(Clip.open, paths)
    nothing = Scores.collect([({}, {}, {})], toy.dimensions)
    [row] = encode(rater_row(toy), [b"key"], [first], nothing, f"{paths[0]}: it is damaged; write it again")
    known = decode(row, second, toy.dimensions)
    assert known.error == f"{paths[1]}: it is damaged; write it again"
    assert known.scores.reasons == [dict.fromkeys(nothing.names, known.error)]
    assert not known.scores.present.any()


def test_nan_is_no_value(store: Store) -> None:
    toy = Toy()
    scores = Scores(
        torch.tensor([[float("nan"), float("inf"), 0.5, 0.0]]), torch.ones(1, 4).bool(), [{}], toy.dimensions
    )
    store.put(toy, CLIPS[2:], scores)
    (found,) = store.get(toy, CLIPS[2:])
    assert found is not None
    assert found.present.tolist() == [[False, True, True, True]]
    assert found.reasons == [{"power": "the score is nan, not a finite number"}]
    assert found["brightness"].item() == float("inf")
    assert store.get(toy, CLIPS[2:], retry_missing=True) == [None]


def test_the_key(store: Store) -> None:
    toy, reading = Toy(), Reading("reading")
    clip = both(0.2, 0.3)
    for rater in (toy, reading):
        store.put(rater, [clip], rater([clip]))
    assert len(store) == 2
    told = clip.with_prompt("a drum")
    assert store.get(toy, [told])[0] is not None  # it reads no prompt
    assert store.get(reading, [told])[0] is None
    assert store.get(reading, [clip.with_prompt("")])[0] is None
    assert store.get(toy, [clip.with_audio(sound(0.3))])[0] is None
    other = Toy()
    other.fingerprint = "toy 2"
    assert store.get(other, [clip])[0] is None
    shorter = Toy()
    shorter.dimensions = Toy.dimensions[:2]
    assert store.get(shorter, [clip])[0] is None
    ear = Toy()
    ear.tracks = ("audio",)
    store.put(ear, [clip], ear([clip]))
    assert store.get(ear, [clip.with_audio(clip), sound(0.2)]) != [None, None]
    assert store.fingerprints("toy") == {"toy 1"}
    assert store.fingerprints("reading") == {"reading 1"}


def test_the_key_holds_the_texts_that_a_rater_reads(store: Store) -> None:
    class Anchored(Toy):  # reads the prompt where there is one, so no dimension needs it
        prompt_anchored = True

    class Spoken(Toy):
        dimensions = (replace(Toy.dimensions[0], needs=frozenset({"audio", "texts.words"})), *Toy.dimensions[1:])

    clip = both(0.2, 0.3).with_prompt("a drum", {"words": "one", "other": "x"})
    for rater in (Anchored("anchored"), Spoken("spoken")):
        store.put(rater, [clip], Toy()([clip]))
    assert store.get(Anchored("anchored"), [clip, clip.with_prompt("a bell")])[1] is None
    assert store.get(Anchored("anchored"), [clip.with_prompt("a drum", {"words": "two"})])[0] is not None
    changed, same_words = (clip.with_prompt("a bell", {"words": words}) for words in ("two", "one"))
    assert store.get(Spoken("spoken"), [changed])[0] is None
    assert store.get(Spoken("spoken"), [same_words])[0] is not None  # nor the prompt nor other texts


def test_the_key_holds_the_reason_of_a_missing_track(store: Store) -> None:
    """Found again, a score would otherwise be missing for a reason that is not true of this clip."""
    toy, silent = Toy(), picture(0.4)
    damaged = silent._derived(_missing={"audio": "the sound track is empty"})
    store.put(toy, [silent], toy([silent]))
    assert store.get(toy, [silent])[0] is not None
    assert store.get(toy, [damaged]) == [None]


def test_other_names_of_dimensions_are_another_rater(store: Store) -> None:
    toy, renamed, turned = Toy(), Toy(), Toy()
    renamed.dimensions = (replace(Toy.dimensions[0], name="loudness"), *Toy.dimensions[1:])
    turned.dimensions = Toy.dimensions[::-1]  # as many, so that values would be read under other names
    store.put(toy, CLIPS, toy(CLIPS))
    assert store.get(renamed, CLIPS) == [None] * 3
    assert store.get(turned, CLIPS) == [None] * 3


def test_files_go_by_content(store: Store, tmp_path: Path) -> None:
    toy = Toy()
    path, copy = tmp_path / "a.wav", tmp_path / "b.wav"
    sound(0.2, samples=800).save(path)
    copy.write_bytes(path.read_bytes())
    clip = store.open(path)
    store.put(toy, [clip], toy([clip]))
    assert store.get(toy, [store.open(copy)])[0] is not None
    sound(0.3, samples=800).save(path)
    assert store.get(toy, [store.open(path)]) == [None]


def test_asked_again_only_where_that_can_help(store: Store) -> None:
    class Failing(Toy):
        def row(self, sample):  # type: ignore[no-untyped-def]
            values, reasons, basis = super().row(sample)
            values.pop("peak", None)
            return values, reasons | {"peak": "out of memory"}, basis

    toy = Failing()
    store.put(toy, CLIPS, toy(CLIPS))
    assert None not in store.get(toy, CLIPS)
    sounding, silent, whole = store.get(toy, CLIPS, retry_missing=True)
    assert (sounding, whole) == (None, None)
    assert silent is not None  # without sound it has no peak
    full = Toy()
    store.put(full, CLIPS, full(CLIPS))
    store.put(toy, CLIPS, toy(CLIPS))  # lacks more: doesn't take the place
    assert store.get(full, CLIPS, retry_missing=True)[2] is not None


def test_the_fuller_of_two_files_counts(tmp_path: Path) -> None:
    toy = Toy()
    scores = toy(CLIPS[2:])
    poor = Scores(
        scores.values, scores.present.logical_and(torch.tensor([True, False, True, True])), [{}], toy.dimensions
    )
    for order in ([scores, poor], [poor, scores]):
        path = tmp_path / str(id(order))
        for part in order:
            with Store(path) as store:
                store.put(toy, CLIPS[2:], part)
        with Store(path) as store:
            assert len(shards(store)) == 2
            assert len(store) == 1
            same(store.get(toy, CLIPS[2:])[0], scores)
            store.compact()
            assert len(shards(store)) == 1
            same(store.get(toy, CLIPS[2:])[0], scores)


def test_the_newer_reason_counts(tmp_path: Path) -> None:
    toy, reasons = Toy(), ["out of memory", "out of time"]
    for reason in reasons:
        with Store(tmp_path) as store:
            nothing = Scores.collect([({}, {d.name: reason for d in toy.dimensions}, {})], toy.dimensions)
            store.put(toy, CLIPS[:1], nothing)
            (found,) = store.get(toy, CLIPS[:1])
            assert found is not None
            assert found.reasons[0]["power"] == reason


def test_stores_side_by_side(store: Store) -> None:
    """What one writes the other finds at once; one whose file is merged goes on in a new one."""
    toy, other = Toy(), Store(store.path)
    for i in range(3):
        store.put(toy, [sound(0.1 * i + 0.05)], toy([sound(0.1 * i + 0.05)]))
        assert other.get(toy, [sound(0.1 * i + 0.05)])[0] is not None
        other.put(toy, [picture(0.1 * i)], toy([picture(0.1 * i)]))
        assert store.get(toy, [picture(0.1 * i)])[0] is not None
        store.compact()
        assert len(shards(store)) == 1
        assert len(store) == len(other) == 2 * (i + 1)
    store.close()
    other.close()
    assert [path.suffix for path in store.path.iterdir()] == [".sqlite"]


def test_threads(store: Store) -> None:
    toy = Toy()
    clips = [sound(0.001 * i) for i in range(1, 81)]
    scores = toy(clips).split()

    def work(start: int) -> None:
        for i in range(start, len(clips), 4):
            store.put(toy, [clips[i]], scores[i])
            assert store.get(toy, [clips[i]])[0] is not None

    threads = [threading.Thread(target=work, args=(start,)) for start in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(store) == 80
    assert len(shards(store)) == 1


def test_all_merge_at_once(store: Store) -> None:
    """Nobody waits for another who waits for him, and no row falls between two files."""
    toy = Toy()
    clips = [sound(0.001 * i) for i in range(1, 121)]
    scores, errors = toy(clips).split(), []

    def work(start: int) -> None:
        try:
            with Store(store.path) as own:
                for i in range(start, len(clips), 4):
                    own.put(toy, [clips[i]], scores[i])
                    own.compact()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(start,)) for start in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert None not in store.get(toy, clips)
    store.compact()
    assert len(shards(store)) == 1
    assert len(store) == len(clips)


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_file_merged_while_it_is_opened(store: Store, monkeypatch: pytest.MonkeyPatch, moment: str) -> None:
    """A listed file that is removed just before or just after SQLite opens it: its rows are in another file."""
    toy, other, reader = Toy(), Store(store.path), Store(store.path)
    for each, clip in ((store, CLIPS[0]), (other, CLIPS[1])):
        each.put(toy, [clip], toy([clip]))
    victim, connect, merged = other._writer().path, sqlite3.connect, []

    def merging(name: str, **options: Any) -> sqlite3.Connection:
        due = victim.name in name and not merged
        if due and moment == "before":
            merge()
        database = connect(name, **options)
        if due and moment == "after":
            merge()
        return database

    def merge() -> None:
        merged.append(victim)  # first, since merging connects too
        store.compact()

    monkeypatch.setattr(sqlite3, "connect", merging)
    assert None not in reader.get(toy, CLIPS[:2])
    assert merged
    assert not victim.exists()
    assert (len(reader), reader.damaged) == (2, {})


def test_what_is_being_written_is_not_merged(store: Store) -> None:
    toy, other = Toy(), Store(store.path)
    for each, clip in ((store, CLIPS[0]), (other, CLIPS[1])):
        each.put(toy, [clip], toy([clip]))
    writer = other._writer()
    with writer._transaction():
        store.compact()
        assert len(shards(store)) == 2
    store.compact()
    assert len(shards(store)) == 1
    assert not writer.write(Rows())  # it is told that its file is gone
    last = Shard(shards(store)[0])
    assert not writer.merge(last)
    assert last.there
    assert None not in other.get(toy, CLIPS[:2])


def test_many_keys_at_once(store: Store) -> None:
    toy = Toy()
    clips = [sound(0.0001 * i) for i in range(1, 1101)]
    scores = toy(clips)
    store.put(toy, clips, scores)
    found = store.get(toy, [*reversed(clips), CLIPS[2]])
    assert [None if row is None else row.values[0, 0].item() for row in found] == [
        *scores["power"].flip(0).tolist(),
        None,
    ]


def test_rows_of_something_else(store: Store) -> None:
    toy = Toy()
    with pytest.raises(ArgumentError, match=r"^scores: expected 2 rows of .* by toy, got 3 rows of power"):
        store.put(toy, CLIPS[:2], toy(CLIPS))
    with pytest.raises(ArgumentError, match=r"^scores: expected 3 rows of .* by reading, got 3 rows of power"):
        store.put(Reading("reading"), CLIPS, toy(CLIPS))


def test_a_newer_version(store: Store) -> None:
    toy = Toy()
    store.put(toy, CLIPS, toy(CLIPS))
    store.close()
    [path] = shards(store)
    with sqlite3.connect(path) as database:
        database.execute(f"PRAGMA user_version = {VERSION + 1}")
        database.execute(f"PRAGMA application_id = {APPLICATION + VERSION + 1}")
    with pytest.raises(StoreError, match=rf"{path.name}: expected .*, got version {VERSION + 1}; update avreward"):
        Store(store.path)


def _as_version_2(path: Path) -> None:
    """Rewrite a file as it was before rows had checksums."""
    with sqlite3.connect(path) as database:
        for table in ("raters", "scores", "files"):
            database.execute(f"ALTER TABLE {table} DROP COLUMN checksum")
        database.execute("PRAGMA application_id = 0")
        database.execute("PRAGMA user_version = 2")


def test_files_without_checksums_are_read_and_merged(store: Store) -> None:
    toy = Toy()
    store.put(toy, CLIPS, toy(CLIPS))
    store.close()
    [path] = shards(store)
    _as_version_2(path)
    for found, expected in zip(store.get(toy, CLIPS), toy(CLIPS).split(), strict=True):
        same(found, expected)
    store.compact()
    [merged] = shards(store)
    assert merged != path
    for found, expected in zip(store.get(toy, CLIPS), toy(CLIPS).split(), strict=True):
        same(found, expected)


@pytest.mark.parametrize(
    "damage",
    ["note = '{'", "note = '[]'", "note = 7", "missing = 'x'", "missing = 4", "value = x'00'", "value = zeroblob(8)"],
)
def test_a_damaged_row_without_a_checksum_is_rated_again(store: Store, damage: str) -> None:
    toy = Toy()
    store.put(toy, CLIPS, toy(CLIPS))
    store.close()
    [path] = shards(store)
    _as_version_2(path)
    with sqlite3.connect(path) as database:
        database.execute(f"UPDATE scores SET {damage}")
    told: list[str] = []
    store.tell = told.append
    assert store.get(toy, CLIPS) == [None] * 3
    [line] = told
    assert "some of its scores are damaged; those clips are rated again" in line


def test_a_damaged_row_is_named_once_and_rated_again(store: Store) -> None:
    toy = Toy()
    store.put(toy, CLIPS, toy(CLIPS))
    store.close()
    [path] = shards(store)
    with sqlite3.connect(path) as database:
        value = bytearray(
            database.execute("SELECT value FROM scores WHERE clip = ?", [clip_key(toy, CLIPS[2])]).fetchone()[0]
        )
        value[3] ^= 1
        database.execute("UPDATE scores SET value = ? WHERE clip = ?", [bytes(value), clip_key(toy, CLIPS[2])])
    told: list[str] = []
    store.tell = told.append
    for _ in range(2):
        assert [row is None for row in store.get(toy, CLIPS)] == [False, False, True]
    assert told == [f"{path}: some of its scores are damaged; those clips are rated again"]
    store.put(toy, CLIPS[2:], toy(CLIPS[2:]))
    with Store(store.path) as again:
        again.tell = told.append
        assert None not in again.get(toy, CLIPS)
        again.compact()
        assert (again.files, len(again)) == (1, 3)
    assert len(told) == 2  # compacting names the row that it leaves out


def test_a_file_that_is_damaged_while_it_is_written_is_left(store: Store) -> None:
    toy = Toy()
    store.put(toy, CLIPS[:1], toy(CLIPS[:1]))
    [path] = shards(store)
    data = path.read_bytes()
    with path.open("r+b") as file:  # the same file, behind the store's back
        file.seek(100)
        file.write(b"\xff" * (len(data) - 100))
    store._own._database.execute("PRAGMA shrink_memory")
    store.tell = lambda _: None
    store.put(toy, CLIPS[1:], toy(CLIPS[1:]))
    assert None not in store.get(toy, CLIPS[1:])
    assert len(shards(store)) == 2


def test_a_file_is_no_store(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match="expected a folder, got a file"):
        Store(tmp_path / "file")


@pytest.mark.parametrize("damage", ["header", "middle", "cut", "empty"])
def test_a_damaged_file_is_named_and_the_others_are_read(tmp_path: Path, damage: str) -> None:
    toy = Toy()
    clips = [sound(0.001 * i) for i in range(1, 501)]
    for part in (clips[:250], clips[250:]):
        with Store(tmp_path) as store:
            store.put(toy, part, toy(part))
    broken = next(path for path in shards(store) if _holds(path, toy, clips[0]))
    data = broken.read_bytes()
    broken.write_bytes(
        {
            "header": b"x" * 100 + data[100:],
            "middle": data[:4096] + b"\xff" * (len(data) - 4096),
            "cut": data[: len(data) // 3],
            "empty": b"",
        }[damage]
    )
    if damage == "empty":  # as a process leaves it that was killed before its first batch
        store = Store(tmp_path)
        assert store.get(toy, [clips[0]]) == [None]
    else:
        with pytest.warns(UserWarning, match=broken.name):
            store, found = _looked_up(tmp_path, toy, clips[0])
        assert found is None
        assert list(store.damaged) == [broken]
    assert None not in store.get(toy, clips[250:])
    store.put(toy, clips[:1], toy(clips[:1]))
    assert store.get(toy, clips[:1])[0] is not None
    store.compact()
    assert len(store) == 251
    assert len(shards(store)) == 2  # the damaged one stays, for its owner to look at


def _looked_up(path: Path, toy: Toy, clip: Clip) -> tuple[Store, Scores | None]:
    store = Store(path)
    return store, store.get(toy, [clip])[0]


def _holds(path: Path, toy: Toy, clip: Clip) -> bool:
    shard = Shard(path)
    found = shard.scores(rater_row(toy).id, [clip_key(toy, clip)])
    shard.close()
    return bool(found)


def test_a_full_disk(store: Store) -> None:
    toy = Toy()
    store.put(toy, CLIPS, toy(CLIPS))
    pages = store._writer()._database.execute("PRAGMA page_count").fetchone()[0]
    store._writer()._database.execute(f"PRAGMA max_page_count = {pages + 2}")
    clips = [sound(0.001 * i) for i in range(1, 501)]
    with pytest.raises(StoreError, match=r"can't be written \(the disk is full\); free some space"):
        store.put(toy, clips, toy(clips))
    assert len(store) == len(Store(store.path)) == 3  # nothing of that batch
    store._writer()._database.execute("PRAGMA max_page_count = 100000")
    store.put(toy, clips, toy(clips))
    assert len(store) == 502  # one is a clip of before


BEFORE = """
from toy_raters import Toy, sound
from avreward.scoring.store.store import Store, StoreError
toy, store = Toy(), Store(sys.argv[1])
store.put(toy, [sound(0.5)], toy([sound(0.5)]))
"""
LIMITED = """
clips = [sound(0.001 * i) for i in range(1, 1001)]
try:
    store.put(toy, clips, toy(clips))
except StoreError as error:
    print(error)
print(len(store), store.get(toy, [sound(0.5)])[0] is not None)
"""


def test_a_disk_that_fails(tmp_path: Path) -> None:
    out = run_limited(LIMITED, 40_000, tmp_path / "s", setup=BEFORE).stdout.splitlines()
    assert "can't be written" in out[0]
    assert out[1:] == ["1 True"]
    with Store(tmp_path / "s") as store:
        assert len(store) == 1


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    toy = Toy()
    with pytest.raises(StoreError, match="can't be read"):
        Store(tmp_path / "file" / "s")
    store = Store(tmp_path / "s")
    (tmp_path / "s").touch()
    with pytest.raises(StoreError, match=r"can't be written \(File exists\); use a store in another folder"):
        store.put(toy, CLIPS, toy(CLIPS))


def test_a_store_that_may_only_be_read(store: Store) -> None:
    toy = Toy()
    store.put(toy, CLIPS, toy(CLIPS))
    store._writer()._database.execute("PRAGMA query_only = ON")  # root may write whatever its permissions are
    with pytest.raises(StoreError, match=r"can't be written \(it is read-only\)"):
        store.put(toy, CLIPS, toy(CLIPS))
    assert None not in store.get(toy, CLIPS)


def test_a_forked_process_has_a_file_of_its_own(store: Store) -> None:
    toy = Toy()
    store.put(toy, CLIPS[:1], toy(CLIPS[:1]))
    scores = toy(CLIPS[1:2])
    child = os.fork()
    if child == 0:
        status = 1
        try:
            store.put(toy, CLIPS[1:2], scores)
            status = 0 if store.get(toy, CLIPS[:1])[0] is not None else 2
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert len(shards(store)) == 2
    assert None not in store.get(toy, CLIPS[:2])
    store.put(toy, CLIPS[2:], toy(CLIPS[2:]))
    assert len(store) == 3


def test_arguments_of_wrong_types(tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match="path: expected the folder of the store, got None"):
        Store(None)  # type: ignore[arg-type]
    toy, store = Toy(), Store(tmp_path / "store")
    with pytest.raises(ArgumentError, match=r"clips\[0\]: expected a Clip, got 'a.mp4'; open files with Clip.open"):
        store.get(toy, ["a.mp4"])  # type: ignore[list-item]
    with pytest.raises(ArgumentError, match=r"clips\[0\]: expected a Clip, got 'a.mp4'"):
        store.put(toy, ["a.mp4"], toy([sound(0.5)]))  # type: ignore[list-item]
