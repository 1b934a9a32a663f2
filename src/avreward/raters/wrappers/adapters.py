"""Several LoRA adapters on one network: a rater for each, with the base weights in memory once."""

from __future__ import annotations

import hashlib
import json
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from os import PathLike
from pathlib import Path
from pickle import UnpicklingError
from typing import TYPE_CHECKING, Any

from avreward._extras import extra
from avreward.errors import ArgumentError, AvrewardError, Described
from avreward.raters.base import Sample, Work
from avreward.raters.checkpoints._fingerprint import tensors_hash
from avreward.raters.checkpoints._weights import listed
from avreward.raters.lmm.rater import LmmRater
from avreward.raters.scores import Scores
from avreward.raters.wrappers.base import WrapperRater

if TYPE_CHECKING:
    from peft import PeftModel


PREFIX = "avreward_"  # of adapter names in `peft`: a name such as "layers" would match module names
_PLACES = ("base_model_name_or_path", "inference_mode", "revision")  # settings that no score depends on


class AdaptedRater(WrapperRater):
    """A rater with one of several adapters of its network active, made by `adapted`."""

    source = None  # a file cannot name one adapter among several

    def __init__(self, rater: LmmRater, base: str, network: PeftModel, adapter: str, shares_tokens: bool) -> None:
        super().__init__([rater], f"{rater.name}_{adapter}")
        self.adapter = adapter
        self._base, self._network, self._shares_tokens = base, network, shares_tokens

    @property
    def fingerprint(self) -> str:  # type: ignore[override]  # computed when asked for
        """Fingerprint of the rater without adapters, and of this adapter's weights and settings."""
        with extra("lmm"):
            from peft import get_peft_model_state_dict

        weights = tensors_hash(get_peft_model_state_dict(self._network, adapter_name=PREFIX + self.adapter))
        settings = self._network.peft_config[PREFIX + self.adapter].to_dict()
        config = json.dumps({k: v for k, v in settings.items() if k not in _PLACES}, sort_keys=True, default=_plain)
        text = f"{self._base}\n{weights}\n{config}"
        return f"{self.rater.name}:{hashlib.blake2b(text.encode(), digest_size=8).hexdigest()}"

    @property
    def settings(self) -> Mapping[str, str]:
        """Settings of the rater, and the adapter's name."""
        return {**self.rater.settings, "adapter": self.adapter}

    def rate(self, samples: Sequence[Sample], work: Work | None = None) -> Scores:
        """Return the scores with the adapter active."""
        work = work or Work()
        own: Work = work.results.get(("adapter", self.name), Work)
        if self._shares_tokens:
            own.tokens = work.tokens
        with self._at_work():
            return self.rater.rate(samples, own)

    @contextmanager
    def _at_work(self) -> Iterator[None]:
        tuner: Any = self._network.base_model
        tuner.enable_adapter_layers()
        self._network.set_adapter(PREFIX + self.adapter, inference_mode=True)
        try:
            yield
        finally:
            tuner.disable_adapter_layers()


def adapted(rater: LmmRater, adapters: Mapping[str, str | PathLike[str]]) -> list[AdaptedRater]:
    """Return `rater` with each of several LoRA adapters, on one network: members for an `EnsembleRater`.

    The base weights are in memory once, with the adapters beside them; an adapter is active only while its rater rates,
    so `rater` itself still gives the scores of the base (under another fingerprint, since its network has new parts)
    and may be a member too. The parts that no adapter changes are shared: if all adapters are in the language model, a
    clip is encoded once for all.

    Args:
        rater: built on a language model, without checkpointing.
        adapters: name → folder (or hub name) as `peft` writes it. The raters are called ``RATER_NAME``.

    Raises:
        ArgumentError: for a `rater` with checkpointing or adapters, no adapters, or a name that is not an identifier.
        AvrewardError: for an adapter that is not LoRA or was made for another network, or that changes biases or the
            layer from which scores are read (merge such with ``load_rater(…, adapter=…)``). `rater` is unchanged then.

    Example:
        >>> from avreward.raters import EnsembleRater
        >>> rater = load_rater("Qwen/Qwen2.5-Omni-7B")  # doctest: +SKIP
        >>> ensemble = EnsembleRater([rater, *adapted(rater, {"a": "runs/0", "b": "runs/1"})])  # doctest: +SKIP
    """
    with extra("lmm"):
        from peft import PeftModel
        from peft.tuners.tuners_utils import BaseTunerLayer

    module, backbone = rater.backbone.module, rater.backbone
    if rater.checkpointing in (True, "selective"):
        got = Described(f"{rater.name}, which would recompute activations with another adapter")
        raise ArgumentError("rater", "one without checkpointing", got, "load it with checkpointing=False")
    if any(isinstance(part, BaseTunerLayer) for part in module.modules()):
        got = Described(f"{rater.name}, which has some")
        raise ArgumentError("rater", "one without adapters", got, "pass all adapters in one call")
    configs = {name: _config(name, path) for name, path in adapters.items()}
    if not configs:
        raise ArgumentError("adapters", "at least one, such as {'a': 'runs/seed0'}", dict(adapters))
    base, head = rater.fingerprint, backbone.head
    first = next(iter(configs))
    with _explained(first, adapters[first]):
        network = PeftModel(module, configs[first], adapter_name=PREFIX + first)
    tuner: Any = network.base_model
    try:
        for name, path in adapters.items():
            _load(network, name, path, getattr(module, "_checkpoint_conversion_mapping", {}))
        if backbone.head is not head:
            raise AvrewardError(
                f"{rater.name}: an adapter changes the layer from which scores are read; merge it instead"
            )
    except AvrewardError:
        tuner.unload()  # as it was
        raise
    network.requires_grad_(False).eval()
    tuner.disable_adapter_layers()
    inside = set(backbone.language.modules())
    shares = all(part in inside for part in module.modules() if isinstance(part, BaseTunerLayer))
    return [AdaptedRater(rater, base, network, name, shares) for name in adapters]


def _load(network: PeftModel, name: str, path: str | PathLike[str], old_names: Mapping[str, str]) -> None:
    """Load an adapter's weights; `old_names` maps names of earlier releases of `transformers` to current ones."""
    with _explained(name, path):
        found = network.load_adapter(str(path), PREFIX + name, key_mapping=dict(old_names))
    own = [key for key in found.missing_keys if f".{PREFIX}{name}." in key]  # it lists those of other adapters, too
    problems = listed("missing", own) + listed("unexpected", found.unexpected_keys)
    if problems:
        raise AvrewardError(f"adapter {path}: {'; '.join(problems)}; was it made for another model?")


def _config(name: str, path: str | PathLike[str]) -> Any:
    with extra("lmm"):
        from peft import LoraConfig, PeftConfig

    if not name.isidentifier():
        raise ArgumentError("adapters", "names of letters, digits and _, for use in expressions", name)
    with _explained(name, path):
        config = PeftConfig.from_pretrained(str(path))
    if not isinstance(config, LoraConfig):
        raise AvrewardError(f"adapter {path}: expected LoRA, got {config.peft_type}; use a LoRA adapter")
    if config.bias != "none":
        problem = f"it changes biases (bias={config.bias!r}), which cannot be switched"
        raise AvrewardError(f"adapter {path}: {problem}; merge it with load_rater(…, adapter={str(path)!r})")
    config.inference_mode = True
    return config


@contextmanager
def _explained(name: str, path: str | PathLike[str]) -> Iterator[None]:
    from safetensors import SafetensorError

    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Found missing adapter keys")  # reported below
            yield
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError, UnpicklingError) as error:
        reason = " ".join(str(error).split())[:300]
        where = f"{path}" if Path(path).is_dir() else f"{path} (not a local folder)"
        raise AvrewardError(
            f"adapter {where}: it cannot be added to this network as {name!r} ({reason}); check the folder"
        ) from error


def _plain(value: Any) -> Any:
    return sorted(value) if isinstance(value, set) else str(value)
