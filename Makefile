# Every target sets up what it needs in .venv; nothing has to be activated. Only python3 and make must be there.
PYTHON ?= python3
WORKERS ?= 2
BIN := .venv/bin
PIP_FLAGS := -qq --disable-pip-version-check

# The oldest Python that the package takes, if this machine has it.
PYTHON_MINIMUM ?= $(shell python3.10 -c 'print("python3.10")' 2>/dev/null || echo $(PYTHON))

# One thread a process: the tests run in $(WORKERS) processes side by side.
PYTEST_ENV := OMP_NUM_THREADS=1 TOKENIZERS_PARALLELISM=false

# A dependency's old version may announce removals that never touched us; those are no errors there.
MINIMUM_WARNINGS := -W default::DeprecationWarning -W default::PendingDeprecationWarning -W default::FutureWarning

.DEFAULT_GOAL := help
.PHONY: help demo docs test test-slow test-minimum lint format benchmark clean

help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "%-14s%s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: .venv/.installed ## train a small model on digits, make it forget a class, compare with a retrained one
	$(BIN)/hf-unlearn demo --output_dir outputs/demo

docs: .venv/.docs-installed ## build the documentation into site/; a broken link is an error
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

test: lint ## check style and types, run the quick tests
	$(PYTEST_ENV) $(BIN)/python -m pytest -q -n $(WORKERS)

test-slow: .venv/.docs-installed ## run the slow tests
	$(PYTEST_ENV) $(BIN)/python -m pytest -q -m "slow and not gpu" --timeout=1800

test-minimum: .venv-minimum/.installed ## run the quick tests on the oldest versions that pyproject.toml allows
	$(PYTEST_ENV) .venv-minimum/bin/python -m pytest -q -n $(WORKERS) $(MINIMUM_WARNINGS)

lint: .venv/.installed ## check style and types
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

format: .venv/.installed ## mend style
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

benchmark: .venv/.installed ## the benchmark by regime from nothing to its page: three to four hours on two idle cores
	test -d outputs/fashion-mnist || $(BIN)/python scripts/make_fashion_mnist.py --output_dir outputs/fashion-mnist
	test -d outputs/characters || $(BIN)/python scripts/make_characters.py --output_dir outputs/characters
	$(BIN)/python scripts/benchmark_regimes.py --num_workers $(WORKERS)
	$(BIN)/python scripts/benchmark_regimes_report.py
	$(BIN)/python scripts/make_suggestions.py

clean: ## remove the environments, the outputs and all caches
	rm -rf .venv .venv-minimum outputs site build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find hf_unlearn scripts tests -name __pycache__ -prune -exec rm -rf {} +

.venv/.installed: pyproject.toml constraints/ci.txt
	$(call install,.venv,$(PYTHON),constraints/ci.txt)

.venv/.docs-installed: .venv/.installed
	@echo ".venv: installing what the documentation takes"
	@$(BIN)/pip install $(PIP_FLAGS) -c constraints/ci.txt -e ".[docs]"
	@touch $@

.venv-minimum/.installed: pyproject.toml constraints/minimum.txt
	$(call install,.venv-minimum,$(PYTHON_MINIMUM),constraints/minimum.txt)

# $(call install,ENVIRONMENT,PYTHON,CONSTRAINTS): torch first, so that its version is the constraint's choice alone.
define install
	@test -x $(1)/bin/pip || $(2) -m venv $(1)
	@echo '*' > $(1)/.gitignore
	@echo "$(1): installing torch (minutes, the first time)"
	@$(1)/bin/pip install $(PIP_FLAGS) -c $(3) torch
	@echo "$(1): installing the package and its tools"
	@$(1)/bin/pip install $(PIP_FLAGS) -c $(3) -e ".[dev]"
	@touch $@
endef
