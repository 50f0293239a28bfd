"""Documents of statements (rule 30): their form against RFC 8785 and plain Python, their salts, and what they are checked for."""

import hashlib
import hmac
import json
from datetime import UTC, date, datetime
from decimal import Decimal

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import rfc8785

from orchestration import engine
from orchestration.close import merkle, statement_documents
from orchestration.close.statement_documents import Salts
from tests.orchestration import outsider
from tests.unit.stored import HASH, MARCH, receipt, settings_in

# A name with every character that JSON escapes or that somebody may escape: controls, quotes, marks, halves of pairs.
NAME = "".join(map(chr, range(0x20))) + '"\\/\x7f\u2028\u2029é😀\ufeff<&>'
MIDNIGHT = datetime(2026, 3, 1, tzinfo=UTC)
COST, MINUTES = pa.decimal128(38, 9), pa.decimal128(38, 6)
INSTANT = pa.timestamp("us", "UTC")
STATEMENTS = pa.schema([
    ("statement_id", pa.string()), ("account_id", pa.string()), ("tenant_name", pa.string()), ("month", pa.string()),
    ("period_start", INSTANT), ("currency", pa.string()), ("is_partial_month", pa.bool_()), ("archived_at", INSTANT),
    ("usage_cost", COST), ("total_minutes", MINUTES),
])  # fmt: skip
LINES = pa.schema([
    ("account_id", pa.string()), ("line_type", pa.string()), ("usage_month", pa.date32()), ("service", pa.string()),
    ("direction", pa.string()), ("currency", pa.string()), ("record_count", pa.int64()), ("cost", COST),
])  # fmt: skip
INVENTORY = pa.schema([("account_id", pa.string()), ("number", pa.string()), ("held_from", INSTANT)])
ACCOUNTS = ["Zed", "a", "a-b", "a.b", "a0", "b"]
SALTS = Salts(MARCH, b"key")


def statement(account_id: str, currency: str, **given) -> dict:
    row = {
        "statement_id": f"{account_id}/2026-03/{currency}",
        "account_id": account_id,
        "tenant_name": f"Tenant {account_id}",
        "month": "2026-03",
        "period_start": MIDNIGHT,
        "currency": currency,
        "is_partial_month": False,
        "archived_at": None,
        "usage_cost": Decimal("-0.000000001"),
        "total_minutes": Decimal("12345678901234567890123456789012.123456"),
    }
    return row | given


def line(account_id: str, currency: str, service: str) -> dict:
    return {
        "account_id": account_id,
        "line_type": "usage",
        "usage_month": date(2026, 3, 1),
        "service": service,
        "direction": "inbound",
        "currency": currency,
        "record_count": -(2**63),
        "cost": Decimal(7),
    }


@pytest.fixture
def folder(tmp_path):
    """A month with tenants of several currencies, with a name full of escapes, with many lines, and with none."""
    month = tmp_path / "month=2026-03"
    month.mkdir()
    statements = [statement(account, "USD") for account in ACCOUNTS]
    statements[1] |= {"tenant_name": NAME, "is_partial_month": True, "archived_at": MIDNIGHT.replace(microsecond=7)}
    statements.insert(3, statement("a-b", "ZAR"))
    lines = [line(account, currency, f"s{number}") for account, currency in (("a", "USD"), ("a-b", "USD"), ("a-b", "ZAR"))
             for number in range(5)]  # fmt: skip
    numbers = [{"account_id": "b", "number": f"+1201555{number:04d}", "held_from": MIDNIGHT} for number in range(50)]
    for name, rows, schema in (
        ("statements", statements, STATEMENTS),
        ("statement_lines", lines, LINES),
        ("number_inventory", numbers, INVENTORY),
    ):
        pq.write_table(pa.Table.from_pylist(rows, schema), month / f"{name}.parquet")
    return month


def written(folder) -> str:
    with engine.connect(settings_in(folder.parent)) as connection:
        return statement_documents.write(connection, folder, SALTS)


def expected(folder) -> list[bytes]:
    return outsider.documents(folder, {account: SALTS.salt(account) for account in ACCOUNTS})


@pytest.mark.parametrize("rows_at_once", [1, 7, 50_000])
def test_documents_are_canonical_json_of_the_tables_however_many_are_made_at_once(folder, monkeypatch, rows_at_once):
    monkeypatch.setattr(statement_documents, "ROWS_AT_ONCE", rows_at_once)
    root = written(folder)
    stored = list(statement_documents.stored(folder))
    assert [account for account, _, _ in stored] == ACCOUNTS
    assert [document for _, document, _ in stored] == expected(folder)
    for place, (account, document, leaf_sha256) in enumerate(stored):
        said = json.loads(document)
        assert rfc8785.dumps(said) == document
        assert leaf_sha256 == hashlib.sha256(b"\x00" + document).hexdigest()
        assert (said["account_id"], said["leaf_index"], said["tree_size"]) == (account, str(place), "6")
        assert said["salt"] == hmac.new(b"key", f"2026-03/{account}".encode(), "sha256").hexdigest()
    assert root == outsider.root(expected(folder)).hex()
    assert statement_documents.problems(folder, root) == []


def test_amounts_and_instants_are_text_with_all_their_places(folder):
    written(folder)
    said = {account: json.loads(document) for account, document, _ in statement_documents.stored(folder)}
    assert said["a"]["tenant_name"] == NAME
    assert [one["currency"] for one in said["a-b"]["statements"]] == ["USD", "ZAR"]
    (own,) = said["a"]["statements"]
    assert own == {
        "account_id": "a",
        "archived_at": "2026-03-01T00:00:00.000007Z",
        "currency": "USD",
        "is_partial_month": True,
        "month": "2026-03",
        "period_start": "2026-03-01T00:00:00.000000Z",
        "statement_id": "a/2026-03/USD",
        "tenant_name": NAME,
        "total_minutes": "12345678901234567890123456789012.123456",
        "usage_cost": "-0.000000001",
    }
    assert said["a"]["lines"][0]["record_count"] == "-9223372036854775808"
    assert said["a"]["lines"][0]["usage_month"] == "2026-03-01"
    assert len(said["b"]["number_inventory"]) == 50
    assert said["Zed"]["lines"] == said["Zed"]["number_inventory"] == []


def test_a_month_without_a_tenant_has_the_root_of_nothing(folder):
    for name in ("statements", "statement_lines", "number_inventory"):
        path = folder / f"{name}.parquet"
        pq.write_table(pq.read_schema(path).empty_table(), path)
    root = written(folder)
    assert root == hashlib.sha256(b"").hexdigest()
    assert statement_documents.problems(folder, root) == list(statement_documents.stored(folder)) == []


def test_salts_follow_from_every_landed_file_and_from_nothing_else():
    batches = [receipt(1), receipt(2, "tenants"), receipt(3, source_sha256="b" * 64)]
    salts = Salts.of(MARCH, batches)
    assert salts == Salts.of(MARCH, [*batches[::-1]])
    key = hashlib.sha256("\n".join([HASH, HASH, "b" * 64]).encode()).digest()
    assert salts.salt("a") == hmac.new(key, b"2026-03/a", "sha256").hexdigest()
    others = [Salts.of(MARCH, batches[:2]).salt("a"), salts.salt("b"), Salts.of(MARCH.next, batches).salt("a")]
    assert len({salts.salt("a"), *others}) == 4


# Checking -------------------------------------------------------------------------------------------------------------


def rewritten(folder, change) -> None:
    path = folder / statement_documents.FILE
    rows = pq.read_table(path).to_pylist()
    change(rows)
    pq.write_table(pa.Table.from_pylist(rows, statement_documents.SCHEMA), path)


def with_leaf(row: dict, document: str) -> None:
    row |= {"document": document, "leaf_sha256": merkle.leaf(document.encode()).hex()}


def swap_accounts(rows):
    rows[1]["account_id"], rows[2]["account_id"] = rows[2]["account_id"], rows[1]["account_id"]


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda rows: rows[2].update(document=rows[2]["document"].replace("7.0", "8.0")), "document of a-b in"),
        (lambda rows: rows[2].update(leaf_sha256=HASH), "document of a-b in"),
        (lambda rows: with_leaf(rows[2], rows[2]["document"].replace("7.0", "8.0")), "another root"),
        (lambda rows: rows.pop(), "another root"),
        (lambda rows: rows.append(rows[-1]), "not in the order of Account IDs"),
        (lambda rows: rows.reverse(), "not in the order of Account IDs"),
        (swap_accounts, "not in the order of Account IDs"),
    ],
)
def test_documents_that_are_not_the_leaves_of_the_root_are_told(folder, change, sentence):
    root = written(folder)
    rewritten(folder, change)
    (problem,) = statement_documents.problems(folder, root)
    assert sentence in problem


def differing(folder) -> list[str]:
    with engine.connect(settings_in(folder.parent)) as connection:
        return statement_documents.differing(connection, folder, MARCH)


def test_documents_that_say_something_else_than_the_tables_are_told(folder):
    written(folder)
    assert differing(folder) == []
    rewritten(folder, lambda rows: with_leaf(rows[2], rows[2]["document"].replace("7.0", "8.0", 1)))
    assert differing(folder) == ["a-b"]
    rewritten(folder, lambda rows: with_leaf(rows[0], rows[0]["document"].replace(",", ", ", 1)))
    assert differing(folder) == ["Zed", "a-b"]
    rewritten(folder, lambda rows: rows.pop(0))
    assert differing(folder) == ["Zed", "a-b"]
