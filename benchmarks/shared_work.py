"""What is gained by sharing the work on one video among its dubs.

    python benchmarks/shared_work.py [--dubs 1 2 4 8 16] [--sound-tokens 250 750 1496] [--only agav|assessor]

A random AGAV-Rater of 145 million weights with the published token counts (1352 for the picture) judges N dubs of one
video: one by one, as one batch of N whose clips know nothing of each other, and sharing. Beside the measured ratio
stands its limit: what N clips cost one by one in floating-point operations, against the same less N − 1 times what
dubs have in common (the picture's encoder, and the language model up to the last picture token). Those parts are
counted with torch's FlopCounterMode, by themselves and not in the shared pass; of attention only what a causal mask
leaves. Aim: at N = 8 at least 95 % of the limit. To keep the run short, one by one is measured on two clips and counted
N/2 times, and a batch of strangers is measured up to N = 4, since it gains nothing. Each time is the best of `--runs`,
taken in turn; the scores of all ways must agree to 1e-4.

A second table is about AIGV-Assessor (130 million weights, 2049 tokens of video and motion), which reads one text a
question: four questions about one video, eight prompts for one video (one question each), and eight dubs of one video
(four questions each, the same for all). One by one means a call for each question of each clip.

Times are CPU time of all threads together, which other programs on the machine hardly change.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from dataclasses import replace

import torch
from medium_agav import PICTURE_TOKENS, dubs, flops, machine, medium_rater
from medium_assessor import medium_assessor, samples
from torch import Tensor

from avreward.raters import AgavRater, AigvAssessorRater, Sample, Work
from avreward.raters.aigv_assessor._card import dimensions
from avreward.raters.lmm._decoding import read
from avreward.raters.lmm._template import Rendered
from avreward.raters.lmm.prompt import Tokens

AIM = 0.95  # of the limit, at N = 8
RUNS = 1
ALONE, STRANGERS = 2, 4  # clips measured one by one, and largest batch of strangers


def one_by_one(rater: AgavRater, samples: Sequence[Sample]) -> Tensor:
    """Every clip in a call of its own."""
    return torch.cat([rater.rate([sample], Work()).values for sample in samples])


def one_batch(rater: AgavRater, samples: Sequence[Sample]) -> Tensor:
    """All clips side by side, each with a picture of its own."""
    return rater.rate([_stranger(sample, i) for i, sample in enumerate(samples)], Work()).values


def shared(rater: AgavRater | AigvAssessorRater, samples: Sequence[Sample]) -> Tensor:
    """As a caller gets it."""
    return rater.rate(samples, Work()).values


def in_common(rater: AgavRater, sample: Sample) -> int:
    """Return the operations that two dubs share: the video encoder, and the language model up to its last token."""
    whole = rater.rendered(sample, rater.questions[0].prompt, Work())
    last = max(i for i, part in enumerate(whole.parts) if isinstance(part, Tokens) and part.length == PICTURE_TOKENS)
    beginning = Rendered(whole.parts[: last + 1], whole.keys[: last + 1])
    encoder = flops(lambda: rater.backbone.encode("video", sample.tracks["video"]))
    return encoder + flops(lambda: read(rater.backbone, [beginning]))


def _stranger(sample: Sample, number: int) -> Sample:
    """Return the same clip under another key."""
    from avreward import Clip

    picture = Clip(video=torch.full((1, 3, 2, 2), number / 100), fps=1.0)
    return replace(sample, clip=picture.with_audio(sample.clip))


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dubs", type=int, nargs="+", default=[2, 4, 8, 16])
    parser.add_argument("--sound-tokens", type=int, nargs="+", default=[250, 750, 1496])
    parser.add_argument("--runs", type=int, default=RUNS)
    parser.add_argument("--only", choices=("agav", "assessor"))
    arguments = parser.parse_args()
    if arguments.only != "assessor":
        agav_table(arguments)
    if arguments.only != "agav":
        assessor_table(arguments.runs)


def agav_table(arguments: argparse.Namespace) -> None:
    """Print the table of AGAV-Rater."""
    rater = medium_rater()
    print(f"{sum(p.numel() for p in rater.module.parameters()) / 1e6:.0f} million weights; {machine()}\n")
    print("| sound tokens | dubs | one by one | one batch | shared | gain over one by one | limit | reached |")
    print("|---:|---:|---:|---:|---:|---:|---:|---:|")
    failures = []
    with torch.no_grad():
        one_by_one(rater, dubs(1, 250))  # the first call of a process is slower
        for tokens in arguments.sound_tokens:
            single = flops(lambda tokens=tokens: one_by_one(rater, dubs(1, tokens)))
            common = in_common(rater, dubs(1, tokens)[0])
            for count in arguments.dubs:
                limit = single * count / (single * count - common * (count - 1))
                reached = _row(rater, tokens, count, limit, arguments.runs)
                if count == 8 and reached < AIM:
                    failures.append(f"{tokens} sound tokens: {reached:.0%}")
    print(
        f"\nAt least {AIM:.0%} of the limit at 8 dubs: " + (f"missed for {'; '.join(failures)}" if failures else "yes")
    )


def assessor_table(runs: int) -> None:
    """Print the table of AIGV-Assessor."""
    rater = medium_assessor()
    print(f"\n{sum(p.numel() for p in rater.module.parameters()) / 1e6:.0f} million weights; {machine()}\n")
    print("| one video with | texts | one by one | shared | gain over one by one | limit | reached |")
    print("|---|---:|---:|---:|---:|---:|---:|")
    with torch.no_grad():
        rater.rate(samples(1), Work())  # the first call of a process is slower
        asked = rater.questions
        for label, questions, clips in (
            ("4 questions", asked, samples(1)),
            ("8 prompts", asked[3:], samples(8)),
            ("8 dubs, 4 questions", asked, samples(1, 8)),
        ):
            rater.questions = questions
            rater.dimensions = tuple(d for d in rater.dimensions if any(d.name in q.dimensions for q in questions))
            _assessor_row(rater, label, clips, runs)
            rater.dimensions = dimensions()


def _assessor_row(rater: AigvAssessorRater, label: str, clips: Sequence[Sample], runs: int) -> None:
    texts = [(sample, question) for sample in clips for question in rater.questions]
    different = len({(sample.clip.prompt, question.dimensions) for sample, question in texts})

    def apart(count: int) -> Tensor:
        found = []
        for sample, question in texts[:count]:
            rendered = rater.rendered(sample, question.prompt, Work())
            found.append(question.readout(read(rater.backbone, [rendered])[0])[0])
        return torch.stack(found)

    single = flops(lambda: apart(1))
    whole = rater.rendered(clips[0], rater.questions[0].prompt, Work())
    beginning = Rendered(whole.parts[:-1], whole.keys[:-1])
    encoder = flops(lambda: rater.backbone.encode("video", clips[0].tracks["video"]))
    common = encoder + flops(lambda: read(rater.backbone, [beginning]))
    limit = single * len(texts) / (common + different * (single - common))
    alone = together = float("inf")
    for _ in range(runs):
        started = time.process_time()
        expected = apart(ALONE)
        alone = min(alone, (time.process_time() - started) * len(texts) / ALONE)
        seconds, found = _timed(shared, rater, clips)
        together = min(together, seconds)
        scores = found[:, : len(rater.questions)].flatten()
        torch.testing.assert_close(scores[:ALONE], expected, rtol=1e-4, atol=1e-4)
    gain = alone / together
    times = f"{alone:.1f} s | {together:.1f} s"
    print(f"| {label} | {len(texts)} | {times} | {gain:.2f} | {limit:.2f} | {gain / limit:.0%} |", flush=True)


def _row(rater: AgavRater, tokens: int, count: int, limit: float, runs: int) -> float:
    samples = dubs(count, tokens)
    alone, batch, together = [float("inf")] * 3
    for _ in range(runs):
        seconds, expected = _timed(one_by_one, rater, samples[:ALONE])
        alone = min(alone, seconds * count / len(samples[:ALONE]))
        if count <= STRANGERS:
            seconds, found = _timed(one_batch, rater, samples)
            batch = min(batch, seconds)
            torch.testing.assert_close(found[:ALONE], expected, rtol=1e-4, atol=1e-4)
        seconds, found = _timed(shared, rater, samples)
        together = min(together, seconds)
        torch.testing.assert_close(found[:ALONE], expected, rtol=1e-4, atol=1e-4)
    gain = alone / together
    times = [f"{seconds:.1f} s" if seconds < float("inf") else "" for seconds in (alone, batch, together)]
    print(f"| {tokens} | {count} | {' | '.join(times)} | {gain:.2f} | {limit:.2f} | {gain / limit:.0%} |", flush=True)
    return gain / limit


def _timed(
    way: Callable[..., Tensor], rater: AgavRater | AigvAssessorRater, samples: Sequence[Sample]
) -> tuple[float, Tensor]:
    started = time.process_time()
    found = way(rater, samples)
    return time.process_time() - started, found


if __name__ == "__main__":
    main()
