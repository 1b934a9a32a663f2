"""A public multimodal model that says what a silent video should sound like."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import replace

import torch

from avreward.clip import Clip
from avreward.errors import ArgumentError, Described, MediaError
from avreward.raters.lmm._decoding import read
from avreward.raters.lmm._template import Rendered, render
from avreward.raters.lmm.backbone import Backbone
from avreward.raters.lmm.prompt import Encoded, Slot, Text

QUESTION = (
    "Describe in one short sentence the sounds that belong to this video: what makes them, how they sound, and when "
    "they happen. Name sounds only, nothing that can merely be seen."
)


class LmmDescriber:
    """``describe(clip)``: the model's answer to a question about the picture, greedy, so that it is always the same.

    The picture is encoded once a clip; each word piece of the answer is a pass through the language model.

    Args:
        backbone: of a model that takes in video, such as ``load_rater("Qwen/Qwen2.5-VL-7B-Instruct").backbone``.
        question: what it is asked.
        longest: the answer, in tokens; it is cut off there.

    >>> describe = LmmDescriber(load_rater("Qwen/Qwen2.5-VL-7B-Instruct").backbone)      # doctest: +SKIP
    >>> generate = ElevenLabs("answers", describe)                                       # doctest: +SKIP
    """

    def __init__(self, backbone: Backbone, question: str = QUESTION, longest: int = 60) -> None:
        if "video" not in backbone.tracks:
            raise ArgumentError("backbone", "one that reads video", Described(f"one of {', '.join(backbone.tracks)}"))
        self.backbone, self.question, self.longest = backbone, question, longest

    def __call__(self, clip: Clip) -> str:
        """Return what the clip should sound like. An empty answer is a `MediaError`."""
        tokenizer = self.backbone.tokenizer
        ends = {number for number, token in tokenizer.added_tokens_decoder.items() if token.special}
        ids: list[int] = []
        with torch.no_grad():
            asked = self._asked(clip)
            while len(ids) < self.longest:
                sequence = asked
                if ids:
                    answer = Text(tuple(ids), reads=(len(ids) - 1,))
                    sequence = replace(asked, parts=(*asked.parts, answer), keys=(*asked.keys, tuple(ids)))
                hidden = read(self.backbone, [sequence])[0]
                following = int(self.backbone.head(hidden[-1:])[0].argmax())
                if following in ends:
                    break
                ids.append(following)
        text = " ".join(str(tokenizer.decode(ids)).split())
        if not text:
            raise MediaError(clip.name, "the model gave an empty description", "describe it in a table")
        return text

    def _asked(self, clip: Clip) -> Rendered:
        def encode(slot: Slot) -> tuple[Hashable, Encoded]:
            loaded = self.backbone.load(clip, "video")
            return clip.work_key("video"), self.backbone.encode("video", loaded)

        prompt = self.backbone.chat([Slot("video"), self.question])
        return render(prompt, clip, encode, self.backbone.tokenizer)
