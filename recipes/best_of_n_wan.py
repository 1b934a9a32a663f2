"""Best of N with a video pipeline (Wan): of the candidates of one prompt, the one rated best.

    python recipes/best_of_n_wan.py [--prompt TEXT] [--n 8] [--out FOLDER]

With the random weights that stand here it shows how it works, and nothing else. With a real pipeline, change the line
in `build`, and the numbers of `CALL`. `WanPipeline` does not report a frame rate, so it is given.
"""

from __future__ import annotations

from typing import Any

from reranked import parser_of, show
from tiny_pipelines import tiny_wan

from avreward import BestOfN, load_rater

CALL: dict[str, Any] = {"height": 32, "width": 32, "num_frames": 9, "num_inference_steps": 4}
# A real one: {"height": 480, "width": 832, "num_frames": 81, "num_inference_steps": 50}


def build() -> Any:
    """Return the pipeline."""
    # WanPipeline.from_pretrained("Wan-AI/Wan2.1-T2V-1.3B-Diffusers", torch_dtype=torch.bfloat16).to("cuda")
    return tiny_wan()


def main(arguments: list[str] | None = None) -> None:
    """Run the command."""
    parser = parser_of("best_of_n_wan", __doc__)
    parser.add_argument("--prompt", default="rain on a tin roof")
    options = parser.parse_args(arguments)

    signals = load_rater("signals")
    reward = signals["static_quality"]
    search = BestOfN(build(), reward, options.n, batch_size=options.batch_size, fps=16, out=options.out)
    found = search(prompt=options.prompt, **CALL)
    show(found, options.out / "best.mp4")


if __name__ == "__main__":
    main()
