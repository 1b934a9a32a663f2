"""Pairs on the hub: what would be uploaded, by a hub that is made up, and what is refused before."""

import pytest
import torch
from scored_tables import write

from avreward.clip import Clip
from avreward.errors import ArgumentError, AvrewardError
from avreward.scoring.table_reader import read_table
from avreward.selection.candidates import candidates_of
from avreward.selection.pairs import export_pairs, make_pairs, push_pairs


@pytest.fixture
def found(tmp_path):
    rows = []
    for i in range(2):
        path = tmp_path / f"{i}.wav"
        Clip(audio=torch.full((1, 800), 0.1 * i), sample_rate=8000).save(path)
        rows.append({"clip": str(path), "prompt": "x", "reward": float(i), "seconds": 0.1, "sample_rate": 8000})
    return make_pairs(candidates_of(read_table(write(tmp_path / "t.parquet", rows))))


@pytest.fixture
def hub(monkeypatch):
    """A hub that notes what it is asked."""
    hub = pytest.importorskip("huggingface_hub")
    asked = []

    class Hub:
        def __init__(self, token=None):
            asked.append(("token", token))

        def create_repo(self, name, **options):
            asked.append(("create", name, options))
            if name == "refused/pairs":
                raise OSError("403 Forbidden\nand a long page")
            return hub.RepoUrl(f"https://huggingface.co/datasets/me/{name}")

        def upload_folder(self, folder_path, **options):
            asked.append(("upload", sorted(str(p.relative_to(folder_path)) for p in folder_path.rglob("*")), options))

    monkeypatch.setattr("huggingface_hub.HfApi", Hub)
    return asked


def test_a_folder_with_its_media_is_pushed(found, hub, tmp_path):
    export_pairs(found, tmp_path / "pairs", copy=True, licence="cc-by-4.0")
    assert push_pairs(tmp_path / "pairs", "pairs", token="t") == "https://huggingface.co/datasets/me/pairs"
    [token, create, (_, files, where)] = hub
    assert token == ("token", "t")
    assert create == ("create", "pairs", {"repo_type": "dataset", "private": True, "exist_ok": True})
    names = [f"media/{found.ids[i].as_py()}.wav" for i in range(2)]
    assert files == sorted(["README.md", "data", "data/train-00000-of-00001.parquet", "media", *names])
    assert where == {"repo_id": "me/pairs", "repo_type": "dataset"}
    card = pytest.importorskip("huggingface_hub").DatasetCard.load(tmp_path / "pairs" / "README.md").data
    assert (card.license, card.task_categories, card.size_categories) == ("cc-by-4.0", ["text-to-audio"], ["n<1K"])


def test_rows_that_name_local_files_are_not_pushed(found, hub, tmp_path):
    export_pairs(found, tmp_path / "pairs")
    export_pairs(found, tmp_path / "tango", "tango-flux", copy=True)  # its reader needs absolute paths
    for name in ("pairs", "tango"):
        with pytest.raises(ArgumentError, match=r"whose rows name files of this machine; export with embed or copy"):
            push_pairs(tmp_path / name, "pairs")
    with pytest.raises(ArgumentError, match=r"no card \(README\.md\); export the pairs first"):
        push_pairs(tmp_path, "pairs")
    assert hub == []


def test_a_hub_that_refuses_is_one_line(found, hub, tmp_path):
    export_pairs(found, tmp_path / "pairs", embed=True)
    with pytest.raises(AvrewardError, match=r"^refused/pairs: could not be uploaded \(403 Forbidden\); log in with"):
        push_pairs(tmp_path / "pairs", "refused/pairs")
