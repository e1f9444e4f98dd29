# The commands of this project; `make help` lists them. All of them work in .venv, which is made from the lock files.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
CODE := service tests bench
CONFIG ?=
PYTEST_ARGS ?=
COMPILE := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-header --no-emit-index-url --no-emit-find-links pyproject.toml

export PYTHON
export PIP_NO_INPUT := 1
export PIP_DEFAULT_TIMEOUT ?= 60
export PIP_RETRIES ?= 10

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo run test lint format check bench lock clean

help: ## list the commands
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 10

demo: $(VENV)/.runtime ## the daemon beside a simulated PBX, and a link to its page; Ctrl-C ends it
	@$(BIN)/voicemaild demo

run: $(VENV)/.runtime ## the daemon in the foreground: make run CONFIG=my.toml
	@$(BIN)/voicemaild run $(if $(CONFIG),--config $(CONFIG))

test: $(VENV)/.dev ## every test, those with a real Asterisk too where they can run; PYTEST_ARGS go to pytest
	@.ci/test $(PYTEST_ARGS)

lint: $(VENV)/.dev ## formatting, lint and types, without changing a file
	@$(BIN)/ruff format --check --quiet --diff $(wildcard $(CODE))
	@$(BIN)/ruff check --quiet $(wildcard $(CODE))
	@$(BIN)/mypy --no-error-summary $(wildcard $(CODE))

format: $(VENV)/.dev ## bring the code into its format
	@$(BIN)/ruff format $(wildcard $(CODE))

check: override PYTEST_ARGS += --cov
check: lint test ## all of it: formatting, lint, types, tests with branch coverage and its floor

bench: $(VENV)/.dev ## the benchmark: each figure beside its limit of the same run
	@$(BIN)/python -m bench

lock: $(VENV)/.dev ## renew both lock files from pyproject.toml, to the newest versions it allows
	$(COMPILE) --upgrade --group build --output-file requirements.lock
	$(COMPILE) --upgrade --group dev --constraint requirements.lock --output-file requirements-dev.lock

clean: ## remove everything that can be made again
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .coverage*
	find $(wildcard $(CODE)) -type d -name __pycache__ -prune -exec rm -rf {} +

# A virtual environment without pip is what `python3 -m venv` leaves where Debian's python3-venv is missing.
$(VENV)/.made:
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "voicemaild needs Python 3.11 or newer, this is %s; make PYTHON=python3.11 chooses another" % sys.version.split()[0])'
	@test -x $(BIN)/pip || { .ci/packages venv && $(PYTHON) -m venv --clear $(VENV); }
	@touch $@

$(VENV)/.runtime: $(VENV)/.made requirements.lock pyproject.toml
	@echo "Installing what voicemaild runs on into $(VENV) ..."
	@.ci/again $(PIP) install --require-hashes -r requirements.lock
	@$(PIP) install --no-deps --no-build-isolation -e .
	@touch $@

$(VENV)/.dev: $(VENV)/.runtime requirements-dev.lock
	@echo "Installing what the tests and checks need into $(VENV) ..."
	@.ci/again $(PIP) install --require-hashes -r requirements-dev.lock
	@touch $@
