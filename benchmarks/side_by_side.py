"""What `signals` costs from file to score beside networks that are used in its place, on the same files.

    OMP_NUM_THREADS=1 python benchmarks/side_by_side.py [FILES…] --repeats 5

Time alone is compared, not quality: the networks have their published sizes and random weights, which cost what trained
ones do. Each begins with the file, reads it with `Clip`, prepares frames or audio as its original does (sample rate,
windows, frames, side), and embeds the prompt where it reads one. CPU time; the raters and the floor of
`benchmarks/floor.py` take turns, and a ratio is that of one turn. Without files, a 480p clip of 5 s with sound is
synthesized (H.264, AAC).

CLAP, CLIP, Audiobox Aesthetics and NISQA are this package's raters. DNSMOS P.835 (Reddy et al., arXiv:2110.01763) is
built here by its published layers; its scripts run a second network (P.808) as well, which is left out.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import torch
from tokenizers.processors import TemplateProcessing
from torch import Tensor, nn

from avreward import Clip, load_rater
from avreward.raters import Rater
from avreward.raters.avbench._audiobox import AudioboxRater
from avreward.raters.avbench._audiobox_network import AudioboxConfig, AudioboxNetwork
from avreward.raters.avbench._nisqa import NisqaRater
from avreward.raters.avbench._nisqa_network import NisqaConfig, NisqaNetwork
from avreward.raters.embedding.clap import ClapRater
from avreward.raters.embedding.image_text import ImageTextRater

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "recipes"))

from floor import heard, scaled, seconds
from throughput import make_480p
from tiny_tokenizer import tiny_tokenizer

PROMPT = "rain on a tin roof while a dog barks"
RATE, HOP, WINDOW, PIECE = 16000, 160, 320, 144160  # of DNSMOS: Hz and samples; a piece is 9.01 s


class Entry(NamedTuple):
    """A row of the table: what is measured, and what it is."""

    name: str
    weights: int
    reads: str
    gradient: str
    score: Callable[[Path], object]


class Dnsmos(nn.Module):
    """DNSMOS P.835: convolutions over a log power spectrogram of 900 frames by 161 bins, three scores."""

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        widths = (1, 128, 64, 64, 32, 32, 32, 64)
        for number, (before, after) in enumerate(pairwise(widths), 1):
            layers += [nn.Conv2d(before, after, 3, padding=1), nn.ReLU()]
            layers += [nn.MaxPool2d(2)] if number in (4, 5, 6) else []
        self.features = nn.Sequential(*layers)
        dense = (nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 64), nn.ReLU(), nn.Linear(64, 3))
        self.scores = nn.Sequential(*dense)
        self.register_buffer("window", torch.hann_window(WINDOW))

    def forward(self, wave: Tensor) -> Tensor:
        """Return float (3,), the mean over pieces, of `wave`, float (samples,) at 16 kHz."""
        frames = pieces(wave).unfold(1, WINDOW, HOP) * self.window  # (pieces, 900, 320)
        power = torch.fft.rfft(frames).abs().square().clamp(min=1e-12).log10()
        return self.scores(self.features(power[:, None]).amax((2, 3))).mean(0)


def pieces(wave: Tensor) -> Tensor:
    """Return float (pieces, 144160): `wave` is doubled until it fills one, further pieces begin a second apart."""
    while len(wave) < PIECE:
        wave = wave.repeat(2)
    count = int(len(wave) // RATE - PIECE / RATE) + 1
    return torch.stack([wave[i * RATE : i * RATE + PIECE] for i in range(count)])


def entries() -> list[Entry]:
    """Return what is measured: `signals`, then networks with random weights."""
    dnsmos = Dnsmos().eval().requires_grad_(False)

    def judged(path: Path) -> Tensor:
        return dnsmos(Clip.open(path).sound(RATE, 1, "librosa")[0])

    return [
        _entry("`signals`", load_rater("signals"), "video and audio"),
        _entry("NISQA", NisqaRater(NisqaNetwork(NisqaConfig())), "speech"),
        Entry("DNSMOS P.835", _size(dnsmos), "speech", "not as published (ONNX)", judged),
        _entry("CLIP ViT-B/32", clip_rater(), "8 frames and the prompt"),
        _entry("CLAP, HTS-AT", clap_rater(), "audio, repeated to 10 s, and the prompt"),
        _entry("Audiobox Aesthetics", AudioboxRater(AudioboxNetwork(AudioboxConfig())), "audio"),
    ]


def clip_rater() -> ImageTextRater:
    """Return CLIP of the sizes of ``openai/clip-vit-base-patch32``, the defaults of `transformers`."""
    from transformers import CLIPConfig, CLIPModel

    tokenizer = _tokenizer()
    config = CLIPConfig(text_config={"eos_token_id": tokenizer.eos_token_id})
    return ImageTextRater(CLIPModel(config), tokenizer, **ImageTextRater.prepared({}, config))


def clap_rater() -> ClapRater:
    """Return CLAP of the sizes of ``laion/clap-htsat-unfused``, the defaults of `transformers`."""
    from transformers import ClapConfig, ClapModel

    config = ClapConfig()
    return ClapRater(ClapModel(config), _tokenizer(), **ClapRater.prepared({}, config))


def _tokenizer() -> Any:
    tokenizer = tiny_tokenizer()
    end = str(tokenizer.eos_token)
    tokenizer.backend_tokenizer.post_processor = TemplateProcessing(
        single=f"$A {end}", special_tokens=[(end, tokenizer.eos_token_id)]
    )
    return tokenizer


def _entry(name: str, rater: Rater, reads: str) -> Entry:
    size = 0 if rater.module is None else _size(rater.module)

    def judged(path: Path) -> object:
        scores = rater([Clip.open(path, prompt=PROMPT)])
        assert bool(scores.present.any()), scores.reasons
        return scores

    return Entry(name, size, reads, "yes" if rater.differentiable else "no", judged)


def _size(module: nn.Module) -> int:
    return sum(weight.numel() for weight in module.parameters())


def measured(rows: Sequence[Entry], path: Path, repeats: int) -> dict[str, list[float]]:
    """Return CPU times in s: name → one for each turn; the floor is called ``floor``."""
    found: dict[str, list[float]] = {}
    for turn in range(repeats + 1):
        times = {"floor": seconds(lambda: scaled(path)) + seconds(lambda: heard(path))}
        times |= {row.name: seconds(lambda row=row: row.score(path)) for row in rows}  # type: ignore[misc]
        if turn:  # the first one warms up
            for name, value in times.items():
                found.setdefault(name, []).append(value)
    return found


def table(rows: Sequence[Entry], found: dict[str, list[float]]) -> list[str]:
    """Return the rows of a Markdown table: min, median and max, and the median ratio to the floor of the same turn."""
    lines = [
        "| | weights | reads | gradient | CPU s a clip: min / median / max | of the floor |",
        "|---|---:|---|---|---:|---:|",
    ]
    floor = Entry("floor: decode, scale, sound", 0, "every frame, audio", "", lambda _: None)
    for row in (floor, *rows):
        times = found["floor" if row is floor else row.name]
        three = " / ".join(f"{value:.2f}" for value in (min(times), statistics.median(times), max(times)))
        ratio = statistics.median(own / least for own, least in zip(times, found["floor"], strict=True))
        size = f"{row.weights / 1e6:.1f} M" if row.weights else "none"
        lines.append(f"| {row.name} | {size} | {row.reads} | {row.gradient} | {three} | {ratio:.1f} |")
    return lines


def main(arguments: Sequence[str] | None = None) -> None:
    """Print a table for each file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="*", type=Path)
    parser.add_argument("--repeats", type=int, default=5)
    given = parser.parse_args(arguments)
    torch.manual_seed(0)
    torch.set_num_threads(1)
    rows = entries()
    with tempfile.TemporaryDirectory() as folder:
        for path in given.files or make_480p(Path(folder), 1):
            print(f"{path.name}:\n")
            print("\n".join(table(rows, measured(rows, path, given.repeats))) + "\n")


if __name__ == "__main__":
    main()
