"""The tables of the engines that leave the same deliverables, and the targets that the close has beside them.

What belongs here: ratios of one run. What does not: measuring, or judging files.
"""

from statistics import median

from benchmarks.results import Figure, Results, table
from benchmarks.workbench import ALIKE, LIMITS

# How many times as long as the close an engine must take, and the close as DuckDB by hand at most: at ten million, and
# at a hundred million.
AHEAD_OF = {"chdb": 1.0, "polars": 1.0, "pandas": 2.0, "pyspark": 2.0}
BY_HAND = {False: 1.4, True: 1.2}
LARGE = 100_000_000


def name_of(engine: str, carrier: str, limit: str) -> str:
    """The name of a measurement."""
    return f"{engine} alike, {carrier}, {limit}"


def figures(results: Results) -> list[Figure]:
    """The close beside each engine that left the same files, on each carrier and within each limit of memory."""
    is_large = int(results.parameters.get("records", 0)) >= LARGE
    rows = []
    for carrier, limit in _rounds(results):
        ours = results.seconds(name_of("close", carrier, limit))
        for engine in ALIKE:
            theirs = results.seconds(name_of(engine, carrier, limit))
            if not ours or not theirs:
                continue
            if engine == "duckdb":
                ratio, target = ours / theirs, BY_HAND[is_large]
                said, is_met, sign = f"{ratio:.2f} × DuckDB by hand", ratio <= target, "≤"
            else:
                ratio, target = theirs / ours, 1.0 if is_large else AHEAD_OF[engine]
                said, is_met, sign = f"{engine} takes {ratio:.2f} ×", ratio >= target, "≥"
            rows.append(Figure(f"close, same files, {carrier}, {limit}", said, f"{sign} {target:g} ×", is_met))
    return rows


def tables(results: Results) -> list[str]:
    """One table for each carrier: what every engine took, and what the checker says of its files."""
    parts = []
    for carrier in dict.fromkeys(carrier for carrier, _ in _rounds(results)):
        rows = [
            row
            for limit in LIMITS
            if (carrier, limit) in _rounds(results)
            for engine in ("close", *ALIKE)
            if (row := _row(results, engine, carrier, limit))
        ]
        head = ["engine", "memory", "s", "from … to", "CPU s", "× close", "peak MB", "spilled MB", "others' cores"]
        parts += [f"Like for like, carrier: {carrier}", table([*head, "files", "stages"], rows)]
    return parts


def _rounds(results: Results) -> list[tuple[str, str]]:
    told = [*results.runs, *results.unable]
    parts = (name.split(", ") for name in told if " alike, " in name)
    return list(dict.fromkeys((carrier, limit) for _, carrier, limit in parts))


def _row(results: Results, engine: str, carrier: str, limit: str) -> list[str] | None:
    name = name_of(engine, carrier, limit)
    if reason := results.unable.get(name):
        return [engine, limit, "cannot", *[""] * 6, reason.replace("|", "/").replace("\n", " ")[:160], ""]
    if not (runs := results.runs.get(name)):
        return None
    each = sorted(run.seconds for run in runs)
    seconds = median(each)
    ours = results.seconds(name_of("close", carrier, limit))
    wrong = results.wrong.get(name, [])
    return [
        engine,
        limit,
        f"{seconds:.1f}",
        f"{each[0]:.1f} to {each[-1]:.1f}" if len(each) > 1 else "",
        f"{results.cpu_seconds(name):.1f}",
        f"{seconds / ours:.2f}" if ours else "",
        str(results.peak_mb(name)),
        str(max(run.spill_mb for run in runs)),
        f"{median(run.others_cores for run in runs):.2f}",
        f"WRONG: {'; '.join(wrong)[:160]}" if wrong else "right",
        ", ".join(f"{stage} {s:.1f}" for stage, s in runs[-1].said.items()),
    ]
