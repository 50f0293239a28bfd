"""The schema `reports`: views to begin from, and the services with their titles.

What belongs here: making them in a database whose schema `statements` is there. What does not: their SQL, which is
`reports.sql`, or their comments (`catalogue`).
"""

from dataclasses import astuple
from pathlib import Path

import duckdb

from orchestration import engine
from orchestration.engine import identifier
from orchestration.errors import Refused
from orchestration.landing import services
from orchestration.landing.services import Service
from orchestration.settings import Settings
from orchestration.warehouse import catalogue

SCRIPT = Path(__file__).with_name("reports.sql")


def create(connection: duckdb.DuckDBPyConnection, settings: Settings, database: str) -> None:
    """Fill the schema of an attached database, over its schema `statements`."""
    listed, titles = _services(settings)
    engine.create_table(
        connection,
        f"{identifier(database)}.reports.services",
        catalogue.SERVICES.types,
        [
            (one.service, one.direction, titles.get(one.key, one.service.replace("_", " ")), one.section, one.unit,
             one.attributed_by)
            for one in listed
        ],
    )  # fmt: skip
    # The views name no database, so that a copy of the file under another name works.
    connection.execute(f"use {identifier(database)}; {SCRIPT.read_text(encoding='utf-8')}; use memory")


def services_as_text(settings: Settings) -> list[str]:
    """All that `create` takes from the settings, as text: a change of it makes the views anew."""
    listed, titles = _services(settings)
    return [repr((*astuple(one), titles.get(one.key))) for one in listed]


def _services(settings: Settings) -> tuple[list[Service], dict[tuple[str, str], str]]:
    """The services of now, and their titles by name and direction.

    A file of the operator's that cannot be read stops landings and closes, and no refresh.
    """
    try:
        return services.load(settings).rows, services.titles(settings)
    except Refused:
        return services.shipped(), services.shipped_titles()
