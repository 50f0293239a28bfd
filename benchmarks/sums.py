"""What every engine must agree on, to the last decimal, as one text and its hash.

What belongs here: the grain and the spelling of the comparison. What does not: how anybody came to their sums.
"""

import hashlib
from pathlib import Path

import duckdb

# Finer than a tenant's total, so that two errors of one tenant cannot cancel out.
QUERY = """
    select
        coalesce(account_id, '') || '|' || service || '|' || direction || '|' || currency || '|'
        || record_count::bigint || '|' || billed_seconds::bigint || '|' || cost::decimal(38, 9) as line
    from ({lines})
    order by line
"""


def of_lines(path: Path) -> str:
    """Hash of a peer's `lines.parquet` (a file, or a folder of files)."""
    source = f"{path}/*.parquet" if path.is_dir() else str(path)
    return _hash(f"from read_parquet('{source}')")


def of_month(folder: Path) -> str:
    """The same of a frozen month: its tenants' lines, and what is nobody's."""
    measures = "service, direction, currency, sum(record_count) as record_count, sum(billed_seconds) as billed_seconds"
    lines, nobody = folder / "statement_lines.parquet", folder / "unattributed.parquet"
    return _hash(
        f"""
        select account_id, {measures}, sum(cost) as cost
        from '{lines}' where line_type = 'usage' group by all
        union all
        select null, {measures}, sum(cost)
        from '{nobody}' where line_type = 'usage' group by all
        """
    )


def _hash(lines: str) -> str:
    digest = hashlib.sha256()
    for (line,) in duckdb.connect().execute(QUERY.format(lines=lines)).fetchall():
        digest.update(line.encode() + b"\n")
    return digest.hexdigest()[:16]
