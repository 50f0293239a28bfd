"""README.txt of a frozen month: everything in its folder explained to somebody who has the folder alone.

What belongs here: the text, with the columns as the models' contracts describe them. What does not: any figure; the
text of a month depends on nothing but the month, the one before, and the version of this software.
"""

import textwrap
from collections.abc import Mapping

from orchestration.close import dbt_build, statement_documents, tables
from orchestration.close.manifests import MANIFEST
from orchestration.files import SUMS
from orchestration.months import Month

README = "README.txt"
WIDTH = 100

INTRODUCTION = """\
Statements of {month}

This folder is the closed month {month}: for each tenant of the account its statement, the account's own statement
("organization"), every record behind them, and the files with which all of it can be checked. The month is
{start} <= t < {end}, in UTC. Nothing in this folder ever changes. A record that arrives or changes
later is stated as a correction in the first month that is still open.

Each table is a Parquet file; those that people open in a spreadsheet are there as CSV too, with the same rows in the
same order. Rule N is rule N of docs/rules.md of the software tenant-statements, which made this folder.
"""

UNITS = """\
Units, text and rounding

- An amount has exactly nine decimal places and is in the currency beside it. Amounts are sums of the charges as the
  carrier delivered them: no markup, no tax, no rounding, and never two currencies together. In Parquet they are
  DECIMAL(38, 9).
- Minutes have six decimal places: billed seconds / 60, rounded half away from zero, each row from its own seconds. So
  minutes of several rows do not add up exactly; seconds do.
- An instant is in UTC with microseconds. A month of usage is given as its first day.
- CSV is UTF-8 with a header and commas. An empty cell is an absent value. A text cell that a spreadsheet would run as
  a formula, and one that begins with a quote, has a quote (') in front; take one away to read it. Telephone numbers
  stay as they are.
"""

SUMS_MADE = """\
How each sum is made

- usage has every record once (line_type usage) and the entries of corrections (line_type correction). A reversal has
  record_count -1 and negative measures, so every measure is a plain sum (rule 26).
- usage_by_asset is usage with an account_id, added up by account_id, currency, line_type, usage_month, service,
  direction, attributed_by and asset. statement_lines is the same without the last two.
- unattributed is usage without an account_id, added up by the same columns, reason and asset.
- organization_statement is all usage, added up without account_id. Each of its measures is the attributed part, which
  is the sum over the tenants in statement_lines, and the unattributed part, which is the sum of unattributed.
- statements has a row for each tenant and currency. Its columns named after a service or a section are made from that
  tenant's lines of line_type usage: counts and costs are sums, minutes come from the sum of billed seconds. usage_cost
  is the sum of the sections, correction_cost the sum of the lines of line_type correction, and total_cost the sum of
  both. organization is the same over the whole account.
- peak_channels is the largest number of calls in progress at one instant; a call is in progress from started_at for
  duration_seconds, the end not included. It is no sum, and repeats on each currency of a tenant.
- totals in {manifest} is the total cost by currency, and totals_since_first_month the same over all months up to
  this one.
- reconciliation has what these sums were compared with before the month was closed. Every difference is zero.
"""

REASONS = {
    "number_missing, ip_missing": "The record has no number, or neither header nor IP.",
    "number_malformed, ip_malformed, header_malformed": "The value cannot be a number, an IP, an Account ID.",
    "number_unknown, ip_unknown": "No assignment names the number or IP at or before the call.",
    "number_unassigned, ip_unassigned": "The number or IP had been released.",
    "header_case_mismatch": "The X-Tenant header names a tenant in other capitals.",
    "header_unknown_tenant": "The X-Tenant header names nobody.",
    "tenant_not_yet_created, tenant_archived": "The holder, or the header's tenant, was no tenant at that instant.",
}

CHECKING = """\
How to check this folder, with the programs of GNU coreutils alone

1. Every file is as it was frozen. In this folder:

    sha256sum --strict -c {sums}

2. The folder is the one of which a head was written down. The head of this month is the hash that this prints:

    sha256sum {manifest}
"""

FIRST = """\
3. This is the first month of its chain, so its {manifest} names no earlier one.
"""

CHAINED = """\
3. This month follows {previous} and no other. With the folder of {previous} beside this one:

    before=$(sha256sum ../month={previous}/{manifest} | cut -c 1-64)
    case "$(cat {manifest})" in
      *"\\"previous_manifest_sha256\\":\\"$before\\""*) echo "follows {previous}" ;;
      *) echo "BROKEN: {previous} is another one"; false ;;
    esac
"""

PROOF = """\
4. A tenant's statement is one of this month's. An export of one tenant has statement.json and proof.json. This prints
   the root to which both lead, in the folder of the export:

    hash() {{ sha256sum | cut -c 1-64; }}
    node() {{ {{ printf '\\001'; printf %s "$1$2" | tr a-f A-F | basenc -d --base16; }} | hash; }}
    result=$({{ printf '\\000'; cat statement.json; }} | hash)
    for word in $(tr -d '"{{}}[]' < proof.json | tr , ' '); do
      case $word in
        leaf_index:*) index=${{word#*:}} ;;
        tree_size:*) last=$((${{word#*:}} - 1)) ;;
        root_sha256:*) root=${{word#*:}} ;;
        path:*) siblings=${{word#*:}} ;;
        *:*) ;;
        *) siblings="$siblings $word" ;;
      esac
    done
    for sibling in $siblings; do
      if [ $((index % 2)) = 1 ] || [ "$index" = "$last" ]; then
        result=$(node "$sibling" "$result")
        while [ $((index % 2)) = 0 ] && [ "$index" != 0 ]; do index=$((index / 2)); last=$((last / 2)); done
      else
        result=$(node "$result" "$sibling")
      fi
      index=$((index / 2)); last=$((last / 2))
    done
    if [ "$last" = 0 ] && [ "$result" = "$root" ]; then echo "$root"; else echo "NOT PROVED"; false; fi

5. The root that 4 prints is the one of this month, which this prints, in this folder:

    tr , '\\n' < {manifest} | while IFS= read -r line; do
      case $line in '"statements_root_sha256":'*) printf '%s\\n' "$line" | cut -d '"' -f 4 ;; esac
    done

The software checks the same, and adds every sum up again: `statements verify`, `statements prove FOLDER`. Its
docs/proof.md explains the proofs, and checks one with twenty lines of Python.
"""


def text(month: Month, previous: Month | None) -> str:
    """The text for a month that follows `previous`, or begins the chain."""
    names = {"manifest": MANIFEST, "sums": SUMS, "month": month, "previous": previous}
    introduction = INTRODUCTION.format(start=f"{month.start:%Y-%m-%d}", end=f"{month.end:%Y-%m-%d}", **names)
    checking = [part.format(**names) for part in (CHECKING, CHAINED if previous else FIRST, PROOF)]
    return "\n".join([introduction, _files(), UNITS, SUMS_MADE.format(**names), _reasons(), *checking, _columns()])


def _files() -> str:
    described = {
        f"{table.name}.parquet{f', {table.name}.csv' if table.also_csv else ''}": dbt_build.description(table.name)
        for table in tables.TABLES
    }
    described |= {
        "usage/day=DD.parquet, usage/corrections.parquet": dbt_build.description(tables.USAGE.name)
        + " The records of a day of the month, and the corrections of earlier months.",
        statement_documents.FILE: statement_documents.ABOUT,
        MANIFEST: "The inputs and outputs of the close with their hashes, its counts, totals, services, settings and "
        "versions, the hash of the manifest before, and the root of the statements. It is canonical JSON (RFC 8785).",
        SUMS: "The SHA-256 of every other file of this folder.",
    }
    return f"Files\n\n{_listed(described)}"


def _reasons() -> str:
    return f"Reasons in unattributed and usage; the first that applies stands there (rule 16)\n\n{_listed(REASONS)}"


def _columns() -> str:
    described = {table.name: dbt_build.column_descriptions(table.name) for table in (*tables.TABLES, tables.USAGE)}
    described[statement_documents.TABLE] = statement_documents.COLUMNS
    parts = [f"Columns of {name}\n\n{_listed(columns)}" for name, columns in described.items()]
    return "\n".join(parts)


def _listed(described: Mapping[str, str]) -> str:
    """Names, each with a text below it."""
    indent = " " * 6
    return "".join(
        f"  {name}\n{textwrap.fill(said, WIDTH, initial_indent=indent, subsequent_indent=indent)}\n"
        for name, said in described.items()
    )
