# One word runs everything. Each target sets up what it needs; only Python 3.11 (or newer), git and make are assumed.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.ready
FRAMEWORKS := $(VENV)/.frameworks

.PHONY: setup frameworks demo test lint bench collector docs clean

setup: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "otel_voicebot needs Python 3.11 or newer; this is " + sys.version.split()[0] + ". Name another one: make PYTHON=python3.11")'
	@echo "Setting up $(VENV) (once, about a minute) ..."
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[demo,dev]'
	@touch $(STAMP)

frameworks: $(FRAMEWORKS)  ## Pipecat, LiveKit Agents, Spark and ClickHouse for the tests: 2 GB that `make demo` doesn't need

$(FRAMEWORKS): $(STAMP)
	@echo "Installing the frameworks and engines of the tests (once) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[demo,dev,frameworks,spark,warehouses]'
	@touch $(FRAMEWORKS)

demo: setup  ## real spoken calls -> spans -> metrics -> Parquet -> a report
	@$(BIN)/otel-voicebot demo

test: frameworks  ## all tests
	@$(BIN)/python -m pytest $(PYTEST_ARGS)

lint: setup  ## style, types, layers, generated pages and dashboards
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-cache
	@$(BIN)/python docs/generate.py --check
	@$(BIN)/python -m grafana.generate --check

docs: setup  ## write the generated reference pages, rules and dashboards
	@$(BIN)/python docs/generate.py
	@$(BIN)/python -m grafana.generate

bench: frameworks  ## paired measurements; prints ratios
	@$(BIN)/python -m bench

collector: setup  ## build the OpenTelemetry Collector of the tests, once; needs Go
	@$(BIN)/python -m bench.collector

clean:
	rm -rf $(VENV) build *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
