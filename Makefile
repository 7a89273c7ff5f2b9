# Two commands first: `make demo` and `make test`. Both set up .venv by themselves.
PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
STAMP := .venv/.installed
TORCH := $(shell sed -n 's/^\(torch==[0-9.]*\).*/\1/p' requirements.torch.lock)
HOME_DIR ?= .eth_pipeline/demo

.PHONY: setup demo up test lint check bench mutations docs release-check generated lock sbom audit clean

setup: $(STAMP)

# Every file that is installed has a hash in a lock. The lock's pip comes first: the one that Python brings (of 2023 with
# 3.11) takes twice as long. torch goes by itself: pip chooses a build without hashes (the CPU build where this machine is
# offered one), then installs it only if its hash is known. `install $(TORCH)` does nothing for a CPU build; a CUDA build
# gets its CUDA libraries, in the versions that the verified file names. Byte code is made on all cores at the end, without
# the packages' own tests; a file that is no Python of this version is skipped, as pip does.
$(STAMP): requirements.lock requirements.torch.lock pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "Python 3.11 or newer is needed")'
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	rm -rf build/setup && mkdir -p build/setup
	sed -n '/^pip==/,/^    # via/p' requirements.lock >build/setup/pip.lock
	$(PIP) install --quiet --require-hashes -r build/setup/pip.lock
	$(PIP) download --quiet --no-deps --dest build/setup $(TORCH)
	$(PIP) install --quiet --no-compile --no-deps --no-index --find-links build/setup --require-hashes -r requirements.torch.lock
	$(PIP) install --quiet --no-compile --require-hashes -r requirements.lock
	$(PIP) install --quiet --no-compile $(TORCH)
	$(PIP) install --quiet --no-deps --no-build-isolation --editable .
	$(BIN)/python -m compileall -qq -j 0 -x '/site-packages/.*/tests?/' "$$($(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')" || true
	rm -rf build/setup
	touch $(STAMP)

demo: setup
	$(BIN)/eth-pipeline demo --home $(HOME_DIR)

up: setup
	$(BIN)/eth-pipeline up --home $(HOME_DIR)

# Three processes, also on two cores: many tests wait for processes of their own. Which modules come first conftest.py
# says. Byte code is kept also where the shell says not to: hundreds of processes would compile the package again.
test: setup
	PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest -n 3 --dist loadfile --no-loadscope-reorder

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/bandit --quiet --configfile pyproject.toml --recursive eth_pipeline h800 benchmarks deploy

check: test lint

bench: setup
	$(BIN)/python benchmarks/table.py --write

# Deliberate bugs, one at a time in a copy: the suite has to notice each of them.
mutations: setup
	$(BIN)/python -m eth_pipeline_tests.mutations.run

# The documents as a site below build/docs; a warning is an error.
docs: setup
	$(BIN)/sphinx-build -W --keep-going -n -c docs . build/docs

# A release as its users get it: both distributions, installed into empty environments, the demo from the wheel.
release-check: setup
	deploy/release_check.sh

# Documents and schemas that are written by code; tests hold them equal to it.
generated: setup
	$(BIN)/python -m eth_pipeline.contracts.documentation > docs/tables.md
	$(BIN)/python -m eth_pipeline.signals.gating.reason_docs > docs/reason_codes.md
	$(BIN)/python -m eth_pipeline.settings.documentation > docs/settings.md
	$(BIN)/python -m eth_pipeline.registry.promotions.policy_docs > docs/promotion-policy.md
	$(BIN)/python -m eth_pipeline.registry.bundles.schemas
	$(BIN)/python -m eth_pipeline.operations.signal_line

# Needs the package index. Pins that stand stay; `make lock UPGRADE=--upgrade` takes the newest. torch has its own lock:
# deploy/torch_lock.py says why.
lock: setup
	rm -rf build/torch
	$(PIP) download --quiet --no-deps --dest build/torch "$$(sed -n 's/^ *"\(torch==[0-9.]*\)",/\1/p' pyproject.toml)"
	$(BIN)/python deploy/torch_lock.py requirements.torch.lock build/torch
	rm -rf build/torch
	CUSTOM_COMPILE_COMMAND='make lock' $(BIN)/python -m piptools compile --quiet --generate-hashes \
	  --unsafe-package torch --no-strip-extras --no-emit-index-url --no-emit-find-links --no-emit-trusted-host \
	  --extra dev --extra postgres $(UPGRADE) --output-file requirements.lock pyproject.toml
	sed -i '/^# WARNING: The following packages were not pinned/,$$d' requirements.lock

# Bill of materials of the locks; needs no network.
sbom: setup
	$(BIN)/python deploy/sbom.py build/sbom.json

# Known vulnerabilities of exactly the locks, asked of PyPI; `SERVICE=osv` asks the other database. A package that the
# service does not know fails it: an audit that looked at nothing must not pass.
SERVICE ?= pypi
audit: sbom
	$(BIN)/pip-audit --strict --vulnerability-service $(SERVICE) --disable-pip --progress-spinner off \
	  --requirement requirements.lock --requirement requirements.torch.lock

clean:
	rm -rf .venv .eth_pipeline build dist *.egg-info
