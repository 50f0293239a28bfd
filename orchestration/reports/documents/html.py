"""A page as one HTML file: no script, nothing fetched, for the screen, a phone and paper.

What belongs here: the markup around the words of a page. What does not: the words (`page`).
"""

import base64
from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template

from orchestration.reports.documents.issuer import Logo
from orchestration.reports.documents.page import Page


@cache
def _template() -> Template:
    folder = FileSystemLoader(Path(__file__).parent)
    return Environment(loader=folder, autoescape=True, undefined=StrictUndefined).get_template("page.html")


def write(page: Page, logo: Logo | None, target: Path) -> None:
    """Write the page. The same page gives the same bytes."""
    picture = f"data:image/{logo.kind};base64,{base64.b64encode(logo.content).decode()}" if logo else ""
    target.write_text(_template().render(page=page, logo=picture), encoding="utf-8", newline="\n")
