# One verb a line; each sets up what it needs with python3, make and the package index.
.PHONY: demo test bench lint clean

PYTHON ?= python3
BIN := .venv/bin
SETUP := $(BIN)/.installed

$(SETUP): pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev]'
	@touch $@

demo: $(SETUP)  ## a head-end, three boxes with losses, and one that falls back to its EEPROM
	$(BIN)/python -m bench.demo $(if $(IMAGE),--image $(IMAGE))

test: $(SETUP)  ## the whole suite
	$(BIN)/python -m pytest -n auto

bench: $(SETUP)  ## stage by stage, then the end-to-end table
	$(BIN)/python -m pytest bench/micro --benchmark-enable --benchmark-columns=median,stddev,rounds --benchmark-sort=name
	$(BIN)/python -m bench.table

lint: $(SETUP)  ## ruff and mypy
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

clean:  ## all that can be made again
	rm -rf .venv build dist demo-out bench-out *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
