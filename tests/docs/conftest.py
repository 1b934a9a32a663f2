"""What pages take as given: media files, stand-ins for published checkpoints under their names, and pipelines."""

from __future__ import annotations

import functools
import os
import shutil
from pathlib import Path
from typing import Any

import media_files
import pytest
import torch

from avreward import Clip
from avreward.datasets import demo_candidates
from avreward.raters import registry

TONE = torch.arange(12000)
TERM = """from avreward import term

@term(needs="video", low=-1, high=1)
def warm(clip):
    red, _, blue = clip.video.mean((0, 2, 3))
    return red - blue
"""


@pytest.fixture(scope="session")
def given(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the files that pages name."""
    folder = tmp_path_factory.mktemp("pages")
    write_media(folder)
    write_checkpoints(folder)
    return folder


@pytest.fixture
def workplace(given: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of its own with these files, as the working directory; published pipelines are small and random."""
    shutil.copytree(given, tmp_path, copy_function=os.link, dirs_exist_ok=True)
    (tmp_path / "recipes").symlink_to(Path(__file__).parents[2] / "recipes")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AVREWARD_STORE", str(tmp_path / "shared" / "store"))
    monkeypatch.setattr(registry, "_registered", {})  # what a page registers ends with it
    stand_in(monkeypatch)
    return tmp_path


def write_media(folder: Path) -> None:
    """Candidates of one scene, a silent video and dubs for it, three videos with four dubs each, prompts."""
    generator = torch.Generator().manual_seed(0)
    made = demo_candidates(0, folder / "clips", seconds=1.0)
    original = Clip.open(made["original"])
    Clip(video=original.video, fps=original.fps).save(folder / "silent.mp4")
    for number, name in enumerate(("noise", "original", "other_sound"), 1):
        dub = Clip.open(made[name])
        os.link(made[name], folder / f"dub{number}.mp4")
        Clip(audio=dub.sound(), sample_rate=dub.sample_rate).save(folder / f"dub{number}.wav")
    for name in ("a.mp4", "clip.mp4", "dubbed.mp4", "generated.mp4", "video.mp4"):
        os.link(made["original"], folder / name)
    os.link(folder / "dub1.wav", folder / "dub.wav")
    for video in "abc":  # clicks that are more or less where something moves, and more or less noise
        (folder / "dubs" / video).mkdir(parents=True)
        frames = torch.rand(12, 3, 48, 64, generator=generator)
        for number in range(4):
            noise = 0.02 * (number + 1) * (torch.rand(1, 12000, generator=generator) - 0.5)
            sound = 0.3 * torch.sin(TONE * 0.2 * (number + 1))[None] + noise
            Clip(video=frames, fps=8, audio=sound, sample_rate=8000).save(folder / "dubs" / video / f"{number}.mp4")
    (folder / "real").mkdir()
    for number, video in enumerate("abc", 1):  # small: a probe makes dozens of variants of each
        os.link(folder / "dubs" / video / "0.mp4", folder / "real" / f"{number}.mp4")
    for number in range(6):  # two systems, a folder each
        for system, video in (("base", number // 3), ("tuned", 1)):
            (folder / system).mkdir(exist_ok=True)
            os.link(folder / "dubs" / "abc"[video] / f"{number % 3}.mp4", folder / system / f"{number}.mp4")
    kinds = ["music", "speech"]
    clips = [f"{s}/{n}.mp4,{s},prompt {n},{kinds[n // 3]}" for n in range(6) for s in ("base", "tuned")]
    (folder / "generated.csv").write_text("\n".join(["clip,generator,prompt,category", *clips]) + "\n")
    (folder / "silent").mkdir()
    media_files.write(folder / "silent" / "rain.mp4", 8)
    (folder / "takes" / "rain").mkdir(parents=True)
    for number in (0, 1):
        wave = 0.2 * torch.sin(TONE[:9600] * (0.1 + 0.1 * number))
        Clip(audio=wave[None], sample_rate=12000).save(folder / "takes" / "rain" / f"{number}.wav")
    named = [path.name for path in (*made.values(), *(folder / "real").iterdir())]
    rows = [f"{name},sparks burst in the dark" for name in sorted(named)]
    (folder / "my_terms.py").write_text(TERM)
    (folder / "prompts.csv").write_text("\n".join(["clip,prompt", *rows]) + "\n")


def write_checkpoints(folder: Path) -> None:
    """Tiny raters with random weights where the hub's names lead: a folder of that name comes first."""
    from tiny.aigveval import tiny_aigveval
    from tiny.assessor import tiny_assessor
    from tiny.avbench_audio import tiny_audiobox, tiny_df_arena, tiny_nisqa, write_tiny_whisper
    from tiny.avbench_video import write_tiny_aesthetic, write_tiny_syncnet
    from tiny.dover import tiny_dover
    from tiny.embedding import tiny_siglip
    from tiny.qwen2_audio import tiny_qwen2_audio
    from tiny.qwen_omni import tiny_qwen2_5_omni
    from tiny_agav_rater import write_tiny

    write_tiny(folder / "caoyuqin" / "AGAV-Rater", frames=2)
    for number, name in enumerate(("seed0", "seed1")):
        write_tiny(folder / name, number, frames=2)
    tiny_assessor().save_pretrained(folder / "checkpoints" / "aigv_assessor")
    tiny_aigveval().save_pretrained(folder / "checkpoints" / "aigveval")
    tiny_dover().save_pretrained(folder / "checkpoints" / "dover")
    for rater in (tiny_nisqa(), tiny_audiobox(), tiny_df_arena()):
        rater.save_pretrained(folder / "checkpoints" / rater.name)
    write_tiny_whisper(folder / "openai" / "whisper-large-v3")
    write_tiny_syncnet(folder / "checkpoints" / "syncnet")
    write_tiny_aesthetic(folder / "checkpoints" / "aesthetic", folder / "checkpoints" / "siglip")
    omni, audio, siglip = tiny_qwen2_5_omni(), tiny_qwen2_audio(), tiny_siglip()
    save(omni.module, omni.tokenizer, folder / "Qwen" / "Qwen2.5-Omni-7B")
    for name in ("audio_video", "video_text"):
        save(omni.module, omni.tokenizer, folder / "AVBench" / name)
    save(audio.module, audio.tokenizer, folder / "AVBench" / "audio_text")
    save(siglip.network, siglip.tokenizer, folder / "google" / "siglip2-base-patch16-224")


def save(network: Any, tokenizer: Any, folder: Path) -> None:
    """Write a checkpoint as `transformers` does."""
    network.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def stand_in(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make ``from_pretrained`` of the pipelines that pages name return tiny ones that make small clips."""
    import diffusers
    from tiny_ltx2 import PLAIN
    from tiny_pipelines import tiny_ltx2_with_text, tiny_stable_audio, tiny_wan

    sizes = {"height": 32, "width": 32, "num_frames": 9}
    builds = {
        "WanPipeline": (tiny_wan, {"height": 16, "width": 16, "num_frames": 5}, {}),
        "LTX2Pipeline": (tiny_ltx2_with_text, sizes, PLAIN),
        "StableAudioPipeline": (tiny_stable_audio, {"audio_end_in_s": 0.5}, {}),
    }
    for name, (build, most, plain) in builds.items():

        def from_pretrained(
            repository: str, build: Any = build, most: Any = most, plain: Any = plain, **options: Any
        ) -> Any:
            assert repository.count("/") == 1, repository
            return small(build(), most, plain)

        monkeypatch.setattr(getattr(diffusers, name), "from_pretrained", from_pretrained)


def small(pipeline: Any, most: dict[str, Any], plain: dict[str, Any]) -> Any:
    """A pipeline that stays on the CPU and makes nothing larger than `most`; `plain` fills in arguments."""
    kind = type(pipeline)

    @functools.wraps(kind.__call__)
    def call(self: Any, *arguments: Any, **options: Any) -> Any:
        sizes = {name: min(options.get(name) or size, size) for name, size in most.items()}
        return kind.__call__(self, *arguments, **{**plain, **options, **sizes})

    pipeline.__class__ = type(kind.__name__, (kind,), {"__call__": call, "to": lambda self, *_, **__: self})
    return pipeline
