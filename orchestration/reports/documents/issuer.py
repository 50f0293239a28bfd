"""The issuer of the statements as the operator declares it in `statement.toml` of the data folder.

What belongs here: reading and checking the declaration, which may be absent. What does not: where its words stand on a
document (`page`).
"""

import json
import os
import tempfile
import tomllib
from dataclasses import dataclass, fields
from pathlib import Path

import typst
from babel import Locale, UnknownLocaleError

from orchestration import files
from orchestration.errors import Refused
from orchestration.settings import Settings

DEFAULT_LANGUAGE = "en"
MOST_BYTES = 64_000
MOST_LOGO_BYTES = 1_000_000
# The formats that a browser and a PDF take alike, by the bytes that they begin with.
LOGO_TYPES = {b"\x89PNG\r\n\x1a\n": "png", b"\xff\xd8\xff": "jpeg"}


@dataclass(frozen=True)
class Logo:
    """A picture of the issuer; `kind` is png or jpeg."""

    kind: str
    content: bytes


@dataclass(frozen=True)
class Issuer:
    """The name, postal address and contact that stand on a statement, and the language of its numbers and dates."""

    name: str = ""
    address: tuple[str, ...] = ()
    contact: str = ""
    logo: Logo | None = None
    language: str = DEFAULT_LANGUAGE


def load(settings: Settings) -> Issuer:
    """The operator's declaration; an issuer without a name where there is none. Refused when a value cannot be."""
    path = settings.issuer
    if not os.path.lexists(path):
        return Issuer()
    try:
        declared = tomllib.loads(files.small(path, MOST_BYTES).decode())
    except OSError as error:
        raise Refused(f"{path} cannot be read: {error.strerror}.") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise Refused(f"{path} is no TOML: {error}.") from error
    names = [field.name for field in fields(Issuer)]
    if unknown := sorted(declared.keys() - set(names)):
        raise Refused(f"{path} has {', '.join(unknown)!a}, which means nothing there. Its keys are {', '.join(names)}.")
    address = declared.get("address", [])
    return Issuer(
        name=_text(path, "name", declared.get("name", "")),
        address=tuple(_text(path, "address", line) for line in (address if isinstance(address, list) else [address])),
        contact=_text(path, "contact", declared.get("contact", "")),
        logo=_logo(path, declared["logo"]) if "logo" in declared else None,
        language=_language(path, declared.get("language", DEFAULT_LANGUAGE)),
    )


def _text(path: Path, key: str, value: object) -> str:
    if not isinstance(value, str) or not value.isprintable() or len(value) > 200:
        form = "a list of lines" if key == "address" else "one line"
        raise Refused(f"{path}: {key} is {form} of printable text, of up to 200 characters.")
    return value.strip()


def _language(path: Path, value: object) -> str:
    try:
        return str(Locale.parse(str(value), sep="-")).replace("_", "-")
    except (UnknownLocaleError, ValueError, TypeError) as error:
        raise Refused(f"{path}: language is a tag such as en-GB, de or pt-BR.") from error


def _logo(path: Path, value: object) -> Logo:
    if not isinstance(value, str) or not value:
        raise Refused(f"{path}: logo is the name of a PNG or JPEG file, beside statement.toml unless it has a folder.")
    picture = path.parent / value
    try:
        content = files.small(picture, MOST_LOGO_BYTES)
    except OSError as error:
        raise Refused(f"{path}: the logo {picture} cannot be read: {error.strerror}.") from error
    kind = next((kind for start, kind in LOGO_TYPES.items() if content.startswith(start)), None)
    if kind is None:
        raise Refused(f"{path}: the logo {picture} is neither PNG nor JPEG.")
    _require_whole(path, picture, Logo(kind, content))
    return Logo(kind, content)


def _require_whole(path: Path, picture: Path, logo: Logo) -> None:
    """Refuse a picture that is torn, for every format: a page would have a gap where it is to be."""
    with tempfile.TemporaryDirectory(prefix="tenant-statements-") as folder:
        copy, page = Path(folder, f"logo.{logo.kind}"), Path(folder, "page.typ")
        copy.write_bytes(logo.content)
        page.write_text(f"#image({json.dumps(copy.name)})", encoding="utf-8")
        try:
            typst.compile(page, ignore_system_fonts=True)
        except typst.TypstError as error:
            raise Refused(f"{path}: the logo {picture} is torn, or no picture: {error.message}.") from error
