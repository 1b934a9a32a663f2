"""The reward card: what is measured, what the JSON holds, and that nothing gets into the page."""

import html
import json
import re

import pytest
import torch
from toy_raters import Reading, Toy

from avreward import Clip
from avreward.audit._statistics import Difference
from avreward.audit.inputs import PROBES
from avreward.report._card_page import chart, interval, nice, render_card, signed
from avreward.report.card import pieces, reward_card, write_card
from avreward.report.card_data import AscentSummary, CardCurve, Dispersion, ProbeRow, RewardCard, ScoringCost

NASTY = "\"><script>alert(1)</script><img src=x onerror=alert(2)>'{{ 7*7 }}"


def card(**more) -> RewardCard:
    gain = Difference(-3.0, -4.0, -2.0, -1.5, 5)
    rows = [
        ProbeRow(
            "silence", "nothing", ["audio"], [1.0, 2.0, None], 1.5, gain, gain, 0, 0, gain, "never", ["too quiet"]
        ),
        ProbeRow(
            "loud", "a lot", ["audio"], [9.0, 8.0, 9.0], 9.0, Difference(4, 3, 5, 2, 3), gain, 3, 3, None, "beats"
        ),
        ProbeRow("swapped prompt", "?", ["prompt"], [None] * 3, None, None, None, 0, 0, None, "missing", ["no prompt"]),
    ]
    parts = {
        "name": "mine", "expression": "0.4*audio_quality", "fingerprint": "f00d", "raters": {"toy": "toy 1"},
        "low": 0.0, "high": float("inf"), "needs": ["audio"], "differentiable": True, "prompt_anchored": False,
        "held_out": "toy.other", "held_out_fingerprint": "beef", "clips": ["a.mp4", "b.mp4", "c.mp4"],
        "real": [4.0, 5.0, 6.0], "real_held_out": [1.0, 2.0, None], "failed": {"d.mp4": "the file is empty"},
        "probes": rows,
        "best_of": CardCurve([1, 2, 3], [0.0, 1.0, 1.5], [0.0, 0.5, -0.5], 2.0, 1.0, 3, "twelve candidates"),
        "steps": CardCurve([0, 1], [0.0, 2.0], [], 2.0, None, 3),
        "climbed": AscentSummary(gain, Difference(1, None, None, None, 3), 2.5, 0.5, {"b.mp4": "no gradient"}),
        "gradient_snr": {"video": Dispersion(0.5, 0.1, 2.0, 3)}, "cost": ScoringCost(0.25, 0.2, 512.0, 3, "a machine"),
        "seed": 7, "notes": ["nothing reads the prompt"],
    }  # fmt: skip
    return RewardCard(**(parts | more))


def test_everything_is_on_it() -> None:
    text = html.unescape(render_card(card()))
    for expected in (
        "mine", "0.4*audio_quality", "toy.other", "1 of 3 kinds of degenerate input beats the median real clip: loud",
        "nothing reads the prompt", "silence", "too quiet", "0 … ∞", "median of 3; standard deviation 1", "−1.5 sd",
        "−4 … −2", "0.5", "250 ms", "twelve candidates", "on 50.0 % of the clips", "the file is empty", "f00d", "beef",
        "no gradient", "a machine", "no reward: no prompt", "held out: −3 against its own",
    ):  # fmt: skip
        assert expected in text, expected
    assert text.index(">loud<") < text.index(">silence<") < text.index(">swapped prompt<")  # the highest first
    assert "No kind of degenerate input" in render_card(card(probes=[]))


def test_no_text_becomes_markup_and_nothing_is_fetched() -> None:
    row = ProbeRow(NASTY, NASTY, ["audio"], [None], None, None, None, 0, 0, None, "missing", [NASTY])
    named = {"name": NASTY, "expression": NASTY, "held_out": NASTY, "fingerprint": NASTY, "raters": {NASTY: NASTY}}
    nasty = card(**named, clips=[NASTY], failed={NASTY: NASTY}, notes=[NASTY], settings={NASTY: NASTY})
    for one in (nasty, card(probes=[row], best_of=CardCurve(note=NASTY))):
        text = render_card(one)
        assert "<script" not in text
        assert "<img" not in text
        assert "{{ 7*7 }}" in html.unescape(text)
        assert "default-src 'none'" in html.unescape(text)
        assert not re.findall(r"(?:src|href)=\"(?!data:,)|url\(|@import", text)


def test_json() -> None:
    told = json.loads(card().to_json())
    assert told["beaten_by"] == ["loud"]
    assert (told["low"], told["high"]) == (0.0, None)  # what isn't finite is null
    assert told["probes"][0]["values"] == [1.0, 2.0, None]
    assert told["probes"][0]["to_median"] == {"value": -3.0, "low": -4.0, "high": -2.0, "sds": -1.5, "clips": 5}
    assert told["probes"][2]["reasons"] == ["no prompt"]


def test_both_lines_are_drawn_on_one_scale() -> None:
    drawn = chart(card().best_of, "N")
    assert drawn.unit == "standard deviations of the real clips"
    ends = {name: y for name, _, y in drawn.ends}
    up = {text: y for y, text in drawn.ticks_y}
    # 1.5 in a reward of sd 2 and −0.5 in one of sd 1
    assert ends["trained"] == pytest.approx(up["0"] + 0.75 * (up["1"] - up["0"]))
    assert ends["held out"] == pytest.approx(up["−0.5"])
    assert drawn.trained.count("L") == 2
    raw = chart(CardCurve([0, 1], [0.0, 2.0], [0.0, 1.0], 2.0, None, 3), "steps")
    assert raw.unit == "the rewards' own units"
    nothing = chart(CardCurve(note="why"), "N")
    assert (nothing.trained, nothing.note) == ("", "why")
    holes = chart(CardCurve([0, 1, 2], [0.0, None, 2.0], [], 1.0), "steps")
    assert holes.trained.count("L") == 1


def test_numbers() -> None:
    assert [signed(x) for x in (12.34, -0.0456, 0.0, None, float("inf"))] == ["+12.3", "−0.046", "0", "–", "–"]
    assert interval(Difference(1, None, None, None, 1)) == ""
    assert nice(0, 10) == [0, 5, 10]
    assert nice(0, 1.2) == [0, 0.5, 1, 1.5]
    assert nice(0.0, 0.0) == [-0.5, 0.0, 0.5]
    for low, high in ((-3.7, 0.0), (0, 1e-4), (-1, 900)):
        ticks = nice(low, high)
        assert ticks[0] <= low <= high <= ticks[-1]
        assert 2 <= len(ticks) <= 7


def real(level: float, prompt: str | None = None) -> Clip:
    video = torch.full((4, 3, 16, 16), level) + 0.1 * torch.rand(4, 3, 16, 16)
    sound = level * torch.sin(torch.arange(1600) * 0.3)[None]
    return Clip(video=video, fps=4, audio=sound, sample_rate=8000, prompt=prompt)


def test_a_card_of_a_toy(tmp_path) -> None:
    rater, steps = Toy(), []
    clips = [real(0.2, "a"), real(0.4, "b"), Clip(video=torch.rand(4, 3, 8, 8), fps=4), real(0.5, "c")]
    names = ["a", "b", "silent", "c"]
    made = reward_card(rater["power"], clips, held_out=rater["brightness"], names=names, seed=1, step=steps.append)
    assert made.beaten_by[:1] == ["loud"]
    assert made.clips == ["a", "b", "c"]
    assert made.failed == {"silent": "toy.power: no audio was given"}
    assert len(steps) <= pieces(4)
    assert len(steps) == pieces(3) + 1
    assert [row.name for row in made.probes] == list(PROBES)
    assert (made.low, made.high, made.needs, made.seed) == (0, 1, ["audio"], 1)
    assert len(made.best_of.x) == 13  # itself and twelve variants
    assert made.best_of.trained[0] == 0
    assert all(b >= a for a, b in zip(made.best_of.trained, made.best_of.trained[1:], strict=False))
    assert made.climbed.gain.value > 0
    assert made.climbed.held_out_gain.value == 0  # the power has no gradient to the picture
    assert list(made.gradient_snr) == ["audio"]
    assert "20th rollout" in made.notes[0]
    assert made.cost.clips == 3
    page, data = write_card(made, tmp_path / "card.html"), write_card(made, tmp_path / "card.json")
    assert "Reward card: toy.power" in page.read_text()
    assert json.loads(data.read_text())["expression"] == "toy.power"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["card.html", "card.json"]


def test_a_card_of_what_blocks_gradients_and_is_not_compared() -> None:
    made = reward_card(Reading()["power"], [real(0.2)], names=["a"])
    assert made.steps.x == ()
    assert made.steps.note == "not differentiable: toy.power"
    assert made.gradient_snr == {}
    assert made.notes == [
        "toy does not read the prompt: the reward does not measure whether a clip matches its prompt."
    ]
    assert "the rewards' own units" in html.unescape(render_card(made))  # one clip has no standard deviation
