# The interface to people and CI. `make setup` and `make run` ask the machine for python3 (3.11 or newer)
# alone; `make test` fetches what only tests need.

# The first of these that is new enough; `make PYTHON=/path/to/python3` overrides.
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
VENV := .venv
BIN := $(VENV)/bin
# --no-input: a question nobody sees would look like a hang.
PIP := $(BIN)/python -m pip --disable-pip-version-check --no-input
# -qq: errors only.
INSTALL := $(PIP) install -qq --retries 5
# Three workers: most tests wait for other processes. `make test WORKERS=0` runs them one by one.
WORKERS ?= 3
PYTEST := $(BIN)/python -m pytest

.PHONY: help setup setup-dev system-packages run test test-long pytest lint bench lock clean

help:
	@echo "make run        a simulated county on embedded defaults; prints the console's address"
	@echo "make setup      only what running needs, into $(VENV)/"
	@echo "make test       every check and test (fetches what only tests need)"
	@echo "make test-long  crash loops, soak, a played year"
	@echo "make bench      benchmarks; a table, and var/bench.json"
	@echo "make lint       ruff, mypy, import-linter"
	@echo "make lock       writes the lock files anew (UPGRADE=--upgrade for newer versions)"
	@echo "make clean      removes what these targets made, $(VENV)/ included; keeps var/"

# Stamps, so that nothing is installed again until its lock changes.
setup: $(VENV)/.project

setup-dev: $(VENV)/.dev
	@$(MAKE) --no-print-directory setup

$(VENV)/.venv:
	@test -n "$(PYTHON)" || { echo "make: python3 3.11 or newer is needed; found: $$(python3 --version 2>&1)" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
		version=$$($(PYTHON) -c 'import sys; print("%d.%d" % sys.version_info[:2])'); \
		echo "make: this $(PYTHON) cannot make virtual environments; on Debian and Ubuntu: apt-get install python$$version-venv" >&2; \
		exit 1; }
	@echo "making $(VENV)/ with $$($(PYTHON) --version)"
	@$(PYTHON) -m venv --clear $(VENV)
	@touch $@

$(VENV)/.run: requirements.lock | $(VENV)/.venv
	@echo "installing requirements.lock"
	@$(INSTALL) --require-hashes -r requirements.lock
	@touch $@

$(VENV)/.dev: requirements-dev.lock | $(VENV)/.venv
	@echo "installing requirements-dev.lock"
	@$(INSTALL) --require-hashes -r requirements-dev.lock
	@touch $@

# The project itself: the build backend is in the lock, so nothing more is fetched.
$(VENV)/.project: pyproject.toml $(VENV)/.run
	@$(INSTALL) --no-deps --no-build-isolation --editable .
	@touch $@

# exec: Ctrl-C and its exit status are the program's own.
run: setup
	@exec $(BIN)/zhdj-monitor demo

system-packages:
	@bash tests/system-packages.sh

test: setup-dev system-packages
	@$(MAKE) --no-print-directory lint
	@$(MAKE) --no-print-directory pytest

pytest:
	$(PYTEST) -n $(WORKERS) --dist worksteal $(ARGS)

test-long: setup-dev system-packages
	$(PYTEST) -m long --timeout 3600 $(ARGS)

lint: setup-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: setup-dev system-packages
	@$(BIN)/python -m tests.bench

# Universal: one lock, with the hash of every file of every platform, and no address in it. The locks for
# running and testing hold the same versions.
COMPILE = $(BIN)/uv pip compile pyproject.toml --quiet --no-config --universal --python-version 3.11 \
	--generate-hashes --no-header --annotation-style line --no-emit-index-url --no-emit-find-links $(UPGRADE)
lock: $(VENV)/.venv
	@test -x $(BIN)/uv || $(INSTALL) uv
	$(COMPILE) --group dev --output-file requirements-dev.lock >/dev/null
	$(COMPILE) --group build --constraints requirements-dev.lock --output-file requirements.lock >/dev/null

clean:
	rm -rf $(VENV) dist .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -not -path './.git/*' -prune -exec rm -rf {} +
