"""Best of N with a pipeline of picture and sound (LTX-2): of the candidates of one prompt, the one rated best.

    python recipes/best_of_n_ltx2.py [--prompt TEXT] [--n 8] [--out FOLDER]

With the random weights that stand here it shows how it works, and nothing else. With a real pipeline, change the line
in `build`, and the numbers of `CALL`. Frame rate and sample rate are the pipeline's own.
"""

from __future__ import annotations

from typing import Any

from reranked import parser_of, show
from tiny_ltx2 import PLAIN
from tiny_pipelines import tiny_ltx2_with_text

from avreward import BestOfN, load_rater

CALL: dict[str, Any] = {
    "height": 32,
    "width": 32,
    "num_frames": 17,
    "frame_rate": 8.0,
    "num_inference_steps": 4,
    **PLAIN,
}
# A real one: {"height": 512, "width": 768, "num_frames": 121, "frame_rate": 24.0, "num_inference_steps": 40}


def build() -> Any:
    """Return the pipeline."""
    # LTX2Pipeline.from_pretrained("Lightricks/LTX-2", torch_dtype=torch.bfloat16).to("cuda")
    return tiny_ltx2_with_text()


def main(arguments: list[str] | None = None) -> None:
    """Run the command."""
    parser = parser_of("best_of_n_ltx2", __doc__)
    parser.add_argument("--prompt", default="rain on a tin roof")
    options = parser.parse_args(arguments)

    signals = load_rater("signals")
    reward = 0.5 * signals["static_quality"] + 0.5 * signals["audio_quality"]
    search = BestOfN(build(), reward, options.n, batch_size=options.batch_size, out=options.out)
    found = search(prompt=options.prompt, **CALL)
    show(found, options.out / "best.mp4")


if __name__ == "__main__":
    main()
