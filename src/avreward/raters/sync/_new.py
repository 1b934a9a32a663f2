"""A new sync evaluator from its public base model: what training starts from."""

from __future__ import annotations

from os import PathLike
from typing import Any

import torch
from torch import nn

from avreward.errors import ArgumentError
from avreward.raters.sync._folder import BASE, SyncFolder
from avreward.raters.sync.rater import SyncRater, built


def new_sync(base: str | PathLike[str] = BASE, *, seed: int = 0, **options: Any) -> SyncRater:
    """Return a sync evaluator to be trained: Qwen2.5-Omni with a new head, as torch starts such a layer.

    Args:
        base: folder or hub name of Qwen2.5-Omni, 3B in the paper, or of its thinker.
        seed: of the head.
        **options: how the network is put into memory, see `avreward.raters.Loading`.

    Raises:
        ArgumentError: for an adapter.
        AvrewardError: if the folder is of another model, or weights are missing.

    Example:
        >>> new_sync("Qwen/Qwen2.5-Omni-3B").save_pretrained("start/sync")  # doctest: +SKIP
    """
    from avreward.raters.checkpoints.loading import Loading
    from avreward.raters.hub import folder_of

    loading = Loading(**options)
    if loading.adapter is not None:
        raise ArgumentError("adapter", "none for a new evaluator", loading.adapter, "leave it out")
    folder = folder_of(base, loading.revision)
    found = SyncFolder({}, folder)
    width = found.sizes["text_config"]["hidden_size"]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        head = {f"head.{name}": weight.detach() for name, weight in nn.Linear(width, 1).state_dict().items()}
    return built(found.sizes, {**found.state(), **head}, folder, loading, folder)
