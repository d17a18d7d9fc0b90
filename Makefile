# Every target works on a bare machine with Python 3.11+, make and a C++ compiler; `install` sets up .venv.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
# Training and tests need torch, serving on a CPU does not. One CPU build everywhere; for CUDA: TORCH='torch'
TORCH  ?= torch==2.13.0
STAMP  := $(VENV)/.installed
# Test files that run beside each other.
JOBS   ?= 2
# Keys of the scale test.
NODES  ?= 1000000

.PHONY: install demo test test-editors test-scale lint format bench torture release clean

install: $(STAMP)

$(STAMP): pyproject.toml
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "installing into $(VENV) (a few minutes the first time)"
	@$(BIN)/pip install --quiet --disable-pip-version-check "$(TORCH)"
	@$(BIN)/pip install --quiet --disable-pip-version-check --editable ".[dev]"
	@touch $@

demo: install
	@$(BIN)/python -m tests.demo

test: lint
	$(BIN)/python -m pytest -n $(JOBS) --dist loadfile

# Real editors, installed into .editors the first time; screenshots are left in tests/editors/screenshots.
test-editors: install
	@PYTHON=$(BIN)/python tests/editors/install_neovim.sh .editors/neovim
	@tests/editors/install_vscode.sh .editors/vscode
	@tests/editors/install_helix.sh .editors/helix
	@tests/editors/install_emacs.sh
	$(BIN)/python -m pytest -m slow tests/editors

# Real servers on loopback, installed into .scale the first time (4 GB); one install script for each part. Then very many
# keys, an hour for a million.
test-scale: install
	@PYTHON=$(PYTHON) tests/scale/install_batch.sh .scale/batch
	@PYTHON=$(PYTHON) tests/scale/install_team.sh .scale/team
	@PYTHON=$(PYTHON) tests/scale/install_remote.sh .scale/vllm .scale/llama
	$(BIN)/python -m pytest -m slow tests/scale -s
	$(BIN)/python -m tests.benchmarks.ann --nodes $(NODES)

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: install
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: install
	$(BIN)/python -m tests.benchmarks $(ARGS)

# Hours; what was interrupted goes on. KINDS='damage kill' for some kinds, CASES=100 and SIZE=60 for other numbers.
torture: install
	$(BIN)/python -m tests.torture $(KINDS) $(if $(CASES),--cases $(CASES)) $(if $(SIZE),--size $(SIZE)) $(ARGS)

# What is published, each part used once in a fresh environment.
release: install
	$(BIN)/python -m tests.release

clean:
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .ruff_cache .mypy_cache .hypothesis .torture
