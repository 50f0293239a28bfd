"""`statements sources new`: from an export that no source covers to the first month closed.

The exports are made up after the documentation of two carriers whose files no shipped source knows. What belongs here:
what an operator types. What does not: each key of a declaration (`test_exports`).
"""

import json
import tomllib

import pytest

from orchestration.sources import drafting
from tests.conftest import CommandLine
from tests.unit.deliveries import number_of, tenant, write_csv

# Days come first, an amount has a dollar sign, two durations, a row of totals.
AUSTRALIAN = """Call Date,Call From,Call To,Total Duration,Billable Duration,Answer Status,Direction,Cost ex,Account code
01/03/2026 19:03:57,61280000001,61298765432,5,4,ANSWERED,outgoing,$0.00,east
13/03/2026 17:57:40,61280000001,61311000000,145,142,ANSWERED,outgoing,$0.25,east
14/03/2026 17:49:34,61298765432,61280000001,154,144,ANSWERED,incoming,$0.17,east
,,,304,290,,,$0.42,
"""
# Semicolons, two lines above the header, decimal commas, clock durations, another encoding.
GERMAN = """Einzelverbindungsnachweis März 2026
Kunde: 4711
Verbindung ID;Start;Rufnummer From;Rufnummer To;Duration;Cost
v-1;01.03.2026 09:00:00;493012345601;4989123456789;0:02:05;0,0410 €
v-2;31.03.2026 23:30:00;493012345601;4989123456789;0:00:30;1.000,0100 €
"""


@pytest.fixture
def carrier(command_line: CommandLine) -> CommandLine:
    command_line.close_directly()
    command_line.at("2026-04-03T12:00:00Z")
    write_csv(command_line.folder / "tenants.csv", tenant("alpha"))
    command_line.must("land tenants tenants.csv")
    return command_line


def edit(line: CommandLine, name: str, *changes: tuple[str, str]) -> None:
    path = line.data / "sources" / f"{name}.toml"
    text = path.read_text(encoding="utf-8")
    for before, after in changes:
        assert before in text, (before, text)
        text = text.replace(before, after)
    path.write_text(text, encoding="utf-8")


@pytest.mark.long
@pytest.mark.slow
def test_from_an_australian_export_to_a_closed_month(carrier):
    (carrier.folder / "Calls-March.csv").write_text(AUSTRALIAN, encoding="utf-8")
    write_csv(carrier.folder / "numbers.csv", number_of("alpha", "+61280000001"))
    carrier.must("land number_assignments numbers.csv")
    told = carrier.must("sources new Calls-March.csv --zone Australia/Sydney").stdout
    assert "calls-march.toml is a first declaration" in told
    assert "can be read as" not in told  # The 13th tells that days come first.
    assert "no column is a key of its own" in told
    edit(
        carrier,
        "calls-march",
        ('# [ignore]\n# total_row = "…"', "[ignore]\ntotal_row = '\"Call Date\" is null'"),
        ('# x_tenant = "…"', "x_tenant = \"'alpha'\""),
        ("[record]", "[record]\ncurrency = \"'AUD'\""),
    )
    edit(carrier, "calls-march", ('"$" = "USD"', '"$" = "AUD"'))
    checked = json.loads(carrier.must("sources check calls-march Calls-March.csv --json").stdout)
    assert (checked["usable"], checked["rejected"], checked["ignored"]) == (3, {}, {"total_row": 1})
    carrier.must("land cdrs --source calls-march Calls-March.csv")
    carrier.must("close 2026-03")
    statement = json.loads(carrier.must("show 2026-03 alpha --json").stdout)
    assert "alpha/2026-03/AUD" in json.dumps(statement)
    assert "0.420000000" in json.dumps(statement)


@pytest.mark.long
@pytest.mark.slow
def test_from_a_german_export_to_a_closed_month(carrier):
    (carrier.folder / "evn.csv").write_bytes(GERMAN.encode("cp1252"))
    told = carrier.must("sources new evn.csv").stdout
    assert "the times say no zone" in told
    assert "It does not do yet:" in told
    edit(
        carrier,
        "evn",
        ("columns = [", 'zone = "Europe/Berlin"\ncolumns = ['),
        ('# x_tenant = "…"', "x_tenant = \"'alpha'\""),
    )
    text = (carrier.data / "sources" / "evn.toml").read_text(encoding="utf-8")
    for line in (
        'encoding = "cp1252"',
        "skip_lines = 2",
        'delimiter = ";"',
        'durations = "hh:mm:ss"',
        'decimal_mark = ","',
        'thousands_mark = "."',
        'currency_signs = { "€" = "EUR" }',
    ):
        assert line in text
    checked = json.loads(carrier.must("sources check evn evn.csv --json").stdout)
    assert [(row["started_at"], row["billed_seconds"], row["cost"], row["currency"]) for row in checked["first"]] == [
        ("2026-03-01T08:00:00Z", 125, "0.041000000", "EUR"),
        ("2026-03-31T21:30:00Z", 30, "1000.010000000", "EUR"),
    ]
    carrier.must("land cdrs --source evn evn.csv")
    carrier.must("close 2026-03")
    assert "1,000.051" in carrier.must("show 2026-03 alpha").stdout


@pytest.mark.slow
def test_a_draft_takes_no_name_that_is_taken_and_needs_a_table(carrier):
    (carrier.folder / "twilio.csv").write_text(
        "id,start,cost\na,2026-03-01T00:00:00Z,1\nb,2026-03-01T00:00:00Z,1\n", encoding="utf-8"
    )
    assert "exists already" in carrier.run("sources new twilio.csv").stderr
    carrier.must("sources new twilio.csv --name mine")
    assert carrier.run("sources new twilio.csv --name mine").exit_status == 1
    assert carrier.run("sources new twilio.csv --name ../x").exit_status == 1
    (carrier.folder / "prose.txt").write_text("nothing\nof a table\n", encoding="utf-8")
    assert "no line that names three columns" in carrier.run("sources new prose.txt").stderr
    (carrier.folder / "array.json").write_text('[{"a": 1}]\n', encoding="utf-8")
    assert "one JSON array" in carrier.run("sources new array.json").stderr


@pytest.mark.slow
def test_json_lines_with_epochs_and_a_direction_are_drafted_whole(carrier):
    rows = [
        {"uuid": f"u-{number}", "start_ms": 1772704800000 + number, "duration": 61, "from": "+12015550101", "to": "+15035550100",
         "direction": "outbound", "total_cost": 0.0125, "remote_ip": "192.0.2.17"}
        for number in range(3)
    ]  # fmt: skip
    (carrier.folder / "calls.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    carrier.must("sources new calls.jsonl")
    checked = json.loads(carrier.must("sources check calls calls.jsonl --json").stdout)
    assert (checked["usable"], checked["rejected"]) == (3, {})
    assert {key: checked["first"][0][key] for key in ("record_id", "direction", "billed_seconds", "cost", "source_ip")} == {
        "record_id": "calls:main:u-0", "direction": "outbound", "billed_seconds": 61, "cost": "0.012500000", "source_ip": "192.0.2.17",
    }  # fmt: skip


def test_columns_of_another_language_are_told_by_their_values(tmp_path):
    """An export of a German carrier; its price is no part of the key, since a call that is rated anew is the same."""
    path = tmp_path / "anrufe.csv"
    path.write_text(
        "Datum;Richtung;Quelle;Ziel;Dauer in Sekunden;Betrag\n"
        "05.10.2026 10:00:00;ausgehend;+4920155501;+493055501234;61;0,0190 €\n"
        "25.10.2026 11:00:00;eingehend;+493055501234;+4920155501;35;0,0000 €\n"
        "26.10.2026 12:00:00;ausgehend;+4920155501;+4915155501234;125;1.000,2000 €\n",
        encoding="utf-8",
    )
    written = drafting.draft(path, "Europe/Berlin")
    declared = tomllib.loads(written.text)
    assert {key: declared[key] for key in ("delimiter", "decimal_mark", "thousands_mark", "currency_signs", "zone")} == {
        "delimiter": ";", "decimal_mark": ",", "thousands_mark": ".", "currency_signs": {"€": "EUR"}, "zone": "Europe/Berlin",
    }  # fmt: skip
    record = declared["record"]
    assert record["started_at"] == {"local": "try_strptime(\"Datum\", '%d.%m.%Y %H:%M:%S')"}
    assert (record["from_number"], record["to_number"], record["duration_seconds"], record["cost"]) == (
        '"Quelle"', '"Ziel"', '"Dauer in Sekunden"', '"Betrag"',
    )  # fmt: skip
    assert "'eingehend'" in record["direction"]
    assert record["record_id"] == 'md5(row("Datum", "Richtung", "Quelle", "Ziel", "Dauer in Sekunden")::varchar)'
    assert [sentence for sentence in written.to_do if "key" not in sentence] == []


def test_a_file_in_which_no_duration_is_seen_says_what_that_means(tmp_path):
    path = tmp_path / "calls.csv"
    path.write_text("when,from,to,how_long,price\n2026-10-05 10:00:00,+12015550101,+12015550102,61,0.0190\n")
    assert any("durations" in sentence for sentence in drafting.draft(path, "UTC").to_do)
    path.write_text(path.read_text().replace("how_long", "secs"))
    written = drafting.draft(path, "UTC")
    assert tomllib.loads(written.text)["record"]["duration_seconds"] == '"secs"'
    assert not any("durations" in sentence for sentence in written.to_do)
