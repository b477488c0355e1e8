# Two commands do everything on a fresh machine: `make demo` and `make test`. Both install into .venv first.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SCENARIO ?= provider-outage
SEED ?= 1
APPROVE ?= no

.PHONY: help install install-dev demo test check unit test-connectors bench eval screenshots clean

help: ## Show this help
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-16s %s\n", $$1, $$2}'

install: $(VENV)/.installed ## Install Pagerunner into .venv

install-dev: $(VENV)/.installed-dev ## Install what the tests need as well

$(VENV)/.installed: pyproject.toml constraints.txt
	@echo "== Installing into $(VENV) (once; a few minutes, mostly PyTorch)"
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed: set PYTHON=..."; exit 2; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) || { echo "python3-venv is needed: apt-get install python3-venv"; exit 2; }
	$(BIN)/python -m pip install --disable-pip-version-check -c constraints.txt torch==2.13.0
	$(BIN)/python -m pip install --disable-pip-version-check -c constraints.txt -e .
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	@echo "== Installing what the tests need"
	$(BIN)/python -m pip install --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@

demo: install ## The whole way of an incident, simulated: SCENARIO=..., SEED=..., APPROVE=yes for a scripted person
	@$(BIN)/pagerunner demo --scenario "$(SCENARIO)" --seed "$(SEED)" $(if $(filter yes,$(APPROVE)),--scripted-person,)

test: check unit ## Everything: style, types, imports, and all tests

check: install-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

unit: install-dev
	@sh scripts/need_browser.sh
	$(BIN)/python -m pytest -n 2 --dist loadfile

test-connectors: install-dev ## The MLflow connector against a real MLflow server (its own virtual environment)
	@sh scripts/test_connectors.sh

bench: install-dev ## Measure intake, latency and memory, and print the figures
	$(BIN)/python -m bot.bench

eval: install ## Measure answers, retrieval and drills, and print the tables
	$(BIN)/pagerunner eval questions
	$(BIN)/pagerunner eval drills --seed-base 5 --seeds 4 --results docs/results.md
	PAGERUNNER_CONTRACTS="$${PAGERUNNER_CONTRACTS:-$(abspath $(wildcard ../shared/data/contracts))}" $(BIN)/pagerunner eval retrieval --from-contracts

screenshots: install-dev ## Make the pictures in docs/pictures by walking through the journeys of its users
	@sh scripts/need_browser.sh
	JOURNEY_PICTURES=docs/pictures $(BIN)/python -m pytest -q tests/journeys

clean:
	rm -rf out .pagerunner build ./*.egg-info .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
