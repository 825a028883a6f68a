# Each target sets up the one .venv if it is not there; the tested set of packages is pinned in .ci/constraints.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test coverage lint check-targets bench peers-named test-arm

demo: .venv/installed
	$(BIN)/edge-meta demo

test: .venv/installed
	$(BIN)/python -m pytest

# The tests, and how much of the code they run; less than fail_under in pyproject.toml is an error.
coverage: .venv/installed
	$(BIN)/coverage run -m pytest
	$(BIN)/coverage report

lint: .venv/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

check-targets: .venv/installed
	.ci/check-targets $(BIN)/python

peers-named:
	@test -n "$(PEERS)" || { echo "Where are the peers? make bench PEERS=VENV" >&2; exit 2; }

# Against the peers' own venv (PyTorch, learn2learn, easyfsl, faiss-cpu, usearch): make bench PEERS=VENV
bench: peers-named .venv/installed
	$(BIN)/python benchmarks/peers/report.py --peers "$(PEERS)"

test-arm:
	.ci/test-arm

.venv/installed: pyproject.toml .ci/constraints/workstation.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint .ci/constraints/workstation.txt --editable '.[train,test,lint]'
	touch $@
