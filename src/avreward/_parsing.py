"""JSON and YAML from files, with one kind of error for all that is wrong with a text."""

from __future__ import annotations

import json
from typing import Any

DEEP = "it is nested too deeply"


def parsed_json(text: str | bytes) -> Any:
    """Return what a JSON text holds.

    Raises:
        ValueError: if it is not JSON, or nested so deeply that it can't be read.

    Example:
        >>> parsed_json("[" * 100_000)
        Traceback (most recent call last):
        ...
        ValueError: it is nested too deeply
    """
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError(DEEP) from None


def parsed_yaml(text: str) -> Any:
    """Return what a YAML text holds: plain values only, no objects.

    Raises:
        yaml.YAMLError: if it is not YAML, or nested so deeply that it can't be read.

    Example:
        >>> parsed_yaml("reward: 0.5*overall")
        {'reward': '0.5*overall'}
    """
    import yaml

    try:
        return yaml.safe_load(text)
    except RecursionError:
        raise yaml.YAMLError(DEEP) from None
    except ValueError as error:  # such as a date that doesn't exist
        raise yaml.YAMLError(str(error)) from error
