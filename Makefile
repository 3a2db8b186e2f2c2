# SPDX-License-Identifier: BSD-3-Clause
# Each target sets up what it needs: .venv with polycore installed in place, rebuilt when the C++ sources change.
#
#   make demo    two reports on real data, in reports/
#   make test    the test suite
#   make bench   every comparison with the peers (ARGS="moments veronese --json FILE" for some)
#   make lint    ruff, mypy, clang-format
#   make stubs   regenerate python/polycore/_core.pyi

PYTHON ?= python3
BIN := .venv/bin
SOURCES := pyproject.toml CMakeLists.txt $(shell find cmake cpp -type f)
EXTENSION_REQUIRED := -Ccmake.define.POLYCORE_BUILD_EXTENSION=ON

.PHONY: demo test bench lint stubs clean

demo: .venv/.installed
	$(BIN)/python examples/demo.py $(ARGS)

test: .venv/.installed
	$(BIN)/python -m pytest $(ARGS)

bench: .venv/.installed-bench
	$(BIN)/python bench/run.py $(ARGS)

lint: .venv/.installed
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/clang-format --dry-run --Werror $$(find cpp tests/cpp tests/cmake_consume -name '*.[ch]pp')

stubs: .venv/.installed
	$(BIN)/python tools/stubs.py

clean:
	rm -rf .venv build reports

.venv/pyvenv.cfg:
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --upgrade pip

.venv/.installed: .venv/pyvenv.cfg $(SOURCES)
	$(BIN)/pip install --quiet $(EXTENSION_REQUIRED) --editable '.[all,dev]'
	@touch $@

.venv/.installed-bench: .venv/.installed
	$(BIN)/pip install --quiet $(EXTENSION_REQUIRED) --editable '.[all,dev,bench]'
	@touch $@
