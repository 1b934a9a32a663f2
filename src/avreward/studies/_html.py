"""HTML of the pages that ask people: templates, style and script of this package, and what a page may load."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from avreward.report.page import HERE as REPORT
from avreward.report.page import environment


def content_policy(script: str) -> str:
    """Return the Content-Security-Policy of a page: media and this one script from here, nothing else."""
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    sources = f"media-src 'self'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-{digest}'"
    return f"default-src 'none'; {sources}; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"


def rendered(template: Path, script: str, styles: Sequence[Path], **given: object) -> str:
    """Return a page with its style and script within it; everything else is escaped.

    Args:
        template: the file.
        script: of the page.
        styles: more style sheets, after that of the reports.
        given: what the template shows.
    """
    from markupsafe import Markup

    style = "\n".join(own_file(path) for path in (REPORT / "page.css", *styles))
    own = {"style": Markup(style), "script": Markup(script)}  # noqa: S704 - our own files
    return environment(template.parent).get_template(template.name).render(**given, **own)


@cache
def own_file(path: Path) -> str:
    """Return the text of a file of this package."""
    return path.read_text(encoding="utf-8")
