"""The recipes of docs/sources.md do what the page says, and the page names every key, every field and every kind of time.

What belongs here: the page as it is printed. What does not: the traps of a key (`test_exports`).
"""

import re

import pytest

from orchestration.settings import PROJECT_ROOT
from orchestration.sources import declaration
from tests.unit.conftest import Warehouse

PAGE = (PROJECT_ROOT / "docs" / "sources.md").read_text(encoding="utf-8")
RECIPES = dict(re.findall(r"^### (.+?)\n.*?^```toml\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL))
AT = "2026-03-05T10:00:00Z"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("recipe", "content", "columns", "expected"),
    [
        ("Add up columns", f"id,began,price,tax\na,{AT},0.1,0.2\nb,{AT},0.1,\n", "cost::varchar", [("0.300000000",), ("0.100000000",)]),
        ("Build an id", f"began,from,to,trunk,cost\n{AT},1,2,t,0.1\n{AT},1,3,t,0.1\n{AT},1,2,t,0.1\n", "count(distinct record_id)", [(2,)]),
        ("Several rows are one record", f"call,leg,began,cost\nc,2,{AT},0.2\nc,1,2026-03-05T09:00:00Z,0.1\nd,1,{AT},0.4\n",
         "record_id, strftime(started_at, '%H'), cost::varchar", [("recipe:acme:c", "09", "0.300000000"), ("recipe:acme:d", "10", "0.400000000")]),
        ("Look a tenant up", f"id,began,cost\na,{AT},0.1\n", "record_id, x_tenant", [("recipe:acme:a", "acme.example")]),
        ("Durations as HH:MM:SS", f"id,began,length,cost\na,{AT},1:00:00.2,0.1\n", "billed_seconds", [(3601,)]),
        ("Ignore a total row", f"id,began,cost\na,{AT},0.1\nTotal,,0.1\n", "cost::varchar", [("0.100000000",)]),
        ("Sign and currency", f"id;began;amount\na;{AT};-1.000,25 €\nb;{AT};£0,5\n", "cost::varchar, currency",
         [("1000.250000000", "EUR"), ("-0.500000000", "GBP")]),
        ("`-1` means unrated", f"id,began,seconds,to,cost\na,{AT},61,+12015550123,-1\nb,{AT},61,+12015550123,0.7\n", "cost::varchar",
         [("0.020000000",), ("0.700000000",)]),
    ],
)  # fmt: skip
def test_a_recipe_does_what_it_says(warehouse: Warehouse, recipe, content, columns, expected):
    folder = warehouse.settings.sources
    folder.mkdir(parents=True)
    (folder / "recipe.toml").write_text(RECIPES[recipe], encoding="utf-8")
    (folder / "customers.csv").write_text("pbx,account_id\nacme,acme.example\n", encoding="utf-8")
    (folder / "rates.csv").write_text(
        "service,prefix,price,increment,fee\noutbound_conversational,,0.01,60/60,\n", encoding="utf-8"
    )
    path = warehouse.folder / "file.csv"
    path.write_text(content, encoding="utf-8")
    (landing,) = warehouse.land("cdrs", path, source="recipe@acme")
    order = "record_id" if "count" not in columns else "1"
    assert warehouse.usable(columns=columns, order=order) == expected
    assert landing.receipt.rejected_rows == 0


def test_there_are_eight_recipes_and_each_is_tried():
    tried = test_a_recipe_does_what_it_says.pytestmark[0].args[1]
    assert sorted(RECIPES) == sorted(recipe for recipe, *_ in tried)
    assert len(RECIPES) == 8


def test_the_page_names_every_key_field_and_kind_of_time():
    keys = {
        f"[{key}]"
        if key in ("derived", "record", "ignore", "reject", "rates")
        else "[lookups."
        if key == "lookups"
        else f"`{key}`"
        for key in declaration.KEYS
    }
    table = PAGE.partition("## Keys")[2].partition("## The fields")[0]
    fields = PAGE.partition("## The fields")[2].partition("## Recipes")[0]
    assert [key for key in sorted(keys) if key not in table] == []
    assert [name for name in (*declaration.RECORD, *declaration.TIMES) if f"`{name}`" not in fields] == []
    for words in (declaration.FORMATS, declaration.DURATIONS, declaration.ROUNDINGS):
        assert [word for word in words if f"`{word}`" not in table] == []
