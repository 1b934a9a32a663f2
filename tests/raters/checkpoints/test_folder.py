"""Folders of saved raters: loaded here, in another process, and from the hub."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from lmm_checks import film, sound
from safetensors import safe_open
from toy_backbone import toy_rater

from avreward import Clip, load_rater
from avreward.errors import ArgumentError, AvrewardError
from avreward.raters.agav.rater import AgavRater
from avreward.raters.base import Work
from avreward.raters.checkpoints import _folder as room
from avreward.raters.checkpoints._weights import read_weights, weight_files
from avreward.raters.lmm.rater import LmmRater
from avreward.raters.zero_shot.rater import PublicRater


@pytest.fixture(scope="module")
def rater(agav_folder) -> AgavRater:
    return load_rater(agav_folder)


@pytest.fixture(scope="module")
def saved(rater, tmp_path_factory) -> Path:
    return rater.save_pretrained(tmp_path_factory.mktemp("saved") / "rater")


def test_what_is_written(rater, saved) -> None:
    names = {file.name for file in saved.iterdir()}
    assert {"model.safetensors", "config.json", "README.md", "tokenizer.json"} <= names
    config = json.loads((saved / "config.json").read_text())
    assert (config["format"], config["format_version"], config["rater"]) == ("avreward", 1, "agav")
    assert config["fingerprint"] == rater.fingerprint
    with safe_open(saved / "model.safetensors", framework="pt") as tensors:
        assert set(tensors.keys()) == set(rater.module.state_dict())
        assert tensors.metadata()["format"] == "pt"


def test_a_saved_rater_gives_the_same_scores(rater, saved) -> None:
    again = AgavRater.from_pretrained(saved)
    assert again.fingerprint == rater.fingerprint
    with torch.no_grad():
        torch.testing.assert_close(again([film()]).values, rater([film()]).values, rtol=1e-5, atol=0)
    assert load_rater(str(saved)).fingerprint == rater.fingerprint


@pytest.mark.parametrize("options", [{"scheme": "masked"}, {"reach_end": True}])
def test_options_are_kept(agav_folder, tmp_path, options) -> None:
    first = load_rater(agav_folder, **options)
    again = load_rater(first.save_pretrained(tmp_path / "r"))
    assert again.fingerprint == first.fingerprint != load_rater(agav_folder).fingerprint
    assert (again.scheme, again.backbone.reach_end) == (first.scheme, first.backbone.reach_end)
    name, value = {"scheme": ("scheme", "last"), "reach_end": ("reach_end", False)}[next(iter(options))]
    assert load_rater(tmp_path / "r", **{name: value}).fingerprint == load_rater(agav_folder).fingerprint


def test_half_precision_is_kept(agav_folder, tmp_path) -> None:
    half = load_rater(agav_folder, dtype="bfloat16")
    half.save_pretrained(tmp_path / "r")
    with safe_open(tmp_path / "r" / "model.safetensors", framework="pt") as tensors:
        assert {tensors.get_slice(name).get_dtype() for name in tensors.keys()} == {"BF16"}  # noqa: SIM118
    assert load_rater(tmp_path / "r", dtype="bfloat16").fingerprint == half.fingerprint


def test_shards(rater, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(room, "SHARD", "200KB")
    folder = rater.save_pretrained(tmp_path / "r")
    assert len(list(folder.glob("model-*.safetensors"))) > 1
    assert load_rater(folder).fingerprint == rater.fingerprint
    monkeypatch.setattr(room, "SHARD", "5GB")
    rater.save_pretrained(folder)  # again, over the shards
    assert [file.name for file in folder.glob("model*")] == ["model.safetensors"]
    assert load_rater(folder).fingerprint == rater.fingerprint


def test_another_process_agrees(rater, saved) -> None:
    code = (
        "import sys; sys.path.insert(0, sys.argv[2])\n"
        "from lmm_checks import film\nfrom avreward import load_rater\n"
        "rater = load_rater(sys.argv[1])\nimport torch; torch.set_grad_enabled(False)\n"
        "print(rater.fingerprint, *map(float, rater([film()]).values[0]))"
    )
    tests = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", code, saved, tests], capture_output=True, text=True, check=True)
    fingerprint, *scores = done.stdout.split()
    assert fingerprint == rater.fingerprint
    with torch.no_grad():
        expected = rater([film()]).values[0]
    torch.testing.assert_close(torch.tensor([float(score) for score in scores]), expected, rtol=1e-4, atol=0)


def test_the_model_card(rater, saved) -> None:
    text = (saved / "README.md").read_text()
    assert text.startswith("---\nlibrary_name: avreward\n")
    for dimension in rater.dimensions:
        assert f"| `{dimension.name}` | `audio`, `video` |" in text
    assert rater.fingerprint in text
    for label, value in rater.settings.items():
        assert f"- {label}: {value}" in text


# ---- what can't be written


def test_a_rater_made_by_hand_leaves_nothing_behind(tmp_path) -> None:
    with pytest.raises(AvrewardError, match="toy: put together by hand, so no loader knows it"):
        toy_rater().save_pretrained(tmp_path / "r")
    assert not (tmp_path / "r").exists()


def test_a_folder_that_holds_something_else(rater, agav_folder, tmp_path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    for place in (tmp_path, agav_folder):
        before = sorted(place.iterdir())
        with pytest.raises(ArgumentError, match=r"folder: expected a new folder, .*, which holds other files"):
            rater.save_pretrained(place)
        assert sorted(place.iterdir()) == before
    with pytest.raises(ArgumentError, match=r"folder: expected a folder to write to, got the file .*notes\.txt"):
        rater.save_pretrained(tmp_path / "notes.txt")


@pytest.mark.parametrize("again", [False, True])
def test_a_writing_that_broke_off_leaves_what_was(rater, tmp_path, monkeypatch, again: bool) -> None:
    def stop(_) -> str:
        raise KeyboardInterrupt

    if again:
        rater.save_pretrained(tmp_path / "r")
    monkeypatch.setattr(room, "card", stop)
    with pytest.raises(KeyboardInterrupt):
        rater.save_pretrained(tmp_path / "r")
    if again:  # the one that was there still is
        assert load_rater(tmp_path / "r").fingerprint == rater.fingerprint
    assert [place.name for place in tmp_path.iterdir()] == (["r"] if again else [])


def test_a_rater_may_be_saved_where_it_came_from(saved, rater, tmp_path) -> None:
    """Its weights are mapped from the very file that is replaced."""
    folder = rater.save_pretrained(tmp_path / "r")
    loaded = load_rater(folder)
    with torch.no_grad():
        expected = loaded([film()]).values
        loaded.save_pretrained(folder)
        assert torch.equal(loaded([film()]).values, expected)
        torch.testing.assert_close(load_rater(folder)([film()]).values, expected, rtol=1e-5, atol=0)


# ---- what can't be read


BROKEN = {
    "a newer version": ({"format_version": 2}, "version 2 of the format, unknown to this version; update avreward"),
    "another rater": ({"rater": "oracle"}, "a rater of kind 'oracle', unknown to this version"),
    "no rater": ({"rater": None}, "a rater of kind 'None'"),
    "a list": ({"rater": ["agav"]}, "a rater of kind"),
    "no sizes": ({"network": None}, "no object 'network'; download it again"),
    "an unknown connector": ({"network": {"connector": "x"}}, "mm_projector_type"),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_folders_that_are_not_ours(saved, changed, kind: str) -> None:
    change, said = BROKEN[kind]

    def apply(config) -> None:
        for name, value in change.items():
            config[name] = {**config[name], **value} if isinstance(value, dict) else value

    with pytest.raises(AvrewardError, match=said):
        load_rater(changed(saved, config=apply))


def test_weights_that_differ(saved, changed) -> None:
    def change(state) -> None:
        del state["regression.weight"]
        state["extra"] = torch.zeros(1)

    with pytest.raises(AvrewardError, match=r"1 missing: regression\.weight; 1 unexpected: extra; is it another"):
        load_rater(changed(saved, change))


def test_unused_weights_may_be_missing(agav_folder, rater, changed) -> None:
    """`lm_head` and the classifier of BEATs take no part in the scores; by their published names."""
    folder = changed(agav_folder, lambda state: [state.pop(name) for name in ("lm_head.weight",)])
    with pytest.raises(AvrewardError, match=r"1 missing: lm_head\.weight"):
        load_rater(folder)
    small = load_rater(folder, allow=["lm_head.*"])
    with torch.no_grad():
        torch.testing.assert_close(small([film()]).values, rater([film()]).values, rtol=1e-5, atol=0)
    assert not small.module.lm_head.weight.any()


def test_entries_that_agav_rater_does_not_have(agav_folder, changed) -> None:
    folder = changed(agav_folder, lambda state: state.update({"value_head.bias": torch.zeros(1)}))
    with pytest.raises(AvrewardError, match=r"expected entries of AGAV-Rater, got value_head\.bias"):
        load_rater(folder)
    assert load_rater(folder, allow=["value_head.*"]).dimensions


# ---- the hub


class Hub:
    """What `huggingface_hub.HfApi` is used for."""

    def __init__(self) -> None:
        self.calls: list[tuple] = []

    def __call__(self) -> Hub:
        return self

    def create_repo(self, name: str, private: bool, exist_ok: bool) -> str:
        from huggingface_hub import RepoUrl

        self.calls.append((name, private, exist_ok))
        return RepoUrl(f"https://huggingface.co/{name}")

    def upload_folder(self, repo_id: str, folder_path: Path) -> None:
        self.calls.append((repo_id, sorted(file.name for file in Path(folder_path).iterdir())))
        self.fingerprint = load_rater(folder_path).fingerprint


@pytest.mark.parametrize("private", [True, False])
def test_push_to_hub(rater, monkeypatch, private: bool) -> None:
    hub = Hub()
    monkeypatch.setattr("huggingface_hub.HfApi", hub)
    assert rater.push_to_hub("me/agav", private=private) == "https://huggingface.co/me/agav"
    (repository, files) = hub.calls[1]
    assert hub.calls[0] == ("me/agav", private, True)
    assert repository == "me/agav"
    assert "model.safetensors" in files
    assert hub.fingerprint == rater.fingerprint


def test_another_class_is_named(saved) -> None:
    with pytest.raises(AvrewardError, match="holds a AgavRater, not a PublicRater; use load_rater"):
        PublicRater.from_pretrained(saved)
    assert isinstance(LmmRater.from_pretrained(saved), AgavRater)


def test_a_clip_is_scored_as_the_card_says(saved, tmp_path) -> None:
    from media_files import write

    clip = Clip.open(write(tmp_path / "clip.mp4", sound="aac"))
    assert load_rater(saved)([clip]).present.all()


def test_thirty_seconds_of_zeros_are_remembered(agav_folder, tmp_path) -> None:
    rater = load_rater(agav_folder, zeros_for_missing=True)
    again = load_rater(rater.save_pretrained(tmp_path / "r"))
    assert again.zeros_for_missing
    assert again.fingerprint == rater.fingerprint
    assert not load_rater(tmp_path / "r", zeros_for_missing=False).zeros_for_missing


CONFIGURATIONS = {
    "a size that is none": lambda config: config["network"]["language"].update(hidden_size="abc"),
    "an option nobody knows": lambda config: config["options"].update(speed=3),
    "options that are none": lambda config: config.update(options=None),
    "settings that are none": lambda config: config.update(settings=None),
}


@pytest.mark.parametrize("kind", CONFIGURATIONS)
def test_a_configuration_that_is_wrong_is_one_clear_error(saved, changed, kind: str) -> None:
    folder = changed(saved)
    config = json.loads((folder / "config.json").read_text())
    CONFIGURATIONS[kind](config)
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(AvrewardError, match=str(folder)):
        load_rater(folder)


def test_old_weights_that_cannot_be_mapped(agav_folder, changed) -> None:
    folder = changed(agav_folder)
    state = read_weights(weight_files(folder))
    expected = load_rater(agav_folder).fingerprint
    for file in folder.glob("model*.safetensors*"):
        file.unlink()
    torch.save(state, folder / "pytorch_model.bin", _use_new_zipfile_serialization=False)
    assert load_rater(folder).fingerprint == expected


def test_a_weight_that_is_no_number_makes_scores_missing(saved, changed) -> None:
    folder = changed(saved)
    rater = load_rater(folder)
    with torch.no_grad():
        next(iter(rater.module.regression.parameters()))[0, 0] = float("nan")
    scores = rater([film()])
    assert scores.present.tolist() == [[False, True, True]]
    assert scores.reasons[0] == {"audio_quality": "the score is nan, not a finite number"}


def test_exact_rounding_has_no_gradients_and_says_so(agav_folder) -> None:
    assert load_rater(agav_folder).differentiable
    assert not load_rater(agav_folder, rounding="exact").differentiable


def test_work_without_gradients_is_not_handed_on_to_where_they_are_wanted(agav_folder) -> None:
    rater, work = load_rater(agav_folder), Work()
    frames = film(20).video.clone().requires_grad_()
    clips = [Clip(video=frames, fps=8, **sound(4000, seed)) for seed in range(2)]
    with torch.no_grad():
        rater.compare(clips, work)
        rater.rate([rater.load(clip, work) for clip in clips], work)
    chosen = rater.compare(clips, work)
    assert torch.autograd.grad(chosen[0], frames, retain_graph=True)[0].any()  # what was encoded is in `work`
    scores = rater.rate([rater.load(clip, work) for clip in clips], work)
    assert torch.autograd.grad(scores.values.sum(), frames)[0].any()
