"""Best of N with a sound pipeline (Stable Audio): of the candidates of one prompt, the one rated best.

    python recipes/best_of_n_audio.py [--prompt TEXT] [--n 8] [--out FOLDER]

With the random weights that stand here it shows how it works, and nothing else. With a real pipeline, change the line
in `build`, and the numbers of `CALL`. Other sound pipelines (AudioLDM 2, MusicLDM, …) go in the same place.
"""

from __future__ import annotations

from typing import Any

from reranked import parser_of, show
from tiny_pipelines import tiny_stable_audio

from avreward import BestOfN, load_rater

CALL: dict[str, Any] = {"audio_end_in_s": 0.5, "num_inference_steps": 4}
# A real one: {"audio_end_in_s": 10.0, "num_inference_steps": 100}


def build() -> Any:
    """Return the pipeline."""
    # StableAudioPipeline.from_pretrained("stabilityai/stable-audio-open-1.0", torch_dtype=torch.float16).to("cuda")
    return tiny_stable_audio()


def main(arguments: list[str] | None = None) -> None:
    """Run the command."""
    parser = parser_of("best_of_n_audio", __doc__)
    parser.add_argument("--prompt", default="rain on a tin roof")
    options = parser.parse_args(arguments)

    signals = load_rater("signals")
    reward = signals["audio_quality"]
    search = BestOfN(build(), reward, options.n, batch_size=options.batch_size, out=options.out)
    found = search(prompt=options.prompt, **CALL)
    show(found, options.out / "best.wav")


if __name__ == "__main__":
    main()
