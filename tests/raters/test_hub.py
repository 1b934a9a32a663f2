"""From a name to a rater."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from avreward import load_rater
from avreward.errors import ArgumentError, AvrewardError
from avreward.raters import registry
from avreward.raters.agav.rater import AgavRater
from avreward.raters.card import Layout
from avreward.raters.hub import UnknownRater, folder_of, layout_of, read_config
from avreward.raters.signals.rater import SignalsRater


def test_the_built_in_rater() -> None:
    assert isinstance(load_rater(), SignalsRater)
    assert isinstance(load_rater("signals"), SignalsRater)
    with pytest.raises(ArgumentError, match="options of signals: expected none, got device; leave them out"):
        load_rater("signals", device="cpu")


@pytest.mark.parametrize("as_path", [str, Path])
def test_a_folder(agav_folder, as_path) -> None:
    assert isinstance(load_rater(as_path(agav_folder)), AgavRater)


def test_a_folder_by_the_users_home(agav_folder, monkeypatch) -> None:
    monkeypatch.setenv("HOME", str(agav_folder.parent))
    assert folder_of(f"~/{agav_folder.name}") == agav_folder


# ---- names that are none


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("signal", "rater 'signal': unknown; did you mean 'signals'"),
        ("oracle", "there are: signals, signals.stereo, folders, and hub names such as caoyuqin/AGAV-Rater"),
        ("oracle", "import the module that registers your own rater first"),
        ("agav", "rater 'agav': needs a checkpoint; pass its folder, or caoyuqin/AGAV-Rater"),
        ("terms.py:warm", "rater 'terms.py:warm': Python code, which only --rater imports"),
        ("", "rater '': expected a name or a folder, got an empty text; there are: signals"),
        ("./absent", "rater './absent': no such folder"),
        ("/absent/folder/x", "rater '/absent/folder/x': no such folder"),
        ("~/absent", "no such folder"),
    ],
)
def test_unknown_names(name: str, said: str) -> None:
    with pytest.raises(UnknownRater) as caught:
        load_rater(name)
    assert said in str(caught.value)
    assert isinstance(caught.value, AvrewardError)
    assert isinstance(caught.value, KeyError)


def test_a_file(agav_folder) -> None:
    with pytest.raises(AvrewardError, match=r"rater: expected a folder with .*model\.safetensors'; name the folder of"):
        load_rater(agav_folder / "model.safetensors")


def test_a_python_file_without_a_name(tmp_path) -> None:
    path = tmp_path / "warm.py"
    path.touch()
    with pytest.raises(
        ArgumentError,
        match=r"expected a folder with a checkpoint, got .*; write .*/warm\.py:NAME, the rater in it, after --rater",
    ):
        load_rater(path)


# ---- the hub


def test_a_repository_is_downloaded_with_what_is_needed(agav_folder, monkeypatch) -> None:
    asked = []

    def download(name, revision, allow_patterns):
        asked.append((name, revision, tuple(allow_patterns)))
        return str(agav_folder)

    monkeypatch.setattr("huggingface_hub.snapshot_download", download)
    assert isinstance(load_rater("caoyuqin/AGAV-Rater", revision="v2"), AgavRater)
    [(name, revision, patterns)] = asked
    assert (name, revision) == ("caoyuqin/AGAV-Rater", "v2")
    assert "*.safetensors" in patterns
    assert "*.json" in patterns
    assert not {"*.bin", "*.pth", "*.py", "*"} & set(patterns)


def test_what_takes_long_is_logged_when_it_begins(agav_folder, monkeypatch, caplog) -> None:
    caplog.set_level("INFO", "avreward.raters.hub")
    said: list[int] = []  # how much was logged when the download began

    def download(*_: object, **__: object) -> str:
        said.append(len(caplog.messages))
        return str(agav_folder)

    monkeypatch.setattr("huggingface_hub.snapshot_download", download)
    load_rater("someone/agav")
    looking, reading = caplog.messages
    assert looking.startswith("someone/agav: looking on the Hugging Face hub")
    assert reading == f"someone/agav: reading the weights in {agav_folder}"
    assert said[0] == 1


def test_old_weights_are_downloaded_where_there_are_no_others(tmp_path, monkeypatch) -> None:
    asked = []
    (tmp_path / "config.json").write_text('{"model_type": "qwen2_vl"}')
    monkeypatch.setattr(
        "huggingface_hub.snapshot_download",
        lambda name, revision, allow_patterns: asked.append(allow_patterns) or str(tmp_path),
    )
    assert folder_of("some/model") == tmp_path
    assert len(asked) == 2
    assert "*.bin" in asked[1]


def test_the_hub_cannot_be_reached(monkeypatch) -> None:
    def fail(*_, **__):
        raise ConnectionError("no route to host\nand more")

    monkeypatch.setattr("huggingface_hub.snapshot_download", fail)
    with pytest.raises(UnknownRater) as caught:
        load_rater("some/model")
    assert str(caught.value) == (
        "rater 'some/model': no such folder, and it could not be downloaded from the Hugging Face hub "
        "(no route to host); check the name and the network, or pass a folder"
    )


# ---- which loader


def layout(kind: str) -> Layout:
    card = registry.card_of(kind)
    assert card is not None
    assert card.layout is not None
    return card.layout


KINDS = {
    "agav": {"mm_projector_type": "stc_connector_v35", "mm_projector_a_type": "mlp2x_gelu"},
    "public": {"model_type": "qwen2_5_omni"},
    "embedding": {"model_type": "clap"},
}


@pytest.mark.parametrize("kind", KINDS)
def test_published_layouts(tmp_path, kind: str) -> None:
    assert layout_of(tmp_path, KINDS[kind]) is layout(kind)


def test_layouts_told_by_their_files(tmp_path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "model_config.json").write_text("{}")
    assert layout_of(tmp_path / "a", {"model_type": "qwen2_vl"}) is layout("video_reward")
    (tmp_path / "c").mkdir()
    (tmp_path / "c" / "avsync_eval_weights.pt").touch()
    assert layout_of(tmp_path / "c", {}) is layout("sync")
    (tmp_path / "b" / "audio_video").mkdir(parents=True)
    assert layout_of(tmp_path / "b", {}) is layout("avbench")


def test_our_own_layout_comes_first(tmp_path) -> None:
    (tmp_path / "model_config.json").write_text("{}")
    ours = {"format": "avreward", "format_version": 1, "network": {}, "model_type": "clap"}
    kinds = ["agav", "public", "video_reward", "sync", "avbench", "embedding"]
    for kind in kinds:
        assert layout_of(tmp_path, {**ours, "rater": kind}) is layout(kind)
    with pytest.raises(AvrewardError, match="a rater of kind 'signals', unknown to this version; update"):
        layout_of(tmp_path, {**ours, "rater": "signals"})


@pytest.mark.parametrize(
    ("config", "said"),
    [
        (None, "it has no config.json"),
        ({"model_type": "bert"}, "its config.json says model_type 'bert'"),
        ({"model_type": None}, "its config.json says model_type None"),
        ({"mm_projector_type": "stc_connector_v35"}, "says model_type None"),
    ],
)
def test_folders_without_a_rater(tmp_path, config, said: str) -> None:
    if config is not None:
        (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(AvrewardError) as caught:
        load_rater(tmp_path)
    text = str(caught.value)
    assert text.startswith(f"{tmp_path}: no rater that avreward knows: ")
    assert said in text
    assert "expected a folder that avreward wrote, or VideoReward (model_config.json), or the sync" in text
    assert "AGAV-Rater (mm_projector_type)" in text
    assert "qwen2_5_omni" in text


@pytest.mark.parametrize(
    ("text", "said"), [("{", "expected JSON"), ("[1]", "expected a JSON object, got a list"), ("", "expected JSON")]
)
def test_a_configuration_that_is_none(tmp_path, text: str, said: str) -> None:
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(AvrewardError, match=rf"config\.json: {said}.*download it again"):
        load_rater(tmp_path)


def test_a_configuration_that_is_no_text(tmp_path) -> None:
    (tmp_path / "config.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(AvrewardError, match="expected JSON, got another format"):
        read_config(tmp_path)


def test_an_adapter_alone(tmp_path) -> None:
    (tmp_path / "adapter_config.json").write_text("{}")
    with pytest.raises(AvrewardError, match="expected a checkpoint, got an adapter; load its base model with adapter="):
        load_rater(tmp_path)


@pytest.mark.parametrize(
    ("option", "hint"), [("chekpointing", "; did you mean 'checkpointing'"), ("zzz", ""), ("path", "")]
)
def test_options_that_nobody_knows(agav_folder, option: str, hint: str) -> None:
    with pytest.raises(ArgumentError, match=f"option of .*: expected one of scheme, .*, got '{option}'{hint}"):
        load_rater(agav_folder, **{option: True})


def test_a_folder_that_is_called_as_a_kind(agav_folder, monkeypatch) -> None:
    (agav_folder.parent / "agav").symlink_to(agav_folder)
    monkeypatch.chdir(agav_folder.parent)
    assert isinstance(load_rater("agav"), AgavRater)


@pytest.mark.parametrize("wrong", [None, 3])
def test_what_names_no_rater(wrong) -> None:
    with pytest.raises(ArgumentError, match=f"name: expected the name or the folder of a rater, got {wrong}"):
        load_rater(wrong)
