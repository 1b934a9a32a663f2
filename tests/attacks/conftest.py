"""Commands of the package as processes and in this process."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

from avreward.cli.main import app


@pytest.fixture(autouse=True)
def store(tmp_path_factory, monkeypatch):
    """Give each test a shared store of its own."""
    monkeypatch.setenv("AVREWARD_STORE", str(tmp_path_factory.mktemp("shared") / "store"))


@pytest.fixture
def run():
    return lambda *arguments: CliRunner().invoke(app, list(map(str, arguments)))
