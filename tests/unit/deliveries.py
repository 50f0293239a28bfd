"""Files as a carrier or a registry delivers them, written from rows that name only what matters to a test.

What belongs here: a plain valid row of each feed, and writing rows as CSV, JSON Lines or Parquet. What does not: landing
them, or any expectation.
"""

import csv
import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

Row = dict[str, Any]

CONTACT = {
    "address1": "1 Main Street",
    "city": "Springfield",
    "state": "IL",
    "postal_code": "62701",
    "country": "US",
    "phone": "+12175550100",
    "billing_email": "billing@customer.example",
    "contact_person": "Pat Doe",
    "contact_phone": "+12175550101",
}
RECORDED = "2026-01-01T00:00:00Z"


def record(record_id: str, **changes: Any) -> Row:
    """An inbound call of 5 March 2026, one minute, to the number that `number_of` gives away."""
    return {
        "record_id": record_id,
        "service": "inbound_conversational",
        "direction": "inbound",
        "started_at": "2026-03-05T10:00:00Z",
        "duration_seconds": "60",
        "number": "+12015550101",
        "cost": "0.010",
        **changes,
    }


def outbound(record_id: str, **changes: Any) -> Row:
    """An outbound call of 5 March 2026, without a number."""
    return record(record_id, **{"service": "outbound_conversational", "direction": "outbound", "number": "", **changes})


def tenant(account_id: str, **changes: Any) -> Row:
    return {"account_id": account_id, "name": f"{account_id} Inc", **CONTACT, "recorded_at": RECORDED, **changes}


def number_of(account_id: str, number: str = "+12015550101", **changes: Any) -> Row:
    return {"number": number, "account_id": account_id, "recorded_at": RECORDED, **changes}


def ip_of(account_id: str, ip: str = "192.0.2.1", **changes: Any) -> Row:
    return {"ip": ip, "account_id": account_id, "recorded_at": RECORDED, **changes}


def columns_of(rows: Iterable[Mapping[str, Any]]) -> list[str]:
    return list(dict.fromkeys(name for row in rows for name in row))


def write_csv(path: Path, *rows: Row) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as handle:
        writer = csv.DictWriter(handle, columns_of(rows))
        writer.writeheader()
        writer.writerows(rows)
    return path


def write_jsonl(path: Path, *rows: Row) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def write_parquet(path: Path, *rows: Row, types: Mapping[str, Any] | None = None) -> Path:
    """Every column as text, unless `types` names another pyarrow type for it; its values must be of that type then."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns = {
        name: pa.array([row.get(name) for row in rows], type=(types or {}).get(name, pa.string()))
        for name in columns_of(rows)
    }
    pq.write_table(pa.table(columns), path)
    return path


def tree(folder: Path) -> dict[str, str]:
    """Every file that lasts, with its mode and bytes; private work and the lock are not of it."""
    if not folder.exists():
        return {}
    found = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder)
        if path.is_file() and name.parts[0] not in ("build", ".lock"):
            found[str(name)] = f"{path.stat().st_mode:o} {hashlib.sha256(path.read_bytes()).hexdigest()}"
    return found
