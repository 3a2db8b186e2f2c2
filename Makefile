# SPDX-License-Identifier: BSD-3-Clause
# Each target sets up what it needs: .venv with polycore installed in place, rebuilt when the C++ sources change.
#
#   make demo    two reports on real data, in reports/
#   make test    the test suite                                   (ARGS="-k moments" for a part)
#   make bench   every comparison with the peers                  (ARGS="moments veronese --json FILE" for some)
#   make lint    ruff, mypy, clang-format
#   make format  let ruff and clang-format write
#   make stubs   write python/polycore/_core.pyi from the extension
#   make clean   remove everything made here

PYTHON ?= python3
BIN := .venv/bin
INSTALL := $(BIN)/python -m pip --disable-pip-version-check --quiet install
SOURCES := pyproject.toml CMakeLists.txt $(shell find cmake cpp -type f)
CPP := $(shell find cpp tests/cpp tests/cmake_consume -name '*.[ch]pp')

.PHONY: demo test bench lint format stubs clean

demo: .venv/.installed
	$(BIN)/python examples/demo.py $(ARGS)

test: .venv/.installed
	$(BIN)/python -m pytest $(ARGS)

bench: .venv/.installed-bench
	$(BIN)/python bench/run.py $(ARGS)

lint: .venv/.installed
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	@echo clang-format --dry-run --Werror; $(BIN)/clang-format --dry-run --Werror $(CPP)
	$(BIN)/mypy

format: .venv/.installed
	$(BIN)/ruff format
	$(BIN)/clang-format -i $(CPP)

stubs: .venv/.installed
	$(BIN)/python tools/stubs.py

clean:
	rm -rf .venv build reports

# What builds the package is kept in the environment, so that a rebuild compiles only what changed.
.venv/.tools:
	$(PYTHON) -m venv .venv
	$(INSTALL) --upgrade pip
	$(INSTALL) 'scikit-build-core>=0.10' 'pybind11>=3.0' 'cmake>=3.22' ninja
	@touch $@

.venv/.installed: .venv/.tools $(SOURCES)
	$(INSTALL) --no-build-isolation --editable '.[all,dev]'
	@touch $@

.venv/.installed-bench: .venv/.installed
	$(INSTALL) --no-build-isolation --editable '.[all,dev,bench]'
	@touch $@
