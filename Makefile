# setup: a virtual environment with everything; run: setup, then the whole service with its demo;
# test: setup, then all tests; bench: setup, the extension built by its profile, then the benchmark; check: formatting, lints, types;
# wheel: what bench runs, as a wheel in dist;
# attack: a service under attack for five minutes; fuzz: each target for MINUTES; audit: known faults of dependencies.
# chaos: setup, then MINUTES of random faults of an instance on several machines (SEED, DATABASE, ARGS: see tests/chaos/chaos.py).
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PAGE := python/tuike/admin/static/index.html
ARGS ?=
MINUTES ?= 10
SEED ?=
DATABASE ?= postgresql

.PHONY: setup run test bench wheel check chaos attack fuzz audit need clean

setup: $(PAGE) $(VENV)/.installed

need:
	@command -v $(PYTHON) >/dev/null || { echo "missing: Python 3.11 or newer; apt-get install python3 python3-venv" >&2; exit 2; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "too old: $$($(PYTHON) --version); tuike needs Python 3.11 or newer (make PYTHON=python3.12)" >&2; exit 2; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { echo "missing: Python's venv; apt-get install python3-venv" >&2; exit 2; }
	@command -v cargo >/dev/null || { echo "missing: Rust 1.90 or newer; install it with rustup (https://rustup.rs)" >&2; exit 2; }
	@command -v cc >/dev/null || { echo "missing: a C compiler to link with; apt-get install gcc" >&2; exit 2; }

$(VENV)/.tools: pyproject.toml constraints.txt | need
	test -d $(VENV) || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --upgrade --constraint constraints.txt pip maturin
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --group dashboard
	touch $@

$(PAGE): $(VENV)/.tools dashboard/build.py dashboard/index.html $(wildcard dashboard/*.json dashboard/*.ts) $(shell find dashboard/src -type f 2>/dev/null)
	$(BIN)/python dashboard/build.py

$(VENV)/.installed: $(VENV)/.tools Cargo.toml Cargo.lock core_rs/Cargo.toml core_rs/py/Cargo.toml $(shell find core_rs -name '*.rs' -o -name '*.js' 2>/dev/null) | $(PAGE)
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --group test --group bench
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable .
	touch $@

run: setup
	$(BIN)/tuike serve --demo $(ARGS)

test: setup
	cargo test --workspace --quiet
	$(BIN)/pytest -n auto --dist loadscope --no-loadscope-reorder $(ARGS)

$(VENV)/.profiled: $(VENV)/.installed core_rs/pgo
	core_rs/pgo $(BIN)
	touch $@

bench: $(VENV)/.profiled
	$(BIN)/python bench/run.py $(ARGS)

wheel: $(VENV)/.profiled
	@ls dist/*.whl

chaos: setup
	PYTHONPATH=tests $(BIN)/python tests/chaos/chaos.py --minutes $(MINUTES) --database $(DATABASE) $(if $(SEED),--seed $(SEED)) $(ARGS)

attack: setup
	PYTHONPATH=tests $(BIN)/python tests/attack/attack.py $(ARGS)

fuzz:
	core_rs/fuzz/run $(MINUTES)

audit: setup
	.ci/audit $(BIN)

check: setup
	cargo fmt --check
	cargo clippy --workspace --all-targets --quiet -- --deny warnings
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	MYPYPATH=bench:tests:tests/browser $(BIN)/mypy bench/*.py bench/peers/*.py
	$(BIN)/python -m mypy.stubtest tuike._core
	$(BIN)/python dashboard/build.py check

clean:
	rm -rf $(VENV) target dist data dashboard/node_modules $(dir $(PAGE))
