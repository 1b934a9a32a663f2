"""`avreward score --ray local`: the table of plain scoring, and no noise of Ray on the terminal."""

import os
import subprocess
import sys

import pytest
from toy_raters import sound

from avreward.scoring import read_table

pytest.importorskip("ray")


@pytest.mark.slow
def test_the_table_is_that_of_plain_scoring(tmp_path) -> None:
    (tmp_path / "clips").mkdir()
    for i in range(5):
        sound(0.1 + i / 10, samples=16000).save(tmp_path / "clips" / f"{i}.wav")
    (tmp_path / "clips" / "3.wav").write_bytes(b"RIFF")
    place = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "RAY_worker_niceness": "0"}

    def score(out: str, *options: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "avreward", "score", "clips", "--reward", "audio_quality", "--out", out]
        command += ["--no-store", *options]
        return subprocess.run(command, cwd=tmp_path, env=place, capture_output=True, text=True, timeout=240)

    plain, spread = score("plain.parquet"), score("ray.parquet", "--ray", "local", "--actors", "2")
    assert (plain.returncode, spread.returncode) == (1, 1), spread.stderr
    first, second = (read_table(tmp_path / name).rows.to_pylist() for name in ("plain.parquet", "ray.parquet"))
    assert [{**row, "fingerprint": ""} for row in first] == [{**row, "fingerprint": ""} for row in second]
    assert "Traceback" not in spread.stderr
    told = [line for line in spread.stderr.splitlines() if line.strip() and "log level" not in line]
    assert len(told) == 2, told  # the clip that is damaged, and the counts
    assert "3.wav" in told[0]
    assert told[1].startswith("4 of 5 clips scored")
