"""How far the raters' numbers are from those of their originals, on reference cases.

    python benchmarks/parity.py
    AVREWARD_GOLDENS=FOLDER python benchmarks/parity.py [PYTEST OPTIONS…]

Runs the tests of every case in the folder that AVREWARD_GOLDENS names (default: tests/goldens) and prints a row a case:
of all its comparisons, the one that comes closest to its tolerance. The comparisons are those of the tests
(`tests/golden_case.py`), which write them into pytest's report. A case whose test fails, one that no test reads and one
that is not in the folder have a row that says so, and all but the second end the script with 1.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from xml.etree import ElementTree

from medium_agav import machine

ROOT = Path(__file__).resolve().parents[1]
SYSTEMS = {
    "AGAV-Rater": ("agav_rater", "agav_beats", "agav_stc", "agav_fbank", "agav_losses"),
    "VideoReward": ("videoreward", "pair_accuracy_ties"),
    "AIGV-Assessor": ("aigv_assessor", "aigv_assessor_lora", "slowfast_r50", "vqa_preprocess"),
    "AIGVEval": ("aigveval", "swin3d_t", "fragments", "vqa_losses"),
    "DOVER": ("dover", "dover_sampling"),
    "DOVER++": ("dover_plus_plus",),
    "NISQA": ("nisqa",),
    "Audiobox Aesthetics": ("audiobox_aesthetics",),
    "DF Arena": ("speech_realism",),
    "SyncNet": ("syncnet", "syncnet_tracks"),
    "Aesthetic predictor v2.5": ("siglip_aesthetic",),
    "AVBench": ("speech_text", "avbench_total"),
    "Flow-GRPO": ("flow_grpo_sde",),
    "DDPO": ("ddpo_logprob",),
    "Diffusion-DPO": ("diffusion_dpo_loss",),
    "DiffusionNFT": ("diffusion_nft_loss", "flow_solvers"),
    "AWM": ("awm_loss",),
    "MixGRPO": ("mixgrpo_window",),
}
"""System → the cases that cover it; the last two of AIGV-Assessor and the last three of AIGVEval serve several."""


@dataclass
class Case:
    """What the tests of one case found.

    Attributes:
        tests: how many ran.
        failed: names of those that failed.
        comparisons: how many numbers or tensors were compared.
        error, limit, stated: of the comparison that comes closest to its tolerance.
        test: the name of the test that made it.
    """

    tests: int = 0
    failed: list[str] = field(default_factory=list)
    comparisons: int = 0
    error: float = 0.0
    limit: float = 0.0
    stated: str = "exact"
    test: str = ""

    def add(self, test: str, error: float, limit: float, stated: str) -> None:
        """Count a comparison, and keep it if it comes closer to its tolerance than those before."""
        if not self.comparisons or _share(error, limit) > _share(self.error, self.limit):
            self.error, self.limit, self.stated, self.test = error, limit, stated, test
        self.comparisons += 1


def _share(error: float, limit: float) -> float:
    if error != error:
        return float("inf")
    return error / limit if limit else (float("inf") if error else 0.0)


def ran(folder: Path, options: Sequence[str] = ()) -> dict[str, Case]:
    """Run the tests of the cases in `folder`; return what they found by case."""
    files = sorted(path for path in (ROOT / "tests").rglob("test_*.py") if "mark.golden(" in path.read_text())
    with tempfile.TemporaryDirectory() as place:
        report = Path(place) / "report.xml"
        command = [sys.executable, "-m", "pytest", "-q", "-k", "golden", f"--junitxml={report}", *options]
        command += [str(path) for path in files]
        environment = {**os.environ, "AVREWARD_GOLDENS": str(folder)}
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
        if not report.exists():
            sys.exit(f"pytest wrote no report: {done.stdout[-2000:]}{done.stderr[-2000:]}")
        return read(ElementTree.parse(report).getroot())


def read(report: ElementTree.Element) -> dict[str, Case]:
    """Return what a report of pytest says of each case."""
    cases: dict[str, Case] = {}
    for test in report.iter("testcase"):
        name = test.get("name", "")
        found = re.search(r"\[(?:.*-)?golden-(\w+)", name)
        if found is None or test.find("skipped") is not None:
            continue
        case = cases.setdefault(found[1], Case())
        case.tests += 1
        if test.find("failure") is not None or test.find("error") is not None:
            case.failed.append(name.partition("[")[0])
        for entry in test.iter("property"):
            if entry.get("name") == "golden":
                case.add(name.partition("[")[0].removeprefix("test_"), **json.loads(entry.get("value", "{}")))
    return cases


def rows(cases: Mapping[str, Case], there: Sequence[str]) -> tuple[list[str], bool]:
    """Return the table's rows, and whether all known cases are there and pass.

    Args:
        cases: what was found by case.
        there: the names of all cases in the folder.
    """
    known = [(system, case) for system, names in SYSTEMS.items() for case in names]
    named = {case for _, case in known}
    known += [(next((s for s, c in known if name.startswith(c)), ""), name) for name in there if name not in named]
    out, well = [], True
    for system, name in sorted(known, key=lambda one: (not one[0], list(SYSTEMS).index(one[0]) if one[0] else 0)):
        case = cases.get(name)
        if case is not None:
            failed = f"FAILED: {', '.join(case.failed)}" if case.failed else "passed"
            sizes = f"{case.error:.2g} | {case.stated} | `{case.test}`" if case.comparisons else "– | – | –"
            tests = "1 test" if case.tests == 1 else f"{case.tests} tests"
            out.append(f"| {system} | `{name}` | {case.comparisons} | {sizes} | {tests} {failed} |")
            well = well and not case.failed
        elif name in there:
            out.append(f"| {system} | `{name}` | 0 | – | – | – | no test reads it |")
        else:
            out.append(f"| {system} | `{name}` | 0 | – | – | – | ABSENT |")
            well = False
    return out, well


def main() -> None:
    """Print the table."""
    if {"-h", "--help"} & set(sys.argv[1:]):
        print(__doc__)
        return
    folder = Path(os.environ.get("AVREWARD_GOLDENS") or ROOT / "tests" / "goldens").resolve()
    there = sorted(re.sub(r"\W", "_", path.parent.name) for path in folder.glob("*/case.json"))
    lines, well = rows(ran(folder, sys.argv[1:]), there)
    print(f"{len(there)} cases; {machine()}\n")
    print("| system | case | comparisons | largest error | tolerance | in | result |")
    print("|---|---|---:|---:|---|---|---|")
    print("\n".join(lines))
    sys.exit(0 if well else 1)


if __name__ == "__main__":
    main()
