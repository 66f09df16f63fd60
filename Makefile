# `make demo` and `make test` set up everything they need by themselves, in .venv.
# Others: `make install` (for use, GPU=1 with CUDA), `make lock` (new exact versions), `make clean`.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
KIND   := $(if $(GPU),gpu,run)

.PHONY: demo test test-all soak install lock clean
.DELETE_ON_ERROR:

demo: $(VENV)/ready-dev
	$(BIN)/inspectd demo

test: $(VENV)/ready-dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/pytest

# And what takes long, or root and a systemd of its own.
test-all: test
	$(BIN)/pytest -m 'systemd or long'

# Does anything get lost? 10,000 files, 200 kills and every other fault, in some twenty minutes; exit 1 if it does.
soak: $(VENV)/ready-dev
	$(BIN)/inspectd simulate --count 10000 --rate 7 --kills 200

# `install` copies the sources, so a pulled change is another installation; `demo` and `test` run the checkout itself.
SOURCES := config.yaml $(shell find inspectd migrations -type f -not -path '*/__pycache__/*')

install: $(VENV)/ready-$(KIND)
	@echo "Installed: $(CURDIR)/$(BIN)/inspectd"

# Exact versions with hashes for Python 3.11 to 3.13; uv when it is there, pip when not. Both compile to byte-code,
# which halves the start of every command.
$(VENV)/ready-run $(VENV)/ready-gpu: $(SOURCES)
$(VENV)/ready-%: requirements/%.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' || { \
	  echo "inspectd needs Python 3.11, 3.12 or 3.13, and $(PYTHON) is another: name one, as in 'make PYTHON=python3.12'."; exit 1; }
	@echo "Setting up $(VENV); the first time takes a few minutes, most of them for TensorFlow."
	@rm -f $(VENV)/ready-*
	@if command -v uv >/dev/null; then \
	  set -e; uv venv --quiet --allow-existing --python "$$($(PYTHON) -c 'import sys; print(sys.executable)')" $(VENV); \
	  uv pip install --quiet --compile-bytecode --python $(BIN)/python --require-hashes -r $<; \
	  uv pip install --quiet --compile-bytecode --python $(BIN)/python --no-deps --no-build-isolation --reinstall $(if $(filter dev,$*),-e) .; \
	else \
	  set -e; $(PYTHON) -m venv $(VENV); \
	  $(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $<; \
	  $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation $(if $(filter dev,$*),-e) .; \
	fi
	@$(BIN)/python -m compileall -q inspectd
	@touch $@

LOCK := uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate pyproject.toml

lock:
	$(LOCK) --extra build -o requirements/run.lock
	$(LOCK) --extra build --extra dev -c requirements/run.lock -o requirements/dev.lock
	$(LOCK) --extra build --extra gpu -c requirements/run.lock -o requirements/gpu.lock

clean:
	rm -rf $(VENV) demo build dist
