"""What the project promises about itself: documented commands and settings, described models, no forbidden SQL."""

import ast
import json
import re
from collections import Counter

import pytest
import yaml

from orchestration import cli, engine
from orchestration.close import dbt_build, tables
from orchestration.settings import DBT_PROJECT, PROJECT_ROOT, SEEDS

README = (PROJECT_ROOT / "README.md").read_text(encoding="utf-8")
MODELS = sorted((DBT_PROJECT / "models").rglob("*.sql"))
# Set by the close for dbt's profile alone; nobody else is to set them.
INTERNAL_SETTINGS = {"STATEMENTS_BUILD_FILE"}


def test_every_command_is_in_the_readme():
    commands = [*cli.app.registered_commands, *cli.tenant.registered_commands, *cli.sources.registered_commands]
    names = [command.name for command in commands]
    assert len(names) > 15
    assert [name for name in names if not re.search(rf"[`\s/]{name}\b", README)] == []


def test_every_setting_is_in_the_readme_and_every_setting_there_is_read():
    code = (PROJECT_ROOT / "orchestration" / "settings.py").read_text(encoding="utf-8")
    read = set(re.findall(r"STATEMENTS_[A-Z_]+", code)) - INTERNAL_SETTINGS
    assert read == set(re.findall(r"STATEMENTS_[A-Z_]+", README))


@pytest.mark.parametrize("model", MODELS, ids=lambda path: path.stem)
def test_every_model_says_its_grain_in_sql_and_beside_it(model):
    assert "**Grain:" in model.read_text(encoding="utf-8")
    described = model.with_suffix(".yml").read_text(encoding="utf-8")
    assert re.search(r"Grain: one\s+row\s+per", described)


@pytest.mark.slow
def test_a_description_that_columns_share_is_a_doc_block():
    declared = [
        column["description"]
        for path in [*(DBT_PROJECT / "models").rglob("*.yml"), *SEEDS.glob("*.yml")]
        for kind, relations in yaml.safe_load(path.read_text(encoding="utf-8")).items()
        if kind in ("models", "seeds")
        for relation in relations
        for column in relation["columns"]
    ]
    assert len(declared) > 500
    references = [re.fullmatch(r"\{\{ doc\('(\w+)'\) \}\}", description) for description in declared]
    told = [" ".join(text.split()) for text, reference in zip(declared, references, strict=True) if not reference]
    assert [text for text, times in Counter(told).items() if times > 1] == []
    blocks = re.findall(r"\{% docs (\w+) %\}", (DBT_PROJECT / "models" / "columns.md").read_text(encoding="utf-8"))
    used = Counter(reference[1] for reference in references if reference)
    assert {name for name, times in used.items() if times > 1} == set(blocks)


def test_no_line_of_sql_is_longer_than_100_columns():
    """SQLFluff counts the models' lines, not those inside of macros, tests and comments of Jinja."""
    sources = [path for folder in ("macros", "models", "tests") for path in (DBT_PROJECT / folder).rglob("*.sql")]
    assert len(sources) > len(MODELS)
    lines = [line for path in sources for line in path.read_text(encoding="utf-8").splitlines()]
    assert [line for line in lines if len(line) > 100] == []


def test_no_compiled_sql_asks_the_clock_counts_in_floats_or_closes_an_interval():
    nodes = json.loads(dbt_build.prepare().read_text(encoding="utf-8"))["nodes"].values()
    compiled = {node["name"]: node["compiled_code"] for node in nodes if node["resource_type"] == "model"}
    assert len(compiled) == len(MODELS)
    forbidden = re.compile(
        r"\bnow\(|\bcurrent_(date|timestamp)\b|\bbetween\b(?! unbounded)|\b(double|float|real)\b", re.I
    )
    comments = re.compile(r"--[^\n]*|/\*.*?\*/", re.S)
    assert {name for name, sql in compiled.items() if forbidden.search(comments.sub("", sql))} == set()


# Functions that DuckDB and Spark both have, with the same meaning. Everything else is a macro of two forms.
PORTABLE = re.compile(
    "abs|bool_or|cast|coalesce|count|dense_rank|exists|filter|floor|greatest|lag|lead|least|length|lower|max|min|over|"
    "replace|row_number|sqrt|substr|sum|values"
)
# What may stand before a bracket, and is no function.
WORDS = re.compile("and|as|by|decimal|else|from|in|not|on|or|over|select|then|when|where")


def test_no_model_names_a_function_of_one_engine():
    """What a model itself writes, without its macros; the compiled SQL of both engines is judged in `tests/spark`."""
    jinja_comments_and_texts = re.compile(r"\{#.*?#\}|\{%.*?%\}|\{\{.*?\}\}|--[^\n]*|'[^']*'", re.S)
    for path in [*MODELS, *(DBT_PROJECT / "tests").rglob("*.sql")]:
        sql = jinja_comments_and_texts.sub("?", path.read_text(encoding="utf-8"))
        # The name of a relation with its columns in brackets, as `values` needs it.
        aliases = set(re.findall(r"\bas (\w+) \(", sql))
        named = set(re.findall(r"\b([a-z_0-9]+)\s*\(", sql))
        functions = {name for name in named - aliases if not WORDS.fullmatch(name)}
        assert {name for name in functions if not PORTABLE.fullmatch(name)} == set(), path.name
        assert not re.search(r"::|//|\[|:=|\b(varchar|timestamptz|exclude|at time zone|ignore nulls)\b", sql), path.name


def test_every_macro_of_two_forms_has_both():
    text = "".join(path.read_text(encoding="utf-8") for path in (DBT_PROJECT / "macros").rglob("*.sql"))
    dispatched = set(re.findall(r"adapter\.dispatch\('(\w+)'\)", text))
    assert 10 < len(dispatched) < 20
    for engine_name in ("duckdb", "spark"):
        assert dispatched <= set(re.findall(rf"macro {engine_name}__(\w+)\(", text))


def test_models_point_downwards_only():
    nodes = json.loads(dbt_build.prepare().read_text(encoding="utf-8"))["nodes"]
    layers = {"staging": 0, "intermediate": 1, "marts": 2, "invariants": 2, "figures": 2}
    models = {key: layers[node["fqn"][1]] for key, node in nodes.items() if node["resource_type"] == "model"}
    upwards = {
        (nodes[parent]["name"], nodes[child]["name"])
        for child in models
        for parent in nodes[child]["depends_on"]["nodes"]
        if parent in models and models[parent] > models[child]
    }
    # The usage is written as files once; everything that adds it up reads what was written.
    assert {parent for parent, _ in upwards} <= {"usage"}


def test_every_model_has_a_test_of_its_grain_or_says_beside_it_what_holds_it():
    nodes = json.loads(dbt_build.prepare().read_text(encoding="utf-8"))["nodes"]
    names = {node["name"] for node in nodes.values()}
    tested = {
        node["attached_node"]
        for node in nodes.values()
        if node.get("test_metadata", {}).get("name") in ("unique_grain", "periods_do_not_overlap", "has_one_row")
    }
    for unique_id, node in nodes.items():
        if node["resource_type"] == "model" and unique_id not in tested:
            held_by = node["config"]["meta"].get("grain_is_held_by")
            assert held_by, f"{node['name']} has no test of its grain"
            # Columns, models and tests that are named have to exist.
            named = set(re.findall(r"`(\w+)`", held_by)) - node["columns"].keys()
            assert named <= names, node["name"]


def test_staging_alone_reads_sources():
    nodes = json.loads(dbt_build.prepare().read_text(encoding="utf-8"))["nodes"].values()
    models = [node for node in nodes if node["resource_type"] == "model"]
    readers = {
        node["fqn"][1] for node in models for parent in node["depends_on"]["nodes"] if parent.startswith("source.")
    }
    assert readers == {"staging"}


def test_no_dbt_package_is_needed():
    assert not list(DBT_PROJECT.glob("packages.yml"))


def test_parquet_is_written_alike_by_dbt_and_by_python():
    macro = (DBT_PROJECT / "macros" / "parquet_file.sql").read_text(encoding="utf-8")
    assert " ".join(engine.PARQUET.split()) in " ".join(macro.split())


def test_a_table_is_written_in_the_order_of_its_key():
    nodes = json.loads(dbt_build.prepare().read_text(encoding="utf-8"))["nodes"]
    for table in tables.TABLES:
        assert tuple(nodes[f"model.tenant_statements.{table.name}"]["config"]["file_order"]) == table.key, table.name
    corrections = nodes["model.tenant_statements.int_corrections"]["config"]
    assert (tuple(corrections["file_order"]), corrections["file"]) == (tables.USAGE.key, "usage/corrections")


def test_what_modules_hand_each_other_cannot_be_changed():
    """The command line alone keeps a state: what its options before the command said."""
    changeable = [
        name
        for path in sorted((PROJECT_ROOT / "orchestration").rglob("*.py"))
        for name in re.findall(
            r"^@dataclass\b(?!\(frozen=True\b).*\nclass (\w+)", path.read_text(encoding="utf-8"), re.MULTILINE
        )
    ]
    assert changeable == ["_State"]


def test_no_function_is_longer_than_60_lines():
    """Ruff holds how many parameters and statements a function has, and counts no lines."""
    long = [
        f"{path.relative_to(PROJECT_ROOT)}: {node.name} has {node.end_lineno - node.lineno + 1} lines"
        for path in sorted((PROJECT_ROOT / "orchestration").rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.end_lineno - node.lineno >= 60
    ]
    assert long == []
