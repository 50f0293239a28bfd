"""An outsider's check of a data folder: every manifest made again from the files beside it, by plain Python and pyarrow.

Run as `python outsider.py DATA`; it prints the head of the chain. It shares no code with the project, and may not.
"""

import hashlib
import hmac
import json
import sys
from collections import defaultdict
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path

import pyarrow.parquet as pq


def as_text(value: object) -> object:
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%dT%H:%M:%S.%f}Z"
    return value.isoformat() if isinstance(value, date) else f"{value:f}" if isinstance(value, Decimal) else str(value)


def documents(month: Path, salts: dict[str, str]) -> list[bytes]:
    """The statement of each tenant as rule 30 has it, in the order of the leaves."""
    rows = {
        name: [
            {column: as_text(value) for column, value in row.items()}
            for row in pq.read_table(month / f"{name}.parquet").to_pylist()
        ]
        for name in ("statements", "statement_lines", "number_inventory")
    }
    accounts = sorted({row["account_id"] for row in rows["statements"]}, key=str.encode)
    made = []
    for place, account in enumerate(accounts):
        own = {name: [row for row in found if row["account_id"] == account] for name, found in rows.items()}
        document = {
            "account_id": account,
            "leaf_index": str(place),
            "lines": own["statement_lines"],
            "month": month.name.removeprefix("month="),
            "number_inventory": own["number_inventory"],
            "salt": salts[account],
            "statements": own["statements"],
            "tenant_name": own["statements"][0]["tenant_name"],
            "tree_size": str(len(accounts)),
        }
        made.append(json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode())
    return made


def salts(month: Path, landing: Path, landed_up_to: int) -> dict[str, str]:
    """The salt of each tenant, from the hashes of all files that had landed."""
    receipts = [json.loads(path.read_bytes()) for path in landing.glob("*/*/receipt.json")]
    before = sorted((one for one in receipts if one["sequence"] <= landed_up_to), key=lambda one: one["sequence"])
    key = hashlib.sha256("\n".join(one["source_sha256"] for one in before).encode()).digest()
    name = month.name.removeprefix("month=")
    accounts = pq.read_table(month / "statements.parquet", columns=["account_id"]).column(0).to_pylist()
    return {account: hmac.new(key, f"{name}/{account}".encode(), "sha256").hexdigest() for account in accounts}


def root(leaves: list[bytes]) -> bytes:
    """MTH of RFC 6962 §2.1, as it is defined there."""
    if not leaves:
        return hashlib.sha256(b"").digest()
    if len(leaves) == 1:
        return hashlib.sha256(b"\x00" + leaves[0]).digest()
    left = 1
    while left * 2 < len(leaves):
        left *= 2
    return hashlib.sha256(b"\x01" + root(leaves[:left]) + root(leaves[left:])).digest()


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def check(month: Path, landing: Path, previous: dict | None, previous_sha256: str) -> dict:
    raw = (month / "manifest.json").read_bytes()
    stated = json.loads(raw)
    names = sorted(str(path.relative_to(month)) for path in month.rglob("*") if path.is_file())
    names = [name for name in names if name not in ("manifest.json", "SHA256SUMS")]
    outputs = [
        {
            "name": name,
            "bytes": (month / name).stat().st_size,
            "rows": pq.read_metadata(month / name).num_rows if name.endswith(".parquet") else None,
            "sha256": sha256(month / name),
        }
        for name in names
    ]
    entries = [row for name in names if name.startswith("usage/") for row in pq.read_table(month / name).to_pylist()]
    own = [row for row in entries if row["line_type"] == "usage"]
    totals, services = defaultdict(Decimal), defaultdict(lambda: [0, Decimal()])
    for row in entries:
        cost = row["record_count"] * abs(row["cost"]) if row["entry"] == "reversal" else row["cost"]
        totals[row["currency"]] += cost
        found = services[row["service"], row["direction"], row["currency"]]
        found[0] += row["record_count"]
        found[1] += cost
    carried = {
        currency: Decimal(cost) for currency, cost in (previous or {}).get("totals_since_first_month", {}).items()
    }
    grown = {currency: carried.get(currency, 0) + totals.get(currency, 0) for currency in {*carried, *totals}}
    inputs = []
    for item in stated["inputs"]:
        batch = landing / item["feed"] / item["batch_id"]
        receipt = json.loads((batch / "receipt.json").read_bytes())
        opened = [
            {
                "name": file["name"],
                "rows": pq.read_metadata(batch / file["name"]).num_rows,
                "sha256": sha256(batch / file["name"]),
            }
            for file in item["files"]
        ]
        inputs.append(
            {
                "feed": item["feed"],
                "batch_id": item["batch_id"],
                "file_name": receipt["file_name"],
                "source_sha256": receipt["source_sha256"],
                "receipt_sha256": sha256(batch / "receipt.json"),
                "files": opened,
            }
        )
    of_tenants = documents(month, salts(month, landing, stated["landed_up_to"]))
    frozen = pq.read_table(month / "statement_documents.parquet").to_pylist()
    if [row["document"].encode() for row in frozen] != of_tenants:
        raise SystemExit(f"{month.name}: statement_documents")
    if [row["leaf_sha256"] for row in frozen] != [root([document]).hex() for document in of_tenants]:
        raise SystemExit(f"{month.name}: leaves")
    made = stated | {
        "format": 2,
        "statements_root_sha256": root(of_tenants).hex(),
        "month": month.name.removeprefix("month="),
        "first_month": previous["first_month"] if previous else stated["month"],
        "previous_month": previous["month"] if previous else None,
        "previous_manifest_sha256": previous_sha256,
        "inputs": inputs,
        "outputs": outputs,
        "totals": {currency: f"{cost:.9f}" for currency, cost in totals.items()},
        "totals_since_first_month": {currency: f"{cost:.9f}" for currency, cost in grown.items()},
        "totals_by_service": [
            {"service": key[0], "direction": key[1], "currency": key[2], "records": count, "cost": f"{cost:.9f}"}
            for key, (count, cost) in sorted(services.items())
        ],
        "counts": stated["counts"]
        | {
            "accepted": len(own),
            "attributed": sum(row["account_id"] is not None for row in own),
            "unattributed": sum(row["account_id"] is None for row in own),
            "conflict_header_ip": sum(bool(row["conflict_header_ip"]) for row in own),
            **{kind: sum(row["entry"] == kind for row in entries) for kind in ("late", "restatement", "reversal")},
        },
    }
    again = json.dumps(made, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    if again != raw:
        differing = [name for name in made if made[name] != stated[name]]
        raise SystemExit(f"{month.name}: {differing or 'another form'}")
    return stated


def main(data: Path) -> None:
    previous, head = None, "0" * 64
    for month in sorted((data / "statements").iterdir()):
        previous = check(month, data / "landing", previous, head)
        head = sha256(month / "manifest.json")
    print(head)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
