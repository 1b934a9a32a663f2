"""What every rater with weights is used in, from a tiny folder: commands, expressions, ensembles, best-of-N and TRL."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from avreward import Clip, load_rater
from avreward.cli.main import app
from avreward.integrations.trl import trl_reward
from avreward.raters import EnsembleRater, Rater
from avreward.selection import BestOfN

PROMPT = "a cat"


def write_clips(folder: Path, count: int = 3) -> list[Path]:
    """Write short videos, each brighter than the one before."""
    for i in range(count):
        video = torch.rand(8, 3, 32, 48, generator=torch.Generator().manual_seed(i)) * (0.3 + 0.3 * i)
        Clip(video=video, fps=8).save(folder / f"{i}.mkv")
    return sorted(folder.glob("*.mkv"))


def run(*arguments: object) -> str:
    """Run a command that succeeds; return what it prints."""
    runner = CliRunner(env={"NO_COLOR": "1", "COLUMNS": "200"})
    result = runner.invoke(app, [str(argument) for argument in arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.stderr
    return result.stdout


@dataclass(frozen=True)
class Uses:
    """A saved rater and clips for it.

    Args:
        folder: what `save_pretrained` wrote.
        files: clips.
        name: of the rater.
        dimension: the one that is ranked, verified and probed; it needs no prompt.
        prompted: a dimension that needs one (*optional*).
    """

    folder: Path
    files: Sequence[Path]
    name: str
    dimension: str
    prompted: str | None = None

    def clips(self) -> list[Clip]:
        """Return the clips, with a prompt."""
        return [Clip.open(path, prompt=PROMPT) for path in self.files]

    @torch.no_grad()
    def check_score_rank_and_verify(self, place: Path) -> None:
        """The commands give the rater's own scores and their order, and find known scores again."""
        expected, out = load_rater(self.folder)(self.clips()), place / "scores.jsonl"
        prompts = place / "prompts.csv"
        prompts.write_text("\n".join(["clip,prompt", *(f"{path},{PROMPT}" for path in self.files)]) + "\n")
        run("score", *self.files, "--rater", self.folder, "--out", out, "--no-store", "--prompts", prompts)
        rows = [json.loads(line) for line in out.read_text().splitlines()]
        for name in (self.dimension, *([self.prompted] if self.prompted else [])):
            found = [row[f"{self.name}.{name}"] for row in rows]
            assert found == pytest.approx(expected[name].tolist(), rel=1e-4)
        values = expected[self.dimension]
        assert len(values.unique()) == len(self.files)
        ranked = json.loads(run("rank", *self.files, "--rater", self.folder, "--reward", self.dimension, "--json"))
        order = [self.files[i].name for i in values.argsort(descending=True).tolist()]
        assert [Path(one["clip"]).name for one in ranked["candidates"]] == order
        table = place / "known.csv"
        lines = [f"{path.stem},{float(value)}" for path, value in zip(self.files, values, strict=True)]
        table.write_text("\n".join([f"clip,{self.dimension}", *lines]) + "\n")
        run("verify", self.folder, *self.files, "--expected", table)

    def check_probe(self, place: Path) -> None:
        """The probes of the reward run and write a card."""
        out = place / "card.html"
        printed = run("probe", self.dimension, *self.files[:2], "--rater", self.folder, "--out", out)
        assert f"Reward: {self.name}.{self.dimension}; real clips: 2" in printed
        assert out.stat().st_size

    def check_convert(self, published: Path, place: Path) -> Rater:
        """A published folder and what ``avreward convert`` makes of it are the same rater, which is returned."""
        run("convert", published, place / "ours")
        ours, original = load_rater(place / "ours"), load_rater(published)
        assert ours.fingerprint == original.fingerprint
        return ours

    @torch.no_grad()
    def check_rewards(self, other: Rater, second: str) -> None:
        """Expressions, best-of-N and a TRL reward agree, and an ensemble is the mean of its members.

        Args:
            other: a rater with the same dimensions and other scores.
            second: another dimension of the reward, as ``name`` or ``RATER.name``.
        """
        rater, clips = load_rater(self.folder), [Clip.open(path) for path in self.files]
        source, _, dimension = second.rpartition(".")
        reward = 0.5 * rater[self.dimension] + (load_rater(source) if source else rater)[dimension]
        values = reward(clips)
        found = BestOfN(lambda condition, seed: clips[seed], reward, n=len(clips))(Clip(prompt="anything"))
        assert found.best_index == int(values.argmax())
        function = trl_reward(reward, render=lambda text, **_: clips[int(text)])
        texts = [str(i) for i in range(len(clips))]
        ids = [[1]] * len(clips)
        with pytest.warns(UserWarning, match="no term compares a clip with its prompt"):
            numbers = function(prompts=texts, completions=texts, completion_ids=ids, trainer_state=None)
        assert numbers == pytest.approx(values.tolist(), rel=1e-4)
        both = EnsembleRater([rater, other])(clips)[self.dimension]
        one, two = rater(clips)[self.dimension], other(clips)[self.dimension]
        assert not torch.allclose(one, two)
        torch.testing.assert_close(both, (one + two) / 2, rtol=1e-5, atol=1e-6)
