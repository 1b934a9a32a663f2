"""The benchmark of pipelines: what works is "yes", what cannot work is refused, and an error would be printed."""

import pytest

pytest.importorskip("diffusers")

from pipelines import STRATEGIES, brightness, outcome, row, schedulers, table


def test_what_works_and_what_is_refused():
    sound, hdr = row("StableAudioPipeline"), row("LTX2HDRPipeline")
    assert {sound[name] for name in STRATEGIES} == {"yes"}
    assert {hdr[name] for name in STRATEGIES} == {"refused"}
    assert table([sound, hdr]).splitlines()[2].startswith("| StableAudio | EDMDPMSolverMultistep | yes | yes |")
    known = dict(schedulers())
    assert known["EulerDiscrete"]
    assert not known["PNDM"]


def test_an_error_is_printed():
    class Failing:
        name = "failing"

        def make(self, condition, noises, cost, steps=None):
            raise RuntimeError("no memory")

        start = steps = make

    assert "no memory" in outcome(Failing(), brightness["brightness"], STRATEGIES["best_of_n"], {})
