"""Public multimodal models as raters, without training: one question for each dimension."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal, get_args

from avreward.errors import unknown_name
from avreward.raters.lmm._preprocessing import chosen, preprocessing_of
from avreward.raters.lmm.backbone import Backbone
from avreward.raters.lmm.backbones._families import FAMILIES
from avreward.raters.lmm.prompt import Slot
from avreward.raters.lmm.rater import LmmRater, Question
from avreward.raters.lmm.readout import LEVEL_WORDS, BinaryConfidence, FiveLevels, Readout, first_tokens
from avreward.raters.scores import Dimension
from avreward.raters.zero_shot._version import VERSION
from avreward.raters.zero_shot.questions import ASKED, YES_NO_PLEASE, ZeroShotQuestion

if TYPE_CHECKING:
    from avreward.raters.checkpoints._activation_checkpointing import Checkpointing
    from avreward.raters.checkpoints.loading import Loading

Answers = Literal["levels", "yes_no"]


class PublicRater(LmmRater):
    """A public multimodal model with one question for each dimension: zero-shot scores from 0 to 100.

    With ``answers="levels"`` the answer begins with a stem (``The audio quality is``) and the score is the expected
    level under the softmax over five words (excellent 100, good 75, fair 50, poor 25, bad 0). With ``"yes_no"`` it is
    the probability of Yes against No. The dimensions depend on the inputs of the model; none is calibrated.

    Args:
        name: as used in expressions.
        backbone: the model.
        answers: ``"levels"`` or ``"yes_no"``.
        checkpointing: as for `LmmRater`.

    Raises:
        UnknownNameError: for other `answers`.
        AvrewardError: for a tokenizer in which two of the words begin with the same token.

    Example:
        >>> from tiny.qwen_omni import tiny_qwen2_5_omni
        >>> rater = PublicRater("tiny", tiny_qwen2_5_omni())  # published: load_rater("Qwen/Qwen2.5-Omni-7B")
        >>> rater([Clip.open("dub1.mp4"), Clip.open("dub2.mp4")])["av_consistency"].shape
        torch.Size([2])
    """

    versions = MappingProxyType({**LmmRater.versions, "zero_shot": VERSION})

    def __init__(
        self, name: str, backbone: Backbone, answers: Answers = "levels", *, checkpointing: Checkpointing = False
    ) -> None:
        if answers not in get_args(Answers):
            raise unknown_name("answers", answers, get_args(Answers))
        self.answers = answers
        usable = [asked for asked in ASKED if set(asked.slots) <= set(backbone.tracks)]
        questions = [question_of(backbone, asked, answers) for asked in usable]
        dimensions = dimensions_of(usable, questions, answers)
        super().__init__(name, backbone, questions, dimensions, checkpointing=checkpointing)

    @property
    def origin(self) -> dict[str, Any]:
        """The data besides the weights that `load` needs, as JSON."""
        network = self.backbone.module.config.to_dict()  # type: ignore[union-attr,operator]
        options = {"name": self.name, "answers": self.answers, "preprocessing": preprocessing_of(self.backbone)}
        return {"rater": "public", "network": network, "options": options}


def load(
    folder: Path,
    config: Mapping[str, Any],
    loading: Loading,
    *,
    answers: Answers | None = None,
    name: str | None = None,
    preprocessing: Mapping[str, Any] | None = None,
) -> PublicRater:
    """Load the rater from a folder with a checkpoint, as `transformers` or `save_pretrained` writes it.

    Args:
        folder: with the checkpoint.
        config: its ``config.json``.
        loading: options of loading the network.
        answers: see `PublicRater` (*optional*, as saved, else ``"levels"``).
        name: as used in expressions (*optional*, as saved, else the family's, such as ``"qwen2_5_omni"``).
        preprocessing: arguments of the backbone that differ from the saved or published ones (*optional*), such as
            ``{"frames": QwenFrames(1.0), "max_pixels": 360 * 420}``.
    """
    from avreward.raters.checkpoints._networks import load_network, load_tokenizer

    network = config.get("network", config)
    family = FAMILIES[network["model_type"]]
    backbone_class = family.backbone()
    module = load_network(backbone_class.network, folder, config, loading)
    saved = config.get("options", {})
    arguments = chosen(backbone_class, {**saved.get("preprocessing", {}), **(preprocessing or {})})
    backbone = backbone_class(module, load_tokenizer(folder), loading.rounding, **arguments)
    return PublicRater(
        name or saved.get("name", family.name),
        backbone,
        answers or saved.get("answers", "levels"),
        checkpointing=loading.checkpointing,
    )


def question_of(backbone: Backbone, asked: ZeroShotQuestion, answers: Answers) -> Question:
    """Return the prompt and the readout of one question about a clip."""
    slots = [Slot(track) for track in asked.slots]
    readout: Readout
    if answers == "levels":
        ids = first_tokens(backbone.tokenizer, asked.stem, [f" {word}" for word in LEVEL_WORDS])
        prompt, readout = backbone.chat([*slots, asked.question], [asked.stem]), FiveLevels(backbone.head, ids)
    else:
        prompt = backbone.chat([*slots, asked.yes_no + YES_NO_PLEASE])
        # after the text itself: a tokenizer may begin a text with another token than the same word further on
        ids = first_tokens(backbone.tokenizer, prompt[-1], ["Yes", "No"])
        readout = BinaryConfidence(backbone.head, ids, high=100.0)
    return Question((asked.dimension,), tuple(prompt), readout)


def dimensions_of(
    asked: Sequence[ZeroShotQuestion], questions: Sequence[Question], answers: Answers
) -> list[Dimension]:
    """Return the dimensions of the questions, each once; `questions` are those of `asked`."""
    needs: dict[str, frozenset[str]] = {}
    for one, question in zip(asked, questions, strict=True):  # a clip needs what all ways of asking need
        needs[one.dimension] = needs.get(one.dimension, question.needs) & question.needs
    return [
        Dimension(dimension, 0, 100, need, description=f"asked: {_first(asked, dimension, answers)}")
        for dimension, need in needs.items()
    ]


def _first(usable: Sequence[ZeroShotQuestion], dimension: str, answers: Answers) -> str:
    """Return the question for the description of a dimension."""
    asked = next(asked for asked in usable if asked.dimension == dimension)
    return asked.question.strip() if answers == "levels" else asked.yes_no + YES_NO_PLEASE
