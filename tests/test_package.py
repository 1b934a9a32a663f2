"""The front door: every public name is there, and nothing heavy comes in early."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import version

import pytest

import avreward


def python(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True)
    return done.stdout.strip()


def test_importing_is_light() -> None:
    heavy = "('torch', 'numpy', 'av', 'scipy', 'transformers', 'diffusers', 'importlib.metadata')"
    assert python(f"import sys, avreward; print([m for m in {heavy} if m in sys.modules])") == "[]"


def test_errors_come_without_torch() -> None:
    assert python("import sys, avreward; avreward.MediaError; print('torch' in sys.modules)") == "False"


@pytest.mark.parametrize("name", avreward.__all__)
def test_every_public_name_is_there(name: str) -> None:
    value = getattr(avreward, name)
    assert value is not None
    assert name in dir(avreward)
    if name != "__version__":
        assert value.__name__ == name
        assert value.__doc__


def test_the_version_is_the_installed_one() -> None:
    assert avreward.__version__ == version("avreward")


def test_other_names_are_unknown() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'clipping'"):
        _ = avreward.clipping  # type: ignore[attr-defined]
