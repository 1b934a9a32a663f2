"""Best of N dubs for a silent video: of the sounds that a video-to-audio generator makes, the one rated best.

    python recipes/best_of_n_v2a.py [--video FILE] [--n 8] [--out FOLDER]

With the small generator of `tiny_v2a`, which was trained on synthesized scenes: without `--video` it dubs one of those,
and for real videos it knows too little. With a real video-to-audio pipeline, change the line in `build`. The picture is
encoded once for all of its dubs.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from reranked import parser_of, show
from tiny_v2a import tiny_v2a

from avreward import BestOfN, Clip, load_rater
from avreward.datasets import scene

CALL: dict[str, Any] = {"num_inference_steps": 12}


def build() -> Any:
    """Return the pipeline; it takes `video` and `frame_rate`."""
    return tiny_v2a()


def main(arguments: list[str] | None = None) -> None:
    """Run the command."""
    parser = parser_of("best_of_n_v2a", __doc__, batch_size=8)
    parser.add_argument("--video", type=Path, help="a silent video; its own sound is ignored")
    options = parser.parse_args(arguments)

    shown = Clip.open(options.video) if options.video else scene(10_003, "bursts", seconds=4.0).clip
    silent = Clip(video=shown.video, fps=shown.fps, prompt=shown.prompt)
    reward = load_rater("signals")["overall"]
    search = BestOfN(build(), reward, options.n, batch_size=options.batch_size, out=options.out)
    found = search(silent, video=silent.video, frame_rate=silent.fps, **CALL)
    show(found, options.out / "best.mp4")


if __name__ == "__main__":
    main()
