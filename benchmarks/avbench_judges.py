"""AVBench's ten judges with random weights, at published sizes or narrow; with few layers where they are large."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "recipes"))

import torch
from tiny_tokenizer import tiny_tokenizer

from avreward.raters import AvBenchRater, Rater
from avreward.raters.avbench import (
    AestheticConfig,
    AestheticNetwork,
    AestheticRater,
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
    SyncNet,
    SyncNetConfig,
    SyncNetRater,
)
from avreward.raters.dover import DoverConfig, DoverNetwork, DoverRater
from avreward.raters.embedding._frames import Pictures

Layers = Mapping[str, int]
TRANSCRIPT = 40  # tokens that Whisper writes, about the words of ten seconds
NARROW = {"hidden_size": 32, "intermediate_size": 64, "num_attention_heads": 4, "num_key_value_heads": 2}


@dataclass(frozen=True)
class Judge:
    """One dimension.

    Attributes:
        build: (narrow?, stack → layers) → its rater.
        stacks: of a network that is too large to build: stack → how many layers the published one has.
        vocabulary: weights of the published embeddings and head, which are left out.
    """

    build: Callable[[bool, Layers], Rater]
    stacks: Layers = field(default_factory=dict)
    vocabulary: int = 0


def _syncnet(narrow: bool, layers: Layers) -> Rater:
    small = SyncNetConfig((3, 4, 4, 4, 4, 6), (2, 2, 2, 2, 2, 4), 8, 6)
    return SyncNetRater(SyncNet(small if narrow else SyncNetConfig()))


def _nisqa(narrow: bool, layers: Layers) -> Rater:
    return NisqaRater(NisqaNetwork(NisqaConfig()))  # 0.2 million weights


def _audiobox(narrow: bool, layers: Layers) -> Rater:
    small = {"width": 16, "layers": 1, "heads": 2, "ffn": 24, "channels": 6, "positions": 8, "position_groups": 2}
    return AudioboxRater(AudioboxNetwork(AudioboxConfig(**small) if narrow else AudioboxConfig()))


def _df_arena(narrow: bool, layers: Layers) -> Rater:
    small = {"width": 16, "layers": 1, "heads": 2, "ffn": 24, "channels": (6,) * 7, "positions": 8, "blocks": 1}
    small |= {"position_groups": 2, "conformer_heads": 2}
    return DfArenaRater(DfArenaNetwork(DfArenaConfig(**small) if narrow else DfArenaConfig()))


def _dover(narrow: bool, layers: Layers) -> Rater:
    return DoverRater(DoverNetwork(DoverConfig()), "dover++")


def _aesthetic(narrow: bool, layers: Layers) -> Rater:
    sizes = {
        "hidden_size": 1152, "intermediate_size": 4304, "num_hidden_layers": 27, "num_attention_heads": 16,
        "image_size": 384, "patch_size": 14,
    }  # fmt: skip
    if narrow:
        sizes |= {"hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 1, "num_attention_heads": 2}
    widths = (sizes["hidden_size"], 1024, 128, 64, 16, 1)
    return AestheticRater(AestheticNetwork(AestheticConfig(sizes, widths)), Pictures((384, 384)))


def _whisper(narrow: bool, layers: Layers) -> Rater:
    from transformers import GenerationConfig, WhisperConfig, WhisperForConditionalGeneration

    special = ["<|endoftext|>", "<|startoftranscript|>", "<|en|>", "<|transcribe|>", "<|notimestamps|>"]
    tokenizer = tiny_tokenizer(special)
    end, start, en, transcribe, plain = tokenizer.convert_tokens_to_ids(special)
    width, heads = (16, 2) if narrow else (1280, 20)
    config = WhisperConfig(
        vocab_size=len(tokenizer), num_mel_bins=128, d_model=width, encoder_attention_heads=heads,
        decoder_attention_heads=heads, encoder_ffn_dim=4 * width, decoder_ffn_dim=4 * width,
        encoder_layers=layers.get("encoder", 1), decoder_layers=layers.get("decoder", 1), pad_token_id=end,
        bos_token_id=end, eos_token_id=end, decoder_start_token_id=start, begin_suppress_tokens=None,
        suppress_tokens=None,
    )  # fmt: skip
    network = WhisperForConditionalGeneration(config)
    network.generation_config = GenerationConfig(
        decoder_start_token_id=start, eos_token_id=end, pad_token_id=end, bos_token_id=end,
        max_length=TRANSCRIPT, suppress_tokens=[end], is_multilingual=True, no_timestamps_token_id=plain,
        lang_to_id={"<|en|>": en}, task_to_id={"transcribe": transcribe}, return_timestamps=False,
    )  # fmt: skip
    return SpeechContentRater(network, tokenizer)


def _omni(name: str) -> Callable[[bool, Layers], Rater]:
    def build(narrow: bool, layers: Layers) -> Rater:
        from transformers import Qwen2_5OmniThinkerConfig, Qwen2_5OmniThinkerForConditionalGeneration

        from avreward.raters.avbench.rater import LOOK
        from avreward.raters.lmm.backbones.qwen2_5_omni import Qwen2_5Omni

        marks = ["<|vision_bos|>", "<|IMAGE|>", "<|VIDEO|>", "<|vision_eos|>", "<|audio_bos|>", "<|AUDIO|>"]
        tokenizer = tiny_tokenizer(["<|im_start|>", "<|im_end|>", *marks, "<|audio_eos|>"])
        token = tokenizer.convert_tokens_to_ids
        width = 32 if narrow else 3584
        rope = {"rope_type": "default", "rope_theta": 1e6, "mrope_section": [1, 1, 2] if narrow else [16, 24, 24]}
        config = Qwen2_5OmniThinkerConfig(
            audio_config={
                "encoder_layers": layers.get("audio", 1), "output_dim": width,
                **({"d_model": 16, "encoder_attention_heads": 2, "encoder_ffn_dim": 32} if narrow else {}),
            },
            vision_config={
                "depth": layers.get("vision", 1), "out_hidden_size": width,
                "hidden_size": 16 if narrow else 1280, **({"num_heads": 2, "intermediate_size": 32} if narrow else {}),
            },
            text_config={
                "vocab_size": -(-len(tokenizer) // 8) * 8, "num_hidden_layers": layers.get("language", 1),
                "rope_parameters": rope, "pad_token_id": tokenizer.pad_token_id, **(NARROW if narrow else {}),
            },
            audio_token_index=token("<|AUDIO|>"), image_token_index=token("<|IMAGE|>"),
            video_token_index=token("<|VIDEO|>"), vision_start_token_id=token("<|vision_bos|>"),
            vision_end_token_id=token("<|vision_eos|>"), audio_start_token_id=token("<|audio_bos|>"),
            audio_end_token_id=token("<|audio_eos|>"),
        )  # fmt: skip
        backbone = Qwen2_5Omni(Qwen2_5OmniThinkerForConditionalGeneration(config), tokenizer, **LOOK[name])
        return AvBenchRater(**{name: backbone}).evaluators[name]

    return build


def _qwen_audio(narrow: bool, layers: Layers) -> Rater:
    from transformers import Qwen2AudioConfig, Qwen2AudioForConditionalGeneration

    from avreward.raters.lmm.backbones.qwen2_audio import Qwen2Audio

    tokenizer = tiny_tokenizer(["<|im_start|>", "<|im_end|>", "<|audio_bos|>", "<|AUDIO|>", "<|audio_eos|>"])
    small = {"d_model": 16, "encoder_attention_heads": 2, "encoder_ffn_dim": 32} if narrow else {}
    config = Qwen2AudioConfig(
        audio_config={"model_type": "qwen2_audio_encoder", "encoder_layers": layers.get("audio", 1), **small},
        text_config={
            "model_type": "qwen2", "vocab_size": -(-len(tokenizer) // 8) * 8, "pad_token_id": tokenizer.pad_token_id,
            "num_hidden_layers": layers.get("language", 1),
            **(NARROW if narrow else {"hidden_size": 4096, "intermediate_size": 11008}),
        },
        audio_token_index=tokenizer.convert_tokens_to_ids("<|AUDIO|>"),
    )  # fmt: skip
    backbone = Qwen2Audio(Qwen2AudioForConditionalGeneration(config), tokenizer)
    return AvBenchRater(audio_text=backbone).evaluators["audio_text"]


JUDGES: Mapping[str, Judge] = {
    "audio_video": Judge(_omni("audio_video"), {"vision": 32, "audio": 32, "language": 28}, 2 * 152064 * 3584),
    "video_text": Judge(_omni("video_text"), {"vision": 32, "language": 28}, 2 * 152064 * 3584),
    "audio_text": Judge(_qwen_audio, {"audio": 32, "language": 32}, 2 * 156032 * 4096),
    "lip_sync": Judge(_syncnet),
    "speech_content": Judge(_whisper, {"encoder": 32, "decoder": 32}, 51866 * 1280),
    "speech_realism": Judge(_df_arena),
    "speech_quality": Judge(_nisqa),
    "audio_aesthetics": Judge(_audiobox),
    "video_technical": Judge(_dover),
    "video_aesthetic": Judge(_aesthetic),
}
"""Dimension → its judge."""


def narrow_avbench() -> AvBenchRater:
    """Return all ten, which decode as the published ones do, with networks that are narrow where that is possible."""
    torch.manual_seed(0)
    made = {name: judge.build(True, {}) for name, judge in JUDGES.items()}
    backbones: dict[str, Any] = {name: made.pop(name).backbone for name in ("audio_video", "video_text", "audio_text")}  # type: ignore[attr-defined]
    return AvBenchRater(**backbones, raters=made)
