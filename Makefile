# Two commands for a fresh machine: `make demo` and `make test`. Both set everything up by themselves.
# For developers: `make unit` and `make check` while writing, `make lock` after a change of dependencies.
SUITS := import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 12))
PYTHON ?= $(shell for p in python3.12 python3.11 python3; do $$p -c '$(SUITS)' 2>/dev/null && echo $$p && break; done)
BIN := .venv/bin

# On two processes, each with one thread: tests this small wait longer for a second thread than they compute. One of
# them begins with the integration tests, which mostly wait; tests/conftest.py says what stays together.
PYTEST := OMP_NUM_THREADS=1 $(BIN)/pytest -n 2 --dist loadscope --no-loadscope-reorder

.PHONY: demo test unit slow coverage bench bench-gpu hosts check style types tests docs reference setup lock wheel clean

# Start a real Label Studio with Aftertone connected. AUDIO=folder|manifest.csv LIMIT=n ORACLE=1 ROUNDS=n
demo: setup
	@$(BIN)/aftertone demo

# Style, types, unit tests, and integration tests against a real Label Studio and a real Redis, in under 20 minutes on
# two cores. `make slow` has those that take long, `make hosts` the one that installs label-studio-ml first.
test: setup style
	@$(MAKE) --no-print-directory -j 2 types tests

tests: setup
	$(PYTEST) -m 'not slow' --ignore=tests/integration/test_hosts.py

# Before a release, and after a change of training or of query strategies: recorded picks, simulations, kills.
slow: setup
	$(PYTEST) -m slow tests

# All of these, and which lines they ran.
coverage: setup
	$(PYTEST) --cov --ignore=tests/integration/test_hosts.py

# How fast it is beside what people would use instead, on a quiet machine, in about an hour: writes docs/benchmarks.
# MANIFEST=manifest.csv with columns path, emotion, speaker. On a GPU: `make bench-gpu`.
bench: setup
	$(BIN)/python -m benchmarks.speed $(MANIFEST) --out docs/benchmarks/speed
	$(BIN)/python -m benchmarks.whole_project $(MANIFEST) --out docs/benchmarks/whole-project.md
	$(BIN)/python -m benchmarks.startup --json docs/benchmarks/startup.json > docs/benchmarks/startup.md
	$(BIN)/python -m benchmarks.responsiveness --json docs/benchmarks/responsiveness.json > docs/benchmarks/responsiveness.md
	$(BIN)/python -m benchmarks.acquisition
	$(BIN)/python -m benchmarks.growth

bench-gpu: setup
	$(BIN)/python -m benchmarks.speed $(MANIFEST) --models wav2vec2-base wav2vec2-large --device cuda --out docs/benchmarks/speed-gpu

# What needs no Label Studio.
unit: setup
	$(PYTEST) -m 'not slow' tests/unit

# Two rounds in a real Label Studio, hosted by label-studio-ml 1.0.9 and by 2.x. The latter is on GitHub alone
# (HumanSignal/label-studio-ml-backend): give LABEL_STUDIO_ML as pip takes it, such as a checkout's folder.
hosts: setup
	LABEL_STUDIO_ML='$(LABEL_STUDIO_ML)' $(BIN)/pytest tests/integration/test_hosts.py

check: style types

style: setup
	$(BIN)/ruff check
	$(BIN)/ruff format --check

types: setup
	$(BIN)/pyright

# build/docs/index.html: the pages of docs/ as a site, made without network; a warning is an error.
docs: setup
	$(BIN)/python -m sphinx -W --keep-going -q -b html docs build/docs

# The pages of docs/ that are made from the code.
reference: setup
	$(BIN)/python -m aftertone.cli.commands_docs > docs/commands.md
	$(BIN)/python -m aftertone.settings_docs > docs/settings.md
	$(BIN)/python -m aftertone.server.routes_docs > docs/routes.md
	$(BIN)/python -m aftertone.server.metrics_docs > docs/metrics.md
	$(BIN)/python -m aftertone_model.acquisition.strategies_docs > docs/strategies.md
	$(BIN)/python -m aftertone.doctor.page > docs/troubleshooting.md

setup: .venv/synced

.venv/synced: tests/requirements.lock pyproject.toml
	@$(or $(PYTHON),false) -c '$(SUITS)' || \
	  { echo "Aftertone needs Python 3.11 or 3.12; name it: make PYTHON=/path/to/python3.12 $(MAKECMDGOALS)"; exit 1; }
	@test -x $(BIN)/python || { echo "Setting up .venv (once) ..."; $(PYTHON) -m venv .venv; }
	@test -x $(BIN)/uv || $(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	@$(BIN)/uv pip sync --quiet --python $(BIN)/python --require-hashes tests/requirements.lock
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	@touch $@

# Pin anew: what a server needs, everything with the tests, and the Label Studio that demo and tests run.
COMPILE := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate
lock:
	$(COMPILE) pyproject.toml -o requirements.lock
	$(COMPILE) pyproject.toml --all-extras --group test --group docs -c requirements.lock -o tests/requirements.lock
	echo 'label-studio==1.23.2' | $(COMPILE) --no-config - -o docker/label-studio.lock

# dist/: the wheel and the source distribution.
wheel: setup
	$(BIN)/python -m hatchling build

clean:
	rm -rf .venv .demo build dist *.egg-info
