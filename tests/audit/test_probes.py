"""Probing a reward: who beats the real clips, what is missing and why."""

import pytest
import torch
from toy_raters import Reading, Toy

from avreward import AvrewardError, Clip, load_rater
from avreward.audit import probes as module
from avreward.audit.inputs import PROBES
from avreward.audit.probes import run_probes

SOME = [PROBES[name] for name in ("silence", "loud", "black", "checkerboard", "swapped sound", "swapped prompt")]


def real(level: float, **more) -> Clip:
    """Power level², brightness level."""
    video = torch.full((4, 3, 8, 8), level)
    return Clip(video=video, fps=4, audio=torch.full((1, 800), level), sample_rate=8000, **more)


CLIPS = [real(0.2), real(0.3), real(0.6)]


def outcomes(probed):
    return {outcome.probe.name: outcome for outcome in probed.outcomes}


def test_the_loud_beats_what_pays_for_power() -> None:
    probed = run_probes(Toy()["power"], CLIPS, probes=SOME)
    found = outcomes(probed)
    assert probed.beaten_by == ["loud"]
    assert found["loud"].trained.values == pytest.approx([1.0] * 3)
    assert found["loud"].to_median.value == pytest.approx(1 - 0.09)
    assert found["loud"].to_own.value == pytest.approx(1 - (0.04 + 0.09 + 0.36) / 3)
    assert found["silence"].trained.values == [0.0] * 3
    assert found["silence"].verdict == "never"
    assert found["black"].verdict == "unseen"  # the power doesn't see the picture
    assert found["black"].to_own.value == 0
    assert probed.real.values == pytest.approx([0.04, 0.09, 0.36])


def test_a_constant_sound_has_another_clips_sound_but_its_own_power() -> None:
    found = outcomes(run_probes(Toy()["peak"], CLIPS, probes=SOME))["swapped sound"]
    assert found.trained.values == pytest.approx([0.2, 0.3, 0.6])


def test_a_held_out_reward_is_judged_with_it_in_one_pass() -> None:
    rater = Toy()
    probed = run_probes(rater["power"], CLIPS, held_out=rater["brightness"] - rater["power"], probes=SOME)
    loud = outcomes(probed)["loud"]
    assert loud.held_out.values == pytest.approx([0.2 - 1, 0.3 - 1, 0.6 - 1])
    assert loud.held_out_to_own.value == pytest.approx(-loud.to_own.value)
    assert len(rater.calls) == 3 + 3 * 5  # the real ones, and each probe but the swapped prompt


def test_missing_is_missing_with_its_reason() -> None:
    class Refusing(Toy):
        def row(self, sample):
            values, reasons, basis = super().row(sample)
            if values.get("power") == 0:
                return {}, {d.name: "there is nothing to hear" for d in self.dimensions}, {}
            return values, reasons, basis

    found = outcomes(run_probes(Refusing()["power"], CLIPS, probes=SOME))
    assert found["silence"].trained.values == [None] * 3
    assert set(found["silence"].trained.reasons) == {"toy.power: there is nothing to hear"}
    assert (found["silence"].verdict, found["silence"].to_median) == ("missing", None)
    assert "no prompt to swap" in found["swapped prompt"].trained.reasons[0]


def test_prompts() -> None:
    clips = [real(0.2, prompt="a"), real(0.3, prompt="a"), real(0.6, prompt="b")]

    class Literal(Reading):
        def row(self, sample):
            return {"faithful": torch.tensor(float(sample.clip.prompt == "b")), "power": torch.tensor(0.5)}, {}, {}

    found = outcomes(run_probes(Literal()["faithful"], clips, probes=SOME))["swapped prompt"]
    assert found.trained.values == [1.0, 1.0, 0.0]  # each got the other prompt
    blind = outcomes(run_probes(Toy()["power"], clips, probes=SOME))["swapped prompt"]
    assert blind.verdict == "unseen"


def test_clips_that_take_no_part(monkeypatch) -> None:
    silent = Clip(video=torch.rand(4, 3, 8, 8), fps=4)
    large = Clip(video=torch.rand(6, 3, 8, 8), fps=4, audio=torch.ones(1, 80), sample_rate=8000)
    monkeypatch.setattr(module, "MOST_BYTES", 12 * 5 * 64)
    probed = run_probes(Toy()["power"], [*CLIPS, silent, large], names=["a", "b", "c", "silent", "large"], probes=SOME)
    assert probed.names == ["a", "b", "c"]
    assert probed.failed["silent"] == "toy.power: no audio was given"
    assert "expected frames of at most 3 GiB, got" in probed.failed["large"]
    other = run_probes(Toy()["overall"], [*CLIPS, silent], probes=SOME)
    assert "probe it separately" in other.failed["4 <tensor>"]
    with pytest.raises(AvrewardError, match="the clip has no reward"):
        run_probes(Toy()["power"], [silent], probes=SOME)


def test_degenerate_inputs_dont_beat_scenes_on_signals() -> None:
    from avreward.datasets.synthetic.scenes import scene

    clips = [scene(600_000 + n, seconds=0.5).clip for n in range(4)]
    chosen = [probe for name, probe in PROBES.items() if not name.startswith("swapped")]
    probed = run_probes(load_rater("signals")["overall"], clips, probes=chosen)
    assert probed.beaten_by == []
    assert outcomes(probed)["black + silence"].to_median.value < -20
