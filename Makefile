# Everything a newcomer needs: `make run` and `make test`. Both install what they need into .venv first.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
DATA ?= data
STAMP := $(VENV)/.installed
DISTRIBUTIONS := protos agent server web

.PHONY: install run test lint types imports unit bench simulate screenshots protos lock clean browser

install: $(STAMP)

$(STAMP): packaging/requirements.lock $(addsuffix /pyproject.toml,$(DISTRIBUTIONS)) web/package-lock.json web/build_assets.py
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r packaging/requirements.lock
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation $(addprefix -e ./,$(DISTRIBUTIONS))
	touch $(STAMP)

run: install
	$(BIN)/python packaging/run.py $(DATA)

