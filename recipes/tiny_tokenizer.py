"""A small tokenizer made on the spot, for tiny models with random weights: byte-level, with a few whole words."""

from __future__ import annotations

from collections.abc import Sequence

from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

WORDS = ("excellent", "good", "fair", "poor", "bad", "Yes", "No", "yes", "no", "audio", "video", "quality", "The", "is")


def tiny_tokenizer(special: Sequence[str] = (), words: Sequence[str] = WORDS) -> PreTrainedTokenizerFast:
    """Return a byte-level BPE tokenizer: 256 bytes, `words` (alone and after a space) as a token each, then `special`.

    The first special token is `<|endoftext|>`, which also pads.

    >>> tokenizer = tiny_tokenizer(["<|im_start|>"])
    >>> tokenizer.decode(tokenizer("The quality is good.")["input_ids"])
    'The quality is good.'
    """
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {letter: i for i, letter in enumerate(alphabet)}
    merges: list[tuple[str, str]] = []
    for word in (*("Ġ" + word for word in words), *words):  # the rule that comes first wins
        for end in range(2, len(word) + 1):  # letter by letter, so that every beginning is a token, too
            if word[:end] not in vocabulary:
                vocabulary[word[:end]] = len(vocabulary)
                merges.append((word[: end - 1], word[end - 1]))
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=merges))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    every = dict.fromkeys(["<|endoftext|>", *special])
    tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in every])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token="<|endoftext|>",
        pad_token="<|endoftext|>",
        clean_up_tokenization_spaces=False,
    )
