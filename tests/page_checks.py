"""What pages of the docs take from their reader, and what must be true after their examples ran."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from page_runner import ROOT
from rating_studies import answer_everything

from avreward import Clip, load_reward, score_files
from avreward.audit.inputs import PROBES
from avreward.integrations import trl_rewards
from avreward.rewards.function_base import FUNCTIONS
from avreward.selection import STRATEGIES, read_pairs
from avreward.selection.pairs.export import NAMES
from avreward.selection.pairs.matching import TOLERANCES
from avreward.studies import Choices, ChoiceServer, RatingServer

Check = Callable[[dict[str, Any], str, Path], None]
CHECKS: dict[str, Check] = {}
DOCS = ROOT / "docs"


def checks(page: str) -> Callable[[Check], Check]:
    """Register what must be true after a page ran: of its namespace, its output and its folder."""
    return lambda check: CHECKS.setdefault(page, check)


# --- what pages take as given


def tinted(*tint: float) -> Clip:
    """Noise in one colour."""
    noise = torch.rand(16, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    return Clip(video=noise * torch.tensor(tint)[:, None, None], fps=8)


COLD, WARM, PLAIN = tinted(0.6, 1, 1), tinted(1, 1, 0.6), tinted(1, 1, 1)


def by_length(text: str, /, **columns: Any) -> Clip:
    """The more words, the warmer."""
    return (COLD, PLAIN, WARM)[min(len(text.split()), 4) // 2]


def shown_names() -> dict[str, Any]:
    """What the README's examples take from the reader."""
    generator = torch.Generator().manual_seed(0)
    frames = torch.rand(16, 3, 64, 64, generator=generator).requires_grad_()
    wave = (0.1 * torch.randn(1, 16000, generator=generator)).requires_grad_()
    pixels = COLD.video.clone().requires_grad_()
    return {"frames": frames, "wave": wave, "clips": [COLD, WARM, PLAIN], "render": by_length, "pixels": pixels}


def one_person(monkeypatch: Any) -> None:
    """Someone answers as soon as the page is served, and the server ends."""

    served = ChoiceServer.serve_forever

    def answered(server: ChoiceServer) -> None:
        if threading.current_thread() is not threading.main_thread():
            return served(server)
        anna = server.choices.person("Anna")
        server.choices.record(anna, server.choices.questions(anna)[0].key, "none")
        raise KeyboardInterrupt

    monkeypatch.setattr(ChoiceServer, "serve_forever", answered)
    monkeypatch.setattr(RatingServer, "serve_forever", rating_person(RatingServer.serve_forever))
    made = ChoiceServer.__init__
    monkeypatch.setattr(
        ChoiceServer, "__init__", lambda self, choices, host="127.0.0.1", port=0: made(self, choices, host)
    )
    rating = RatingServer.__init__
    monkeypatch.setattr(
        RatingServer, "__init__", lambda self, study, host="127.0.0.1", port=0: rating(self, study, host)
    )


def rating_person(served: Callable[[RatingServer], None]) -> Callable[[RatingServer], None]:
    """Someone answers everything once, with the same score or a tie, and the server ends."""

    def answered(server: RatingServer) -> None:
        if threading.current_thread() is not threading.main_thread():
            return served(server)
        study = server.study
        for name in ("Anna", "Ben"):
            answer_everything(study, study.person(name))
        raise KeyboardInterrupt

    return answered


# --- what pages claim beyond running


@checks("README.md")
def readme(names: dict[str, Any], printed: str, folder: Path) -> None:
    assert "(1, 2, 0)\n" in printed  # the term's ranking
    assert names["picked"].best.name == "dub2.mp4"
    assert (folder / "best.mp4").is_file()
    assert (folder / "pairs" / "train.jsonl").is_file()
    slope = names["pixels"].grad.mean((0, 2, 3))
    assert slope[0] < 0 < slope[2]  # of the loss: more red, less blue
    assert torch.equal(names["clip"].video, names["frames"])
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert len(text.splitlines()) < 120
    trains_a_writer(names["functions"], names["weights"], names["reward"], by_length, folder)


def trains_a_writer(functions: Any, weights: Any, reward: Any, render: Any, folder: Path) -> None:
    """Each completion of a trainer's steps gets the weighted terms of its video."""
    from trl_checks import trained

    options = {"reward_weights": weights, "multi_objective_aggregation": "normalize_then_sum"}
    logs = trained("GRPO", folder / "trainer", functions, **options)._logs
    given = list(zip(*(logs["rewards"][function.__name__] for function in functions), strict=True))
    assert len(given) == len(logs["completion"]) == 8
    for text, parts in zip(logs["completion"], given, strict=True):
        whole = sum(weight * part for weight, part in zip(weights, parts, strict=True))
        assert whole == pytest.approx(reward([render(text)]).item(), rel=1e-5)
    assert len(set(given)) > 1


@checks("docs/getting_started.md")
def getting_started(names: dict[str, Any], printed: str, folder: Path) -> None:
    assert names["picked"].best.name == "original.mp4"
    assert "original.mp4\n" in printed
    assert names["frames"].grad.abs().sum() > 0
    assert names["wave"].grad.abs().sum() > 0
    assert (folder / "ranking.html").is_file()


@checks("docs/guides/rank.md")
def rank(names: dict[str, Any], printed: str, folder: Path) -> None:
    assert names["picked"].best.name == "dub2.mp4"
    assert (folder / "out.html").is_file()
    assert (folder / "best.mp4").is_file()


@checks("docs/guides/score.md")
def score(names: dict[str, Any], printed: str, folder: Path) -> None:
    assert (folder / "scores.parquet").is_file()
    assert len((folder / "scores.jsonl").read_text().splitlines()) == 7
    assert names["scored"].error is None
    assert names["first"].present.all()
    assert names["first"].values[1] > names["first"].values[0]  # dub1 has noise


@checks("docs/guides/clips.md")
def clips(names: dict[str, Any], printed: str, folder: Path) -> None:
    assert names["dub"].keys["video"] == names["clip"].keys["video"]
    assert names["wave"].shape == (1, 16000)
    assert max(names["small"].shape[-2:]) == 160
    assert len(names["detail"]) == 6


@checks("docs/guides/store.md")
def store(names: dict[str, Any], printed: str, folder: Path) -> None:
    assert (folder / "shared" / "store").is_dir()
    assert all(row is not None for row in names["rows"])


@checks("docs/guides/rewards.md")
def rewards(names: dict[str, Any], printed: str, folder: Path) -> None:
    assert "(0, 1)" in printed
    assert load_reward(folder / "careful.yaml") == names["careful"]
    assert repr(names["worst"]) == "min(signals.audio_quality, signals.av_consistency)"
    warm = names["warm"]["warm"]
    assert "True False\n" in printed
    before, after = names["candidates"][1].video, names["pixels"].detach()
    assert warm([Clip(video=after.clamp(0, 1), fps=8)]) > warm([Clip(video=before, fps=8)]) + 0.05
    video = torch.rand(12, 3, 4, 4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda v: warm([Clip(video=v, fps=8)]), (video,))
    silent = warm.evaluate([Clip(audio=torch.zeros(1, 100), sample_rate=8000)])
    assert silent.reasons == ["warm.warm: no video was given"]
    Clip(video=before, fps=8).save(folder / "cold.mp4")
    [scored] = score_files([folder / "cold.mp4"], warm)
    assert scored.rewards is not None
    assert scored.rewards.present.tolist() == [True]

    def render(text: str, /, **columns: Any) -> Clip:
        return names["candidates"][len(text.split()) % 2]

    functions, weights = trl_rewards(names["reward"], render=render)
    trains_a_writer(functions, weights, names["reward"], render, folder)
    listed = (DOCS / "guides" / "rewards.md").read_text(encoding="utf-8")
    assert [name for name in FUNCTIONS if not name.endswith("_for_tests") and f"`{name}" not in listed] == []


@checks("docs/guides/scales.md")
def scales(names: dict[str, Any], printed: str, folder: Path) -> None:
    assert "0.5*zscore(signals.audio_quality, state=" in printed
    assert (folder / "mine" / "state.safetensors").is_file()
    assert names["found"].sigma.shape == (2,)
    assert (names["both"](names["clips"]).sigma >= 0).all()
    assert (names["doubtful"]([Clip.open("dub1.mp4")]).sigma >= 0).all()


@checks("docs/guides/preferences.md")
def preferences(names: dict[str, Any], printed: str, folder: Path) -> None:
    assert names["found"].order[0] == "ours"
    assert names["found"].items == ("ours", "base", "other")
    assert "tensor([0.5000])" in printed
    assert (folder / "judge.safetensors").exists()


@checks("docs/guides/latents.md")
def latents(names: dict[str, Any], printed: str, folder: Path) -> None:
    assert names["video"].grad.isfinite().all()
    assert names["video"].grad.abs().sum() > 0
    assert names["audio"].grad.abs().sum() > 0
    assert Clip.open(folder / "seen.mp4").has_audio


@checks("docs/guides/trl.md")
def trl(names: dict[str, Any], printed: str, folder: Path) -> None:
    lines = printed.splitlines()
    assert [line.split()[:2] for line in lines[:2]] == [["signals.audio_quality", "0.1"], ["signals.clipping", "-2.0"]]
    assert len(lines) == 6
    assert all(0 <= float(value) <= 100 for value in lines[2].strip("[]").split(", "))  # a bell and a drum on one video


@checks("docs/guides/probes.md")
def probes(names: dict[str, Any], printed: str, folder: Path) -> None:
    assert "loud noise" in names["probed"].beaten_by
    assert "20th rollout" in printed
    assert 100 < names["step"] < 199
    assert names["monitor"].state.diverged
    assert names["callback"].monitor.window == 50
    assert (folder / "card.html").is_file()
    for name in ("signals.html", "signals.json"):
        assert (DOCS / "cards" / name).stat().st_size < 300_000
    assert len(PROBES) >= 20


@checks("docs/guides/best_of_n.md")
def best_of_n(names: dict[str, Any], printed: str, folder: Path) -> None:
    assert (folder / "best.mp4").is_file()
    assert (folder / "scores.parquet").is_file()
    assert len(list((folder / "rain").glob("*.mkv"))) == 2
    assert names["dubs"].best.keys["video"] == names["silent"].keys["video"]
    assert names["found"].seeds == [0, 1]
    assert "Cost(steps=32, decodes=8, rewards=8" in printed


@checks("docs/guides/search.md")
def search(names: dict[str, Any], printed: str, folder: Path) -> None:
    text = (DOCS / "guides" / "search.md").read_text(encoding="utf-8")
    assert [name for name in STRATEGIES if name not in printed or f"| `{name}` |" not in text] == []
    assert len(names["found"].clips) == 8


@checks("docs/guides/pairs.md")
def pairs(names: dict[str, Any], printed: str, folder: Path) -> None:
    assert read_pairs("pairs").num_rows == 3
    assert "3 preference pairs" in (folder / "pairs.html").read_text(encoding="utf-8")
    assert (folder / "dpo" / "train.jsonl").exists()
    assert read_pairs("even").num_rows > 0
    assert len(list((folder / "mine" / "sounds").iterdir())) >= 2
    text = (DOCS / "guides" / "pairs.md").read_text(encoding="utf-8")
    assert [name for name in (*NAMES, *TOLERANCES) if f"`{name}`" not in text and f"--format {name}" not in text] == []


@checks("docs/guides/statistics.md")
def statistics(names: dict[str, Any], printed: str, folder: Path) -> None:
    assert len(names["pool"].kept) == 12
    assert (folder / "curve.html").exists()
    assert names["last"].k == 4
    assert names["agreed"].with_ties == 0.8
    assert "round_robin (" in printed
    assert " 5\n" in printed


@checks("docs/guides/experiment.md")
def experiment(names: dict[str, Any], printed: str, folder: Path) -> None:
    assert len(Choices("try").answers()) == 1
    assert callable(names["dub"])


@checks("docs/guides/ask.md")
def ask(names: dict[str, Any], printed: str, folder: Path) -> None:
    assert len(Choices("pairs-answers").answers()) == 1
    assert "None (0.0, 1.0) nothing\n0 0 0 1\n" in printed
    assert "http://127.0.0.1:" in printed
    assert len(names["mine"].asked()) == 2
    assert (folder / "answers.csv").is_file()


@checks("docs/raters/index.md")
def tensors(names: dict[str, Any], printed: str, folder: Path) -> None:
    assert names["audio"].grad.abs().sum() > 0


@checks("docs/raters/agav_rater.md")
def agav_rater(names: dict[str, Any], printed: str, folder: Path) -> None:
    assert sorted(names["picked"].order) == [0, 1, 2]
    assert (folder / "my-agav-rater" / "model.safetensors").is_file()


@checks("docs/raters/zero_shot.md")
def zero_shot(names: dict[str, Any], printed: str, folder: Path) -> None:
    assert 0 <= float(names["scores"]["av_consistency"]) <= 100


@checks("docs/raters/avbench.md")
def avbench(names: dict[str, Any], printed: str, folder: Path) -> None:
    scores = names["rater"]([names["clip"]])
    assert scores.present[0, :3].all()
    assert not scores.present[0, 3:].any()
    assert all(name in printed for name in ("speech_quality", "audio_aesthetics", "speech_realism", "word_accuracy"))
    assert names["scores"].present.all()
    assert names["wave"].grad.any()


@checks("docs/raters/aigveval.md")
def aigveval(names: dict[str, Any], printed: str, folder: Path) -> None:
    assert names["scores"].present.all()
    assert names["frames"].grad.abs().sum() > 0
    assert names["opinions"].values.mean() == pytest.approx(2.90869, abs=1e-3)
    assert names["lora"].r == 8


@checks("docs/raters/dover.md")
def dover(names: dict[str, Any], printed: str, folder: Path) -> None:
    assert names["scores"].present.all()
    assert names["frames"].grad.abs().sum() > 0


@checks("docs/raters/embeddings.md")
def embeddings(names: dict[str, Any], printed: str, folder: Path) -> None:
    assert -1 <= float(names["scores"]["video_text"]) <= 1
