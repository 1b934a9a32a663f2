"""Speech content: whether the words to be said are said, by Whisper's transcript (arXiv:2212.04356)."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from avreward._extras import extra
from avreward.clip import Clip
from avreward.errors import AvrewardError
from avreward.media.logmel import LogMel
from avreward.media.rounding import Rounding
from avreward.raters._loop import check_clips
from avreward.raters.avbench._audio_cards import SPEECH, SPEECH_SCORES
from avreward.raters.avbench._sound_rater import RATE, SoundRater, silent
from avreward.raters.avbench._speech_text import speech_match, word_accuracy, words
from avreward.raters.base import Sample, Work
from avreward.raters.checkpoints.network_rater import Row, TransformersNetwork
from avreward.raters.lmm._template import why_no_text

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from avreward.raters.checkpoints.loading import Loading

WINDOW = 30 * RATE


class SpeechContentRater(TransformersNetwork, SoundRater):
    """Compares what Whisper understands with ``texts["speech"]``, the words to be said; from 0 to 100.

    `speech_content` is AVBench's score, which compares characters (see `SpeechMatch`); `completeness`, `accuracy` and
    `no_hallucination` are its parts. `word_accuracy` is 100·(1 − word error rate), at least 0.

    Whisper hears windows of 30 s, detects the language of each and writes its most probable token at each step, without
    the random retries of the original. Silent audio has an empty transcript. Scores have no gradient.

    Args:
        module: Whisper, as ``WhisperForConditionalGeneration``.
        tokenizer: of its transcripts.
        rounding: whether samples are rounded to 16 bits; see `avreward.media.rounding`.

    Raises:
        AvrewardError: if `jiwer` is not installed.

    Example:
        >>> from tiny.avbench_audio import tiny_whisper
        >>> rater = tiny_whisper()  # published: load_rater("openai/whisper-large-v3")
        >>> clip = Clip(audio=torch.rand(16000) - 0.5, sample_rate=16000, texts={"speech": "good dog"})
        >>> rater([clip])["word_accuracy"].shape
        torch.Size([1])
    """

    name = "whisper"
    dimensions = SPEECH_SCORES
    libraries = (*SoundRater.libraries, "transformers")
    differentiable = False
    saved_by = ("rater.module.save_pretrained", "rater.tokenizer.save_pretrained")

    def __init__(
        self, module: nn.Module, tokenizer: PreTrainedTokenizerBase, rounding: Rounding = "straight_through"
    ) -> None:
        with extra("speech"):
            import jiwer  # noqa: F401  # missing now rather than at the first clip
        super().__init__(self.name, module, rounding)
        self.tokenizer: PreTrainedTokenizerBase = tokenizer
        self.mel = LogMel(bins=self.network.config.num_mel_bins)

    @property
    def settings(self) -> Mapping[str, str]:
        """Sample rate, rounding, precision, and how transcripts are made."""
        made = self.network.generation_config
        language = getattr(made, "language", None) or "any"
        return {
            **super().settings,
            "attention": str(getattr(self.network.config, "_attn_implementation", "")),
            "decoding": f"greedy, {made.max_length} tokens at most, language {language}",
        }

    def transcribe(self, clips: Sequence[Clip]) -> list[str]:
        """Return what Whisper understands in each of `clips`; an empty text where a clip is silent.

        Raises:
            ArgumentError: if `clips` is not a list of clips.
            MediaError: for a clip without audio, or with damaged audio.
        """
        return self.transcripts([self.load_track(clip, "audio") for clip in check_clips(clips)])

    @torch.no_grad()
    def transcripts(self, waves: Sequence[Tensor]) -> list[str]:
        """Return the transcript of each of `waves`, float (samples,) at 16 kHz."""
        owners, windows = [], []
        for number, wave in enumerate(waves):
            for piece in self.placed(wave.detach()).split(WINDOW):
                if not silent(piece):
                    owners.append(number)
                    windows.append(F.pad(piece, (0, WINDOW - len(piece))))
        texts: list[list[str]] = [[] for _ in waves]
        for number, text in zip(owners, self._written(windows), strict=True):
            texts[number].append(text)
        return [" ".join(parts).strip() for parts in texts]

    def judged(self, waves: Sequence[Tensor]) -> list[Mapping[str, Tensor]]:
        """Raise `NotImplementedError`: a score needs the words to be said, too."""
        raise NotImplementedError("speech content is judged with the words to be said: see transcripts")

    def _written(self, windows: Sequence[Tensor]) -> list[str]:
        """Return the transcript of each of `windows`, float (480000,), together."""
        from avreward.raters.checkpoints._networks import quiet

        if not windows:
            return []
        features = self.mel(torch.stack([*windows])).to(self.network.dtype)
        multilingual = (
            {"task": "transcribe"} if getattr(self.network.generation_config, "is_multilingual", False) else {}
        )
        with quiet():  # it warns about its own arguments
            tokens = self.network.generate(
                input_features=features,
                attention_mask=features.new_ones(len(features), features.shape[-1]),
                num_beams=1,
                do_sample=False,
                return_timestamps=False,
                **multilingual,
            )
        return [text.strip() for text in self.tokenizer.batch_decode(tokens, skip_special_tokens=True)]

    def _rows(self, samples: Sequence[Sample], work: Work) -> list[Row]:
        reasons = [_unusable(sample) for sample in samples]
        waves: dict[Hashable, Tensor] = {
            sample.clip.work_key("audio"): sample.tracks["audio"]
            for sample, reason in zip(samples, reasons, strict=True)
            if reason is None
        }
        heard = dict(zip(waves, self.transcripts([*waves.values()]), strict=True))
        return [
            ({}, dict.fromkeys((d.name for d in self.dimensions), reason), {})
            if reason is not None
            else (_scores(sample.clip.texts[SPEECH], heard[sample.clip.work_key("audio")]), {}, {})
            for sample, reason in zip(samples, reasons, strict=True)
        ]


def _unusable(sample: Sample) -> str | None:
    """Return why there is no score: no audio, or no words to compare with."""
    if "audio" not in sample.tracks:
        return sample.missing.get("audio", "no audio")
    speech = sample.clip.texts.get(SPEECH, "")
    if not speech.strip():
        return why_no_text(f"texts.{SPEECH}")
    return None if words(speech) else f"texts.{SPEECH} holds no words: {speech[:40]!r}"


def _scores(reference: str, transcript: str) -> dict[str, Tensor]:
    match = speech_match(reference, transcript)
    values = {
        "speech_content": match.total,
        "word_accuracy": word_accuracy(reference, transcript),
        "completeness": match.completeness,
        "accuracy": match.accuracy,
        "no_hallucination": match.no_hallucination,
    }
    return {name: torch.tensor(value) for name, value in values.items()}


def load(folder: Path, config: Mapping[str, Any], loading: Loading) -> SpeechContentRater:
    """Return the rater of a Whisper in `folder`, as `transformers` writes it.

    Raises:
        AvrewardError: if `transformers` cannot read the folder, or files are missing from it.
    """
    from avreward.raters.checkpoints._networks import load_network, load_tokenizer

    if not (folder / "generation_config.json").is_file():
        raise AvrewardError(f"{folder}: expected Whisper's generation_config.json, got none; download the folder again")
    module = load_network("WhisperForConditionalGeneration", folder, config, loading)
    return SpeechContentRater(module, load_tokenizer(folder), loading.rounding)
