# The commands a newcomer needs. Everything they install goes into .venv; `make test` also
# installs other people's TLS programs from Debian's packages, where it runs as root.

PYTHON ?= python3
BIN := .venv/bin
JOBS ?= 2
FUZZ_SECONDS ?= 60

.PHONY: demo test lint bench interop fuzz format clean peers

demo: .venv/.demo
	$(BIN)/handclasp demo

test: .venv/.dev peers
	$(BIN)/coverage erase
	$(BIN)/pytest -q -n $(JOBS) --cov=handclasp --cov-branch --cov-report=
	$(BIN)/coverage report --include='src/handclasp/wire/*,src/handclasp/crypto/*,src/handclasp/handshake/*,src/handclasp/connection.py,src/handclasp/engine.py,src/handclasp/record_layer.py' --fail-under=95

lint: .venv/.dev
	$(BIN)/ruff format --check src tests bench tools
	$(BIN)/ruff check src tests bench tools
	$(BIN)/mypy
	$(BIN)/python tools/generate_iana.py --check

bench: .venv/.dev
	$(BIN)/python -m bench

interop: .venv/.dev peers
	$(BIN)/python tools/interop_matrix.py

fuzz: .venv/.fuzz
	@for target in tests/fuzz/fuzz_*.py; do \
		name=$$(basename $$target .py); echo "$$name, $(FUZZ_SECONDS) s"; \
		$(BIN)/python -m tests.fuzz.$$name -max_total_time=$(FUZZ_SECONDS) -verbosity=0 -print_final_stats=1 || exit 1; \
	done

format: .venv/.dev
	$(BIN)/ruff format src tests bench tools
	$(BIN)/ruff check --fix src tests bench tools

peers:
	@sh tools/install_peers.sh

clean:
	rm -rf .venv .mypy_cache .ruff_cache .hypothesis .build .coverage*

.venv/bin/python:
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --upgrade pip

.venv/.demo: pyproject.toml | .venv/bin/python
	$(BIN)/pip install --quiet --editable '.[cli]'
	@touch $@

.venv/.fuzz: pyproject.toml | .venv/bin/python
	$(BIN)/pip install --quiet --editable '.[test,fuzz]'
	@touch $@

.venv/.dev: pyproject.toml | .venv/bin/python
	$(BIN)/pip install --quiet --editable '.[test,lint]'
	@touch $@ .venv/.demo
