# Every target sets up .venv on first use; nothing but Python 3.11 or later and make is needed.
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready

# The demo and the tests start the same code hundreds of times.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help demo test check bench docs lock clean

help: ## list the targets
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/make \1	\2/p' $(MAKEFILE_LIST) | expand -t 16

demo: $(READY) ## a day of trades, end to end, on this machine; ARGS="--json --trades 50" is passed on
	@$(BIN)/gateway demo $(ARGS)

test: $(READY) ## every test; ARGS="-k settlement -x" is passed on
	$(BIN)/python -m pytest -n 4 --dist loadfile $(ARGS)

check: $(READY) ## format, lint, types, import rules, fast tests
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m pytest -q -n 2 --dist loadfile -m "not slow and not crash and not backend"

bench: $(READY) ## measure against the native floor
	$(BIN)/python -m bench $(ARGS)

docs: $(READY) ## write the generated pages again
	$(BIN)/python -m docs.generate

# The locks name no index, and hold for every platform and every Python from 3.11.
COMPILE = $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	--no-header --upgrade

lock: $(READY) ## resolve the dependencies again, within the bounds of pyproject.toml
	$(COMPILE) pyproject.toml --output-file requirements.lock
	$(COMPILE) --group build --output-file requirements-build.lock
	$(COMPILE) pyproject.toml --extra demo --group dev --constraint requirements.lock --output-file requirements-dev.lock

clean: ## remove the environment and everything that was generated locally
	rm -rf .venv .cache build dist bench/out var .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# The build backend is locked like the rest, so installing the project itself downloads nothing.
$(READY): requirements-dev.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "Python 3.11 or later is needed; name one: make PYTHON=python3.12 ..." >&2; exit 1; }
	@echo "setting up .venv (once, about a minute)" >&2
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.lock >&2
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable . >&2
	@touch $@
