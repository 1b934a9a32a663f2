"""Read files of weights without running code in them, and load them with every difference reported."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from fnmatch import fnmatchcase
from math import prod
from pathlib import Path
from pickle import UnpicklingError
from typing import Any
from zipfile import is_zipfile

import torch
from torch import Tensor, nn

from avreward._parsing import parsed_json
from avreward.errors import ArgumentError, AvrewardError
from avreward.raters.checkpoints._looks import looks_like

_FLOATS = {"F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}
LISTED = 8  # names that an error shows before it counts the rest


def weight_files(folder: Path) -> list[Path]:
    """Return the files with weights in `folder`: safetensors, in one file or in shards, else old ``.bin`` files.

    Raises:
        AvrewardError: if there are none, or if an index is broken or names a file that isn't in the folder.
    """
    for stem, ending in (("model", "safetensors"), ("pytorch_model", "bin")):
        index = folder / f"{stem}.{ending}.index.json"
        if index.is_file():
            names = _indexed(index)
            absent = [name for name in names if Path(name).name != name or not (folder / name).is_file()]
            if absent:
                raise AvrewardError(
                    f"{index}: expected all files that it names, got no {absent[0]}; download the folder again"
                )
            return [folder / name for name in names]
        if (folder / f"{stem}.{ending}").is_file():
            return [folder / f"{stem}.{ending}"]
    raise AvrewardError(
        f"{folder}: expected model.safetensors, model-*.safetensors with an index, or pytorch_model*.bin, got none of "
        "them; give a folder with weights"
    )


def chosen_file(folder: Path, there: Sequence[str], pattern: str, file: str | None) -> Path:
    """Return the one file of `there` in `folder`, or that which `file` names.

    Args:
        folder: with published files.
        there: names of those that fit.
        pattern: what errors call them.
        file: which one, where there are several (*optional*).

    Raises:
        ArgumentError: for a file that is not there.
        AvrewardError: where there is none, or several and `file` is not given.
    """
    if file is not None:
        if file not in there:
            raise ArgumentError("file", f"one of {', '.join(there) or pattern}", file)
        return folder / file
    if len(there) != 1:
        remedy = f"name one by file={there[0]!r}" if there else "give its folder"
        raise AvrewardError(f"{folder}: expected one file {pattern}, got {', '.join(there) or 'none'}; {remedy}")
    return folder / there[0]


def read_weights(files: Iterable[Path]) -> dict[str, Tensor]:
    """Read all tensors of some files to the CPU, memory-mapped where the format allows.

    ``.bin`` and ``.pth`` files are pickles: they are read with ``weights_only=True``, which runs no code.

    Raises:
        AvrewardError: if a file is damaged or holds anything but named tensors.
    """
    state: dict[str, Tensor] = {}
    for file in files:
        state |= _read(file)
    return state


def shapes(files: Iterable[Path]) -> dict[str, tuple[int, ...]]:
    """Return name → shape for all tensors in some files; of safetensors only the headers are read."""
    found: dict[str, tuple[int, ...]] = {}
    for file in files:
        if file.suffix == ".safetensors":
            from safetensors import safe_open

            with _reading(file), safe_open(file, framework="pt") as tensors:
                found |= _unwrapped({name: tuple(tensors.get_slice(name).get_shape()) for name in tensors.keys()})  # noqa: SIM118
        else:
            found |= {name: tuple(tensor.shape) for name, tensor in _read(file).items()}
    return found


def check_complete(folder: Path) -> None:
    """Raise `AvrewardError` if files with weights are missing, truncated or empty. Only headers are read."""
    for file in weight_files(folder):
        if file.suffix == ".safetensors":
            shapes([file])
        elif not file.stat().st_size:
            raise AvrewardError(f"{file}: expected weights, got an empty file; download it again")


def stored_type(folder: Path) -> torch.dtype:
    """Return the floating type of most weights in `folder`; float32 if it has no files with weights.

    Of safetensors only the headers are read; older files count only if there are no safetensors.
    """
    sizes: dict[torch.dtype, int] = {}
    for file in sorted(folder.rglob("*.safetensors")) or [*folder.rglob("*.bin"), *folder.rglob("*.pth")]:
        with suppress(AvrewardError):  # training_args.bin and the like aren't weights
            for dtype, size in _types(file):
                sizes[dtype] = sizes.get(dtype, 0) + size
    return max(sizes, key=sizes.__getitem__, default=torch.float32)


def _types(file: Path) -> list[tuple[torch.dtype, int]]:
    """Return the type and size of each floating tensor in a file."""
    if file.suffix != ".safetensors":
        return [(tensor.dtype, tensor.numel()) for tensor in _read(file).values() if tensor.is_floating_point()]
    from safetensors import safe_open

    with _reading(file), safe_open(file, framework="pt") as tensors:
        slices = [tensors.get_slice(name) for name in tensors.keys()]  # noqa: SIM118  # not a mapping
        return [(_FLOATS[s.get_dtype()], prod(s.get_shape())) for s in slices if s.get_dtype() in _FLOATS]


def load_matching(
    module: nn.Module,
    state: Mapping[str, Tensor],
    allow: Sequence[str] = (),
    rename: Callable[[str], str] = str,
    source: object = "the weights",
) -> None:
    """Load `state` into `module` (the tensors themselves, not copies), which may be on the meta device.

    Parameters that are missing and allowed become zeros; other entries stay as they are in `module`.

    Args:
        module: the network.
        state: name → tensor.
        allow: patterns (as in file names) of entries that may be missing or unexpected, by either name.
        rename: a name in `state` → the name in `module`.
        source: what the error names.

    Raises:
        AvrewardError: if entries are missing, unexpected, of a different shape, or integers where the network computes
            with floating-point numbers; it lists them, and says what the entries look like if most are missing.

    Example:
        >>> load_matching(nn.Linear(1, 1), {"weight": torch.zeros(1, 1)}, allow=["bias"])
    """
    renamed = {_new_name(name, rename, allow, source): tensor for name, tensor in state.items()}
    allowed = [*allow, *(_new_name(pattern, rename, ["*"], source) for pattern in allow)]
    wanted = module.state_dict()
    problems = listed("of a different shape", [
        f"{name} {tuple(tensor.shape)} instead of {tuple(wanted[name].shape)}"
        for name, tensor in renamed.items()
        if name in wanted and tensor.shape != wanted[name].shape
    ])  # fmt: skip
    problems += listed("not of floating-point numbers", [
        f"{name} ({str(tensor.dtype).removeprefix('torch.')})"
        for name, tensor in sorted(renamed.items())
        if name in wanted and wanted[name].is_floating_point() and not tensor.is_floating_point()
    ])  # fmt: skip
    absent = wanted.keys() - renamed.keys()
    problems += listed("missing", not_allowed(absent, allowed))
    problems += listed("unexpected", not_allowed(renamed.keys() - wanted.keys(), allowed))
    if problems:
        guess = f"it looks like {looks_like(state)}." if 2 * len(absent) > len(wanted) else "is it another model?"
        raise AvrewardError(f"{source}: {'; '.join(problems)}; {guess} Pass allow=['NAME'] to accept a name")
    module.load_state_dict({name: t for name, t in renamed.items() if name in wanted}, strict=False, assign=True)
    for name, weight in module.named_parameters():
        if name in absent and not weight.is_meta:  # those on the meta device become zeros as they are placed
            nn.init.zeros_(weight)


def _read(file: Path) -> dict[str, Tensor]:
    if file.suffix == ".safetensors":
        from safetensors.torch import load_file

        with _reading(file):
            return _unwrapped(load_file(file))
    return state_dict_of(read_pickle(file), file)


def read_pickle(file: Path) -> Any:
    """Read a file that `torch.save` wrote, with ``weights_only=True``: tensors, numbers, texts and containers of them.

    Raises:
        AvrewardError: if it is damaged or holds other objects.
    """
    try:
        mapped = is_zipfile(file)  # files older than torch 1.6 are not zip files and can't be mapped
        return torch.load(file, map_location="cpu", weights_only=True, mmap=mapped)
    except Exception as error:  # a pickle can fail in any way
        if isinstance(error, UnpicklingError) and "Unsupported operand" not in str(error):
            raise AvrewardError(
                f"{file}: can't be read safely as weights, since it holds more than tensors; convert it to safetensors "
                "where it was made"
            ) from error
        reason = f"{type(error).__name__}: {error}".splitlines()[0].partition(". ")[0]
        raise AvrewardError(
            f"{file}: expected a complete file of weights, got a damaged or another one ({reason}); download it again"
        ) from error


def state_dict_of(loaded: Any, file: Path) -> dict[str, Tensor]:
    """Return the named tensors in what `read_pickle` returned, alone or under a usual name.

    Raises:
        AvrewardError: if it holds anything but named tensors.
    """
    state = loaded
    for wrapper in ("state_dict", "model_state", "model_state_dict", "model"):  # PyTorchVideo's and NISQA's files
        state = state.get(wrapper, state) if isinstance(state, dict) else state
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise AvrewardError(
            f"{file}: expected a state dict of named tensors, got other objects; save module.state_dict()"
        )
    return _unwrapped(state)


def _unwrapped(state: dict[str, Any]) -> dict[str, Any]:
    """Return `state` without the ``module.`` that `torch.nn.DataParallel` puts before every name."""
    wrapped = state and all(name.startswith("module.") for name in state)
    return {name.removeprefix("module."): value for name, value in state.items()} if wrapped else state


def _indexed(index: Path) -> list[str]:
    """Return the names of the files in an index."""
    try:
        return sorted(set(parsed_json(index.read_text(encoding="utf-8"))["weight_map"].values()))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise AvrewardError(
            f"{index}: expected an index of weights, got another file ({error!r}); download it again"
        ) from error


@contextmanager
def _reading(file: Path) -> Iterator[None]:
    from safetensors import SafetensorError

    try:
        yield
    except SafetensorError as error:
        raise AvrewardError(
            f"{file}: expected a complete file, got a damaged one ({error}); download it again"
        ) from error


def _new_name(name: str, rename: Callable[[str], str], allow: Sequence[str], source: object) -> str:
    """Return the name in the module; a name without an equivalent stays as it is if `allow` matches it."""
    try:
        return rename(name)
    except AvrewardError as error:
        if not_allowed([name], allow):
            raise AvrewardError(f"{source}: {error}; pass allow=[{name!r}] to accept it") from error
        return name


def not_allowed(names: Iterable[str], allowed: Sequence[str]) -> list[str]:
    """Return the names, sorted, that match no pattern in `allowed`."""
    return sorted(name for name in names if not any(fnmatchcase(name, pattern) for pattern in allowed))


def listed(what: str, names: Sequence[str]) -> list[str]:
    """Return one phrase for an error: how many names there are and the first few; empty if there are none."""
    if not names:
        return []
    rest = f" and {len(names) - LISTED} more" if len(names) > LISTED else ""
    return [f"{len(names)} {what}: {', '.join(names[:LISTED])}{rest}"]
