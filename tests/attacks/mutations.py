"""Media files of all containers, and damage to them: flips, cuts, insertions."""

from __future__ import annotations

import random
import sys
from pathlib import Path
from typing import Any

TESTS = str(Path(__file__).parents[1])
if TESTS not in sys.path:
    sys.path.insert(0, TESTS)

from media_files import picture, write  # noqa: E402
from PIL import Image  # noqa: E402

Change = tuple[str, int, int]  # what, where, and a number that depends on what

KINDS: dict[str, dict[str, Any]] = {
    "x.mp4": {"sound": "aac", "options": {"bf": "2"}},
    "pieces.mp4": {"sound": "aac", "mux": {"movflags": "frag_keyframe+empty_moov"}},
    "x.mkv": {"codec": "ffv1", "pixels": "bgr0", "sound": "pcm_s16le", "seconds": 0.4, "count": 4},
    "x.webm": {"codec": "libvpx-vp9", "sound": "libopus", "options": {"deadline": "realtime", "cpu-used": "8"}},
    "x.ts": {"sound": "aac"},
    "x.avi": {"codec": "mpeg4", "sound": "libmp3lame"},
    "x.wav": {"codec": None, "sound": "pcm_s16le", "seconds": 0.2},
    "x.mp3": {"codec": None, "sound": "libmp3lame"},
    "x.ogg": {"codec": None, "sound": "libopus"},
    "x.flac": {"codec": None, "sound": "flac", "seconds": 0.4},
    "x.wv": {"codec": None, "sound": "wavpack", "seconds": 0.4},
    "x.m4a": {"codec": None, "sound": "aac"},
    "x.gif": {"codec": "gif", "pixels": "rgb8", "count": 3},
    "x.png": {"codec": "png", "pixels": "rgb24", "count": 1, "form": "image2"},
}
PICTURES: dict[str, tuple[str, dict[str, Any]]] = {
    "x.jpg": ("JPEG", {"quality": 90}),
    "x.webp": ("WEBP", {}),
    "lossless.webp": ("WEBP", {"lossless": True}),
}
CHANGES = ("flip", "set", "zero", "insert", "drop", "cut")


def make(folder: Path) -> dict[str, bytes]:
    """Return the intact files, name → bytes."""
    made = {name: write(folder / name, **kind).read_bytes() for name, kind in KINDS.items()}
    for name, (form, options) in PICTURES.items():
        Image.fromarray(picture(3)).save(folder / name, form, **options)
        made[name] = (folder / name).read_bytes()
    return made


def spoilt(data: bytes, changes: list[Change]) -> bytes:
    """Return `data` with the changes made one after the other."""
    out = bytearray(data)
    for kind, anywhere, value in changes:
        place = anywhere % max(1, len(out))
        if not out:
            break
        if kind == "flip":
            out[place] ^= 1 << value
        elif kind == "set":
            out[place] = value
        elif kind == "zero":
            out[place : place + value] = bytes(len(out[place : place + value]))
        elif kind == "insert":
            out[place:place] = bytes((place * 7 + i * 31) % 256 for i in range(value))
        elif kind == "drop":
            del out[place : place + value]
        else:
            del out[place:]
    return bytes(out)


def drawn(rng: random.Random) -> list[Change]:
    """Draw one to four changes; half of them hit the header."""
    changes: list[Change] = []
    for _ in range(rng.choice([1, 1, 1, 2, 4])):
        kind = rng.choice(CHANGES)
        place = rng.randrange(600) if rng.random() < 0.5 else rng.randrange(2**20)
        value = rng.choice([0, 1, 127, 128, 255]) if kind == "set" else rng.randrange(8)
        changes.append((kind, place, value if kind in ("set", "flip") else rng.randrange(1, 600)))
    return changes
