# One verb a line; each sets up what it needs with python3, make and the package index. `make` alone lists them.
.DEFAULT_GOAL := help
.PHONY: bench-fleets serve soak-serve vm pulls validate help test-fast demo board test bench bench-setup wire vectors events man dist native wheels lint clean

PYTHON ?= python3
export PYTHONDONTWRITEBYTECODE :=  # else each of the hundreds of programs started would compile itself anew
BIN := .venv/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check
SETUP := $(BIN)/.installed
SHOW := $(BIN)/.installed-to-show

$(SETUP): pyproject.toml $(wildcard carousel/native/*.[ch]) | $(BIN)/python
	@echo 'installing what tests and tools need into .venv, once: a minute or two'
	$(PIP) -e '.[dev]'
	@touch $(SHOW) $@

# What is shown needs no tests, no linters and no figures, and is there in a third of the time.
$(SHOW): pyproject.toml $(wildcard carousel/native/*.[ch]) | $(BIN)/python
	@echo 'installing into .venv, once: half a minute at most'
	$(PIP) -e '.[flash,serve]'
	@touch $@

$(BIN)/python:
	$(PYTHON) -m venv .venv

help:  ## this list
	@sed -nE 's/^([a-z-]+):[^#]*## (.*)/\1\t\2/p' $(MAKEFILE_LIST) | expand -t 14

demo: $(SHOW)  ## a head-end, three boxes with losses, and one that falls back to its EEPROM
	$(BIN)/python -m bench.demo $(if $(IMAGE),--image $(IMAGE))

vm: $(SETUP) wheels  ## an emulated arm64 board boots from the air, is given a bad update, and goes back; explained as it goes
	$(BIN)/python -m tests.vm.story

serve: $(SHOW)  ## a head-end as a service with a demo carousel on lo; prints the page's address
	$(BIN)/python -m bench.servedemo

soak-serve: $(SETUP)  ## kill -9 of the service and its carousels at 200 random moments under load; nothing acknowledged is lost
	BOOTCAST_KILLS=200 $(BIN)/python -m pytest -s -m processes tests/e2e/test_service_kills.py

pulls: $(SETUP) wheels  ## the power of an emulated board is pulled at random moments, 20 times of an install and of a confirmation
	$(BIN)/python -m tests.vm.pulls

board: $(SHOW)  ## a bare board to try: QEMU, the boot stub, a serial console
	$(BIN)/python firmware_stub/tools/board.py

# Many tests wait for processes, timers and lines: two more at once than there are cores.
WORKERS ?= $(shell echo $$(($$(getconf _NPROCESSORS_ONLN) + 2)))
FAST_WORKERS ?= $(shell echo $$(($$(getconf _NPROCESSORS_ONLN) + 1)))
NOT_FAST := slow or interop or tshark or dvb or processes or stub or fuzz or emulator or namespaces or cards or vm or browser or systemd or promtool

test-fast: $(SETUP)  ## what to run while working: under a minute, nothing but Python
	$(BIN)/python -m pytest -q -n $(FAST_WORKERS) --dist worksteal -m 'not ($(NOT_FAST))'

test: $(SETUP)  ## the whole suite
	$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal -m 'not vm'

validate: $(SETUP)  ## fleets against single boxes simulated from the protocol, at length (half an hour)
	$(BIN)/bootbench validate -o bench-out/validate

bench: $(SETUP)  ## stage by stage, then the end-to-end table
	$(BIN)/python -m pytest bench/speed/stages --benchmark-enable --benchmark-columns=median,stddev,rounds --benchmark-sort=name
	$(BIN)/python -m bench.speed.board
	$(BIN)/python -m bench.fleet.speed
	$(BIN)/python -m bench.speed.service
	$(BIN)/python -m bench.speed.idealtime
	$(BIN)/python -m bench.speed.table

bench-fleets: $(SETUP)  ## what each shipped fleet costs at a million and at 220 million boxes: CPU, memory, time (ten minutes and more)
	$(BIN)/python -m bench.fleet.scale

bench-setup:  ## the other tools of `bootbench peers`, and what their link needs (Debian, root)
	apt-get install -y --no-install-recommends iproute2 nftables uftp udpcast tftpd-hpa curl
	-systemctl disable --now tftpd-hpa uftp 2>/dev/null   # the programs are wanted, not their services

wire: $(SETUP)  ## the C declarations, from the one place where each format is declared
	$(BIN)/python firmware_stub/tools/generate.py

native: $(SETUP)  ## what is generated for the native core (its tables, its binding), and the library itself
	$(BIN)/python -m native_build.generate
	$(BIN)/python -m native_build.compile

vectors: $(SETUP)  ## docs/vectors.md: the bytes of every format, from the code
	$(BIN)/python -m bench.vectors

events: $(SETUP)  ## docs/events.md: what a box's JSON lines hold, from the code
	$(BIN)/python -m bench.eventpage

man: $(SETUP)  ## docs/man, docs/completions: manual pages, and what bash completes for settop, from the commands
	$(BIN)/python -m bench.manual.pages
	$(BIN)/python -m bench.manual.completion

wheels: $(SETUP)  ## dist/wheels: for x86-64, aarch64 and armv7, cross-compiled
	$(BIN)/python -m pip install --quiet --disable-pip-version-check ziglang
	$(BIN)/python -m native_build.wheels

dist: $(SETUP)  ## a source distribution and a wheel for this machine, checked
	rm -rf dist
	$(BIN)/python -m pip install --quiet --disable-pip-version-check build twine
	$(BIN)/python -m build --outdir dist
	$(BIN)/python -m twine check --strict dist/*

lint: $(SETUP)  ## ruff and mypy
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	MYPYPATH=firmware_stub/tools $(BIN)/mypy firmware_stub/tools/*.py

.PHONY: fuzz siege-live soak soak-live mutants

fuzz: $(SETUP)  ## ten million mutated packets through the whole receiver (an hour or less; SECONDS= ends it earlier, the next goes on)
	$(BIN)/python -m bench.siege.fuzz $(if $(SECONDS),--seconds $(SECONDS))

siege-live: $(SETUP)  ## floods by real processes on the loopback, with real sockets
	$(BIN)/python -m bench.siege.live

soak: $(SETUP)  ## a day of a box and a head-end in virtual time: does anything grow? (half a minute)
	$(BIN)/python -m bench.siege.soak

soak-live: $(SETUP)  ## an hour of real processes, commands at random side by side: does anything grow, or stop a boot? (MINUTES=)
	$(BIN)/python -m bench.siege.livesoak $(if $(MINUTES),--minutes $(MINUTES))

mutants: $(SETUP)  ## bugs put in by a program into the rooms that decide a boot: do the tests find them? (hours; ROOM=, SAMPLE=)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check 'mutmut>=3.8,<4'
	$(BIN)/python -m tests.mutants $(if $(ROOM),--room $(ROOM)) $(if $(SAMPLE),--sample $(SAMPLE))

clean:  ## all that can be made again
	rm -rf .venv build dist demo-out serve-out vm-out bench-out board-out mutants-out fuzz-out firmware_stub/build *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
