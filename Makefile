# Two commands set everything up on a machine with Python 3.11+, venv and make: `make demo` and `make test`.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: help demo test check format clean

help: ## Show this list
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "make %-8s %s\n", $$1, $$2}'

demo: $(READY) ## Install, build the digits, query one of them
	@echo "simsearch build digits" >&2
	@$(BIN)/simsearch build digits
	@echo "simsearch query data/datasets/digits/7/0007.png --k 3 --montage hits.png" >&2
	@$(BIN)/simsearch query data/datasets/digits/7/0007.png --build digits --k 3 --montage hits.png
	@echo "Next: source $(BIN)/activate, then simsearch build photos/ (class/x.jpg)" >&2

test: $(READY) ## Run the tests (offline, on a CPU)
	@$(BIN)/python -m pytest

check: $(READY) ## ruff and mypy --strict
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

format: $(READY) ## Let ruff format the code
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

clean: ## Remove the environment (data/ stays)
	rm -rf $(VENV)

$(READY): pyproject.toml
	@echo "Environment: making $(VENV) (1 to 2 minutes, about 6 GB with the default torch wheels)" >&2
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@
	@echo "Environment: $(VENV) ready" >&2
