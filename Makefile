# What a person types. Each target sets up .venv first, from the lock files, and only when they changed.
#   make repro      recordings -> trained agent -> reports/index.html, then the headline table
#   make show       experiments as a table that fits the terminal
#   make grid       the grid of models and its comparison page; further axes: make grid ARGS="seed=0,1,2"
#   make labels     the study of few labels: dvc repro stages/studies/labels/dvc.yaml -> reports/labels.html
#   make minutes    what more recordings are worth: trainings from 1 to 20 sessions, 90 minutes at most -> reports/minutes.json
#   make suite      eight games, each learned from twelve minutes with the same params: two hours -> reports/suite.json
#   make policies   kinds of policy side by side on the same recordings: hours -> reports/policies.json
#   make probe      when can a press be foreseen, from what, and where is it lost? half an hour -> reports/probe.json
#   make codes      what latent actions tell of the keys, two games, three seeds: under an hour -> reports/codes.json
#   make deps       the modules that stages import into dvc.yaml
#   make readme     the measured results of the last run into README.md
#   make live       what `understudy record` and `play` need beside the pipeline: screen and keyboard
#   make test       the tests;  one file: make test ARGS=tests/test_timeline.py
#   make damage     a sound session damaged 2,000 times: each time told, or its labels as before
#   make test-live  the tests on a real screen: needs Xvfb (apt-get install xvfb python3-tk)
#   make lint       ruff, its rules and its format
#   make bench      speed against Keras/TensorFlow and cv2, latency of play (Xvfb or a display) -> reports/benchmark.md
#   make bench-scale  time at 1x and 3x, memory at 10x the frames -> reports/benchmark.md (an hour or more)
#   make lock       pyproject.toml -> requirements*.lock; newest versions: make lock ARGS=--upgrade
# Another Python: make repro PYTHON=python3.12. No make (Windows): README.md has the plain commands.

PYTHON ?= python3
BIN := .venv/bin
PIP = $(BIN)/python -m pip install --quiet --disable-pip-version-check

# DVC runs `python -m stages.<name>`: that must be the environment's Python, in queued experiments too.
export PATH := $(CURDIR)/$(BIN):$(PATH)

# Where bytecode is not written, every stage compiles its libraries anew: a minute of a run.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: repro show grid labels minutes suite policies probe codes deps readme live test damage test-live lint bench bench-scale lock
.DEFAULT_GOAL := repro

repro: .venv/installed
	$(BIN)/dvc repro
	$(BIN)/python -m stages.commands.headline

show: .venv/installed
	@$(BIN)/python -m stages.commands.show

grid: .venv/installed
	$(BIN)/python -m stages.commands.grid $(ARGS)

labels: .venv/installed
	$(BIN)/dvc repro stages/studies/labels/dvc.yaml
	@$(BIN)/python -m stages.commands.labels

minutes suite policies probe codes: .venv/installed
	$(BIN)/dvc repro stages/studies/$@/dvc.yaml

deps: .venv/installed
	$(BIN)/python -m stages.commands.deps

readme: .venv/installed
	$(BIN)/python -m stages.commands.readme

# One worker a core; tests keep to one thread each (tests/conftest.py).
test: .venv/installed-test
	$(BIN)/python -m pytest -n auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder $(ARGS)

damage: .venv/installed-test
	DAMAGE_EXAMPLES=75 $(BIN)/python -m pytest -n auto --maxprocesses 4 tests/test_damage.py

live: .venv/installed-live

# One after the other: they share one screen and one keyboard.
test-live: .venv/installed-live
	$(BIN)/python -m pytest -o addopts="--strict-markers --strict-config" tests/live -rs $(ARGS)

lint: .venv/installed-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

bench: .venv/installed-bench .venv/installed-live
	$(BIN)/python -m tests.benchmarks.run $(ARGS)
	$(BIN)/python -m tests.benchmarks.batches
	$(BIN)/python -m tests.benchmarks.beside --page
	$(BIN)/python -m tests.live.bench_play --page

bench-scale: .venv/installed-bench
	$(BIN)/python -m tests.benchmarks.scale $(ARGS)

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "error: understudy needs Python 3.11 or newer, found $$($(PYTHON) --version 2>&1) as $(PYTHON);" \
	       "name a newer one: make $(MAKECMDGOALS) PYTHON=python3.12" >&2; exit 1; }
	$(PYTHON) -m venv .venv && $(PIP) --upgrade "pip>=26" || { rm -rf .venv; exit 1; }

# $(call install,FILE): what is never imported need not be compiled, so nothing is beforehand. The project itself goes
# in without dependencies: those are the lock file's.
define install
	@echo "installing $(1) into .venv, a minute or more"
	$(PIP) --no-compile -r $(1)
	$(PIP) --no-compile --no-deps -r requirements-flappy.lock
	$(PIP) --no-compile --no-deps --no-build-isolation -e .
endef

.venv/installed: requirements.lock requirements-flappy.lock pyproject.toml | .venv/bin/python
	$(call install,requirements.lock)
	@touch $@

# On top of the tests' set, and without dependencies: all that is needed stands in the lock, except evdev, which pynput
# asks for on Linux (it would have to be compiled, and is for consoles, not for X11), and what reports OpenVINO's use.
.venv/installed-live: requirements-live.lock .venv/installed-test
	$(PIP) --no-compile --no-deps -r requirements-live.lock
	@touch $@

# The two larger sets hold the one above.
.venv/installed-test .venv/installed-bench: .venv/installed-%: requirements-%.lock requirements-flappy.lock pyproject.toml | .venv/bin/python
	$(call install,requirements-$*.lock)
	@touch .venv/installed $@

# uv writes one lock for all systems and Pythons (markers). The CUDA packages stay out of it: torch's own CUDA
# wheels for Linux pin them, and its CPU wheels have no use for them. httpx2-jsfetch is for browsers only.
NOT_LOCKED := evdev openvino-telemetry triton cuda-bindings cuda-pathfinder cuda-toolkit httpx2-jsfetch $(addprefix nvidia-,cublas cuda-cupti \
  cuda-nvrtc cuda-runtime cudnn-cu13 cufft cufile curand cusolver cusparse cusparselt-cu13 nccl-cu13 nvjitlink \
  nvshmem-cu13 nvtx)
COMPILE = .venv-lock/bin/uv pip compile pyproject.toml --universal --python-version 3.11 --fork-strategy fewest \
  --quiet --no-annotate --custom-compile-command "make lock" $(addprefix --no-emit-package ,$(NOT_LOCKED))

# Versions in an existing lock stay as they are where pyproject.toml admits them.
lock: pyproject.toml
	$(PYTHON) -m venv .venv-lock
	.venv-lock/bin/python -m pip install --quiet --disable-pip-version-check uv
	$(COMPILE) $(ARGS) --output-file requirements.lock > /dev/null
	cp requirements.lock requirements-test.lock
	$(COMPILE) --extra test --output-file requirements-test.lock > /dev/null
	cp requirements-test.lock requirements-live.lock
	$(COMPILE) --extra test --extra live --output-file requirements-live.lock > /dev/null
	cp requirements.lock requirements-bench.lock
	$(COMPILE) --extra bench --output-file requirements-bench.lock > /dev/null
