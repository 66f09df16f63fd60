# `make demo` and `make test` set up everything they need by themselves, in .venv.
# Others: `make venv` (for your own use; GPU=1 with CUDA), `make install` and `make uninstall` (a server's service, as
# root; GPU=1 too), `make lock` (new exact versions), `make clean`.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
KIND   := $(if $(GPU),gpu,run)

.PHONY: demo test test-all soak bench venv install uninstall lock clean
.DELETE_ON_ERROR:

demo: $(VENV)/ready-dev
	$(BIN)/inspectd demo

# Tests of the daemon wait for most of their time: one process more than there are cores. Those of a file share what is
# trained and opened for them, and stay together. (`pytest` alone runs one after the other, and any of them by itself.)
SIDE_BY_SIDE := --numprocesses $(shell expr $$(nproc) + 1) --maxprocesses 8 --dist loadfile

test: $(VENV)/ready-dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/pytest $(SIDE_BY_SIDE)

# And what takes long, or root and a systemd of its own.
test-all: test
	$(BIN)/pytest -m 'systemd or long'

# Does anything get lost? 10,000 files, 200 kills and every other fault, in some twenty minutes; exit 1 if it does.
soak: $(VENV)/ready-dev
	$(BIN)/inspectd simulate --count 10000 --rate 7 --kills 200

# How fast is this machine? The network alone, all around it, and both together; docs/performance.md says how to read it.
bench: $(VENV)/ready-dev
	$(BIN)/inspectd bench

# `venv` copies the sources, so a pulled change is another set-up; `demo` and `test` run the checkout itself.
SOURCES := config.yaml $(shell find inspectd migrations -type f -not -path '*/__pycache__/*')

venv: $(VENV)/ready-$(KIND)
	@echo "Installed: $(CURDIR)/$(BIN)/inspectd"

$(VENV)/ready-run $(VENV)/ready-gpu: $(SOURCES)
$(VENV)/ready-%: requirements/%.lock pyproject.toml tools/venv.sh
	@rm -f $(VENV)/ready-*
	@PYTHON=$(PYTHON) tools/venv.sh $(VENV) $* $(if $(filter dev,$*),-e)
	@$(BIN)/python -m compileall -q inspectd
	@touch $@

# The server's service. PYTHON, PREFIX and DESTDIR, where they are given, reach the scripts through the environment.
install:
	@tools/install.sh $(if $(GPU),gpu)
uninstall:
	@tools/uninstall.sh

LOCK := uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate pyproject.toml

lock:
	$(LOCK) --extra build -o requirements/run.lock
	$(LOCK) --extra build --extra dev -c requirements/run.lock -o requirements/dev.lock
	$(LOCK) --extra build --extra gpu -c requirements/run.lock -o requirements/gpu.lock

clean:
	rm -rf $(VENV) demo build dist
