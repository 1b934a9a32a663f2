"""MusicGen of transformers as a generator whose tokens can be trained by policy gradients."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from avreward.clip import Clip
from avreward.errors import ArgumentError, Described
from avreward.generators.base import Condition


@runtime_checkable
class TokenGenerator(Protocol):
    """A generator that draws tokens one after the other, as the loop that trains it sees it.

    Attributes:
        network: what is trained.
        streams: what it makes.
    """

    network: nn.Module
    streams: tuple[str, ...]

    def encode(self, condition: Condition) -> Any:
        """Return what sampling needs of a condition."""
        ...

    def sample(self, encoded: Any, rows: int, seed: int) -> Tensor:
        """Draw tokens (rows, …) from the network's own distribution, without a gradient."""
        ...

    def log_probs(self, tokens: Tensor, encoded: Any) -> Tensor:
        """Return the logarithm of each token's probability, (rows, tokens), with a gradient to the network."""
        ...

    def decode(self, tokens: Tensor, encoded: Any) -> list[Clip]:
        """Return the clip of each row."""
        ...


class MusicgenTokens:
    """A `MusicgenForConditionalGeneration` as a `TokenGenerator`.

    The model's own ``generate`` draws the tokens, at temperature 1 and without guidance, so that they come from the
    distribution whose probabilities are trained. Codebook k is delayed by k positions (arXiv:2306.05284, section 2.2).

    Args:
        model: mono, with its audio encoder.
        tokenizer: of the text encoder; a condition's ``prompt`` is tokenized.
        frames: of audio tokens for each clip.

    Raises:
        ArgumentError: for a stereo model, or fewer frames than codebooks.

    Example:
        >>> from tiny_musicgen import tiny_musicgen  # in recipes/
        >>> generator = MusicgenTokens(*tiny_musicgen(), frames=6)
        >>> encoded = generator.encode(Condition(arguments={"prompt": "slow drums"}))
        >>> tokens = generator.sample(encoded, rows=2, seed=0)
        >>> tokens.shape, generator.log_probs(tokens, encoded).shape
        (torch.Size([2, 2, 6]), torch.Size([2, 12]))
    """

    streams = ("audio",)

    def __init__(self, model: Any, tokenizer: Any, *, frames: int) -> None:
        self.books: int = model.decoder.num_codebooks
        if model.decoder.config.audio_channels != 1:
            raise ArgumentError("model", "a mono MusicGen", Described("a stereo one"))
        if not isinstance(frames, int) or frames < self.books:
            raise ArgumentError("frames", f"an integer of at least {self.books}, the codebooks", frames)
        self.model, self.tokenizer, self.frames = model, tokenizer, frames
        self.network: nn.Module = model.decoder

    def encode(self, condition: Condition) -> Mapping[str, Tensor]:
        """Return the tokens of the condition's prompt, (1, words).

        Raises:
            ArgumentError: if the condition has no prompt.
        """
        prompt = condition.arguments.get("prompt")
        if not isinstance(prompt, str):
            raise ArgumentError("condition", "one with a prompt", Described(str(dict(condition.arguments))))
        found = self.tokenizer([prompt], return_tensors="pt")
        return {name: found[name].to(self.model.device) for name in ("input_ids", "attention_mask")}

    def sample(self, encoded: Mapping[str, Tensor], rows: int, seed: int) -> Tensor:
        """Draw tokens (rows, codebooks, frames)."""
        drawn: list[Tensor] = []
        device = self.model.device
        decode = self.model.audio_encoder.decode

        def keep(codes: Tensor, *arguments: Any, **named: Any) -> Any:
            drawn.append(codes)
            return decode(codes, *arguments, **named)

        self.model.audio_encoder.decode = keep
        try:
            with torch.random.fork_rng([device] if device.type == "cuda" else []), torch.no_grad():
                torch.manual_seed(seed)
                self.model.generate(
                    **_repeated(encoded, rows),
                    do_sample=True,
                    temperature=1.0,
                    top_k=0,
                    guidance_scale=1.0,
                    max_new_tokens=self.frames + self.books - 1,
                )
        finally:
            del self.model.audio_encoder.decode
        return drawn[0][0]

    def log_probs(self, tokens: Tensor, encoded: Mapping[str, Tensor]) -> Tensor:
        """Return (rows, codebooks · frames), by one call of the network on all positions."""
        rows, books, frames = tokens.shape
        pad = self.model.generation_config.decoder_start_token_id
        inputs = tokens.new_full((rows, books, frames + books - 1), self._start() if pad is None else pad)
        for book in range(books):
            shown = min(frames, frames + books - 2 - book)  # the network does not get the last token
            inputs[:, book, book + 1 : book + 1 + shown] = tokens[:, book, :shown]
        found = self.model(**_repeated(encoded, rows), decoder_input_ids=inputs.flatten(0, 1))
        every = found.logits.float().log_softmax(-1).unflatten(0, (rows, books))
        own = torch.stack([every[:, book, book : book + frames] for book in range(books)], 1)
        return own.gather(-1, tokens[..., None])[..., 0].flatten(1)

    def decode(self, tokens: Tensor, encoded: Mapping[str, Tensor]) -> list[Clip]:
        """Return the audio of each row."""
        waves = self.model.audio_encoder.decode(tokens[None], [None] * len(tokens)).audio_values
        return [Clip(audio=wave.float(), sample_rate=self.model.config.audio_encoder.sampling_rate) for wave in waves]

    def _start(self) -> int:
        return int(self.model.config.decoder.bos_token_id)


def _repeated(encoded: Mapping[str, Tensor], rows: int) -> dict[str, Tensor]:
    return {name: value.expand(rows, -1) for name, value in encoded.items()}
