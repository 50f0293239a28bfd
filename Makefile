# Everything a fresh machine with Python 3.11, make and git needs: `make demo` and `make test` set themselves up.
.DEFAULT_GOAL := help
PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin

.PHONY: help setup demo test test-ui test-oracle bench audit lint docs clean

help:  ## Show this list.
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: .venv/ready  ## Make .venv from requirements.lock, and dbt's manifest.

.venv/ready: requirements.lock pyproject.toml
	$(PYTHON) -m venv --clear .venv
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	$(BIN)/python -m orchestration.close.dbt_build
	@touch $@

demo: setup  ## Land a made-up carrier's last four months, close them, show a statement.
	$(BIN)/statements demo

test: setup  ## Run the tests, two files at a time.
	$(BIN)/python -m pytest -n 2 --dist loadfile --ignore tests/ui

test-ui: setup  ## Operate the UI in Chromium, and kill its servers: make test-ui [PICTURES=docs]. Takes minutes.
	$(BIN)/pip install --quiet --disable-pip-version-check -r tests/ui/requirements.txt
	PICTURES=$(PICTURES) $(BIN)/python -m pytest tests/ui

test-oracle: setup  ## Hold 20,000 random histories against the oracle, through the real close.
	STATEMENTS_TEST_HISTORIES=20000 $(BIN)/python -m pytest tests/oracle

bench: setup build/peers/bin/python  ## Measure beside a floor and other engines: make bench [BENCH="--records 1000000"].
	$(BIN)/python -m benchmarks.run $(BENCH)

build/peers/bin/python: benchmarks/peers/requirements.txt
	$(PYTHON) -m venv --clear build/peers
	build/peers/bin/pip install --quiet --disable-pip-version-check -r benchmarks/peers/requirements.txt

audit: setup  ## Judge closed months by another algorithm: make audit MONTH="2026-09 2026-10" [DATA=data].
	$(BIN)/python -m benchmarks.audit $(or $(DATA),data) $(MONTH)

lint: setup  ## Check style.
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

docs: setup  ## Write dbt's documentation to dbt_project/target/docs/static_index.html.
	$(BIN)/python -m orchestration.close.dbt_build docs

clean:  ## Remove what `setup` made. Data stays.
	rm -rf .venv dbt_project/target
