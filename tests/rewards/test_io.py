"""Rewards in files: what is written, what is read back, and what is said of files that are no rewards."""

from __future__ import annotations

import os
import re
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from safetensors.torch import load_file
from toy_raters import Toy, both

from avreward.errors import ArgumentError, AvrewardError
from avreward.raters import hub
from avreward.rewards.expression import ExpressionError
from avreward.rewards.function_base import Fitted, register_function
from avreward.rewards.functions import minimum
from avreward.rewards.io import load_reward, save_reward
from avreward.rewards.per_prompt import PerPrompt


class Shifted(Fitted):
    """A fitted function for the tests."""

    name = "shifted_for_tests"

    def apply(self, *values: torch.Tensor) -> torch.Tensor:
        return values[0] - self.fitted("mean", values[0])


register_function("shifted_for_tests", Shifted.from_state, fitted=True)


@pytest.fixture
def loads(monkeypatch) -> list[tuple[str, dict[str, Any]]]:
    """Every name is that of a toy; how each was asked for."""
    asked: list[tuple[str, dict[str, Any]]] = []

    def load(name: Any = "signals", **options: Any) -> Toy:
        asked.append((str(name), options))
        toy = Toy("published_name")
        toy.fingerprint = f"toy {options.get('dtype', 'float32')}"
        toy.source = {"rater": hub._findable(name), **hub._kept(options)}
        return toy

    monkeypatch.setattr(hub, "load_rater", load)
    return asked


def toy(name: str = "toy", **source: Any) -> Toy:
    rater = Toy(name)
    rater.source = source or None
    rater.fingerprint = "toy float32"
    return rater


CLIP = both(0.5, 0.25).with_prompt("hello")


def test_a_file_is_read_back(loads, tmp_path: Path) -> None:
    rater = toy("agav", rater="signals")
    reward = 0.4 * rater["power"] - 2 * minimum(rater["brightness"], 0.1)
    path = reward.save(tmp_path / "mine.yaml")
    assert path == tmp_path / "mine.yaml"
    assert yaml.safe_load(path.read_text()) == {
        "reward": "0.4*agav.power - 2*min(agav.brightness, 0.1)",
        "raters": {"agav": "signals"},
        "fingerprint": reward.fingerprint,
    }
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        again = load_reward(path)
        assert load_reward(str(path)) == again == reward
    assert [rater.name for rater in again.raters] == ["agav"]
    assert again([CLIP]).item() == pytest.approx(reward([CLIP]).item())
    assert os.listdir(tmp_path) == ["mine.yaml"]


def test_a_folder_keeps_what_was_fitted(loads, tmp_path: Path) -> None:
    rater = toy("agav", rater="signals")
    fitted = Shifted(rater["power"], {"mean": torch.tensor(0.125, dtype=torch.float64)})
    reward = PerPrompt({"hello": 2.0}, otherwise=0) * fitted + Shifted(rater["peak"], {"mean": torch.tensor(1.5)})
    folder = reward.save(tmp_path / "deep" / "mine")
    assert sorted(os.listdir(folder)) == ["reward.yaml", "state.safetensors"]
    for source in (folder, str(folder), folder / "reward.yaml", str(folder / "reward.yaml")):
        again = load_reward(source)
        assert again == reward
        assert again([CLIP]).item() == pytest.approx(2 * 0.375 + 0.5**0.5 - 1.5)
    assert repr(reward) == yaml.safe_load((folder / "reward.yaml").read_text())["reward"]


def test_a_saved_reward_is_replaced(loads, tmp_path: Path) -> None:
    rater = toy("agav", rater="signals")
    for mean in (0.5, 0.25):
        reward = Shifted(rater["power"], {"mean": torch.tensor(mean)})
        assert load_reward(reward.save(tmp_path / "mine")) == reward
    assert load_reward(rater["power"].save(tmp_path / "mine")) == rater["power"]
    assert os.listdir(tmp_path / "mine") == ["reward.yaml"]


def test_fitted_parts_need_a_folder(tmp_path: Path) -> None:
    reward = Shifted(toy()["power"], {"mean": torch.tensor(1.0)})
    with pytest.raises(ArgumentError, match=r"path: expected a folder, .* fitted .*; pass a folder, such as mine"):
        save_reward(reward, tmp_path / "mine.yaml")
    assert not os.listdir(tmp_path)


def shout(prompt: str) -> float:
    return 1.0


def test_what_cannot_be_saved(loads, tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match=r"weights: expected numbers by prompt, .*, got <function shout"):
        save_reward(PerPrompt(shout) * toy()["power"], tmp_path / "mine")
    (tmp_path / "taken.yaml").mkdir()
    with pytest.raises(ArgumentError, match=r"path: expected a file to write, got .*taken.yaml, which is a folder"):
        toy()["power"].save(tmp_path / "taken.yaml")
    (tmp_path / "file").touch()
    with pytest.raises(ArgumentError, match=r"path: expected a folder to write, got .*file, which is a file"):
        toy()["power"].save(tmp_path / "file")
    with pytest.raises(AvrewardError, match=r"mine.yaml: can't be written"):
        toy()["power"].save(tmp_path / "file" / "mine.yaml")
    assert sorted(os.listdir(tmp_path)) == ["file", "taken.yaml"]


def test_a_full_disk_leaves_the_old_reward(loads, tmp_path: Path, monkeypatch) -> None:
    rater = toy("agav", rater="signals")
    path = rater["power"].save(tmp_path / "mine.yaml")
    before = path.read_bytes()

    def full(self: Path, data: bytes) -> int:
        self.touch()
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(AvrewardError, match="No space left on device"):
        rater["peak"].save(path)
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["mine.yaml"]


@pytest.mark.parametrize("method", ["write_bytes", "replace"])
@pytest.mark.parametrize("works", range(4))
def test_whenever_the_disk_fails_a_whole_reward_is_there(loads, tmp_path: Path, monkeypatch, method, works) -> None:
    rater = toy("agav", rater="signals")
    old, new = (Shifted(rater["power"], {"mean": torch.tensor(mean)}) for mean in (0.5, 0.25))
    folder = old.save(tmp_path / "mine")
    done, real = [], getattr(Path, method)

    def failing(self: Path, given: Any) -> Any:
        if len(done) == works:
            raise OSError(28, "No space left on device")
        done.append(self)
        return real(self, given)

    with monkeypatch.context() as patch:
        patch.setattr(Path, method, failing)
        if works == 3:  # as many as it takes
            new.save(folder)
        else:
            with pytest.raises(AvrewardError, match="No space left on device"):
                new.save(folder)
    kept = old if works < (3 if method == "write_bytes" else 2) else new
    assert load_reward(folder) == kept
    assert sorted(os.listdir(folder)) == ["reward.yaml", "state.safetensors"]
    assert load_reward(new.save(folder)) == new
    assert len(load_file(folder / "state.safetensors")) == 1  # the old state is gone


def test_folders_are_named_from_the_file(loads, tmp_path: Path, monkeypatch) -> None:
    for name in ("home/raters/agav", "home/lora", "elsewhere"):
        (tmp_path / name).mkdir(parents=True)
    near = toy("near", rater=str(tmp_path / "home/raters/agav"), adapter=str(tmp_path / "home/lora"), dtype="bfloat16")
    far = toy("far", rater=str(tmp_path / "elsewhere"))
    reward = near["power"] + far["power"]
    path = reward.save(tmp_path / "home" / "mine.yaml")
    told = yaml.safe_load(path.read_text())["raters"]
    assert told == {
        "near": {"rater": "./raters/agav", "adapter": "./lora", "dtype": "bfloat16"},
        "far": str(tmp_path / "elsewhere"),
    }
    (tmp_path / "home").rename(tmp_path / "moved")
    monkeypatch.chdir(tmp_path / "elsewhere")
    with pytest.warns(UserWarning, match="raters or their settings have changed since"):  # the toy's type was another
        load_reward(tmp_path / "moved" / "mine.yaml")
    assert sorted(loads) == [
        (str(tmp_path / "elsewhere"), {}),
        (str(tmp_path / "moved/raters/agav"), {"adapter": str(tmp_path / "moved/lora"), "dtype": "bfloat16"}),
    ]


def test_a_rater_of_ones_own_is_given(loads, tmp_path: Path) -> None:
    own = toy("own")
    path = (own["power"] + toy("agav", rater="signals")["power"]).save(tmp_path / "mine.yaml")
    assert yaml.safe_load(path.read_text())["raters"] == {"agav": "signals"}
    reward = load_reward(path, {"own": own})
    assert reward.raters[0] is own
    assert [name for name, _ in loads] == ["signals"]
    with pytest.raises(AvrewardError, match=r"mine.yaml: .* unknown score 'own.power'"):
        load_reward(path)
    loads.clear()
    load_reward(path, {"own": own, "agav": toy("agav")})  # stands in for the one that the file names
    assert not loads


def test_expressions(loads, tmp_path: Path, monkeypatch) -> None:
    assert repr(load_reward("2*power")) == "2*signals.power"
    assert repr(load_reward("a.power - b.power", {"a": "some/where", "b": Path("else/where")})) == "a.power - b.power"
    assert [name for name, _ in loads] == ["signals", "some/where", "else/where"]
    monkeypatch.chdir(tmp_path)
    (tmp_path / "power").mkdir()
    assert repr(load_reward("power")) == "signals.power"  # a folder without a reward is none
    (tmp_path / "models").mkdir()
    with pytest.raises(ArgumentError, match=r"reward: expected .*, got models without reward.yaml"):
        load_reward("models")
    with pytest.raises(AvrewardError, match="is empty"):
        load_reward("")
    with pytest.raises(AvrewardError, match="at character"):
        load_reward("power + " + "x" * 5000)
    with pytest.raises(AvrewardError, match=r"models/reward.yaml: file not found"):
        load_reward(tmp_path / "models")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("reward: power\nrater: {}", r"key: expected one of reward, raters, .*; did you mean 'raters'"),
        ("reward: power\ncolour: 1", "key: expected one of reward, raters, fingerprint, got 'colour'"),
        ("raters: {signals: signals}", "expected an expression, got none; write it as in reward: 0.5"),
        ("reward: [power]", "expected an expression"),
        ("reward:", "expected an expression"),
        ("", "expected an expression"),
        ("power", "expected an expression"),
        ("reward: power\nraters: signals", "raters: expected a mapping, got str; write"),
        ("reward: power\nraters: {a: 3}", "rater a: rater: expected a folder or name .*, got none; write a: FOLDER"),
        ("reward: power\nraters: {a: {dtype: bfloat16}}", "the rater a: rater: expected a folder"),
        ("reward: power\nraters: {a: {rater: signals, 3: 4}}", "the rater a: rater: expected a folder"),
        ("reward: a.powr\nraters: {a: signals}", "at character 1: unknown score 'a.powr'; did you mean a.power"),
        (
            "reward: a.power\nraters: {}",
            "no rater was given; pass raters; the file has no rater a: write",
        ),
        ("reward: a.power\nraters: {a: ../other}", r"got ../other, which is outside that folder; write its"),
        ("reward: a.power\nraters: {a: x/../../other}", "got x/../../other, which is outside that folder"),
        ("reward: a.power\nraters: {a: ./nothing}", r"got ./nothing, which does not exist \(.*nothing\)"),
        (
            "reward: a.power\nraters: {a: {rater: signals, adapter: ../lora}}",
            "adapter: expected .*, got ../lora, which",
        ),
        ("reward: a.power\nraters: {a: here}", "got here, which does not exist"),
        ("reward: 1.5\nraters: {a: signals}", "it has no score"),
        ("reward: 'power\nraters: {}", r"not valid YAML \(line \d+: .*\); correct it there"),
        ("reward: !!python/object/apply:os.system ['true']", r"not valid YAML \(line 1: .*"),
        ("reward: \x00", "not valid YAML"),
        ("reward: a.power\nreward: 2*a.power", "line 2: the key 'reward' occurs a second time; keep one"),
        ("reward: a.power\nraters:\n  a: signals\n  b: x\n  a: y", "line 5: the key 'a' occurs a second time"),
        ("reward: a.power\nraters: {a: {rater: x, dtype: y, 'dtype': z}}", "line 2: the key 'dtype' occurs"),
        ("reward: &x [*x]", "expected an expression"),
        ("reward: a.power\nraters: {a: &x {rater: {signals: *x}}}", "the rater a: rater: expected a folder"),
        ("reward: scaled(a.power, state=01234567)\nraters: {a: signals}", "unknown function 'scaled'"),
        ("reward: per_prompt(state=01234567)\nraters: {a: signals}", "the fitted state 01234567 was not found"),
    ],
)
def test_bad_files(loads, tmp_path: Path, monkeypatch, text: str, says: str) -> None:
    (tmp_path / "cwd" / "here").mkdir(parents=True)  # a folder where we are isn't one where the file is
    monkeypatch.chdir(tmp_path / "cwd")
    path = tmp_path / "files" / "bad.yaml"
    path.parent.mkdir()
    path.write_text(text)
    with pytest.raises(AvrewardError, match=says) as caught:
        load_reward(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["./nothere", "../no", "/nothere", "~/nothere", "a/nothere", "nothere/", "a/b/2x"])
def test_a_path_that_is_not_there(loads, text) -> None:
    with pytest.raises(AvrewardError, match="^" + re.escape(text) + ": file or folder not found; correct the"):
        load_reward(text)


@pytest.mark.parametrize("text", [".5*powr", "powr/2", "powr/2.5", "power/peak", "(powr)/2", "powr/(1 + 2)"])
def test_an_expression_is_no_path(loads, text) -> None:
    with pytest.raises(ExpressionError, match="at character"):
        load_reward(text)


def test_bad_bytes_and_bad_names(loads, tmp_path: Path) -> None:
    (tmp_path / "bad.yaml").write_bytes(b"reward: \xff")
    with pytest.raises(AvrewardError, match="expected text in UTF-8"):
        load_reward(tmp_path / "bad.yaml")
    with pytest.raises(AvrewardError, match=r"nothing.yaml: file not found; pass a reward's"):
        load_reward("nothing.yaml")


def test_what_loading_says_of_a_rater_names_the_file(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("reward: a.power\nraters: {a: signal}")
    with pytest.raises(AvrewardError, match=r"mine.yaml: the rater a: rater 'signal': unknown; did you mean 'signals'"):
        load_reward(path)
    path.write_text("reward: a.power\nraters: {a: {rater: signals, dtype: float16}}")
    with pytest.raises(AvrewardError, match=r"mine.yaml: the rater a: options of signals: expected none"):
        load_reward(path)


def test_a_damaged_state_is_told(loads, tmp_path: Path) -> None:
    reward = Shifted(toy("agav", rater="signals")["power"], {"mean": torch.tensor([1.0, 2.0])})
    state = reward.save(tmp_path / "mine") / "state.safetensors"
    whole = state.read_bytes()
    state.write_bytes(whole[:-1] + b"\x01")
    with pytest.raises(AvrewardError, match=rf"state.safetensors: the state {reward.state_hash} has changed since"):
        load_reward(tmp_path / "mine")
    state.write_bytes(whole[:-5])
    with pytest.raises(AvrewardError, match=r"state.safetensors: can't be read"):
        load_reward(tmp_path / "mine")
    state.unlink()
    with pytest.raises(AvrewardError, match=f"the fitted state {reward.state_hash} was not found"):
        load_reward(tmp_path / "mine")


def test_the_built_in_rater_knows_its_name(tmp_path: Path) -> None:
    from avreward import load_rater

    rater = load_rater()
    assert rater.source == {"rater": "signals"}
    reward = rater["audio_quality"] + 1
    path = reward.save(tmp_path / "mine.yaml")
    assert load_reward(path) == reward


def test_what_a_source_keeps(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "lora").mkdir()
    options = {"device": "cuda", "checkpointing": True, "dtype": torch.bfloat16, "adapter": "lora", "allow": ("a",)}
    assert hub._kept(options) == {"dtype": "bfloat16", "adapter": str(tmp_path / "lora"), "allow": ["a"]}
    assert hub._findable("lora") == str(tmp_path / "lora")
    assert hub._findable("someone/model") == "someone/model"


@pytest.mark.parametrize(
    ("source", "raters", "said"),
    [
        (None, None, "source: expected an expression, or a reward's file or folder, got None"),
        (3, None, "source: expected an expression, or a reward's file or folder, got 3"),
        ("overall", 3, "raters: expected a mapping of names to raters, got 3; pass {name: rater}"),
        ("overall", [Toy()], "raters: expected a mapping of names to raters, got"),
        ("overall", {"signals": 3}, r"raters\['signals'\]: expected a rater, or the name or folder of one, got 3"),
    ],
)
def test_arguments_of_wrong_types(source: Any, raters: Any, said: str) -> None:
    with pytest.raises(ArgumentError, match=said):
        load_reward(source, raters)


def test_a_path_of_a_wrong_type() -> None:
    with pytest.raises(ArgumentError, match="path: expected the file or folder to write, got 3"):
        Toy()["power"].save(3)  # type: ignore[arg-type]
