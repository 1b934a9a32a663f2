"""The published corpora: where labels are, what their columns are called, and how clips are named."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from avreward.datasets.readers._records import Fix, Record

Kind = Literal["scores", "pairs"]


@dataclass(frozen=True)
class Corpus:
    """How a corpus is laid out.

    Attributes:
        name: of the corpus.
        kind: a row a clip (``"scores"``), or a row a comparison (``"pairs"``).
        about: one line.
        files: patterns of the label files in its folder, the first that matches counts.
        columns: our column → theirs: ``clip``, ``prompt``, ``group``, ``system``, ``category``, ``person``; of pairs
            ``first``, ``second``, ``first_system``, ``second_system``.
        dimensions: our dimension → their column.
        clip: a clip's path from the values of a row, where it is not a column: ``"{Model}/{File Name}.wav"``.
        low: the lowest rating.
        high: the highest one.
        fields: parts of a line, for text files.
        fix: adds what only names say.
        checked: whether this layout was read in the published files.
    """

    name: str
    kind: Kind
    about: str
    files: tuple[str, ...]
    columns: Mapping[str, str]
    dimensions: Mapping[str, str]
    clip: str = ""
    low: float = -math.inf
    high: float = math.inf
    fields: tuple[str, ...] = ()
    fix: Fix | None = field(default=None, repr=False)
    checked: bool = True


def _of_aigvqa(row: Record, path: Path) -> Record:
    """Read system and prompt from the video's path, the score from the end of the id, the dimension from the answer."""
    video = Path(str(row.get("video", "")))
    _, _, score = str(row.get("id", "")).rpartition("->")
    text = " ".join(str(turn.get("value", "")) for turn in row.get("conversations") or () if isinstance(turn, dict))
    said = re.search(r"(static quality|temporal smoothness|dynamic degree|t\w* ?v\w* correspondence)", text.lower())
    name = re.sub(r"\W+", "_", said[1]) if said else "mos"
    if name.endswith("correspondence"):
        name = "tv_correspondence"
    return {"mos": score or None, **row, "dimension": name, "model": video.parent.name, "prompt id": video.stem}


def _of_t2veval(row: Record, path: Path) -> Record:
    return {**row, "model": str(row["video"]).partition("+")[0]}


def _of_t2vqa(row: Record, path: Path) -> Record:
    return {**row, "model": Path(str(row["video"])).stem.rpartition("_")[2]}


def _of_fetv(row: Record, path: Path) -> Record:
    system = path.stem.removeprefix("manual_eval_results_")
    detail = row.get("fine-grained_alignment")
    marks = [mark for mark in detail.values() if isinstance(mark, int | float)] if isinstance(detail, dict) else []
    fine = sum(marks) / len(marks) if marks else None
    return {**row, "system": system, "person": path.parent.name, "fine_grained_alignment": fine}


_LINE = ("video", "prompt", "mos")
_TEXT_LINE = {"clip": "video", "prompt": "prompt"}

CORPORA: Mapping[str, Corpus] = {
    one.name: one
    for one in (
        Corpus(
            "agavqa_mos", "scores", "AGAVQA-3k: 3,088 dubs of 386 videos, MOS on three dimensions",
            ("*.csv", "*.json", "*.jsonl"), {"clip": "video", "group": "group", "system": "model"},
            {name: name for name in ("audio_quality", "av_consistency", "overall")}, low=0, high=100, checked=False,
        ),
        Corpus(
            "agavqa_pair", "scores", "AGAVQA-3k: 294 dubs of 75 videos; best is 1 for the best dub of a video, else 0",
            ("*.csv", "*.json", "*.jsonl"), {"clip": "video", "group": "group", "category": "category"},
            {"best": "best"}, low=0, high=1, checked=False,
        ),
        *(
            Corpus(
                name, "scores", f"PAM's {text}: quality (OVL) and relevance to the prompt (REL)", ("scores.csv",),
                {"group": "File Name", "system": "Model"}, {quality: "OVL", relevance: "REL"},
                clip="{Model}/{File Name}.wav",
            )
            for name, text, quality, relevance in (
                ("text_to_audio", "text-to-audio", "audio_quality", "audio_text"),
                ("text_to_music", "text-to-music", "music_quality", "music_text"),
            )
        ),
        Corpus(
            "aigvqa_db", "scores", "AIGVQA-DB (IntMeGroup/AIGVQA): MOS of one dimension a file", ("*.jsonl",),
            {"clip": "video", "group": "prompt id", "system": "model"}, {"{dimension}": "mos"}, low=0, high=100,
            fix=_of_aigvqa,
        ),
        Corpus(
            "q_eval", "scores", "Q-Eval / NTIRE 2025 track 2: lines N.mp4|prompt|mos", ("train_data.txt", "*.txt"),
            _TEXT_LINE, {"quality": "mos"}, low=1, high=5, fields=_LINE,
        ),
        Corpus(
            "t2veval_bench", "scores", "T2VEval-Bench: lines MODEL+PROMPT.mp4|prompt|mos",
            ("all_data_mos.txt", "*.txt"),
            {**_TEXT_LINE, "system": "model"}, {"overall": "mos"}, low=0, high=5, fields=_LINE, fix=_of_t2veval,
        ),
        Corpus(
            "t2vqa_db", "scores", "T2VQA-DB: lines PROMPT_MODEL.mp4|prompt|mos, 10,000 videos", ("info.txt", "*.txt"),
            {**_TEXT_LINE, "system": "model"}, {"overall": "mos"}, low=0, high=100, fields=_LINE, fix=_of_t2vqa,
        ),
        Corpus(
            "lgvq", "scores", "LGVQ: spatial, temporal and text-video scores", ("*.csv", "*.json"),
            {"clip": "video", "prompt": "prompt", "system": "model"},
            {name: name for name in ("spatial", "temporal", "alignment")}, checked=False,
        ),
        Corpus(
            "fetv", "scores", "FETV: three people's ratings of four systems", (
                "human*/manual_eval_results_*.json", "manual_eval_results/human*/manual_eval_results_*.json",
            ),
            {"group": "video_id", "system": "system", "person": "person"},
            {name: name for name in ("static_quality", "temporal_quality", "alignment", "fine_grained_alignment")},
            clip="{system}/{key}.mp4", low=1, high=5, fix=_of_fetv,
        ),
        Corpus(
            "gaia", "scores", "GAIA: 9,180 videos of actions, three dimensions", ("*.csv",),
            {"clip": "video", "prompt": "prompt", "system": "model", "category": "label"},
            {name: name for name in ("subject", "completeness", "interaction")}, checked=False,
        ),
        Corpus(
            "videogen_rewardbench", "pairs", "VideoGen-RewardBench: 26,500 pairs, VQ, MQ, TA and overall", ("*.csv",),
            {
                "first": "path_A", "second": "path_B", "first_system": "A_model", "second_system": "B_model",
                "prompt": "prompt",
            },
            {"visual_quality": "VQ", "motion_quality": "MQ", "text_alignment": "TA", "overall": "Overall"},
        ),
        Corpus(
            "omni_rewardbench", "pairs", "Omni-RewardBench: pairs with a criterion each", ("*.parquet", "*/*.parquet"),
            {
                "first": "response1", "second": "response2", "first_system": "model1", "second_system": "model2",
                "prompt": "prompt", "category": "criteria",
            },
            {"overall": "criteria_preference"},
        ),
        Corpus(
            "table", "scores", "a table of your own with a row a clip: CSV, TSV, JSON lines, JSON or Parquet", (),
            {name: name for name in ("clip", "prompt", "group", "system", "category", "person")}, {},
        ),
        Corpus(
            "pairs", "pairs", "a table of your own with a row a comparison", (),
            {name: name for name in ("first", "second", "prompt", "group", "category", "person")}, {},
        ),
    )
}  # fmt: skip
"""Name → corpus."""
