"""Tenants files that went wrong on their way, with details that can be found again wherever they turn up.

What belongs here: the details, and how each file is made. What does not: where the files are taken to.
"""

import json
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from tests.unit.deliveries import Row, tenant, write_csv, write_jsonl, write_parquet

# As people write them: some look like a column's name, two are equal, one holds a quote.
DETAILS = {
    "address1": "17 Canaryhof",
    "city": "Canarytown",
    "state": "Canarytown",
    "postal_code": "CNR44RY",
    "country": "CNRLAND",
    "phone": "+12175559991",
    "billing_email": "canary@customer.example",
    "contact_person": "Joan O'Canary",
    "contact_phone": "+12175559992",
    "address2": 'Suite "Canary", 4',
}
# A part of each, in any case.
MARKS = ("canary", "cnr44ry", "cnrland", "5559991", "5559992")
ROWS: list[Row] = [tenant(name, **DETAILS) for name in ("alpha", "beta")]


def leaks(text: str) -> list[str]:
    """The details that a text tells, with what stands around them."""
    lower = text.lower()
    return [lower[max(at - 60, 0) : at + 40] for mark in MARKS if (at := lower.find(mark)) >= 0]


def spoilt_csv(folder: Path) -> dict[str, bytes]:
    """What went wrong → the file that came of it."""
    text = write_csv(folder / "tenants.csv", *ROWS).read_text(encoding="utf-8").replace("\r\n", "\n")
    header, first, second = text.splitlines()
    rows = f"{first}\n{second}\n"
    return {
        "nothing": text.encode(),
        "the header is gone": rows.encode(),
        "the header is gone and there is one row": first.encode(),
        "the header has lost its line break": f"{header}{first}\n{second}\n".encode(),
        "the header goes on with values": f"{header},Canarytown,CNRLAND\n{first},x,y\n".encode(),
        "the header is the first row, and again": f"{first}\n{header}\n{second}\n".encode(),
        "the columns have slipped": f"{header}\nx,{first}\n".encode(),
        "a row is short": f"{header}\n{first.rsplit(',', 3)[0]}\n".encode(),
        "a quote is open": f'{header}\n{second}\n"{first}\n'.encode(),
        "a quote is open in the header": f'"{first}\n{second}\n'.encode(),
        "two kinds of line ends": f"{header}\r\n{first}\n{second}\r\n".encode(),
        "another encoding": f"{header}\n{first}\n{second}\xe9\n".encode("latin-1"),
        "another encoding without the header": f"{rows}\xe9\n".encode("latin-1"),
        "semicolons": rows.replace(",", ";").encode(),
        "a line without end": rows.encode() + first.encode() * 30_000,
    }


def spoilt_jsonl(folder: Path) -> dict[str, bytes]:
    lines = write_jsonl(folder / "tenants.jsonl", *ROWS).read_text(encoding="utf-8")
    values = {str(value): value for value in ROWS[0].values()}
    return {
        "nothing": lines.encode(),
        "the names are values": (json.dumps(values) + "\n").encode(),
        "an array": f"[{lines}]".encode(),
        "a line is torn": lines[:-40].encode(),
        "a comma too many": lines.replace(", ", ",, ", 3).encode(),
        "an escape that is none": lines.replace("Canarytown", "\\xCanarytown").encode(),
        "a name twice": lines.replace('"city"', '"state"').encode(),
        "a value is a list": lines.replace('"Canarytown"', '["Canarytown"]').encode(),
        "another encoding": lines.replace("Canarytown", "Canarytown\xe9").encode("latin-1"),
    }


def broken_text(path: Path) -> None:
    """Parquet of good rows, but that one text is not UTF-8: DuckDB quotes it."""
    arrays = {name: pa.array([row[name] for row in ROWS]) for name in ROWS[0]}
    broken = [b"Canarytown \xff\xfe"] * len(ROWS)
    arrays["city"] = pa.array(broken, pa.binary()).cast(pa.binary()).view(pa.string())
    pq.write_table(pa.table(arrays), path, use_dictionary=False)


def spoilt_parquet() -> dict[str, Callable[[Path], object]]:
    values = {str(value): "x" for value in ROWS[0].values()}
    slipped = dict(zip(ROWS[0], list(ROWS[0].values())[::-1], strict=True))
    return {
        "nothing": lambda path: write_parquet(path, *ROWS),
        "the names are values": lambda path: write_parquet(path, values),
        "the columns have slipped": lambda path: write_parquet(path, slipped),
        "a text is not UTF-8": broken_text,
        "a value is nested": lambda path: pq.write_table(
            pa.table({name: pa.array([{"Canarytown": value}]) for name, value in ROWS[0].items()}), path
        ),
    }


def write_all(folder: Path) -> list[Path]:
    """Every file, each named by its number, in an order that stays."""
    made = []
    for suffix, contents in ((".csv", spoilt_csv(folder)), (".jsonl", spoilt_jsonl(folder))):
        for number, content in enumerate(contents.values()):
            made.append(folder / f"{number}{suffix}")
            made[-1].write_bytes(content)
    for number, make in enumerate(spoilt_parquet().values()):
        made.append(folder / f"{number}.parquet")
        make(made[-1])
    return made
