# Each target sets up the one .venv if it is not there; the tested set of packages is pinned in .ci/constraints.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test chaos histories models lint docs check-page check-targets check-converters bench peers-named test-arm board fuzz

demo: .venv/installed
	$(BIN)/edge-meta demo

# In two processes. COVERAGE=1 also measures how much of the code the tests run; less than fail_under in pyproject.toml is
# an error.
test: .venv/installed
	$(if $(COVERAGE),$(BIN)/coverage erase)
	$(BIN)/python -m $(if $(COVERAGE),coverage run -m )pytest -n 2 --dist worksteal
	$(if $(COVERAGE),$(BIN)/coverage combine --quiet)
	$(if $(COVERAGE),$(BIN)/coverage report)

# S: seconds of processes that change one store and are killed.
S ?= 120
chaos: .venv/installed
	$(BIN)/python tests/chaos.py $(S)

# Random histories of a store, after each of which its files are searched for what was removed. It is much faster on a disk
# in memory: TMPDIR=/dev/shm make histories
histories: .venv/installed
	PYTHONPATH=tests $(BIN)/python tests/device/store/removal_histories.py 2000

# Export other makers' models and models built for a case each, and write the table of docs/models.md. MODELS=FOLDER, with
# packages of PyPI and npm unpacked, writes that of docs/models-of-packages.md.
models: .venv/installed
	$(BIN)/python benchmarks/models.py $(if $(MODELS),--packages $(MODELS) --output docs/models-of-packages.md,--output docs/models.md)

lint: .venv/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# The pages, in site/. A dead link is an error.
docs: .venv/docs-installed
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

check-page: .venv/installed
	.ci/check-page $(BIN)/python

check-targets: .venv/installed
	.ci/check-targets $(BIN)/python

check-converters: .venv/installed
	.ci/check-converters $(BIN)/python

# The C library of boards, and the example firmware in QEMU; TFLM_SOURCE names the folder of TensorFlow Lite Micro's sources.
board: .venv/installed
	$(BIN)/python -m pytest -ra tests/converters/test_board_library.py tests/converters/test_board_flash.py \
		tests/converters/test_board_firmware.py tests/converters/test_board_project.py \
		tests/converters/test_board_misra.py tests/converters/test_board_gestures.py

# F: seconds of libFuzzer on the reader of a board's flash.
F ?= 120
fuzz:
	.ci/fuzz $(F)

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

.venv/docs-installed: .venv/installed .ci/constraints/docs.txt
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint .ci/constraints/workstation.txt \
		--constraint .ci/constraints/docs.txt --editable '.[docs]'
	touch $@
