"""A page as a tagged PDF (PDF/UA-1), set by Typst in the fonts that are installed with the project.

What belongs here: calling Typst, and a sentence for a character that no font has. What does not: the words (`page`).
"""

import dataclasses
import json
import re
import tempfile
import unicodedata
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import typst

from orchestration.errors import Refused
from orchestration.reports.documents.issuer import Logo
from orchestration.reports.documents.page import Page

TEMPLATE = Path(__file__).with_name("page.typ")
# Packages that hold fonts and nothing else; the second is an extra, since it is large.
FONT_PACKAGES = ("manimgx_fonts", "noto_cjk_sans_otc")
# Typst's two sentences about a text that it cannot set, and the escapes that stand for letters in them.
REFUSED = (
    re.compile(r'the text `"((?:[^"\\]|\\.)*)"` could not be displayed'),
    re.compile(r'the text contains the disallowed codepoint `"((?:[^"\\]|\\.)*)"`'),
)
ESCAPE = re.compile(r"\\(?:u\{([0-9a-f]+)\}|(.))")
ESCAPED = {"n": "\n", "r": "\r", "t": "\t", "0": "\0"}


@cache
def _fonts() -> tuple[typst.Fonts, str]:
    """The fonts, and their families as JSON: Noto Sans, then those of other scripts. The system's do not count."""
    specs = [spec for name in FONT_PACKAGES if (spec := find_spec(name)) is not None]
    folders = [folder for spec in specs for folder in spec.submodule_search_locations or []]
    fonts = typst.Fonts(include_system_fonts=False, include_embedded_fonts=False, font_paths=folders)
    families = sorted(fonts.families(), key=lambda family: (family != "Noto Sans", "CJK" in family, family))
    return fonts, json.dumps(families)


@cache
def _compiler() -> typst.Compiler:
    fonts, _ = _fonts()
    return typst.Compiler(TEMPLATE, font_paths=fonts, ignore_system_fonts=True)


def write(page: Page, logo: Logo | None, target: Path) -> None:
    """Write the page. The same page gives the same bytes. Refused when a PDF cannot have one of its characters."""
    _, families = _fonts()
    inputs = {"page": json.dumps(dataclasses.asdict(page)), "fonts": families, "logo": ""}
    try:
        target.write_bytes(_compiled(inputs, logo))
    except typst.TypstError as error:
        missing, forbidden = (_letters(sentence, error.diagnostic) for sentence in REFUSED)
        if missing:
            fault = f"no font that is installed with this software has {missing}"
            way = "; `pip install 'tenant-statements[cjk]'` adds Chinese, Japanese, Korean"
        elif forbidden:
            fault, way = f"a tagged PDF may not have {forbidden}", ""
        else:
            raise
        raise Refused(
            f"{page.title}: {fault}, so there is no PDF of it. HTML and XLSX take every character{way}."
        ) from error


def _letters(sentence: re.Pattern[str], diagnostic: str) -> str:
    """The characters that Typst names in such a sentence, by code and name."""
    letters = {letter for quoted in sentence.findall(diagnostic) for letter in ESCAPE.sub(_unescaped, quoted)}
    return ", ".join(f"U+{ord(letter):04X} {unicodedata.name(letter, 'without a name')}" for letter in sorted(letters))


def _unescaped(escape: re.Match[str]) -> str:
    code, letter = escape.groups()
    return chr(int(code, 16)) if code else ESCAPED.get(letter, letter)


def _compiled(inputs: dict[str, str], logo: Logo | None) -> bytes:
    if logo is None:
        made = _compiler().compile(format="pdf", sys_inputs=inputs, pdf_standards="ua-1", timestamp=0)
    else:
        made = _with_logo(inputs, logo)
    assert isinstance(made, bytes)
    return made


def _with_logo(inputs: dict[str, str], logo: Logo) -> bytes | list[bytes] | None:
    """Typst reads a picture from below the folder of its template alone, so both are put into one."""
    fonts, _ = _fonts()
    with tempfile.TemporaryDirectory(prefix="tenant-statements-") as folder:
        template, picture = Path(folder, TEMPLATE.name), Path(folder, f"logo.{logo.kind}")
        template.write_bytes(TEMPLATE.read_bytes())
        picture.write_bytes(logo.content)
        compiler = typst.Compiler(template, font_paths=fonts, ignore_system_fonts=True)
        return compiler.compile(
            format="pdf", sys_inputs=inputs | {"logo": picture.name}, pdf_standards="ua-1", timestamp=0
        )
