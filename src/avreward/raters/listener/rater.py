"""Rater taught from choices: frozen features of other raters, and a small head."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import Tensor

from avreward.media._precision import no_autocast
from avreward.raters.base import Rater, Sample, Work
from avreward.raters.listener._card import MODEL_TYPE, preference
from avreward.raters.listener._feature_rater import FeatureRater
from avreward.raters.listener._head_files import card_of, save_head, saved_head, usable_options
from avreward.raters.listener.head import PreferenceHead
from avreward.raters.scores import Scores

if TYPE_CHECKING:
    from avreward.raters.checkpoints.loading import Loading


class ListenerRater(FeatureRater):
    """One dimension, ``preference``: what one person, or a group of people, would choose.

    A difference of two scores is the log-odds that they choose the first, so that
    ``BradleyTerry()`` of `avreward.preferences` gives probabilities. Scores of different listeners are not on one
    scale.

    Args:
        encoders: name → rater whose scores are the features, in the order of the head's features.
        columns: (name of the encoder, its dimension) a feature.
        head: from features to the score.
        about: what the card says, as plain values: data, measured accuracy, warnings.
        name: as used in expressions.

    Raises:
        ArgumentError: if the head has another number of features.
    """

    kind = "listener"

    def __init__(
        self,
        encoders: Mapping[str, Rater],
        columns: Sequence[tuple[str, str]],
        head: PreferenceHead,
        about: Mapping[str, Any] | None = None,
        name: str = "listener",
    ) -> None:
        super().__init__(encoders, columns, head, name)
        self.about = dict(about or {})
        self.dimensions = self._own = (preference(self.feature_needs),)

    @property
    def settings(self) -> Mapping[str, str]:
        """The encoders, and what it was taught from."""
        taught = {label: str(self.about[label]) for label in ("choices", "groups", "accuracy") if label in self.about}
        return {"encoders": ", ".join(self.encoders)} | taught

    def rate(self, samples: Sequence[Sample], work: Work | None = None) -> Scores:
        """Return the scores of what `load` decoded."""
        rows: list[tuple[dict[str, Tensor], dict[str, str], dict[str, Any]]] = []
        for features in self.features(samples, work):
            if isinstance(features, str):
                rows.append(({}, {"preference": features}, {}))
            else:
                with no_autocast():
                    rows.append(({"preference": self.head(features[None])[0]}, {}, {}))
        return Scores.collect(rows, self._own)

    def save_pretrained(self, folder: str | PathLike[str]) -> Path:
        """Write the head, the settings and the card to a folder that `load_rater` reads, and return it.

        The weights of encoders are not in it: only their names and fingerprints are.

        Raises:
            ArgumentError: if `folder` is a file, or holds other files than a rater that was taught.
            AvrewardError: if an encoder can't be named by a file.
        """
        config = {"model_type": MODEL_TYPE, **self.saved_settings, "about": self.about}
        return save_head(self.head, folder, config, card_text(self))


def load(folder: Path, config: Mapping[str, Any], loading: Loading) -> ListenerRater:
    """Load what `ListenerRater.save_pretrained` wrote.

    Raises:
        ArgumentError: for an option of networks with weights of their own.
        AvrewardError: for damaged files, an encoder that is not there, or one with other weights or of another version.
    """
    usable_options(loading)
    encoders, columns, state = saved_head(folder, config)
    head = PreferenceHead(state["projection"].shape[1], state["projection"].shape[0])
    head.load_state_dict({**head.state_dict(), **state})  # one that was taught without products lacks their factors
    return ListenerRater(encoders, columns, head, config.get("about", {}))


def card_text(rater: ListenerRater) -> str:
    """Return the text of the model card: what it was taught from, and how well it does on what it has not seen."""
    table = ["| held out | pairs | 95 % interval | best of the group |", "|---|---|---|---|"]
    rows = rater.about.get("table", [])
    table += [f"| {row['by']} | {row['pairs']} | {row['interval']} | {row['best']} |" for row in rows]
    intro = "Load it with `avreward.load_rater(FOLDER)`. One dimension, `preference`, in log-odds."
    return card_of("A taught rater", intro, rater.about, rater.encoders, table)
