"""Rater taught from choices: frozen features of other raters, and a small head."""

from __future__ import annotations

import functools
import json
from collections.abc import Hashable, Mapping, Sequence
from os import PathLike
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from avreward._whole_files import private_folder
from avreward.clip import Clip
from avreward.errors import ArgumentError, AvrewardError, Described
from avreward.media._precision import no_autocast
from avreward.raters.base import Rater, Sample, Track, Work
from avreward.raters.checkpoints._fingerprint import digest, weights_hash
from avreward.raters.checkpoints._upload import upload
from avreward.raters.listener._card import MODEL_TYPE, preference
from avreward.raters.listener._encoders import encoder_from, features_of
from avreward.raters.listener._version import VERSION
from avreward.raters.listener.head import PreferenceHead
from avreward.raters.scores import Scores
from avreward.raters.wrappers._members import MemberSamples, load_member_tracks, load_parts, rate_members
from avreward.raters.wrappers.base import WrapperRater

if TYPE_CHECKING:
    from avreward.raters.checkpoints.loading import Loading

CONFIG, WEIGHTS, PAGE = "config.json", "model.safetensors", "README.md"


class ListenerRater(WrapperRater):
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

    def __init__(
        self,
        encoders: Mapping[str, Rater],
        columns: Sequence[tuple[str, str]],
        head: PreferenceHead,
        about: Mapping[str, Any] | None = None,
        name: str = "listener",
    ) -> None:
        if len(columns) != head.projection.shape[1]:
            raise ArgumentError("columns", f"{head.projection.shape[1]} features", Described(str(len(columns))))
        used = head.used.tolist()
        kept = [pair for pair, needed in zip(columns, used, strict=True) if needed]
        self.encoders = {key: rater for key, rater in encoders.items() if any(key == own for own, _ in kept)}
        super().__init__(list(self.encoders.values()), name)
        self.columns, self.head, self.about = tuple(columns), head.eval().requires_grad_(False), dict(about or {})
        self._needed = [(i, *pair) for i, pair in enumerate(columns) if used[i]]
        needs = frozenset[str]().union(*(self.encoders[key].dimension(own).needs for key, own in kept))
        self.dimensions = self._own = (preference(needs),)
        self.versions = MappingProxyType({**super().versions, "listener": VERSION})

    @property
    def fingerprint(self) -> str:  # type: ignore[override]  # computed when asked for
        """Fingerprint of the head and of the encoders."""
        made = [f"{key}={rater.fingerprint}" for key, rater in self.encoders.items()]
        return f"{self.name}:{digest(self.versions, weights_hash(self.head), repr(self.columns), *made)}"

    source: Mapping[str, Any] | None = None

    @property
    def settings(self) -> Mapping[str, str]:
        """The encoders, and what it was taught from."""
        taught = {label: str(self.about[label]) for label in ("choices", "groups", "accuracy") if label in self.about}
        return {"encoders": ", ".join(self.encoders)} | taught

    @property
    def decoding(self) -> Hashable:
        """The listener's own: its samples hold those of its encoders."""
        return type(self), tuple((rater.decoding, rater.tracks) for rater in self.raters)

    def reads(self, dimension: str | None = None) -> frozenset[str]:
        """Return what any feature may depend on."""
        return frozenset[str]().union(*(self.encoders[key].reads(own) for _, key, own in self._needed))

    def load(self, clip: Clip, work: Work | None = None) -> MemberSamples:
        """Decode as each encoder does, a file once for all of them."""
        return load_parts(self.raters, self.tracks, clip, work or Work())

    def load_track(self, clip: Clip, track: Track) -> Mapping[Hashable, Any]:
        """Decode one track as each encoder does."""
        return load_member_tracks(self.raters, clip, track)

    def rate(self, samples: Sequence[Sample], work: Work | None = None) -> Scores:
        """Return the scores of what `load` decoded."""
        found = dict(zip(self.encoders, rate_members(self.raters, samples, work or Work()), strict=True))
        with no_autocast():
            rows = [self._row({key: (scores, i) for key, scores in found.items()}) for i in range(len(samples))]
        return Scores.collect(rows, self._own)

    def _row(self, found: Mapping[str, tuple[Scores, int]]) -> tuple[dict[str, Tensor], dict[str, str], dict[str, Any]]:
        values: list[Tensor] = []
        lacking: dict[str, None] = {}
        for _, key, own in self._needed:
            scores, row = found[key]
            column = scores.column(own)
            if bool(scores.present[row, column]):
                values.append(scores.values[row, column])
            else:
                lacking[scores.reasons[row].get(own, f"no {key}.{own}")] = None
        if lacking:
            return {}, {"preference": "; ".join(lacking)}, {}
        width = len(self.columns)
        index = torch.tensor([i for i, _, _ in self._needed], device=values[0].device)
        widest = functools.reduce(torch.promote_types, (value.dtype for value in values), torch.float32)
        features = torch.stack([value.to(values[0].device, widest) for value in values])
        whole = torch.zeros(width, dtype=features.dtype, device=features.device).index_put((index,), features)
        return {"preference": self.head(whole[None])[0]}, {}, {}

    def save_pretrained(self, folder: str | PathLike[str]) -> Path:
        """Write the head, the settings and the card to a folder that `load_rater` reads, and return it.

        The weights of encoders are not in it: only their names and fingerprints are.

        Raises:
            ArgumentError: if `folder` is a file, or holds other files than a rater that was taught.
            AvrewardError: if an encoder can't be named by a file.
        """
        from safetensors.torch import save_file

        out = Path(folder)
        check_replaceable(out)
        config = {"model_type": MODEL_TYPE, "version": VERSION, "encoders": self._records(), "columns": self.columns}
        with private_folder(out) as place:
            new = place / "new"
            new.mkdir()
            save_file({k: v.contiguous() for k, v in self.head.state_dict().items()}, new / WEIGHTS, {"format": "pt"})
            (new / CONFIG).write_text(json.dumps({**config, "about": self.about}, indent=1) + "\n", encoding="utf-8")
            (new / PAGE).write_text(card_text(self), encoding="utf-8")
            if out.exists():
                out.rename(place / "old")
            new.rename(out)
        return out

    def push_to_hub(self, repository: str, private: bool = True) -> str:
        """Upload what `save_pretrained` writes to a model repository of the Hugging Face hub; return its address."""
        return upload(self.save_pretrained, repository, private)

    def _records(self) -> dict[str, dict[str, Any]]:
        records = {}
        for key, rater in self.encoders.items():
            source = features_of(rater)
            if source is None:
                raise AvrewardError(f"encoder {key}: it can't be named by a file; load it with load_rater")
            records[key] = {**source, "fingerprint": rater.fingerprint}
        return records


def load(folder: Path, config: Mapping[str, Any], loading: Loading) -> ListenerRater:
    """Load what `ListenerRater.save_pretrained` wrote.

    Raises:
        AvrewardError: for damaged files, an encoder that is not there, or one with other weights or of another version.
    """
    from safetensors.torch import load_file

    if config.get("version") != VERSION:
        raise AvrewardError(f"{folder}: taught by version {config.get('version')} of the listener; teach it again")
    encoders = {key: encoder_from(record) for key, record in config["encoders"].items()}
    for key, rater in encoders.items():
        if rater.fingerprint != config["encoders"][key]["fingerprint"]:
            raise AvrewardError(
                f"{folder}: the encoder {key} has changed since it was taught; teach it again, or use the same version"
            )
    state = load_file(folder / WEIGHTS)
    head = PreferenceHead(state["projection"].shape[1], state["projection"].shape[0])
    head.load_state_dict({**head.state_dict(), **state})  # one that was taught without products lacks their factors
    columns = [(str(key), str(own)) for key, own in config["columns"]]
    return ListenerRater(encoders, columns, head, config.get("about", {}))


def card_text(rater: ListenerRater) -> str:
    """Return the text of the model card: what it was taught from, and how well it does on what it has not seen."""
    about = rater.about
    lines = [
        "---",
        "library_name: avreward",
        "tags:",
        "- reward-model",
        "- video",
        "- audio",
        "---",
        "",
        "# A taught rater",
    ]
    lines += ["", "Load it with `avreward.load_rater(FOLDER)`. One dimension, `preference`, in log-odds.", ""]
    lines += [f"- {label}: {value}" for label, value in about.items() if not isinstance(value, list | dict | None)]
    lines += ["", "| held out | pairs | 95 % interval | best of the group |", "|---|---|---|---|"]
    lines += [f"| {row['by']} | {row['pairs']} | {row['interval']} | {row['best']} |" for row in about.get("table", [])]
    lines += ["", *(f"**{warning}**" for warning in about.get("warnings", [])), ""]
    lines += ["Encoders: " + ", ".join(f"{key} ({one.fingerprint})" for key, one in rater.encoders.items()) + "."]
    if "aisfx" in rater.encoders:
        lines += [
            "Features of aiSFX (A. B. Ma and A. Lerch, ISMIR 2022), CC BY 4.0; its weights are not in this folder."
        ]
    return "\n".join(lines) + "\n"


def check_replaceable(out: Path) -> None:
    """Raise `ArgumentError` unless a rater can be saved to `out`."""
    if out.is_dir() and any(out.iterdir()):
        others = {path.name for path in out.iterdir()} - {CONFIG, WEIGHTS, PAGE}
        if others or not (out / CONFIG).is_file():
            got = Described(f"{out} with {min(others) if others else 'other files'}")
            raise ArgumentError("folder", "a new or empty folder, or one with a rater that was taught", got)
    elif out.exists() and not out.is_dir():
        raise ArgumentError("folder", "a folder", Described(f"the file {out}"))
