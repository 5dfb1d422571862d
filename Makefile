# Everything runs in ./.venv, which the first target makes: python3, gcc and make are all that is assumed.
.DEFAULT_GOAL := help
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: audit-reports help run test test-wheel check format fuzz bench faults docs site clean

help:  ## say what there is
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-8s %s\n", $$1, $$2}'

$(STAMP): pyproject.toml scripts/bootstrap hatch_build.py src/ringfence/message/_scan.pyx src/ringfence/transport/_legs.pyx
	@scripts/bootstrap $(VENV)
	@touch $@

run: $(STAMP)  ## set up all, start a node for ringfence.localhost, place a secure call through it, stay up
	@$(BIN)/ringfence demo --serve

test: $(STAMP)  ## set up all and run every test
	$(BIN)/pytest

test-wheel:  ## the same tests on the package as pip installs it: compiled
	scripts/test_wheel

check: $(STAMP)  ## style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(STAMP)  ## rewrite the files in the project's style
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

fuzz: $(STAMP)  ## a bounded run of the fuzzers
	$(BIN)/pip install --quiet --editable '.[fuzz]'
	$(BIN)/python fuzz/run.py

bench:  ## the figures of docs/performance.md, of the package as pip installs it: compiled
	@RINGFENCE_COMPILED=1 scripts/bootstrap .venv-bench --force-reinstall .
	.venv-bench/bin/python bench/run.py --write

faults: $(STAMP)  ## break things while calls go on, and write what was lost into docs/reliability.md
	$(BIN)/python scripts/faults.py --write

audit-reports: $(STAMP)  ## the reports in docs/audit, of this node and of Kamailio
	$(BIN)/python scripts/audit_reports.py

docs: $(STAMP)  ## write anew the pages that are made from the source
	$(BIN)/python scripts/draw_machines.py
	$(BIN)/python scripts/configuration.py
	$(BIN)/python scripts/command_line.py
	$(BIN)/python scripts/rfc_status.py
	$(BIN)/python scripts/privacy_table.py
	$(BIN)/python scripts/python_api.py

site: $(STAMP)  ## the documentation as a site, in build/site
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[docs]'
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

clean:  ## remove what was made
	rm -rf $(VENV) .venv-bench .venv-wheel build dist .mypy_cache .ruff_cache .pytest_cache
