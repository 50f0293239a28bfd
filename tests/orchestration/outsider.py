"""An outsider's check of a data folder: every manifest made again from the files beside it, by plain Python and pyarrow.

Run as `python outsider.py DATA`; it prints the head of the chain. It shares no code with the project, and may not.
"""

import hashlib
import json
import sys
from collections import defaultdict
from decimal import Decimal
from pathlib import Path

import pyarrow.parquet as pq


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
    made = stated | {
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
