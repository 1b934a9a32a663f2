"""What raters upload, to a hub that is made up, and what is told where it refuses."""

from __future__ import annotations

import json

import pytest

pytest.importorskip("huggingface_hub")

import torch
from tiny.avbench_audio import write_tiny_nisqa

from avreward import Clip, load_rater
from avreward.errors import ArgumentError, AvrewardError
from avreward.raters.listener.head import PreferenceHead
from avreward.raters.listener.rater import ListenerRater
from avreward.raters.wrappers._trained import TrainedRater


@pytest.fixture
def hub(monkeypatch, tmp_path):
    """A hub that keeps what it is given in a folder."""
    import huggingface_hub

    asked = []

    class Hub:
        def create_repo(self, name, **options):
            asked.append((name, options))
            if name == "refused/rater":
                raise OSError("403 Forbidden\nand a long page")
            huggingface_hub.utils.validate_repo_id(name)
            return huggingface_hub.RepoUrl(f"https://huggingface.co/me/{name.rpartition('/')[2]}")

        def upload_folder(self, repo_id, folder_path):
            folder_path.rename(tmp_path / repo_id.replace("/", "_"))

    monkeypatch.setattr("huggingface_hub.HfApi", Hub)
    return asked


def tone(seed: int) -> Clip:
    generator = torch.Generator().manual_seed(seed)
    return Clip(audio=0.1 * torch.randn(1, 16000, generator=generator), sample_rate=16000)


def test_a_rater_with_weights_comes_back_from_the_hub(hub, tmp_path) -> None:
    write_tiny_nisqa(tmp_path / "nisqa")
    rater = load_rater(tmp_path / "nisqa")
    record = {"sigma": {rater.dimensions[0].name: 0.25}, "stages": [], "card": "## Training\n\nOn ten clips."}
    for number, one in enumerate((rater, TrainedRater(rater, record))):
        assert one.push_to_hub(f"me/rater{number}", private=number == 0) == f"https://huggingface.co/me/rater{number}"
        assert hub[-1] == (f"me/rater{number}", {"private": number == 0, "exist_ok": True})
        loaded = load_rater(tmp_path / f"me_rater{number}")
        assert type(loaded) is type(one)
        assert torch.equal(loaded([tone(0)]).values, one([tone(0)]).values)
    assert "On ten clips." in (tmp_path / "me_rater1" / "README.md").read_text()


def test_a_taught_rater_comes_back_from_the_hub(hub, tmp_path) -> None:
    signals = load_rater("signals")
    columns = [("signals", signals.dimensions[0].name)]
    head = PreferenceHead(1, 1)
    with torch.no_grad():
        head.projection.fill_(1.0)
        head.weight.fill_(1.0)
    rater = ListenerRater({"signals": signals}, columns, head, {"choices": 12, "systems": None})
    rater.push_to_hub("mine")
    assert json.loads((tmp_path / "me_mine" / "config.json").read_text())["about"]["choices"] == 12
    assert load_rater(tmp_path / "me_mine").fingerprint == rater.fingerprint
    page = (tmp_path / "me_mine" / "README.md").read_text()
    assert "choices: 12" in page
    assert "None" not in page


def test_a_hub_that_refuses_is_one_line(hub, tmp_path) -> None:
    write_tiny_nisqa(tmp_path / "nisqa")
    rater = load_rater(tmp_path / "nisqa")
    with pytest.raises(AvrewardError, match=r"^refused/rater: could not be uploaded \(403 Forbidden\); log in with"):
        rater.push_to_hub("refused/rater")
    with pytest.raises(ArgumentError, match="repository: expected NAME or OWNER/NAME, got 'a/b/c'"):
        rater.push_to_hub("a/b/c")
