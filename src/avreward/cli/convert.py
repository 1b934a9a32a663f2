"""`avreward convert`: a published checkpoint in our layout."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from avreward.cli._common import stderr


def convert(
    source: Annotated[str, typer.Argument(metavar="OFFICIAL", help="The published folder, or its name on the hub.")],
    out: Annotated[Path, typer.Argument(help="The folder to write: safetensors, config.json, tokenizer, model card.")],
    dtype: Annotated[
        str | None, typer.Option(help="Type of the weights written, such as bfloat16. Default: as they are.")
    ] = None,
    adapter: Annotated[str | None, typer.Option(help="A LoRA adapter to merge in: folder or hub name.")] = None,
    allow: Annotated[
        list[str] | None,
        typer.Option(help="Name of a weight that may be missing or unexpected (* stands for anything); repeatable."),
    ] = None,
) -> None:
    """Write a published checkpoint in avreward's layout, which loads faster and says what it is.

    Old `.bin` and `.pth` files are read without running code. Nothing may be missing or left over.
    """
    from avreward.errors import AvrewardError
    from avreward.raters.checkpoints._weights import stored_type
    from avreward.raters.checkpoints.network_rater import NetworkRater
    from avreward.raters.hub import folder_of, load_rater
    from avreward.raters.registry import names

    if source in names():
        raise AvrewardError(f"{source}: comes with the package and has no checkpoint; name one that has")
    options = {} if adapter is None else {"adapter": adapter}
    folder = folder_of(source)
    rater = load_rater(folder, device="cpu", dtype=dtype or stored_type(folder), allow=tuple(allow or ()), **options)
    if not isinstance(rater, NetworkRater):
        raise AvrewardError(
            f"{source}: {rater.name} is three models of transformers, which load_rater reads as it is; there is "
            "nothing to convert"
        )
    rater.save_pretrained(out)
    size = sum(file.stat().st_size for file in out.iterdir())
    stderr().print(f"{out}: {rater.name}, {size / 1e6:.0f} MB, {rater.fingerprint}", markup=False, soft_wrap=True)
