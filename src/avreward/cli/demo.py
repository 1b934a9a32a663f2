"""`avreward demo`: a scene and degraded copies of it, ranked; the scene as it was made should win."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from avreward.cli._common import SOME_FAILED, cell, hold, progress, rater_of, reward_of, stdout


def demo(
    out: Annotated[Path, typer.Option(help="The folder for the clips and the report.")] = Path("demo"),
    seed: Annotated[int, typer.Option(help="Another seed, another scene.", min=0)] = 0,
) -> None:
    """Make a scene and six degraded copies of it, rank them, and write a report.

    Sparks burst in the dark, and each burst is heard. The copies have noise, clipping, the audio of another scene,
    audio that is half a second late, reversed audio, and a frozen video. The original should win; the exit code is
    1 if it does not.
    """
    from avreward.clip import Clip
    from avreward.datasets.synthetic.demo import BEST, DEFECTS, demo_candidates
    from avreward.errors import AvrewardError
    from avreward.scoring._torch_threads import one_core

    hold(out)
    try:
        with progress("Making clips", len(DEFECTS) + 1) as step, one_core():
            files = demo_candidates(seed, out, step=step)
    except OSError as error:
        raise AvrewardError(f"{out}: can't be written ({error.strerror or error}); choose another --out") from error
    chosen = reward_of("overall", rater_of("signals"))

    from avreward.cli import _ranking as ranking
    from avreward.cli._rating import run

    result = run({path.name: partial(Clip.open, path) for path in files.values()}, chosen)
    captions = {files[defect.name].name: f"Planted: {defect.about}." for defect in DEFECTS}
    captions[files[BEST].name] = "As it was made."
    page = ranking.write_page(result, out / "report.html", captions=captions)
    ranking.print_table(result)
    best = result.names[result.picked.best_index]
    if best != files[BEST].name:
        stdout().print(f"[bold red]✗[/] The original should have won, but {best} did.")
        raise typer.Exit(SOME_FAILED)
    stdout().print(
        f"[bold green]✓[/] The planted best, {best}, won. Open {cell(str(page))} to see and hear why.", soft_wrap=True
    )
