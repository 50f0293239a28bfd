# `make demo`, `make check` and `make test` set themselves up on a fresh machine with Python 3.11, make and git.
.DEFAULT_GOAL := help
PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin

.PHONY: help setup lock spark check demo test test-long test-oracle test-histories test-spark test-hostile test-faults test-mutants test-ui test-postgres test-sip bench audit docs site clean

help:  ## Show this list.
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "make %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: .venv/ready  ## Make .venv from requirements.lock, and dbt's manifest.

.venv/locked: requirements.lock
	$(PYTHON) -m venv --clear .venv
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements.lock
	@touch $@

# The package names the version of its last installation, so a new version has to be installed. It is compiled, since who
# runs it may not write here.
.venv/ready: .venv/locked pyproject.toml
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	$(BIN)/python -m compileall -q orchestration
	$(BIN)/python -m orchestration.close.dbt_build
	@touch $@

lock: build/lock/bin/uv  ## Write the locks anew from pyproject.toml: make lock [LOCK="--upgrade-package duckdb"].
	build/lock/bin/uv pip compile --quiet $(LOCK) --extra dev --output-file requirements.lock pyproject.toml
	build/lock/bin/uv pip compile --quiet $(LOCK) --extra spark --constraint requirements.lock \
		--output-file requirements-spark.lock pyproject.toml
	build/lock/bin/uv pip compile --quiet $(LOCK) --group docs --output-file requirements-docs.lock

spark: .venv/spark  ## Add Apache Spark to .venv from requirements-spark.lock. Needs Java 17 or newer. 500 MB.

.venv/spark: requirements-spark.lock .venv/ready
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements-spark.lock
	@touch $@

# Exactly this version, so that two people's locks differ in packages and not in form.
build/lock/bin/uv: Makefile
	$(PYTHON) -m venv --clear build/lock
	build/lock/bin/pip install --quiet --disable-pip-version-check uv==0.13.9
	@touch $@

demo: setup  ## Land a made-up carrier's last four months, close them, write the statements of the last.
	$(BIN)/statements demo

check: setup  ## Check style, types, layers, SQL and models, and run the fast tests. Takes about a minute.
	@$(MAKE) --no-print-directory --keep-going --jobs 2 $(if $(filter output-sync,$(.FEATURES)),--output-sync) $(CHECKS)

# The longest comes first, so that the others run beside it.
CHECKS := check-tests check-types check-sql check-models check-style check-layers
.PHONY: $(CHECKS)

check-tests:
	$(BIN)/python -m pytest -n 2 -m "not slow and not long" tests/unit

check-types:
	$(BIN)/mypy

check-sql:
	$(BIN)/sqlfluff lint --processes 1 dbt_project/models dbt_project/tests

# dbt parses and compiles every model, unless its manifest is of this code already; a deprecation is an error.
check-models:
	$(BIN)/python -m orchestration.close.dbt_build

check-style:
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

check-layers:
	$(BIN)/lint-imports --no-logo

test: setup  ## Run the tests, two files at a time. Takes some minutes.
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder -m "not long" --ignore tests/ui

test-long: setup  ## Run the tests that `make test` leaves out: every story in every zone, every forgery, more closes. Takes minutes.
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder -m long --ignore tests/ui

test-ui: setup  ## Operate the UI in Chromium, and kill its servers: make test-ui [PICTURES=docs]. Takes minutes.
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r tests/ui/requirements.txt
	PICTURES=$(PICTURES) $(BIN)/python -m pytest tests/ui

test-postgres: setup  ## Keep Dagster's history in a PostgreSQL of its own, kill and restart. Needs Debian's postgresql. Takes minutes.
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r tests/postgres/requirements.txt
	$(BIN)/python -m pytest -v tests/postgres/live_server.py

test-oracle: setup  ## Hold 20,000 random histories against the oracle, through the real close.
	STATEMENTS_TEST_HISTORIES=20000 $(BIN)/python -m pytest tests/oracle

test-histories: setup  ## Live through a year of closes with 1,000 careers, the oracle and every frozen byte beside them.
	STATEMENTS_TEST_CAREERS=1000 STATEMENTS_TEST_MONTHS=12 $(BIN)/python -m pytest tests/oracle/test_over_months.py -s

test-spark: setup .venv/spark  ## Close every scenario and 2,000 histories on both engines, on a cluster too, and kill it. Hours.
	STATEMENTS_TEST_REACH=full $(BIN)/python -m pytest tests/spark
	STATEMENTS_ENGINE=spark STATEMENTS_TEST_HISTORIES=2000 $(BIN)/python -m pytest tests/oracle/test_against_build.py
	STATEMENTS_ENGINE=spark STATEMENTS_TEST_CAREERS=200 STATEMENTS_TEST_MONTHS=4 \
		$(BIN)/python -m pytest tests/oracle/test_over_months.py

test-hostile: setup  ## Every malformed file and payload in every place, damage, variants of a month, the UI's sockets.
	STATEMENTS_TEST_REACH=full $(BIN)/python -m pytest -n 2 --dist loadfile tests/hostile tests/orchestration/test_damage.py tests/orchestration/test_metamorphic.py

test-faults: setup  ## Kill, refuse and squeeze closes and landings at every system call. Needs root and strace.
	STATEMENTS_TEST_REACH=full $(BIN)/python -m pytest -n 2 --dist loadfile -rP tests/faults

test-mutants: setup  ## Try small faults in the SQL, publishing and landing: make test-mutants [MUTANTS="sql --sample 100"]. Hours.
	$(BIN)/python -m tests.mutants.run $(MUTANTS)

test-sip: setup  ## Make real calls through a Kamailio, and state them. Needs Debian's kamailio, kamailio-sqlite-modules, sip-tester.
	$(BIN)/python -m pytest -v tests/sip/live_switch.py

bench: setup build/peers/bin/python  ## Measure beside a floor and other engines: make bench [BENCH="--records 1000000"].
	$(BIN)/python -m benchmarks.run $(BENCH)

build/peers/bin/python: benchmarks/peers/requirements.txt
	$(PYTHON) -m venv --clear build/peers
	build/peers/bin/pip install --quiet --disable-pip-version-check -r benchmarks/peers/requirements.txt

audit: setup  ## Judge closed months by another algorithm: make audit [MONTH="2026-09 2026-10"] [DATA=data].
	$(BIN)/python -m benchmarks.audit $(or $(DATA),data) $(or $(MONTH),--all)

docs: setup  ## Write dbt's documentation to dbt_project/target/docs/static_index.html.
	$(BIN)/python -m orchestration.close.dbt_build docs

site: build/site-tools/bin/mkdocs  ## Write the documents as a site to build/site/index.html, which opens without a server.
	NO_MKDOCS_2_WARNING=1 build/site-tools/bin/mkdocs build --quiet

build/site-tools/bin/mkdocs: requirements-docs.lock
	$(PYTHON) -m venv --clear build/site-tools
	build/site-tools/bin/pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements-docs.lock
	@touch $@

clean:  ## Remove .venv and dbt's manifest. Data stays.
	rm -rf .venv dbt_project/target
