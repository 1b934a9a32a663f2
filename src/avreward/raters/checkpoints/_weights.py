"""Weights in files: read without running anything that they contain, and loaded without silence about what differs."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from fnmatch import fnmatchcase
from math import prod
from pathlib import Path
from zipfile import is_zipfile

import torch
from torch import Tensor, nn

from avreward.errors import AvrewardError

_FLOATS = {"F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}
LISTED = 8  # names that an error shows before it counts the rest


def weight_files(folder: Path) -> list[Path]:
    """The files with the weights in `folder`: safetensors, whole or in shards, else old ``.bin`` ones.

    Raises `AvrewardError` where there are none, or where an index is broken or names one that isn't there.
    """
    for stem, ending in (("model", "safetensors"), ("pytorch_model", "bin")):
        index = folder / f"{stem}.{ending}.index.json"
        if index.is_file():
            names = _indexed(index)
            absent = [name for name in names if Path(name).name != name or not (folder / name).is_file()]
            if absent:
                raise AvrewardError(f"{index}: names {absent[0]}, which isn't in the folder; download it again")
            return [folder / name for name in names]
        if (folder / f"{stem}.{ending}").is_file():
            return [folder / f"{stem}.{ending}"]
    raise AvrewardError(
        f"{folder}: no weights; model.safetensors, model-*.safetensors with an index, or pytorch_model*.bin is expected"
    )


def read_weights(files: Iterable[Path]) -> dict[str, Tensor]:
    """All tensors of some files, on the CPU, mapped from the disk where the format allows.

    ``.bin`` and ``.pth`` files are pickles: they are read with ``weights_only=True``, which runs no code, and one that
    holds anything else is an `AvrewardError`.
    """
    state: dict[str, Tensor] = {}
    for file in files:
        state |= _read(file)
    return state


def shapes(files: Iterable[Path]) -> dict[str, tuple[int, ...]]:
    """Name → shape of all tensors in some files; of safetensors only the headers are read."""
    found: dict[str, tuple[int, ...]] = {}
    for file in files:
        if file.suffix == ".safetensors":
            from safetensors import safe_open

            with _whole(file), safe_open(file, framework="pt") as tensors:
                found |= {name: tuple(tensors.get_slice(name).get_shape()) for name in tensors.keys()}  # noqa: SIM118
        else:
            found |= {name: tuple(tensor.shape) for name, tensor in _read(file).items()}
    return found


def whole(folder: Path) -> None:
    """Raises `AvrewardError` where files with weights are missing, cut or empty. Only headers are read."""
    for file in weight_files(folder):
        if file.suffix == ".safetensors":
            shapes([file])
        elif not file.stat().st_size:
            raise AvrewardError(f"{file}: is empty; download it again")


def stored_type(folder: Path) -> torch.dtype:
    """The floating type of most weights in `folder`; float32 where no file is found.

    Of safetensors only the headers are read, and older files count only where there are no safetensors.
    """
    sizes: dict[torch.dtype, int] = {}
    for file in sorted(folder.rglob("*.safetensors")) or [*folder.rglob("*.bin"), *folder.rglob("*.pth")]:
        with suppress(AvrewardError):  # training_args.bin and the like aren't weights
            for dtype, size in _types(file):
                sizes[dtype] = sizes.get(dtype, 0) + size
    return max(sizes, key=sizes.__getitem__, default=torch.float32)


def _types(file: Path) -> list[tuple[torch.dtype, int]]:
    """Type and size of each floating tensor in a file."""
    if file.suffix != ".safetensors":
        return [(tensor.dtype, tensor.numel()) for tensor in _read(file).values() if tensor.is_floating_point()]
    from safetensors import safe_open

    with _whole(file), safe_open(file, framework="pt") as tensors:
        slices = [tensors.get_slice(name) for name in tensors.keys()]  # noqa: SIM118  # no mapping
        return [(_FLOATS[s.get_dtype()], prod(s.get_shape())) for s in slices if s.get_dtype() in _FLOATS]


def load_matching(
    module: nn.Module,
    state: Mapping[str, Tensor],
    allow: Sequence[str] = (),
    rename: Callable[[str], str] = str,
    source: object = "the weights",
) -> None:
    """Puts `state` into `module` (the tensors themselves, not copies), which may stand on the meta device.

    Args:
        module: the network.
        state: name → tensor.
        allow: patterns (as in file names) of entries that may be missing or unexpected, by either name.
        rename: a name in `state` → the name in `module`.
        source: what the error names.

    Missing entries that are allowed stay as they are in `module`. Raises `AvrewardError` that lists missing and
    unexpected entries, or those of another shape.

    >>> load_matching(nn.Linear(1, 1), {"weight": torch.zeros(1, 1)}, allow=["bias"])
    """
    renamed = {_new_name(name, rename, allow, source): tensor for name, tensor in state.items()}
    allowed = [*allow, *(_new_name(pattern, rename, ["*"], source) for pattern in allow)]
    wanted = module.state_dict()
    problems = listed("of another shape", [
        f"{name} {tuple(tensor.shape)} instead of {tuple(wanted[name].shape)}"
        for name, tensor in renamed.items()
        if name in wanted and tensor.shape != wanted[name].shape
    ])  # fmt: skip
    problems += listed("missing", not_allowed(wanted.keys() - renamed.keys(), allowed))
    problems += listed("unexpected", not_allowed(renamed.keys() - wanted.keys(), allowed))
    if problems:
        raise AvrewardError(f"{source}: {'; '.join(problems)}; is it another model? allow=['NAME'] lets a name pass")
    module.load_state_dict({name: t for name, t in renamed.items() if name in wanted}, strict=False, assign=True)


def _read(file: Path) -> dict[str, Tensor]:
    if file.suffix == ".safetensors":
        from safetensors.torch import load_file

        with _whole(file):
            return load_file(file)
    try:
        mapped = is_zipfile(file)  # files older than torch 1.6 aren't, and can't be mapped
        loaded = torch.load(file, map_location="cpu", weights_only=True, mmap=mapped)
    except Exception as error:  # a pickle can fail in any way
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise AvrewardError(
            f"{file}: can't be read safely as weights ({reason}); convert it to safetensors where it was made"
        ) from error
    state = loaded
    for wrapper in ("state_dict", "model_state"):  # the second is that of PyTorchVideo's files
        state = state.get(wrapper, state) if isinstance(state, dict) else state
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise AvrewardError(f"{file}: holds something other than named tensors; a state dict is expected")
    return state


def _indexed(index: Path) -> list[str]:
    """The names of the files in an index."""
    try:
        return sorted(set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise AvrewardError(f"{index}: isn't an index of weights ({error!r}); download it again") from error


@contextmanager
def _whole(file: Path) -> Iterator[None]:
    from safetensors import SafetensorError

    try:
        yield
    except SafetensorError as error:
        raise AvrewardError(f"{file}: isn't whole ({error}); download it again") from error


def _new_name(name: str, rename: Callable[[str], str], allow: Sequence[str], source: object) -> str:
    """The name in the module; one that it has no place for stays as it is if it is allowed."""
    try:
        return rename(name)
    except AvrewardError as error:
        if not_allowed([name], allow):
            raise AvrewardError(f"{source}: {error}; allow=[{name!r}] lets it pass") from error
        return name


def not_allowed(names: Iterable[str], allowed: Sequence[str]) -> list[str]:
    """The names, sorted, that no pattern in `allowed` lets pass."""
    return sorted(name for name in names if not any(fnmatchcase(name, pattern) for pattern in allowed))


def listed(what: str, names: Sequence[str]) -> list[str]:
    """One phrase for an error: how many names there are and the first of them; nothing where there are none."""
    if not names:
        return []
    rest = f" and {len(names) - LISTED} more" if len(names) > LISTED else ""
    return [f"{len(names)} {what}: {', '.join(names[:LISTED])}{rest}"]
