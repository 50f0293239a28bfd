"""Settings: the only reader of environment variables, turned into values and absolute paths.

What belongs here: a setting's name, default and meaning. What does not: anything that opens a file.
"""

import os
import re
import shutil
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from orchestration.errors import Refused, did_you_mean
from orchestration.files import require_printable
from orchestration.months import Month

PROJECT_ROOT = Path(__file__).resolve().parents[1]
DBT_PROJECT = PROJECT_ROOT / "dbt_project"
SEEDS = PROJECT_ROOT / "seeds"
# The engines that compute a month.
DUCKDB, SPARK = "duckdb", "spark"
PREFIX = "STATEMENTS_"
# The variables below, without their prefix.
NAMES = (
    "DAGSTER_POSTGRES",
    "DATA_DIR",
    "DEFAULT_CURRENCY",
    "ENGINE",
    "FIRST_MONTH",
    "GRACE_HOURS",
    "MEMORY_LIMIT",
    "ON_FAILURE",
    "SPILL_LIMIT",
    "TEMP_DIRECTORY",
    "THREADS",
    "UI_HOSTS",
)

# A size as it is written, and the bytes of its units.
SIZE = "([1-9][0-9]{0,9})(MB|GB|MiB|GiB)"
UNITS = {"MB": 10**6, "GB": 10**9, "MiB": 2**20, "GiB": 2**30}
# What DuckDB asks for. With half of it, large files could not land.
MEMORY_OF_A_THREAD = 125 * UNITS["MB"]
# What helps where a query has too little room.
MORE_ROOM = (
    "Raise STATEMENTS_MEMORY_LIMIT or STATEMENTS_SPILL_LIMIT, lower STATEMENTS_THREADS, or name a larger disk with "
    "STATEMENTS_TEMP_DIRECTORY,"
)


@dataclass(frozen=True)
class Settings:
    """Where the data lives and how a close behaves. Every path is absolute."""

    data: Path
    first_month: str | None
    grace: timedelta
    default_currency: str
    memory_limit: str
    threads: int
    spill: Path
    spill_limit: str
    on_failure: str | None
    ui_hosts: tuple[str, ...]
    dagster_postgres: str | None
    engine: str = DUCKDB

    @property
    def landing(self) -> Path:
        """Landed batches, one folder each, and nothing else that a query reads."""
        return self.data / "landing"

    @property
    def statements(self) -> Path:
        """Frozen months."""
        return self.data / "statements"

    @property
    def build(self) -> Path:
        """Private, disposable work: staged batches, builds of a close, spilled queries. Never read by a query."""
        return self.data / "build"

    @property
    def sources(self) -> Path:
        """The operator's own declarations of sources, with their rate tables."""
        return self.data / "sources"

    @property
    def services(self) -> Path:
        """The operator's own services, beside the shipped ones."""
        return self.data / "services.csv"

    @property
    def issuer(self) -> Path:
        """The operator's words on the statements: name, address, contact, logo, language."""
        return self.data / "statement.toml"

    @property
    def identity(self) -> Path:
        """The ids of batches that landed before batches had them."""
        return self.data / "identity"

    @property
    def inbox(self) -> Path:
        """Files to be landed, in a folder for each feed or source; and where they are moved to."""
        return self.data / "inbox"

    @property
    def differences(self) -> Path:
        """The rows in which a month computed again differed."""
        return self.data / "differences"

    @property
    def warehouse(self) -> Path:
        return self.data / "warehouse.duckdb"

    @property
    def overview(self) -> Path:
        """The overview as a page, made anew with the warehouse."""
        return self.data / "overview.html"

    @property
    def dagster_home(self) -> Path:
        return self.data / "dagster"

    @property
    def lock(self) -> Path:
        return self.data / ".lock"

    @property
    def too_much(self) -> str:
        """What a query needs that has no room."""
        threads = f"{self.threads} thread{'s' * (self.threads > 1)}"
        return (
            f"more than {self.memory_limit} of memory for {threads}, or more than {self.spill_limit} of disk under "
            f"{self.spill}"
        )

    @property
    def closed_to_exports(self) -> tuple[Path, ...]:
        """The places in the data folder that no file which is handed out may take: this software's, and the operator's
        services and declarations, which decide what lands."""
        return (
            self.landing,
            self.statements,
            self.build,
            self.dagster_home,
            self.differences,
            self.warehouse,
            self.overview,
            self.lock,
            self.identity,
            self.services,
            self.sources,
            self.inbox,
        )


def load(data_dir: Path | None = None) -> Settings:
    """Settings from the environment; `data_dir` (the command line's --data-dir) wins over STATEMENTS_DATA_DIR."""
    environment = os.environ
    _require_no_mistyped_name()
    data = data_dir or Path(environment.get("STATEMENTS_DATA_DIR") or "data")
    require_printable(data, "The data folder")
    if re.match("[A-Za-z][A-Za-z0-9+.-]+:/", str(data)):
        raise Refused(
            f"The data folder {data} is an address. Object storage has no rename that fails when the name is taken, so "
            "nothing there could be frozen once and for ever: choose a folder of a file system."
        )
    data = data.expanduser().absolute()
    # Dagster looks for its settings by pattern: under such a path it would find none, and turn its telemetry on.
    if pattern := sorted(set("*?[") & set(str(data))):
        raise Refused(f"The data folder {data} has {' '.join(pattern)} in its path. Choose one without * ? [.")
    first_month = environment.get("STATEMENTS_FIRST_MONTH") or None
    if first_month:
        try:
            Month.parse(first_month)
        except Refused as error:
            raise Refused(f"STATEMENTS_FIRST_MONTH: {error}") from error
    currency = environment.get("STATEMENTS_DEFAULT_CURRENCY") or "USD"
    if not re.fullmatch(r"[A-Z]{3}", currency):
        raise Refused(f"STATEMENTS_DEFAULT_CURRENCY is {currency!r}: write an ISO 4217 code such as USD.")
    memory_limit = _size("STATEMENTS_MEMORY_LIMIT", _usual_memory_limit())
    spill = Path(environment.get("STATEMENTS_TEMP_DIRECTORY") or data / "build" / "spill").expanduser().absolute()
    require_printable(spill, "The folder of STATEMENTS_TEMP_DIRECTORY")
    return Settings(
        data=data,
        first_month=first_month,
        grace=timedelta(hours=_whole("STATEMENTS_GRACE_HOURS", "12", least=0, most=24 * 366)),
        default_currency=currency,
        memory_limit=memory_limit,
        threads=_whole("STATEMENTS_THREADS", str(_usual_threads(memory_limit)), least=1, most=1024),
        spill=spill,
        spill_limit=_size("STATEMENTS_SPILL_LIMIT", _usual_spill_limit(spill)),
        on_failure=environment.get("STATEMENTS_ON_FAILURE") or None,
        ui_hosts=_hosts("STATEMENTS_UI_HOSTS"),
        dagster_postgres=environment.get("STATEMENTS_DAGSTER_POSTGRES") or None,
        engine=_engine(environment.get("STATEMENTS_ENGINE") or DUCKDB),
    )


def _require_no_mistyped_name() -> None:
    """A month that was closed without a setting that somebody meant is frozen all the same."""
    for name in os.environ:
        given = name.removeprefix(PREFIX)
        if given != name and given not in NAMES and (meant := did_you_mean(given, NAMES, likeness=0.8)):
            raise Refused(f"{name} is no setting.{meant.replace('mean ', f'mean {PREFIX}')} Rename or unset it.")


def _engine(name: str) -> str:
    if name not in (DUCKDB, SPARK):
        raise Refused(f"STATEMENTS_ENGINE is {name!r}: write {DUCKDB} or {SPARK}.")
    return name


def _usual_memory_limit() -> str:
    """A quarter of the machine's memory, and no more than leaves a close of a hundred million records below 1.4 GB."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return f"{min(700, max(128, memory // 4_000_000))}MB"


def _usual_threads(memory_limit: str) -> int:
    """All cores that the process may use, and no more than the memory limit has room for."""
    return max(1, min(len(os.sched_getaffinity(0)), _bytes(memory_limit) // MEMORY_OF_A_THREAD))


def _usual_spill_limit(spill: Path) -> str:
    """Nine tenths of what is free where queries spill, so that the disk never fills up."""
    there = next(folder for folder in (spill, *spill.parents) if folder.is_dir())
    return f"{max(1, shutil.disk_usage(there).free * 9 // 10 // 1_000_000)}MB"


def _hosts(name: str) -> tuple[str, ...]:
    """Hosts, each with its port if it has one of its own, as browsers write them into a request."""
    hosts = tuple(text.strip().lower() for text in os.environ.get(name, "").split(",") if text.strip())
    for host in hosts:
        if not re.fullmatch(r"([a-z0-9_-]+(\.[a-z0-9_-]+)*|\[[0-9a-f:.]+\])(:[0-9]{1,5})?", host):
            raise Refused(
                f"{name} has {host!r}: write hosts as a browser's address line shows them, without https://, "
                "such as statements.example.com or statements.example.com:8443, with commas between them."
            )
    return hosts


def _size(name: str, default: str) -> str:
    text = os.environ.get(name) or default
    if not re.fullmatch(SIZE, text):
        raise Refused(f"{name} is {text!r}: write a size such as 800MB or 4GB.")
    return text


def _bytes(size: str) -> int:
    match = re.fullmatch(SIZE, size)
    assert match is not None, size
    return int(match[1]) * UNITS[match[2]]


def _whole(name: str, default: str, *, least: int, most: int) -> int:
    text = os.environ.get(name) or default
    if not re.fullmatch("[0-9]{1,9}", text) or not least <= int(text) <= most:
        raise Refused(f"{name} is {text!r}: write a whole number from {least} to {most}.")
    return int(text)
