"""The documents: a link leads to a page and a heading that are there, and a file that they name exists.

What belongs here: that documents point at what is there. What does not: whether they are right.
"""

import re
from pathlib import Path

import pytest

from orchestration.settings import PROJECT_ROOT

DOCUMENTS = sorted(
    [
        *PROJECT_ROOT.glob("*.md"),
        *(PROJECT_ROOT / "docs").glob("*.md"),
        *(PROJECT_ROOT / folder / "README.md" for folder in ("data", "benchmarks")),
    ]
)
LINK = re.compile(r"\[[^\]]*\]\((?!\w+:)([^)\s]+)\)")
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
ANCHOR = re.compile(r'<a id="([^"]+)"></a>')
# A whole path, in which `*` may stand for any name, as a reader would type it.
PATH = re.compile(r"`((?:orchestration|dbt_project|seeds|tests|docs|benchmarks)/[\w./*-]+)`")
FENCED = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
CODE = re.compile(r"`[^`\n]+`")


def prose(path: Path) -> str:
    return FENCED.sub("", path.read_text(encoding="utf-8"))


def anchors(path: Path) -> set[str]:
    """The fragments of a page: its headings as GitHub and MkDocs write them, and its own anchors."""
    text = prose(path)
    slugs = {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in HEADING.findall(text)}
    return slugs | set(ANCHOR.findall(text))


def broken(document: Path) -> list[str]:
    """The links of a document that lead nowhere."""
    found = []
    for link in LINK.findall(CODE.sub("", prose(document))):
        name, _, fragment = link.partition("#")
        target = (document.parent / name) if name else document
        if not target.exists() or (fragment and fragment not in anchors(target)):
            found.append(link)
    return found


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(PROJECT_ROOT)))
def test_every_link_leads_somewhere(document):
    assert broken(document) == []


@pytest.mark.parametrize("name", ["CONTRIBUTING.md", "README.md", "docs/architecture.md", "docs/rules.md"])
def test_every_file_that_is_named_exists(name):
    paths = PATH.findall(prose(PROJECT_ROOT / name))
    assert paths
    assert [path for path in paths if not list(PROJECT_ROOT.glob(path.rstrip("/")))] == []


def test_a_link_that_leads_nowhere_is_noticed(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(
        "# A frozen month\n[there](#a-frozen-month) [gone](#thawed) [no page](other.md) [web](https://example.com/x)\n",
        encoding="utf-8",
    )
    assert broken(page) == ["#thawed", "other.md"]


def test_every_document_is_a_page_of_the_site():
    """MkDocs itself holds the links, when `make site` builds the pages strictly."""
    listed = set(re.findall(r"^ +- .+: (\S+\.md)$", (PROJECT_ROOT / "mkdocs.yml").read_text("utf-8"), re.MULTILINE))
    outside = re.findall(
        r'^    "(.+\.md)": "(.+\.md)",$', (PROJECT_ROOT / "docs/site/pages.py").read_text("utf-8"), re.MULTILINE
    )
    assert listed == {path.name for path in (PROJECT_ROOT / "docs").glob("*.md")} | {page for _, page in outside}
    assert {document for document, _ in outside} == {
        str(path.relative_to(PROJECT_ROOT)) for path in DOCUMENTS if path.parent != PROJECT_ROOT / "docs"
    }
