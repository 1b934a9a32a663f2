"""Diffusion-DPO on pairs of clips that were made before (Wallace et al., 2024, arXiv:2311.12908), on velocities."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from avreward.clip import Clip
from avreward.errors import ArgumentError, Described, MediaError
from avreward.generators.clip_encoder import ClipEncoder, check_encodes
from avreward.generators.flow_generator import Latents, stream_velocity
from avreward.training.generator._processes import condition_draw, from_all, process_count
from avreward.training.generator._rated import TuningStep, begin_update, check_counts, clipped_step
from avreward.training.generator._sampled import with_noise
from avreward.training.generator.clip_pairs import ClipPair
from avreward.training.generator.lora import frozen_velocity, trained_parameters
from avreward.training.generator.preference_loss import diffusion_dpo_loss, logit_normal_times


class OfflineDpo:
    """Fine-tune a generator on preference pairs of clips, of its own or of others.

    The loss is log 2 as long as the network is the frozen one. Both clips of a pair share noise and noise level. The
    form of noise prediction is the same loss where the generator's schedule preserves variance, up to a weight of the
    noise levels.

    Args:
        generator: a `ClipEncoder` whose ``network`` has a LoRA: call `add_lora` first.
        streams: whose preference the pairs are; all of the generator's by default. The others get no gradient.
        times: noise levels for each pair and update.
        beta: weight of the divergence from the frozen network, for errors that are means over entries.
        learning_rate: of AdamW.
        largest_gradient: norm to which gradients are clipped.
        checkpointing: compute activations of the network again in the backward pass instead of keeping them, layer by
            layer where the network can (see `stream_velocity`).
        seed: of noise and times.

    Raises:
        ArgumentError: for numbers that are not positive, a stream that the generator does not make, a generator that
            encodes no clips, or if the network has nothing to train.

    Example:
        >>> from tiny_diffusers import build  # in recipes/
        >>> from avreward.generators import Condition, DiffusersFlow
        >>> from avreward.training import add_lora
        >>> tiny = build("WanPipeline")
        >>> generator = DiffusersFlow(tiny.pipeline, fps=16)
        >>> trained = add_lora(generator.network, rank=2, targets=["to_q", "to_v"])
        >>> clips = [Clip(video=torch.rand(5, 3, 16, 16), fps=16) for _ in range(2)]
        >>> pair = ClipPair(Condition(arguments=tiny.call), *clips)
        >>> round(OfflineDpo(generator).update([pair]).loss, 4)  # log 2
        0.6931
    """

    def __init__(
        self,
        generator: ClipEncoder,
        *,
        streams: Sequence[str] | None = None,
        times: int = 4,
        beta: float = 100.0,
        learning_rate: float = 3e-4,
        largest_gradient: float = 1.0,
        checkpointing: bool = True,
        seed: int = 0,
    ) -> None:
        check_counts(times=times)
        check_encodes(generator)
        self.streams = generator.streams if streams is None else tuple(streams)
        if not self.streams or not set(self.streams) <= set(generator.streams):
            raise ArgumentError("streams", f"some of {', '.join(generator.streams)}", list(self.streams))
        self.generator, self.times, self.beta = generator, times, beta
        self.largest_gradient, self.seed = largest_gradient, seed
        self.checkpointing = checkpointing
        self.parameters = trained_parameters(generator.network)
        self.optimizer = torch.optim.AdamW(self.parameters, learning_rate, weight_decay=0.0)
        self.updates = 0

    def update(self, pairs: Sequence[ClipPair]) -> TuningStep:
        """Move the network from the rejected clips towards the chosen ones.

        A pair with a clip that can't be read is left out, with the reason; without any pair nothing is trained. The
        step has no rewards; ``parts`` has the number of pairs (of all processes) and the share of those that the
        network orders rightly.

        Args:
            pairs: of one condition each.

        Raises:
            ArgumentError: if there are no pairs, or a clip has not the size of its condition.
        """
        if not len(pairs):
            raise ArgumentError("pairs", "at least one", Described("none"))
        draw = begin_update(self.optimizer, self.seed, self.updates)
        read, missing = self._read(pairs)
        count = sum(from_all(len(read)))
        share = process_count() / (
            max(1, count) * self.times * len(self.streams)
        )  # so that the mean over processes is that over pairs
        total, kl, right = 0.0, 0.0, 0.0
        for number, encoded, both in read:
            own_draw = condition_draw(draw, number, len(pairs))
            first = next(iter(both.values()))
            largest = self.generator.sigmas(2, encoded)[0]
            for _ in range(self.times):
                times = largest * logit_normal_times(1, generator=own_draw).to(first).expand(2)
                noised = with_noise(both, times, own_draw, pairs=True)
                frozen = frozen_velocity(self.generator, noised.noisy, times, encoded)
                velocity = stream_velocity(self.generator, noised.noisy, times, encoded, self.checkpointing)
                losses = []
                for stream in self.streams:
                    target = noised.noise[stream] - both[stream]
                    loss = diffusion_dpo_loss(velocity[stream], frozen[stream], target, beta=self.beta)
                    losses.append(loss.loss)
                    right += share * float(loss.accuracy)
                    kl += share * float(((velocity[stream].detach() - frozen[stream]) ** 2).mean())
                whole = share * torch.stack(losses).sum()
                whole.backward()
                total += float(whole.detach())
        norm = clipped_step(self.optimizer, self.parameters, self.largest_gradient)
        self.updates += 1
        parts = {"pairs": float(count), "accuracy": right}
        return TuningStep(torch.empty(0), total, norm, kl, {}, missing, clips=0, denoising_steps=0, parts=parts)

    def _read(self, pairs: Sequence[ClipPair]) -> tuple[list[tuple[int, Any, Latents]], list[str]]:
        """Return number, condition and latents of each pair, chosen first, and why others are missing."""
        found: list[tuple[int, Any, Latents]] = []
        missing: list[str] = []
        for number, pair in enumerate(pairs):
            with torch.no_grad():
                encoded = self.generator.encode(pair.condition)
                try:
                    rows = [self.generator.encode_clip(_opened(clip), encoded) for clip in (pair.chosen, pair.rejected)]
                except MediaError as error:
                    missing.append(str(error))
                    continue
            found.append((number, encoded, {name: torch.cat([row[name] for row in rows]) for name in rows[0]}))
        return found, missing


def _opened(clip: Clip | str) -> Clip:
    return Clip.open(clip) if isinstance(clip, str) else clip
