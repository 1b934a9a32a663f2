"""A small head on a generator's own latents, fitted to the rewards of the clips that they decode to."""

from __future__ import annotations

import json
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from avreward._parsing import parsed_json
from avreward._whole_files import whole_file
from avreward.errors import ArgumentError, AvrewardError, Described


@dataclass(frozen=True)
class HeadError:
    """How well a head predicts rewards of clips that it was not fitted to.

    Attributes:
        clips: number of held-out clips.
        srcc: rank correlation of predictions and rewards.
        rmse: root of the mean squared error, on the reward's scale.
        deviation: of the held-out rewards, the error of predicting their mean.
    """

    clips: int
    srcc: float
    rmse: float
    deviation: float


class LatentHead(nn.Module):
    """Rewards of clean latents, without decoding them.

    Each position is read by two layers; mean and deviation over the positions go through two more. It is cheap and
    differentiable, and wrong wherever the generator has left what the head was fitted on: `HeadGuard` checks it.

    Args:
        channels: stream → number of channels of its latents.
        axes: stream → axis of the channels; 1 by default. Packed latents (rows, tokens, features) have them at 2.
        width: of the layers.

    Attributes:
        error: measured by `fit_latent_head`; `None` before.
    """

    def __init__(self, channels: Mapping[str, int], axes: Mapping[str, int] | None = None, *, width: int = 32) -> None:
        super().__init__()
        self.channels, self.axes = dict(channels), {name: (axes or {}).get(name, 1) for name in channels}
        self.width, self.error = width, None
        self.read = nn.ModuleDict(
            {
                name: nn.Sequential(nn.Linear(c, width), nn.GELU(), nn.Linear(width, width))
                for name, c in channels.items()
            }
        )
        self.join = nn.Sequential(nn.Linear(2 * width * len(channels), width), nn.GELU(), nn.Linear(width, 1))
        for name, count in channels.items():
            self.register_buffer(f"{name}_mean", torch.zeros(count))
            self.register_buffer(f"{name}_deviation", torch.ones(count))
        self.register_buffer("shift", torch.zeros(()))
        self.register_buffer("scale", torch.ones(()))

    error: HeadError | None
    shift: Tensor
    scale: Tensor

    @property
    def streams(self) -> tuple[str, ...]:
        """The streams that it reads."""
        return tuple(self.channels)

    def forward(self, latents: Mapping[str, Tensor]) -> Tensor:
        """Return the predicted rewards (rows,) of clean latents.

        Raises:
            ArgumentError: if a stream is missing or has other channels.
        """
        pooled = []
        for name in self.channels:
            positions = self._positions(name, latents)
            mean, deviation = getattr(self, f"{name}_mean"), getattr(self, f"{name}_deviation")
            hidden = self.read[name]((positions - mean) / deviation)
            center = hidden.mean(1)
            spread = (((hidden - center[:, None]) ** 2).mean(1) + 1e-6).sqrt()
            pooled += [center, spread]
        return self.join(torch.cat(pooled, 1))[:, 0] * self.scale + self.shift

    def _positions(self, name: str, latents: Mapping[str, Tensor]) -> Tensor:
        """Return (rows, positions, channels)."""
        if name not in latents:
            raise ArgumentError("latents", f"those of {', '.join(self.channels)}", Described(", ".join(latents)))
        x, axis = latents[name], self.axes[name]
        if x.ndim <= axis or x.shape[axis] != self.channels[name]:
            got = Described(f"shape {tuple(x.shape)}")
            raise ArgumentError(f"latents of {name}", f"{self.channels[name]} channels at axis {axis}", got)
        return (
            x.to(self.shift.dtype).movedim(axis, -1).flatten(1, -2) if x.ndim > 2 else x.to(self.shift.dtype)[:, None]
        )

    def save(self, path: str | Path) -> Path:
        """Write the head as safetensors; the file appears whole or not at all.

        Raises:
            OSError: if it can't be written.
        """
        from safetensors.torch import save_file

        about = {"channels": self.channels, "axes": self.axes, "width": self.width}
        about["error"] = None if self.error is None else asdict(self.error)
        with whole_file(Path(path)) as part:
            save_file(dict(self.state_dict()), part, metadata={"latent_head": json.dumps(about)})
        return Path(path)

    @classmethod
    def load(cls, path: str | Path) -> LatentHead:
        """Read what `save` wrote.

        Raises:
            AvrewardError: if the file can't be read or is another one.
        """
        from safetensors import SafetensorError, safe_open

        try:
            with safe_open(path, framework="pt") as file:
                about: dict[str, Any] = parsed_json((file.metadata() or {})["latent_head"])
                state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            head = cls(about["channels"], about["axes"], width=about["width"])
            head.load_state_dict(state)
            head.error = None if about["error"] is None else HeadError(**about["error"])
        except (OSError, SafetensorError, KeyError, TypeError, ValueError, RuntimeError) as error:
            raise AvrewardError(
                f"{path}: expected a file that LatentHead.save wrote, got another one ({error})"
            ) from error
        return head.requires_grad_(False)


def fit_latent_head(
    latents: Mapping[str, Tensor],
    rewards: Tensor,
    *,
    groups: Sequence[Hashable] | None = None,
    axes: Mapping[str, int] | None = None,
    width: int = 32,
    held_out: float = 0.25,
    epochs: int = 300,
    learning_rate: float = 3e-3,
    weight_decay: float = 1e-2,
    seed: int = 0,
) -> LatentHead:
    """Fit a head to the rewards of clips, and measure its error on those that were held out.

    Args:
        latents: stream → clean latents (clips, …) that the clips were decoded from.
        rewards: of the clips, (clips,).
        groups: of the clips, such as their conditions; clips of a group are held out together. Default: each its own.
        axes: of the channels, see `LatentHead`.
        width: of the layers.
        held_out: share of the groups.
        epochs: passes over the other clips, 32 at a time.
        learning_rate: of AdamW.
        weight_decay: of AdamW.
        seed: of the split, the first weights and the order.

    Raises:
        ArgumentError: if a reward is not finite, all rewards are equal, fewer than 8 clips are given, or fewer than two
            groups.

    Example:
        >>> x = torch.randn(200, 4, 6, generator=torch.Generator().manual_seed(0))
        >>> head = fit_latent_head({"audio": x}, x[:, 0].mean(1), epochs=50)
        >>> head.error.srcc > 0.9, head.error.rmse < 0.5 * head.error.deviation
        (True, True)
    """
    kept, out = _split(rewards, groups, held_out, seed)
    rewards = rewards.detach().float()
    given = {name: x.detach() for name, x in latents.items()}
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        axes = {name: (axes or {}).get(name, 1) for name in given}
        head = LatentHead({name: x.shape[axes[name]] for name, x in given.items()}, axes, width=width)
        head.to(rewards.device)
        _standardize(head, {name: x[kept] for name, x in given.items()}, rewards[kept])
        optimizer = torch.optim.AdamW(head.parameters(), learning_rate, weight_decay=weight_decay)
        with torch.enable_grad():
            for _ in range(epochs):
                for rows in kept[torch.randperm(len(kept))].split(32):
                    predicted = head({name: x[rows] for name, x in given.items()})
                    loss = (((predicted - rewards[rows]) / head.scale) ** 2).mean()
                    optimizer.zero_grad()
                    loss.backward()
                    optimizer.step()
    head.requires_grad_(False)
    head.error = _error(head({name: x[out] for name, x in given.items()}), rewards[out])
    return head


def _split(rewards: Tensor, groups: Sequence[Hashable] | None, held_out: float, seed: int) -> tuple[Tensor, Tensor]:
    """Return the rows to fit to and those to hold out."""
    count = len(rewards)
    if rewards.ndim != 1 or count < 8 or not bool(rewards.isfinite().all()):
        got = Described(f"{tuple(rewards.shape)}, {int((~rewards.isfinite()).sum())} of them not finite")
        raise ArgumentError("rewards", "finite numbers of at least 8 clips, (clips,)", got, "leave out missing ones")
    if float(rewards.max() - rewards.min()) == 0:
        raise ArgumentError("rewards", "rewards that differ", Described("equal ones"))
    if not 0 < held_out < 1:
        raise ArgumentError("held_out", "a share between 0 and 1", held_out)
    names = list(range(count)) if groups is None else list(groups)
    if len(names) != count:
        raise ArgumentError("groups", f"one for each of {count} clips", Described(str(len(names))))
    known = list(dict.fromkeys(names))
    if len(known) < 2:
        raise ArgumentError("groups", "at least two", Described("one"), "sample clips of more conditions")
    order = torch.randperm(len(known), generator=torch.Generator().manual_seed(seed)).tolist()
    chosen = {known[i] for i in order[: min(len(known) - 1, max(1, round(held_out * len(known))))]}
    out = torch.tensor([name in chosen for name in names])
    return (~out).nonzero().flatten(), out.nonzero().flatten()


def _standardize(head: LatentHead, latents: Mapping[str, Tensor], rewards: Tensor) -> None:
    for name in latents:
        positions = head._positions(name, latents).flatten(0, 1)
        getattr(head, f"{name}_mean").copy_(positions.mean(0))
        getattr(head, f"{name}_deviation").copy_(positions.std(0, correction=0).clamp_min(1e-6))
    head.shift.copy_(rewards.mean())
    head.scale.copy_(rewards.std(correction=0).clamp_min(1e-6))


def _error(predicted: Tensor, rewards: Tensor) -> HeadError:
    from scipy.stats import rankdata

    ranks = torch.stack([torch.as_tensor(rankdata(values.cpu().numpy())) for values in (predicted, rewards)])
    srcc = float(torch.corrcoef(ranks)[0, 1]) if len(rewards) > 1 else float("nan")
    rmse = float(((predicted - rewards) ** 2).mean().sqrt())
    return HeadError(len(rewards), srcc, rmse, float(rewards.std(correction=0)))
