"""Every example of README and docs runs as it stands, or says why it is not run.

Python blocks of a page run in order in one namespace, shell lines through the command line, in a folder with the files
that pages name (see `conftest.py`). What a page claims beyond running is checked by `page_checks`.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import torch
from page_checks import CHECKS, one_person, shown_names
from page_runner import PAGES, ROOT, SHELL, SHOWN, blocks, run, run_command
from typer.testing import CliRunner

from avreward import list_raters
from avreward.raters.avbench._audio_cards import AUDIO_CARDS
from avreward.raters.avbench._video_cards import VIDEO_CARDS

DOCS = ROOT / "docs"


def title(page: Path) -> str:
    return str(page.relative_to(ROOT))


RUNNING = [page for page in PAGES if any(one.language in ("python", *SHELL) for one in blocks(page))]


@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::FutureWarning")
@pytest.mark.parametrize("page", RUNNING, ids=title)
def test_examples(page: Path, workplace: Path, capsys: pytest.CaptureFixture[str], monkeypatch: Any) -> None:
    names = shown_names() if page.name == "README.md" else {}
    if page.name in ("README.md", "ask.md", "experiment.md", "study.md"):
        one_person(monkeypatch)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        printed = run(page, names, run_command)
    if title(page) in CHECKS:
        CHECKS[title(page)](names, printed + capsys.readouterr().out, workplace)


@pytest.mark.parametrize("page", PAGES, ids=title)
def test_blocks_are_known(page: Path) -> None:
    """No block escapes: each has a language, and one that is not run a reason and valid syntax."""
    for block in blocks(page):
        assert block.language in ("python", *SHELL, *SHOWN), f"{block.name}: say which language it is"
        if block.language == "python":
            compile(block.text, block.name, "exec")
        assert block.skipped is None or len(block.skipped.split()) > 1, f"{block.name}: say why it is not run"
    text = page.read_text(encoding="utf-8")
    assert text.count("```") == 2 * len(blocks(page)), "a block that is not closed"


@pytest.mark.parametrize("page", PAGES, ids=title)
def test_links_and_scripts_exist(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    prose = re.sub(r"```.*?```", "", text, flags=re.DOTALL)
    for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", prose):
        assert "://" in target or (page.parent / target).exists(), f"{title(page)}: no {target}"
    for script in re.findall(r"\b(?:recipes|benchmarks)/\w+\.py", text):
        assert (ROOT / script).is_file(), f"{title(page)}: no {script}"


def test_every_check_has_a_page() -> None:
    assert set(CHECKS) <= {title(page) for page in RUNNING}


def test_a_failing_example_is_noticed(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    fences = (
        "```python\nx = 1\n```\n",
        "<!-- not run: needs a GPU -->\n```python\n1 / 0\n```\n",
        "```bash\nmake x\n```\n",
    )
    page.write_text("\n".join(fences))
    assert [(one.language, one.skipped) for one in blocks(page)] == [
        ("python", None), ("python", "needs a GPU"), ("bash", None)
    ]  # fmt: skip
    with pytest.raises(AssertionError, match="mark the block as not run"):
        run(page, {}, run_command)
    page.write_text("Text.\n\n```python\nx = 1\nx / 0\n```\n")
    with pytest.raises(ZeroDivisionError) as error:
        run(page, {}, run_command)
    assert error.traceback[-1].lineno == 4  # counted from 0: the page's own line


@pytest.mark.parametrize("card", list_raters(), ids=lambda card: card.name)
def test_pages_of_raters_say_what_their_cards_say(card: Any) -> None:
    named = {"agav": "agav_rater", "public": "zero_shot", "embedding": "embeddings", "signals.stereo": "stereo",
             "student": "listener"}  # fmt: skip
    named |= dict.fromkeys([card.name for card in (*AUDIO_CARDS, *VIDEO_CARDS)], "avbench")  # parts of one system
    page = DOCS / "raters" / f"{named.get(card.name, card.name)}.md"
    text = page.read_text(encoding="utf-8")
    assert [one.name for one in card.dimensions if not one.detail and f"`{one.name}`" not in text] == []
    rows = [line for line in (DOCS / "raters" / "index.md").read_text().splitlines() if f"({page.name}" in line]
    assert any(card.licence in row and (f"({page.name})" in row or card.dimensions[0].name in row) for row in rows)
    for entry in ("reads", "range", "checkpoint", "licence", "parity", "cost"):
        assert re.search(rf"^\| ?{entry}", text, re.MULTILINE) or f"| {entry}" in text, f"{page.name}: no {entry}"


def test_commands_of_the_readme_are_all_there_are() -> None:
    """The reference of commands is `--help`; README and guides name every command."""
    from avreward.cli.main import app

    listed = set(re.findall(r"^[│ ]+(\w+) ", CliRunner().invoke(app, ["--help"]).stdout, re.MULTILINE))
    named = {words[1] for page in PAGES for one in blocks(page) if one.language in SHELL for words in one.commands()
             if words[0] == "avreward"}  # fmt: skip
    assert {"rank", "score", "compare", "pairs", "curve", "probe", "raters", "convert", "verify", "demo"} <= listed
    assert {"rank", "score", "compare", "pairs", "curve", "probe", "raters", "convert", "verify", "demo"} <= named
