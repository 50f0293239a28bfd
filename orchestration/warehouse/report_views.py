"""The schema `reports`: views to begin from, and the services with their titles.

What belongs here: making them in a database whose schema `statements` is there. What does not: their SQL, which is
`reports.sql`, or their comments (`catalogue`).
"""

import csv
from pathlib import Path

import duckdb

from orchestration import engine
from orchestration.engine import identifier
from orchestration.errors import Refused
from orchestration.landing import services
from orchestration.landing.services import Service
from orchestration.settings import SEEDS, Settings
from orchestration.warehouse import catalogue

SCRIPT = Path(__file__).with_name("reports.sql")


def create(connection: duckdb.DuckDBPyConnection, settings: Settings, database: str) -> None:
    """Create the schema in an attached database, over its schema `statements`."""
    connection.execute(f"create schema {identifier(database)}.reports")
    titles = {(row["service"], row["direction"]): row["title"] for row in _rows_of_seed("service_titles")}
    engine.create_table(
        connection,
        f"{identifier(database)}.reports.services",
        catalogue.SERVICES.types,
        [
            (one.service, one.direction, titles.get(one.key, one.service.replace("_", " ")), one.section, one.unit,
             one.attributed_by)
            for one in _services(settings)
        ],
    )  # fmt: skip
    # The views name no database, so that a copy of the file under another name works.
    connection.execute(f"use {identifier(database)}; {SCRIPT.read_text(encoding='utf-8')}; use memory")


def _services(settings: Settings) -> list[Service]:
    """The services of now. A file of the operator's that cannot be read stops landings and closes, and no refresh."""
    try:
        return services.load(settings).rows
    except Refused:
        return [Service(**row) for row in _rows_of_seed("services")]


def _rows_of_seed(name: str) -> list[dict[str, str]]:
    with (SEEDS / f"{name}.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))
