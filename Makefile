# The commands of a checkout; README.md names them. Each makes what it needs first, and again only when
# pyproject.toml or the contract changed.

SOURCE ?= $(CURDIR)
VENV := .venv
BIN := $(VENV)/bin
INPUTS := pyproject.toml hatch_build.py $(wildcard proto/qekm/v1/*.proto)
CODE := qekm gateway cli deploy tests demo bench
RELEASED := $(shell ls proto/released/*.binpb 2>/dev/null | sort -V | tail -n 1)
VERSION := $(shell sed -n 's/^__version__ = "\(.*\)"/\1/p' qekm/__init__.py)
RUNS ?= 3000000
JCEKS_RUNS ?= 300000
# Of rigs that mostly wait; at the end each says what it measured (-rP).
SIDE_BY_SIDE := -n 2 --dist loadfile --no-loadscope-reorder -raP

.PHONY: install site demo compiled test check bench deb packages faults peers soak fuzz release-image golden clean

install: $(VENV)/.installed

demo: $(VENV)/.installed
	@$(BIN)/python demo/run.py --source "$(SOURCE)"

# Compiled once: else each of the many processes that tests start may compile all that it imports.
compiled: $(VENV)/.installed-dev
	@$(BIN)/python -m compileall -q $(CODE)

test: compiled
	$(BIN)/python -m pytest -n auto --dist worksteal --durations=15 --ignore=tests/faults --ignore=tests/peers --ignore=tests/packages tests

check: $(VENV)/.installed-dev
	$(BIN)/ruff check $(CODE)
	$(BIN)/ruff format --check $(CODE)
	$(BIN)/mypy --strict
	$(BIN)/mypy --strict demo/run.py
	$(BIN)/mypy --strict -p deploy.debian -p deploy.manual
	$(BIN)/lint-imports
	$(BIN)/buf lint
	$(BIN)/buf format --diff --exit-code
	$(if $(RELEASED),$(BIN)/buf breaking --against $(RELEASED),@echo "nothing is released yet: no breaking change to look for")
	$(BIN)/interrogate --quiet qekm gateway cli demo

bench: $(VENV)/.installed-dev
	$(BIN)/python bench/run.py

faults: compiled
	$(BIN)/python -m pytest $(SIDE_BY_SIDE) --whole tests/faults

peers: compiled
	$(BIN)/python -m pytest $(SIDE_BY_SIDE) tests/peers

site: $(VENV)/.installed-dev
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

deb: $(VENV)/.installed
	$(BIN)/python -m deploy.debian.build

packages: $(VENV)/.installed-dev
	$(BIN)/python -m pytest -s --durations=15 tests/packages

soak: $(VENV)/.installed-dev
	QEKM_SIZE=soak $(BIN)/python -m pytest $(SIDE_BY_SIDE) --whole tests/faults
	QEKM_SIZE=soak $(BIN)/python -m pytest $(SIDE_BY_SIDE) tests/peers

fuzz: $(VENV)/.installed-dev
	$(BIN)/python tests/fuzz/fuzz_frame.py --runs $(RUNS)
	$(BIN)/python tests/fuzz/fuzz_frame.py --seeded --runs $(RUNS); test $$? -eq 77 # the finding, and no other failure
	$(BIN)/python tests/fuzz/fuzz_jceks.py --runs $(JCEKS_RUNS)
	$(BIN)/python tests/fuzz/fuzz_jceks.py --seeded --runs $(JCEKS_RUNS); test $$? -eq 77

# Steps of a release (CONTRIBUTING.md); a released file never changes.
release-image: $(VENV)/.installed-dev
	@test ! -e proto/released/$(VERSION).binpb || { echo "proto/released/$(VERSION).binpb is there already"; exit 1; }
	$(BIN)/buf build proto -o proto/released/$(VERSION).binpb

golden: $(VENV)/.installed-dev
	$(BIN)/python -m tests.golden.make

clean:
	rm -rf $(VENV) dist build .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache
	rm -f qekm/v1/*_pb2* qekm/v1/__init__.py qekm/v1/py.typed
	find qekm gateway cli tests demo bench -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/.installed: $(INPUTS)
	@.ci/venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --editable .
	@touch $@

$(VENV)/.installed-dev: $(INPUTS)
	@.ci/venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@ $(VENV)/.installed
