# Everything runs from `.venv`, which this file makes. Python >= 3.11 and make are all it needs.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
# Where it is set, as in many images, each of the hundreds of processes would compile every module anew.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help demo up test model chaos cases test-rabbitmq test-redis7 check fast format clean

help: ## Say what each target does
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z0-9-]+):.*## /\1|/' | awk -F'|' '{printf "  make %-14s %s\n", $$1, $$2}'

$(STAMP): setup.cfg setup.py pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "Pressroom needs Python 3.11 or newer; $(PYTHON) is $$($(PYTHON) -V). Try: make PYTHON=python3.12 ..."; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[app,embedded,dev]'
	@touch $(STAMP)

demo: $(STAMP) ## Start everything on embedded servers, send real jobs, show them live
	$(BIN)/python -m app demo

up: $(STAMP) ## Run servers, workers and the web endpoint in the foreground until Ctrl-C
	$(BIN)/python -m app up

test: $(STAMP) ## The whole suite, on real embedded servers
	$(BIN)/python -m pytest -n 3 --dist loadfile --no-loadscope-reorder

model: export MODEL_EXAMPLES ?= 3000
model: export MODEL_STEPS ?= 80
model: $(STAMP) ## The model, its oracle of fairness, injected errors, foreign records, bounds of scripts: half an hour
	$(BIN)/python -m pytest -q -n 2 -o timeout=0 tests/broker/model/test_model.py tests/broker/test_fair_oracle.py \
		tests/broker/test_injected_errors.py tests/broker/test_foreign_records.py
	BOUNDS_SIZES="10000 100000" $(BIN)/python -m pytest -q -n 2 -o timeout=0 -o faulthandler_timeout=0 \
		tests/broker/test_script_bounds.py

chaos: $(STAMP) ## 50,000 jobs while workers are killed and the server is restarted: minutes, with a table
	$(BIN)/python -m tests.broker.chaos

cases: $(STAMP) ## Hard cases from the outside, each with its verdict; ONLY="hostile a1" runs some
	$(BIN)/python -m tests.cases $(ONLY)

test-rabbitmq: $(STAMP) ## The guards on a RabbitMQ server of your own, named by RABBITMQ_URL
	$(BIN)/python -m pytest -q -m rabbitmq tests/middleware

test-redis7: REDIS_SERVER ?= redis-server
test-redis7: $(STAMP) ## Broker, guards, kills and demo on Redis 7: `redis-server`, or REDIS_SERVER=/path/to/it
	@$(REDIS_SERVER) --version 2>/dev/null | grep -q 'v=7\.' \
		|| { echo "test-redis7 needs Redis 7, and $(REDIS_SERVER) is not. Debian 12: apt-get install redis-server; or: make test-redis7 REDIS_SERVER=/path/to/redis-server"; exit 1; }
	TEST_REDIS_SERVER=$(REDIS_SERVER) $(BIN)/python -m pytest -n 3 --dist loadfile --no-loadscope-reorder tests/broker tests/middleware tests/crash tests/e2e

check: $(STAMP) ## Format, lint, types, import contracts and the fast tests
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	@$(BIN)/lint-imports & imports=$$!; $(BIN)/mypy & types=$$!; \
		$(MAKE) --no-print-directory fast; failed=$$?; \
		wait $$imports || failed=1; wait $$types || failed=1; exit $$failed

fast: $(STAMP) ## Only the fast tests
	$(BIN)/python -m pytest -q -m 'not slow and not rabbitmq' -n 3 --dist loadfile

format: $(STAMP) ## Rewrite the sources the way `make check` wants them
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean: ## Remove the environment, the caches and the embedded servers' data
	rm -rf $(VENV) .pressroom build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
