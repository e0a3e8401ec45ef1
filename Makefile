# Three commands set everything up on a machine with Python 3.11+, venv and make: `make demo`, `make test`, `make test-slow`.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
PYTEST := $(BIN)/python -m pytest -n 2 --dist loadfile --durations=20

.PHONY: help demo test test-slow campaign check format docs wheel clean

help: ## Show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{sub(/:.*/, "", $$1); printf "make %-9s %s\n", $$1, $$2}'

demo: $(READY) ## Install, build the digits, query one of them
	@echo "simsearch build digits" >&2
	@$(BIN)/simsearch build digits
	@echo "simsearch query data/datasets/digits/7/0007.png --k 3 --montage hits.png" >&2
	@$(BIN)/simsearch query data/datasets/digits/7/0007.png --build digits --k 3 --montage hits.png
	@echo "Next: source $(BIN)/activate, then simsearch serve --open, or simsearch build photos/ (class/x.jpg)" >&2

test: $(READY)-dev ## Run the fast tests (offline, on a CPU, 4 to 10 minutes on 2 cores)
	@$(PYTEST) -m "not slow"

test-slow: $(READY)-slow ## Run the others: kills, nights, long properties, a browser
	@$(PYTEST) -m slow

campaign: $(READY)-dev ## Kills, power cuts, full disks, damage for MINUTES=3; power cuts need root
	@cd tests && $(abspath $(BIN))/python -m campaign --minutes $(or $(MINUTES),3)

check: $(READY)-dev ## ruff and mypy --strict
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

format: $(READY)-dev ## Let ruff format the code
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

docs: $(READY) ## Write what is generated: commands, settings, requirements-serve.txt
	@$(BIN)/python docs/generate.py

wheel: $(READY) ## Build dist/simsearch-VERSION-py3-none-any.whl (pip fetches hatchling)
	@$(BIN)/python -m pip wheel --quiet --disable-pip-version-check --no-deps --wheel-dir dist .

clean: ## Remove the environment (data/ stays)
	rm -rf $(VENV)

# .ready is the package alone, .ready-dev with [dev], .ready-slow with [slow]; one at a time, as they share the environment.
.NOTPARALLEL:
$(READY)-dev: EXTRA := [dev]
$(READY)-slow: EXTRA := [slow]
$(READY) $(READY)-dev $(READY)-slow: pyproject.toml
	@echo "Environment: installing .$(EXTRA) into $(VENV) (at first 1 to 2 minutes, about 6 GB with the default torch wheels)" >&2
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --quiet --disable-pip-version-check --editable '.$(EXTRA)'
	@touch $@
