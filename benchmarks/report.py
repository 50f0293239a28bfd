"""What was measured, as tables: each target beside its figure, the peers, and where the close's time went.

What belongs here: figures from measurements, and their targets. What does not: measuring.
"""

import importlib.metadata
import json
import os
import platform
from dataclasses import asdict
from pathlib import Path
from statistics import median

from benchmarks import close_log
from benchmarks.alike import figures as alike
from benchmarks.results import Figure, Results, table
from benchmarks.workbench import PEERS


def figures(results: Results) -> list[Figure]:
    """Every target that something was measured for."""
    return [
        *_close_figures(results, "close, large", "floor, large"),
        *_close_figures(results, "close", "floor"),
        *_landing_figures(results),
        *_growth_figures(results),
        *alike.figures(results),
        *_spark_figures(results),
        *_other_figures(results),
    ]


def _close_figures(results: Results, close: str, floor: str) -> list[Figure]:
    whole, least = results.seconds(close), results.floor(floor)
    if not whole or not least:
        return []
    records = results.parameters["large_records" if "large" in close else "records"]
    at = f"close of {int(records):,}"
    spilled = max(run.spill_mb for run in results.runs[close])
    said = f"{_times(whole, least)} the floor"
    if "large" in close:
        rows = [Figure(f"{at}, everything", said, "≤ 2.8 ×", whole / least <= 2.8)]
    else:
        cpu = results.cpu_seconds(close)
        is_met = whole <= 38 and cpu <= 65
        rows = [Figure(f"{at}, everything", f"{said}; {cpu:.1f} s CPU", "≤ 38 s, ≤ 65 s CPU", is_met)]
    peak = results.peak_mb(close)
    said = f"{peak} MB, {spilled} MB spilled"
    rows.append(Figure(f"{at}, peak memory of all processes", said, "≤ 1400 MB", peak <= 1400))
    tuned = results.floor(floor.replace("floor", "tuned copy"))
    if tuned:
        # The floor's group-by and a copy that is written as the close writes.
        tuned += median(run.said["group"] for run in results.runs[floor])
        said = f"{_times(whole, tuned)} a floor that writes as the close does"
        rows.append(Figure(f"{at}, everything", said, "", None))
    if fixed := results.seconds("close of nothing"):
        peaks = median(close_log.peak_seconds(steps) for steps in results.steps[close])
        bare = (whole - peaks - fixed) / least
        said = f"{bare:.2f} × floor (peak channels {peaks:.1f} s, fixed {fixed:.1f} s)"
        rows.append(Figure(f"{at}, without peak channels and the fixed cost", said, "", None))
    return rows


def _landing_figures(results: Results) -> list[Figure]:
    rows = []
    for name, plain, limit in (("land parquet", "copy parquet", 2.1), ("land csv", "read csv", 2.2)):
        seconds, least = results.seconds(name), results.floor(plain)
        if seconds and least:
            peak = results.peak_mb(name)
            said = f"{_times(seconds, least)} {plain}"
            rows.append(Figure(name, said, f"≤ {limit:g} ×", seconds / least <= limit))
            rows.append(Figure(f"{name}, peak memory", f"{peak} MB", "≤ 1024 MB", peak <= 1024))
    return rows


def _growth_figures(results: Results) -> list[Figure]:
    rows = []
    records = results.parameters
    for what, many, few, target in (
        (f"{records['large_records']} records against {records['records']}", "close, large", "close", 10.0),
        (f"{records['months']} other months landed beside", "close, other months beside", "close, alone", 1.1),
        (f"a history {records['history']} times as long", "close, long history", "close, usual history", 1.1),
    ):
        if (more := results.seconds(many)) and (less := results.seconds(few)):
            cpu = results.cpu_seconds(many) / results.cpu_seconds(few)
            said = f"{more / less:.2f} × ({less:.1f} s → {more:.1f} s; CPU {cpu:.2f} ×)"
            rows.append(Figure(f"growth: {what}", said, f"≤ {target:g} ×", more / less <= target))
    return rows


def _spark_figures(results: Results) -> list[Figure]:
    """The close by both engines. Of a cluster's workers, the processor time is not counted."""
    rows = []
    for name in results.runs:
        if " on Spark" in name and (seconds := results.seconds(name)):
            by_duckdb = name.partition(" on ")[0] + " on DuckDB"
            least, agree = results.seconds(by_duckdb), results.sums[name] == results.sums[by_duckdb]
            said = f"{seconds:.1f} s, {results.cpu_seconds(name):.1f} s CPU, {results.peak_mb(name)} MB"
            if least:
                said += f"; DuckDB {least:.1f} s, {results.cpu_seconds(by_duckdb):.1f} s CPU, "
                said += f"{results.peak_mb(by_duckdb)} MB"
            rows.append(Figure(name, said, "the same sums", agree))
    return rows


def _other_figures(results: Results) -> list[Figure]:
    rows = []
    for name, runs in results.runs.items():
        if name.startswith("one tenant"):
            sums, columns = runs[-1].said["mean_sum_ms"], runs[-1].said["mean_every_column_ms"]
            said = f"{sums:.0f} ms summed, {columns:.0f} ms with every column (mean of 5)"
            rows.append(Figure(name, said, "≤ 50 ms, ≤ 500 ms", sums <= 50 and columns <= 500))
        if name.startswith("close of nothing"):
            cpu, processes = median(run.cpu_seconds for run in runs), max(run.processes for run in runs)
            is_target = name == "close of nothing"
            said = f"{results.seconds(name):.1f} s, {cpu:.1f} s CPU, {processes} processes"
            is_met = results.seconds(name) <= 8.5 if is_target else None
            rows.append(Figure(name, said, "≤ 8.5 s" if is_target else "", is_met))
        if name.startswith("audit"):
            wrong, audited = runs[-1].said["wrong"], runs[-1].said["audited"]
            said = f"{wrong} of {audited:,} wrong, {runs[-1].said['seconds']} s"
            rows.append(Figure(name, said, "0 wrong", wrong == 0))
    rows += [Figure(name, f"failed: {text[:200]}", "", False) for name, text in results.failures.items()]
    return rows


def _times(seconds: float, least: float) -> str:
    return f"{seconds:.1f} s = {seconds / least:.2f} × the {least:.1f} s of"


def markdown(results: Results) -> str:
    """All tables."""
    machine = f"{_cpu()}, {os.cpu_count()} cores, {_memory_gb()} GB; Python {platform.python_version()}, "
    machine += f"DuckDB {importlib.metadata.version('duckdb')}. {int(results.parameters['records']):,} records, "
    machine += f"medians of {results.parameters['repeats']}. {_others(results)}"
    verdicts = {True: "met", False: "MISSED", None: ""}
    rows = [[figure.what, figure.measured, figure.target, verdicts[figure.is_met]] for figure in figures(results)]
    parts = [machine, table(["figure", "measured", "target", ""], rows)]
    parts += alike.tables(results)
    if results.runs.get("close"):
        parts += ["Attribution alone", _peer_table(results)]
    for name in ("close, large", "close"):
        if results.steps.get(name):
            last, least = results.steps[name][-1], results.floor("floor, large" if "large" in name else "floor")
            rows = [[step, f"{s:.1f}", f"{s / least:.2f}" if least else ""] for step, s in last.items() if s >= 0.05]
            parts.append(table([f"step of the last {name}", "s", "× floor"], rows))
    return "\n\n".join(parts) + "\n"


def _peer_table(results: Results) -> str:
    least = results.floor("floor")
    ours = results.seconds("close")
    rows = []
    for name in ("floor", "close", *PEERS):
        if not (runs := results.runs.get(name)):
            continue
        seconds = results.floor(name) if name == "floor" else results.seconds(name)
        each = sorted(run.seconds for run in runs)
        spread = f"{each[0]:.1f} to {each[-1]:.1f}" if len(each) > 1 else ""
        stages = ", ".join(f"{stage} {s:.1f}" for stage, s in runs[-1].said.items() if name != "close")
        rows.append(
            [
                name,
                f"{seconds:.1f}",
                spread,
                f"{seconds / least:.2f}" if least else "",
                f"{seconds / ours:.2f}",
                str(results.peak_mb(name)),
                f"{median(run.others_cores for run in runs):.2f}",
                "" if name == "floor" else _agreement(results, name),
                stages,
            ]
        )
    head = ["engine", "s", "from … to", "× floor", "× close", "peak MB", "others' cores", "sums", "stages"]
    return table(head, rows)


def _agreement(results: Results, name: str) -> str:
    reference = set(results.sums["close"])
    found = set(results.sums[name])
    if found == reference and len(reference) == 1:
        return f"equal ({found.pop()})"
    return f"DIFFER ({', '.join(sorted(found))})"


def exit_status(results: Results) -> int:
    """1 when anything failed or any two sums of the same records differ. A missed target is a figure, not a failure."""
    same_records = ("close", "close, alone", "close, other months beside", "close, usual history", *PEERS)
    found = {text for name in same_records for text in results.sums.get(name, [])}
    apart = any(figure.is_met is False for figure in _spark_figures(results))
    return 1 if results.failures or any(results.wrong.values()) or len(found) > 1 or apart else 0


def write(results: Results, out: Path) -> None:
    """Keep everything measured so far as JSON, and the tables as Markdown."""
    out.mkdir(parents=True, exist_ok=True)
    content = {
        "parameters": results.parameters,
        "figures": [asdict(figure) for figure in figures(results)],
        "runs": {name: [asdict(run) for run in runs] for name, runs in results.runs.items()},
        "steps": results.steps,
        "sums": results.sums,
        "wrong": results.wrong,
        "unable": results.unable,
        "failures": results.failures,
    }
    (out / "results.json").write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    (out / "results.md").write_text(markdown(results), encoding="utf-8")


def _others(results: Results) -> str:
    runs = [run for of_name in results.runs.values() for run in of_name]
    busy = median(run.others_cores for run in runs) if runs else 0
    return f"Others kept {busy:.2f} cores busy meanwhile (median)."


def _cpu() -> str:
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.processor()


def _memory_gb() -> int:
    return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30)
