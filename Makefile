# Everything happens in a virtual environment of its own: nothing outside this folder is changed.
#   PYTHON  the Python (3.11 or newer) that makes it
#   VENV    where it is
#   ARGS    further arguments for the tests, the demo or the benchmarks: make test ARGS="tests/protocol -x"
PYTHON ?= python3
VENV ?= .venv
ARGS =

python := $(VENV)/bin/python
install := $(python) -m pip install --quiet --disable-pip-version-check
done := $(VENV)/.done
# Only making the model needs this one, with torch in it.
model := .venv-model

.DEFAULT_GOAL := help
.PHONY: help demo test check format loops bench interop build model clean
.DELETE_ON_ERROR:

help: ## this list
	@echo "make TARGET [PYTHON=python3.12] [VENV=folder] [ARGS=...]"
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  %-8s %s\n", $$1, $$2}' Makefile

demo: $(done)/serve ## serve the built-in model on this machine and stream an answer from it
	@$(python) scripts/demo.py $(ARGS)

test: $(done)/test ## run the whole test suite
	@$(python) -m pytest $(ARGS)

check: $(done)/check $(done)/test ## lint, formatting and types
	@$(python) -m ruff check
	@$(python) -m ruff format --check
	@$(python) -m mypy
	@$(python) -m basedpyright

format: $(done)/check ## format the code and fix what can be fixed safely
	@$(python) -m ruff check --fix
	@$(python) -m ruff format

loops: $(done)/test ## run the client's tests on uvloop, then over httpx2
	@$(python) -m pytest tests/client --loop uvloop $(ARGS)
	@$(python) -m pytest tests/client --over httpx2 $(ARGS)

bench: $(done)/bench ## measure side by side with the peers: make bench ARGS="--write all"
	@$(python) -m bench $(ARGS)

interop: $(done)/test ## run the official clients' own tests against the server
	@$(python) scripts/interop.py $(ARGS)

build: $(done)/build ## build the sdist and the wheel into dist/
	@$(python) -m build

model: $(model)/.done $(done)/serve ## make the built-in model anew, which takes hours: make model ARGS="--minutes 240"
	@cd models/pocket && $(CURDIR)/$(model)/bin/python -m recipe.train $(ARGS)
	@cd models/pocket && $(CURDIR)/$(model)/bin/python -m recipe.convert
	@cd models/pocket && $(abspath $(python)) -m recipe.evaluate

clean: ## remove the virtual environment and everything that was built or cached
	@rm -rf build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .bench .interop
	@find bench models scripts src tests -name __pycache__ -prune -exec rm -rf {} +
	@if test -d '$(done)'; then rm -rf '$(VENV)'; fi

# Setting up. An empty file in $(done) stands for each thing that is installed.

$(done)/pip: scripts/bootstrap.py scripts/environment.py scripts/pip_wheel.py
	@command -v $(PYTHON) >/dev/null || { echo "Duologue needs Python 3.11 or newer; there is no $(PYTHON) here. Install one, or name it: make demo PYTHON=python3.12"; exit 1; }
	@$(PYTHON) scripts/bootstrap.py $(VENV)
	@mkdir -p $(done) && touch $@

$(done)/serve: $(done)/pip pyproject.toml models/pocket/pyproject.toml
	@echo "Installing Duologue, its server and the built-in model"
	@$(install) --editable models/pocket --editable '.[serve]'
	@touch $@

$(model)/.done: models/pocket/recipe/requirements.txt scripts/bootstrap.py
	@$(PYTHON) scripts/bootstrap.py $(model)
	@$(model)/bin/python -m pip install --quiet --disable-pip-version-check --requirement $<
	@touch $@

# The dependency groups of pyproject.toml.
$(done)/test $(done)/check $(done)/build $(done)/bench: $(done)/serve
	@echo "Installing the dependency group: $(@F)"
	@$(install) --group $(@F)
	@touch $@
