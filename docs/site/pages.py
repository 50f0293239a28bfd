"""The documents of the repository as one site: those of the root folder and of others beside those of `docs`.

What belongs here: which documents become pages, and where their links lead. What does not: how a page looks
(`mkdocs.yml`). MkDocs calls the functions `on_…` by their names.
"""

import re
from pathlib import Path, PurePosixPath

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[2]
# A document outside of `docs` → its page.
PAGES = {
    "README.md": "index.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "DECISIONS.md": "decisions.md",
    "SECURITY.md": "security.md",
    "benchmarks/README.md": "benchmarks.md",
    "data/README.md": "data.md",
}
DOCUMENTS = {page: document for document, page in PAGES.items()}
LINK = re.compile(r"(!?)\[([^\]]*)\]\((?!\w+:)([^)\s#]*)(#[^)\s]*)?\)")
FENCED = re.compile(r"(^```.*?^```$)", re.MULTILINE | re.DOTALL)


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the documents that lie outside of `docs`."""
    for document, page in PAGES.items():
        files.append(File.generated(config, page, content=(ROOT / document).read_text(encoding="utf-8")))
    return files


def on_page_markdown(markdown: str, page: Page, **_: object) -> str:
    """The page with links that lead to pages; a file that is none, such as a test, is named and not linked."""
    uri = page.file.src_uri
    folder = PurePosixPath(DOCUMENTS.get(uri, f"docs/{uri}")).parent

    def linked(match: re.Match[str]) -> str:
        image, words, target, fragment = match.groups(default="")
        if not target:
            return match[0]
        place = _normal(folder / target)
        if place in PAGES:
            return f"[{words}]({PAGES[place]}{fragment})"
        if place.startswith("docs/"):
            return f"{image}[{words}]({place.removeprefix('docs/')}{fragment})"
        return words if words.startswith("`") else f"{words} (`{place}`)"

    parts = FENCED.split(markdown)
    return "".join(part if part.startswith("```") else LINK.sub(linked, part) for part in parts)


def _normal(path: PurePosixPath) -> str:
    """The path without `..`; it does not leave the repository."""
    parts: list[str] = []
    for part in path.parts:
        if part == "..":
            parts.pop()
        elif part != ".":
            parts.append(part)
    return "/".join(parts)
