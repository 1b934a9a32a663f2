"""Arguments of a pipeline's call that a search cannot use: refused before the first denoising step."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from avreward.errors import ArgumentError, Described, unknown_name
from avreward.generators.diffusers._call import BATCHED, PER_PROMPT, TEXTS

OUTPUTS = ("pt", "np", "pil")


def check_call(pipeline: Any, call: Mapping[str, Any]) -> None:
    """Raise `ArgumentError` for an argument that is unknown, or for which the call makes no clip per candidate."""
    parameters = inspect.signature(type(pipeline).__call__).parameters
    open_ended = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values())
    for name, value in call.items():
        if name not in parameters and not open_ended:
            raise unknown_name(
                f"argument of {type(pipeline).__name__}", name, [key for key in parameters if key != "self"]
            )
        _check(name, value, required=name in parameters and parameters[name].default is inspect.Parameter.empty)


def _check(name: str, value: Any, required: bool) -> None:
    match name:
        case "generator":
            remedy = "leave it out, and pass seed= to the search"
            raise ArgumentError(
                name, "none, as each candidate has its own", Described(f"a {type(value).__name__}"), remedy
            )
        case "latents" if value is not None and not required:
            got, remedy = Described(f"a {type(value).__name__}"), "leave them out"
            raise ArgumentError(name, "none, as each candidate has its own noise", got, remedy)
        case "return_dict" if not value:
            raise ArgumentError(name, "True", value, "leave it out")
        case "output_type" if value not in OUTPUTS:
            raise ArgumentError(name, "pt, np or pil", value, "leave it out")
        case _ if name in PER_PROMPT and value not in (None, 1):
            raise ArgumentError(name, "1", value, "ask for more candidates instead")
        case _ if name.startswith(TEXTS) and isinstance(value, list | tuple) and len(value) != 1:
            raise ArgumentError(name, "one text", Described(f"{len(value)} texts"), "search once for each")
        case _ if (
            any(part in name for part in BATCHED) and isinstance(value, Tensor) and value.ndim and len(value) != 1
        ):
            raise ArgumentError(name, "one row", Described(f"{len(value)} rows"), "search once for each prompt")
