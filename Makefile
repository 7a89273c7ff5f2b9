# Two commands first: `make demo` and `make test`. Both set up .venv by themselves.
PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.installed
HOME_DIR ?= .eth_pipeline/demo

.PHONY: setup demo up test lint check bench generated lock audit clean

setup: $(STAMP)

$(STAMP): requirements.lock pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "Python 3.11 or newer is needed")'
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	touch $(STAMP)

demo: setup
	$(BIN)/eth-pipeline demo --home $(HOME_DIR)

up: setup
	$(BIN)/eth-pipeline up --home $(HOME_DIR)

test: setup
	$(BIN)/python -m pytest -n 2 --dist loadfile

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

check: test lint

bench: setup
	for script in benchmarks/*.py; do echo "== $$script"; $(BIN)/python $$script || exit 1; done

# Documents and schemas that are written by code; tests hold them equal to it.
generated: setup
	$(BIN)/python -m eth_pipeline.contracts.documentation > docs/tables.md
	$(BIN)/python -m eth_pipeline.signals.reason_docs > docs/reason_codes.md
	$(BIN)/python -m eth_pipeline.settings.documentation > docs/settings.md
	$(BIN)/python -m eth_pipeline.registry.schemas
	$(BIN)/python -m eth_pipeline.operations.signal_line

# Needs pip-tools; the torch line is written without the local version so that pip may choose the CPU build.
lock:
	$(BIN)/python -m piptools compile --quiet --strip-extras --no-emit-index-url --no-emit-find-links \
	  --no-emit-trusted-host --extra dev --extra postgres --output-file requirements.lock pyproject.toml
	sed -i 's/^torch==2.13.0+cpu/torch==2.13.0/' requirements.lock

# Needs the package index: known vulnerabilities of the lock, and a CycloneDX bill of materials.
audit: setup
	mkdir -p build
	$(BIN)/pip-audit --requirement requirements.lock --no-deps --disable-pip --progress-spinner off
	$(BIN)/pip-audit --requirement requirements.lock --no-deps --disable-pip --progress-spinner off --format cyclonedx-json \
	  --output build/sbom.json

clean:
	rm -rf .venv .eth_pipeline build dist *.egg-info
