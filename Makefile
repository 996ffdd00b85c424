# Every target runs in .venv, which is made anew whenever requirements.lock changed. What tlkit is compared with by `make
# bench` has an environment of its own, .venv-peers.

.DEFAULT_GOAL := help
.PHONY: help venv demo test check bench docs notebook lock clean

# Without bytecode files TensorFlow takes about three times as long to import.
unexport PYTHONDONTWRITEBYTECODE

BIN := .venv/bin
INSTALLED := .venv/installed-from-lock
PEERS := .venv-peers/installed-from-requirements
INSTALL_LOCK := $(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --requirement requirements.lock

help:  ## Show the targets.
	@sed -n 's/^\([a-z]*\):.*## /  make \1	/p' $(MAKEFILE_LIST)

venv: $(INSTALLED)  ## Make .venv from the lock (PYTHON=... chooses the Python).

demo: $(INSTALLED)  ## Draw a small picture set and run the whole job on it, without network.
	$(BIN)/tlkit demo $(ARGS)

test: $(INSTALLED)  ## Run the tests.
	$(BIN)/python -m pytest -n 2 --dist worksteal $(ARGS)

check: $(INSTALLED)  ## Run ruff, mypy and import-linter.
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

bench: $(INSTALLED)  ## Measure tlkit beside Keras, PyTorch and scikit-learn, about half an hour (ARGS="--help" tells more).
	@$(MAKE) --no-print-directory $(PEERS) || echo "There is no .venv-peers: what needs PyTorch or scikit-learn is left out." >&2
	$(BIN)/python -m benchmarks.side_by_side $(ARGS)

docs: $(INSTALLED)  ## Write docs/reference from the code, and the documentation's site into site/.
	$(BIN)/python docs/generate.py
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

notebook: $(INSTALLED)  ## Run docs/tour.ipynb and store its outputs.
	TF_CPP_MIN_LOG_LEVEL=3 $(BIN)/python docs/notebook.py

lock: $(INSTALLED)  ## Write requirements.lock from pyproject.toml (needs the network).
	$(BIN)/python -m pip install --quiet uv
	$(BIN)/python -m uv pip compile pyproject.toml --extra dev --universal --python-version 3.11 \
		--generate-hashes --custom-compile-command "make lock" --upgrade --output-file requirements.lock

clean:  ## Remove both environments, the site and the tools' caches.
	rm -rf .venv .venv-peers site .pytest_cache .mypy_cache .ruff_cache .import_linter_cache

$(INSTALLED): requirements.lock
	@for python in $(or $(PYTHON),python3 python3.13 python3.12 python3.11 python); do \
		if "$$python" -c 'import sys, venv, ensurepip; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null; then \
			echo "Making .venv with $$("$$python" --version)."; \
			exec "$$python" -m venv --clear .venv; \
		fi; \
	done; \
	echo "Error: no Python that can make the environment was found." >&2; \
	echo "  Expected: Python 3.11 to 3.13, with its venv module (python3-venv on Debian and Ubuntu)." >&2; \
	echo "  Fix: install one, or name it: make $(MAKECMDGOALS) PYTHON=/path/to/python3.12" >&2; \
	exit 1
	@# A download that was cut off fails by its hash; the second try fetches it anew.
	$(INSTALL_LOCK) || $(INSTALL_LOCK)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

$(PEERS): benchmarks/peers/requirements.txt
	@echo "Making .venv-peers for PyTorch and scikit-learn."
	$(BIN)/python -m venv --clear .venv-peers
	.venv-peers/bin/python -m pip install --quiet --disable-pip-version-check --requirement $<
	@touch $@
