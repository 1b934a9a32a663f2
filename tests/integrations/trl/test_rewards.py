"""Rewards as TRL's reward functions: as called by TRL, and in its trainers."""

from __future__ import annotations

import asyncio
import gc
import pickle
import weakref
from collections import defaultdict
from typing import Any

import pytest
import torch
from torch import nn
from toy_raters import Reading, Toy, both, picture, sound

from avreward import AvrewardError, Clip, MediaError
from avreward.integrations.trl._completions import text_of
from avreward.integrations.trl.rewards import trl_reward, trl_rewards


def render(text: str, /, **columns: Any) -> Clip:
    """A sound as loud as the number in the text."""
    try:
        return sound(float(text))
    except ValueError as error:
        raise MediaError("text", f"{text!r} isn't a number", "write one") from error


class Log:
    """What TRL keeps of a step."""

    def __init__(self) -> None:
        self.extra: dict[str, list[Any]] = defaultdict(list)
        self.metrics: dict[str, float] = {}

    def calls(self) -> dict[str, Any]:
        return {"log_extra": lambda name, v: self.extra[name].extend(v), "log_metric": self.metrics.__setitem__}


def call(function: Any, completions: list[Any], log: Log | None = None, **columns: Any) -> Any:
    """As TRL calls a reward function."""
    prompts = columns.pop("prompts", ["a prompt"] * len(completions))
    ids = [[1]] * len(completions)
    return function(
        prompts=prompts, completions=completions, completion_ids=ids, trainer_state=None, **(log or Log()).calls(),
        **columns,
    )  # fmt: skip


def test_values_and_logs() -> None:
    log = Log()
    function = trl_reward(2 * Toy()["power"] + 1, render=render)
    assert call(function, ["0.25", "loud", "0.5"], log) == [pytest.approx(1.5), None, pytest.approx(2.0)]
    assert log.extra["avreward/toy.power"] == [pytest.approx(0.25), None, pytest.approx(0.5)]
    assert [bool(why) for why in log.extra["avreward/missing"]] == [False, True, False]
    assert "'loud' isn't a number; write one" in log.extra["avreward/missing"][1]
    assert log.metrics == {
        "avreward/missing": pytest.approx(1 / 3), "avreward/toy.power": pytest.approx(0.375),
        "avreward/reward": pytest.approx(1.75),
    }  # fmt: skip
    assert all(len(values) == 3 for values in log.extra.values())
    assert not isinstance(function, nn.Module)


def test_nothing_that_can_be_judged() -> None:
    log = Log()
    assert call(trl_reward(Toy()["power"], render=render), ["x", "y"], log) == [None, None]
    assert log.metrics == {"avreward/missing": 1.0}


def test_parts_share_one_pass_and_miss_together() -> None:
    first, second = Toy("first"), Toy("second")
    reward = 0.5 * first["power"] - 2 * first["peak"] + second["brightness"] * second["power"] + 7
    functions, weights = trl_rewards(reward)
    assert weights == [0.5, -2.0, 1.0]
    assert [f.__name__ for f in functions] == ["first.power", "first.peak", "second.brightness*second.power"]
    clips, log = [both(0.25, 0.5), sound(0.25), both(1.0, 0.25)], Log()
    values = [call(f, clips, log) for f in functions]
    for column, expected in zip(values, ([0.25, 1.0], [0.5, 1.0], [0.125, 0.25]), strict=True):
        assert column == [pytest.approx(expected[0]), None, pytest.approx(expected[1])]
    assert sum(first.calls) == sum(second.calls) == 3
    assert "first.power" in log.extra["avreward/missing"][1] or "second" in log.extra["avreward/missing"][1]
    assert all(len(column) == 3 for column in log.extra.values())  # logged once, not once a part
    rest = torch.tensor([w * c[2] for w, c in zip(weights, values, strict=True)]).sum() + 7
    assert float(rest) == pytest.approx(float(reward([clips[2]])))


def test_the_same_list_in_another_step_is_judged_anew() -> None:
    rater = Toy()
    functions, _ = trl_rewards(rater["power"] + rater["peak"], render=render)
    texts = ["0.25"]
    for level in ("0.25", "0.04"):
        texts[0] = level
        assert [call(f, texts)[0] for f in functions] == [
            pytest.approx(float(level)),
            pytest.approx(float(level) ** 0.5),
        ]
    call(functions[0], texts)
    texts[0] = "1.0"
    assert call(functions[0], texts) == [1.0]  # one that isn't asked by the others


def test_a_batch_is_let_go_when_all_have_it() -> None:
    class Held(list):  # a list that can be watched
        pass

    functions, _ = trl_rewards(Toy()["power"] + Toy()["peak"])
    batch = Held([sound(0.25)])
    watched = weakref.ref(batch)
    for function in functions:
        call(function, batch)
    del batch
    gc.collect()
    assert watched() is None


def test_asynchronous_functions_share_one_pass() -> None:
    rater = Toy(seconds=0.01)
    functions, _ = trl_rewards(rater["power"] + rater["peak"], render=render, asynchronous=True)
    texts = ["0.25", "0.64"]

    async def both_at_once() -> list[Any]:
        return await asyncio.gather(*(call(f, texts) for f in functions))

    assert asyncio.run(both_at_once()) == [pytest.approx([0.25, 0.64]), pytest.approx([0.5, 0.8])]
    assert sum(rater.calls) == 2


def test_trl_knows_which_is_asynchronous() -> None:
    utils = pytest.importorskip("trl.trainer.utils")
    plain, other = (trl_reward(Toy()["power"], name="mine", asynchronous=flag) for flag in (False, True))
    assert [utils.is_async_callable(f) for f in (plain, other)] == [False, True]
    assert [utils.get_callable_name(f) for f in (plain, other)] == ["mine", "mine"]


@pytest.mark.parametrize("asynchronous", [False, True])
def test_pickled_functions_work_and_still_share(asynchronous) -> None:
    functions, _ = trl_rewards(Toy()["power"] + Toy()["peak"], render=render, asynchronous=asynchronous)
    copies = pickle.loads(pickle.dumps(functions))
    texts = ["0.25"]
    found = [call(f, texts) for f in copies]
    found = [asyncio.run(f) if asynchronous else f for f in found]
    assert found == [[pytest.approx(0.25)], [pytest.approx(0.5)]]
    inner = copies[0]._function if asynchronous else copies[0]
    assert sum(inner._shared.reward.raters[0].calls) == 1


def test_paths_and_video_columns(tmp_path) -> None:
    picture(0.5).save(tmp_path / "picture.mkv")
    sound(0.25, samples=8000).save(tmp_path / "sound.wav")
    function = trl_reward(Toy()["power"] + Toy()["brightness"], video_column="video")
    paths = [tmp_path / "sound.wav", f" {tmp_path / 'sound.wav'}\n", str(tmp_path / "none.wav")]
    video = str(tmp_path / "picture.mkv")
    found = call(function, paths, video=[video, {"path": video, "bytes": None}, video])
    assert found == [pytest.approx(0.75, abs=0.01), pytest.approx(0.75, abs=0.01), None]
    assert call(function, paths[:1], video=[None]) == [None]  # no picture in this row
    assert call(function, paths[:1], video=[picture(0.25)]) == [pytest.approx(0.5, abs=0.01)]


def test_conversations_and_prompts() -> None:
    seen: list[tuple[str, Any]] = []

    class Prompts(Reading):
        def row(self, sample: Any) -> Any:
            seen.append(("rated", sample.clip.prompt))
            return super().row(sample)

    def speaking(text: str, prompt: str, scene: str, **columns: Any) -> Clip:
        seen.append((text, (prompt, scene)))
        return both(0.25, 0.5)

    chat = [[{"role": "assistant", "content": [{"type": "text", "text": "drums"}]}]]
    asked = [[{"role": "system", "content": "Be brief."}, {"role": "user", "content": "A band"}]]
    reward = Prompts()["faithful"]
    call(trl_reward(reward, render=speaking), chat, prompts=asked, scene=["a stage"])
    call(trl_reward(reward, render=speaking, prompt_column="scene"), chat, prompts=asked, scene=["a stage"])
    assert seen == [("drums", ("A band", "a stage")), ("rated", "A band"), ("drums", ("A band", "a stage")),
                    ("rated", "a stage")]  # fmt: skip
    own = [both(0.25, 0.5).with_prompt("its own")]
    call(trl_reward(reward), own)
    assert seen[-1] == ("rated", "its own")
    call(trl_reward(reward, video_column="video"), own, video=[picture(0.5, prompt="the video's")])
    assert seen[-1] == ("rated", "its own")
    assert text_of([{"role": "assistant", "content": None, "text": "x"}, {"role": "assistant", "content": "y"}]) == "y"


@pytest.mark.parametrize(
    ("options", "completions", "columns", "told"),
    [
        (
            {"video_column": "film"},
            ["0.5"],
            {"video": ["a.mp4"]},
            r"video_column: expected a column of the dataset \(video\), got 'film'; name one",
        ),
        (
            {"prompt_column": "text"},
            ["0.5"],
            {},
            r"prompt_column: expected a column of the dataset .none.*, got 'text'; .* remove_unused",
        ),
        (
            {"prompt_column": "text"},
            ["0.5"],
            {"text": [None]},
            r"prompt_column: expected a text in each row of 'text', got None",
        ),
        (
            {"video_column": "video"},
            ["0.5"],
            {"video": [{"bytes": b"x"}]},
            r"expected a path or a Clip in each row of 'video', got bytes without",
        ),
        (
            {"video_column": "video"},
            ["0.5"],
            {"video": [3]},
            r"expected a path or a Clip in each row of 'video', got an object of type int",
        ),
        (
            {"render": None},
            ["no such file"],
            {},
            r"completions: expected media files, got none that opens .*; pass render= if they are texts",
        ),
        (
            {"render": None},
            ["x\0y" * 4000],
            {},
            r"completions: expected media files, got none that opens .*; pass render=",
        ),
        (
            {"render": lambda text, /, **_: text},
            ["x"],
            {},
            r"render: expected a function that returns a Clip, got a str for 'x'",
        ),
        ({}, [3], {}, r"completions: expected texts, paths, clips or lists of messages, got an object of type int"),
    ],
)
def test_errors_name_the_column_and_the_remedy(options, completions, columns, told) -> None:
    function = trl_reward(Toy()["power"], **({"render": render} | options))
    with pytest.raises(AvrewardError, match=told):
        call(function, completions, **columns)


def test_other_things_that_trl_hands_over_are_no_columns() -> None:
    rows: list[Any] = []

    def noting(text: str, **columns: Any) -> Clip:
        rows.append(columns)
        return sound(0.25)

    call(trl_reward(Toy()["power"], render=noting), ["x", "y"], label=[1, 2], environments=[object()] * 3)
    assert rows == [{"prompt": "a prompt", "label": 1}, {"prompt": "a prompt", "label": 2}]


def test_an_exception_of_a_rater_is_not_a_missing_score() -> None:
    class Broken(Toy):
        def row(self, sample: Any) -> Any:
            raise RuntimeError("out of memory")

    functions, _ = trl_rewards(Broken()["power"] + Broken()["peak"], render=render)
    for function in functions:
        with pytest.raises(RuntimeError, match="out of memory"):
            call(function, ["0.25"])


def test_a_reward_that_ignores_the_prompt_warns_unless_videos_are_dubbed(monkeypatch, recwarn) -> None:
    monkeypatch.setattr("avreward.rewards._prompt_warning._warned", set())
    film = picture(0.5)
    call(trl_reward(Toy()["power"], video_column="film"), [sound(0.25)], film=[film])
    call(trl_reward(Reading()["faithful"], video_column="film"), [sound(0.25)], film=[film])
    assert not recwarn
    call(trl_reward(Toy()["power"]), [sound(0.25)])
    call(trl_reward(Toy()["power"]), [sound(0.25)])
    call(trl_reward(Toy()["peak"], video_column="film", prompt_column="scene"), [sound(0.2)], film=[film], scene=["x"])
    assert [str(warning.message).split(":")[0] for warning in recwarn] == ["toy.power", "toy.peak"]
