"""Tiny networks of AVBench's audio dimensions with random weights, and folders in their published layouts."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from tiny_tokenizer import tiny_tokenizer
from torch import nn

from avreward.raters.avbench import (
    AudioboxConfig,
    AudioboxNetwork,
    AudioboxRater,
    DfArenaConfig,
    DfArenaNetwork,
    DfArenaRater,
    NisqaConfig,
    NisqaNetwork,
    NisqaRater,
    SpeechContentRater,
)

NISQA = NisqaConfig(
    ms_n_fft=1024, cnn_c_out_1=3, cnn_c_out_2=4, cnn_c_out_3=6, td_sa_d_model=8, td_sa_h=10, pool_att_h=12
)

AUDIOBOX = AudioboxConfig(
    width=16, layers=2, heads=2, ffn=24, channels=6, positions=8, position_groups=2, buckets=16, max_distance=32
)

DF_ARENA = DfArenaConfig(
    width=16, layers=2, heads=2, ffn=24, channels=(6,) * 7, positions=8, position_groups=2, blocks=1,
    conformer_heads=2, kernel=5, expansion=2, longest=300,
)  # fmt: skip


def seeded(make: Callable[[], Any], spread: float = 1.6) -> Any:
    """A module with larger random weights, always the same ones, so that scores differ from clip to clip."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        module = make()
        for weight in module.parameters():
            if weight.ndim > 1:
                nn.init.normal_(weight, std=spread / weight[0].numel() ** 0.5)
    return module


def tiny_nisqa(**options: Any) -> NisqaRater:
    """NISQA with few channels."""
    return NisqaRater(seeded(lambda: NisqaNetwork(NISQA)), **options)


def write_tiny_nisqa(folder: Path, **args: Any) -> Path:
    """Write a tiny checkpoint as it is published, and return its folder."""
    folder.mkdir(parents=True, exist_ok=True)
    kinds = {"cnn_model": "adapt", "td": "self_att", "td_2": "skip", "pool": "att", "ms_sr": None}
    state = tiny_nisqa().module.state_dict()
    torch.save({"args": {**NISQA.to_dict(), **kinds, **args}, "model_state_dict": state}, folder / "nisqa.tar")
    return folder


def tiny_audiobox(**options: Any) -> AudioboxRater:
    """Audiobox Aesthetics on two narrow layers."""
    return AudioboxRater(seeded(lambda: AudioboxNetwork(AUDIOBOX)), **options)


def tiny_df_arena(**options: Any) -> DfArenaRater:
    """DF Arena on two narrow layers and one block."""
    return DfArenaRater(seeded(lambda: DfArenaNetwork(DF_ARENA), 1.0), **options)


WHISPER_SPECIAL = [
    "<|endoftext|>", "<|startoftranscript|>", "<|en|>", "<|de|>", "<|transcribe|>", "<|translate|>", "<|notimestamps|>",
]  # fmt: skip


def tiny_whisper(multilingual: bool = True, longest: int = 12) -> SpeechContentRater:
    """Whisper with one narrow layer on each side, and a few tokens a window."""
    from transformers import GenerationConfig, WhisperConfig, WhisperForConditionalGeneration

    tokenizer = tiny_tokenizer(WHISPER_SPECIAL)
    end, start, en, de, transcribe, translate, plain = tokenizer.convert_tokens_to_ids(WHISPER_SPECIAL)
    config = WhisperConfig(
        vocab_size=len(tokenizer), num_mel_bins=80, d_model=16, encoder_layers=1, decoder_layers=1,
        encoder_attention_heads=2, decoder_attention_heads=2, encoder_ffn_dim=24, decoder_ffn_dim=24,
        max_target_positions=64, pad_token_id=end, bos_token_id=end, eos_token_id=end, decoder_start_token_id=start,
        begin_suppress_tokens=None, suppress_tokens=None,
    )  # fmt: skip
    network = seeded(lambda: WhisperForConditionalGeneration(config), 3.0)
    network.generation_config = GenerationConfig(
        decoder_start_token_id=start, eos_token_id=end, pad_token_id=end, bos_token_id=end, max_length=longest,
        is_multilingual=multilingual, no_timestamps_token_id=plain, lang_to_id={"<|en|>": en, "<|de|>": de},
        task_to_id={"transcribe": transcribe, "translate": translate}, return_timestamps=False,
    )  # fmt: skip
    return SpeechContentRater(network, tokenizer)


def write_tiny_whisper(folder: Path) -> Path:
    """Write a tiny checkpoint as it is published, and return its folder."""
    rater = tiny_whisper()
    rater.network.save_pretrained(folder)
    rater.tokenizer.save_pretrained(folder)
    return folder
