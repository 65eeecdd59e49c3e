# Every target sets up what it needs, and may be run again at any time.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PACKAGES := gateway $(notdir $(wildcard plugins/gateway_*))
TESTS ?= tests
PIP := $(BIN)/python -m pip install -q --disable-pip-version-check --no-deps
INSTALL := $(PIP) --require-hashes --only-binary :all:
INSTALL_SELF := $(PIP) --no-build-isolation -e .
COMPILE := uv pip compile -q --universal --generate-hashes --no-emit-index-url --no-header --python-version 3.11

.DEFAULT_GOAL := help
.PHONY: help serve test lint fmt generate crash faults soak bench bench-rivals profile e2e lock clean

help:  ## Show what there is
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' Makefile | expand -t 16

serve: $(VENV)/.runtime  ## Serve on http://localhost:3264, with the sandbox unless gateway.toml names upstreams
	@$(BIN)/gateway serve

test: $(VENV)/.dev  ## Run every test but the slow suites
	$(BIN)/pytest -n 2 --dist loadfile -m "not slow" $(TESTS)

lint: $(VENV)/.dev  ## Check style, types, layers and generated files
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy $(PACKAGES:%=-p %)
	$(BIN)/lint-imports
	$(BIN)/gateway openapi --check openapi/openapi.json
	$(BIN)/gateway config schema --check openapi/config.schema.json

fmt: $(VENV)/.dev  ## Format the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

generate: $(VENV)/.dev  ## Write the generated files anew
	$(BIN)/gateway openapi --output openapi/openapi.json
	$(BIN)/gateway config schema --output openapi/config.schema.json

crash: $(VENV)/.dev  ## Kill real gateways at random times and compare what was promised with what is there
	$(BIN)/pytest -m slow tests/crash

faults: $(VENV)/.dev  ## Run the long forms of the fault tests
	$(BIN)/pytest -m slow tests/faults

soak: $(VENV)/.dev  ## Let the gateway work for an hour and see whether its memory stays flat
	$(BIN)/python -m tests.bench.soak

bench: $(VENV)/.dev  ## Measure against nginx, if it is installed
	$(BIN)/python -m tests.bench

bench-rivals: $(VENV)/.dev  ## Measure against LiteLLM and Portkey too
	$(BIN)/python -m tests.bench --rivals

profile: $(VENV)/.dev  ## Show where the microseconds of a request go
	$(BIN)/python -m tests.bench.profile

e2e: $(VENV)/.dev  ## Run the guide's snippets and the clients' SDKs; needs node 20, npm, curl and jq
	npm ci --prefix tests/clients/node
	$(BIN)/pytest tests/clients

lock:  ## Pin all requirements anew; needs uv
	$(COMPILE) --extra valkey pyproject.toml -o requirements.lock
	$(COMPILE) --group build -o requirements-build.lock
	$(COMPILE) --extra valkey --group dev -c requirements.lock -c requirements-build.lock pyproject.toml -o requirements-dev.lock

clean:  ## Remove what the targets made
	rm -rf $(VENV) .bench tests/clients/node/node_modules .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache

$(VENV)/.runtime: requirements.lock requirements-build.lock pyproject.toml | $(VENV)/bin/python
	$(INSTALL) -r requirements.lock -r requirements-build.lock
	$(INSTALL_SELF)
	@touch $@

$(VENV)/.dev: requirements-dev.lock pyproject.toml | $(VENV)/bin/python
	$(INSTALL) -r requirements-dev.lock
	$(INSTALL_SELF)
	@touch $@ $(VENV)/.runtime

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make serve PYTHON=python3.12")'
	@$(PYTHON) -m venv $(VENV) || { echo "cannot make a venv: on Debian, apt-get install python3-venv"; exit 1; }
