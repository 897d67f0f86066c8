# agentsys. `make demo` and `make test` need python3 (3.11 or newer), git and make; nothing else.

SHELL := /bin/bash
.SHELLFLAGS := -e -o pipefail -c
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
REPO ?=

.PHONY: demo test up down check schema bench bench-memory bench-console screenshots simulate races api-fuzz chaos install dev lock clean

demo: $(VENV)/.run ## set everything up and take a real goal to its end (REPO=/path to your own)
	@$(BIN)/python manage.py demo $(if $(REPO),--repo "$(REPO)")

up: $(VENV)/.run ## web, worker, beat and Flower under one supervisor
	@$(BIN)/python manage.py stack up $(ARGS)

down: $(VENV)/.run ## stop a detached stack and the embedded servers
	@$(BIN)/python manage.py stack down

test: $(VENV)/.dev ## the tests, on real servers and real workers
	@$(BIN)/python -m pytest -q -n 2 --dist loadfile $(ARGS)

# Checks need no server: they are given addresses where there is none.
NOWHERE := AGENTSYS_HOME=$(CURDIR)/.agentsys/check DATABASE_URL=postgresql://127.0.0.1:1/none \
	REDIS_URL=redis://127.0.0.1:1

check: $(VENV)/.dev ## format, lint, types, layers, migrations, deployment, the API's schema
	$(BIN)/ruff format --check -q .
	$(BIN)/ruff check -q .
	$(BIN)/lint-imports --no-cache | tail -n 12
	$(BIN)/mypy
	$(NOWHERE) $(BIN)/python -W ignore::RuntimeWarning manage.py makemigrations --check --dry-run
	$(BIN)/django-upgrade --target-version 5.2 $$(git ls-files '*.py')
	$(NOWHERE) TLS=1 $(BIN)/python manage.py check --deploy --fail-level WARNING
	@$(NOWHERE) $(BIN)/python manage.py spectacular --file $(VENV)/openapi.yaml
	@cmp $(VENV)/openapi.yaml docs/openapi.yaml || { echo "docs/openapi.yaml is of other code: make schema" >&2; exit 1; }

schema: $(VENV)/.dev ## the API's OpenAPI document, docs/openapi.yaml
	@$(NOWHERE) $(BIN)/python manage.py spectacular --validate --fail-on-warn --file docs/openapi.yaml

bench: $(VENV)/.dev ## the same work on bare Celery and on agentsys, as ratios (servers of its own)
	@AGENTSYS_HOME=$(CURDIR)/.agentsys/bench $(BIN)/python manage.py bench $(ARGS)

bench-memory: $(VENV)/.dev ## recall and remembering among a million memories (ARGS="--rows 100000 --scope 1000")
	@AGENTSYS_HOME=$(CURDIR)/.agentsys/bench-memory $(BIN)/python manage.py memory bench $(ARGS)

bench-console: $(VENV)/.dev ## pages, reads and streams among 100,000 tasks and a million ledger entries
	@AGENTSYS_HOME=$(CURDIR)/.agentsys/bench-console $(BIN)/python manage.py console bench $(ARGS)

screenshots: $(VENV)/.dev ## pictures of the console into docs/screens, of what `make demo` left
	@$(BIN)/python manage.py console screenshots --output docs/screens $(ARGS)

SEEDS ?= 200

simulate: $(VENV)/.dev ## the core under simulated faults, one seed a history (SEEDS=2000)
	@$(BIN)/python -m tests.simulation --seeds $(SEEDS) $(ARGS)

RACES ?= 1000

races: $(VENV)/.dev ## approve, reject, edit, expire and apply at once, again and again (RACES=1000)
	@$(BIN)/python -m tests.races --races $(RACES) $(ARGS)

CASES ?= 5000

# schemathesis is no part of the locks: it is installed the first time, by itself.
$(VENV)/.fuzz: $(VENV)/.dev
	@echo "installing schemathesis (once) …" >&2
	@$(PYTHON) -m venv $(VENV)/fuzz
	@$(VENV)/fuzz/bin/python -m pip install -q --disable-pip-version-check 'schemathesis>=4.32,<5'
	@touch $@

api-fuzz: $(VENV)/.fuzz ## the API against its own schema, on a live server (CASES=5000)
	@$(BIN)/python -m tests.fuzz --cases $(CASES) --schemathesis $(VENV)/fuzz/bin/schemathesis $(ARGS)

chaos: $(VENV)/.dev ## real processes killed and servers wiped beside a witness (ARGS="flush --seconds 60")
	@$(BIN)/python manage.py chaos $(or $(ARGS),all --quick)

install: $(VENV)/.run
dev: $(VENV)/.dev

$(VENV)/.python:
	@command -v $(PYTHON) >/dev/null || { echo "error: $(PYTHON) not found; install Python 3.11 or newer, or give PYTHON=/path" >&2; exit 69; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "error: $$($(PYTHON) --version) is too old; install Python 3.11 or newer, or give PYTHON=/path" >&2; exit 69; }
	@$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/.run: $(VENV)/.python requirements/run.lock pyproject.toml
	@echo "installing (once) …" >&2
	@$(BIN)/python -m pip install -q --disable-pip-version-check --require-hashes -r requirements/run.lock
	@$(BIN)/python -m pip install -q --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

$(VENV)/.dev: $(VENV)/.python requirements/dev.lock pyproject.toml
	@echo "installing, with what tests and checks need (once) …" >&2
	@$(BIN)/python -m pip install -q --disable-pip-version-check --require-hashes -r requirements/dev.lock
	@$(BIN)/python -m pip install -q --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $(VENV)/.run $@

UV ?= uv
# No annotations and no index addresses: the locks say what, not where from.
COMPILE := $(UV) pip compile -q --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-emit-find-links --no-annotate --no-header --no-strip-extras pyproject.toml

# All but local-llm, which is heavy: requirements/local-llm.txt.
LOCKED := embedded code-tools embed properties openai anthropic google ollama console tests dev

lock: ## write the locks anew (needs uv, or UV=/path/to/uv); UPGRADE=1 takes newer versions
	$(COMPILE) $(if $(UPGRADE),--upgrade) $(foreach extra,$(LOCKED),--extra $(extra)) \
		-o requirements/dev.lock
	$(COMPILE) --extra embedded --extra code-tools --extra console -c requirements/dev.lock -o requirements/run.lock
	$(COMPILE) --extra embedded --extra code-tools --extra embed --extra console --extra openai --extra anthropic \
		--extra google --extra ollama -c requirements/dev.lock -o requirements/server.lock

clean: ## everything that can be made again; keeps .agentsys, where your goals are
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .hypothesis static_root
