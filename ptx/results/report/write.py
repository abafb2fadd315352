"""The page: a template with its style and its script, which is all that the file holds. Every value of the template is
escaped, and passes ptx/media.py before that."""

from __future__ import annotations

import base64
import hashlib
from importlib import resources
from typing import Any

from ptx import __version__
from ptx.media import tidy
from ptx.results.report.gather import Report


def page(report: Report) -> str:
    """The report as HTML. A browser loads nothing for it, and runs no script but its own, whose digest the page names:
    what slipped through all escaping would not run either."""
    from jinja2 import Environment, StrictUndefined, select_autoescape
    from markupsafe import Markup

    def shown(value: Any) -> Any:
        return tidy(value) if isinstance(value, str) and not isinstance(value, Markup) else value

    files = resources.files("ptx.results.report")
    style, script, template = (
        files.joinpath(name).read_text("utf-8") for name in ("page.css", "page.js", "page.html.jinja")
    )
    environment = Environment(
        autoescape=select_autoescape(default=True, default_for_string=True), undefined=StrictUndefined, finalize=shown,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    environment.filters["percent"] = lambda share: "" if share is None else f"{100 * share:.1f}"
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return environment.from_string(template).render(
        report=report, style=Markup(style), script=Markup(script), digest=digest, version=__version__
    )
