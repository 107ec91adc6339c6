# Everything a newcomer needs: `make run` and `make test`. Both install what they need into .venv first.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
DATA ?= data
GRPC ?= 127.0.0.1:7443
HTTP ?= 127.0.0.1:8080
SCHOOLS ?= 5
PCS ?= 40
JOBS ?= 2
DISTRIBUTIONS := protos agent server web
STAMP := $(VENV)/.installed
PIP := $(BIN)/pip --disable-pip-version-check --quiet
CODE := protos agent server web packaging tests

.PHONY: install run test lint types imports unit browser hosts bench simulate replay screenshots protos lock clean

install: $(STAMP)

# One lock for everything, build back ends included, so that nothing unhashed is fetched.
$(STAMP): packaging/requirements.lock $(addsuffix /pyproject.toml,$(DISTRIBUTIONS)) web/package-lock.json web/build_assets.py
	@$(PYTHON) -c 'import sys; sys.exit("Fettle needs Python 3.11 or newer; this is " + sys.version.split()[0] if sys.version_info < (3, 11) else 0)'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(PIP) install --require-hashes -r packaging/requirements.lock
	PATH="$(CURDIR)/$(BIN):$$PATH" $(PIP) install --no-deps --no-build-isolation $(addprefix -e ./,$(DISTRIBUTIONS))
	touch $@

# Server, console and this machine's own agent on SQLite under $(DATA); Ctrl-C stops all of it, the data stays.
run: install
	@$(BIN)/python packaging/run.py $(DATA) --grpc $(GRPC) --http $(HTTP)

test: install lint types imports browser hosts unit

lint: install
	$(BIN)/ruff check $(CODE)
	$(BIN)/ruff format --check $(CODE)

types: install
	$(BIN)/mypy

imports: install
	$(BIN)/lint-imports

# A browser for the tests: the system's where there is one, else Debian's where root, else Playwright's own.
browser: install
	@$(BIN)/python packaging/browser.py

# A small Debian under .hosts that the tests' real hosts stand on: where root and the kernel allow; else it says why not.
hosts: install
	@PYTHONPATH=packaging $(BIN)/python -m hosts

# Two processes, a file of tests to one of them, the long files first (tests/conftest.py): a test of real faults mostly waits.
unit: install
	$(BIN)/pytest -q -n $(JOBS) --dist loadfile --no-loadscope-reorder tests

bench: install
	$(BIN)/python tests/benchmarks/run.py $(if $(QUICK),--quick)

# Many simulated agents in few processes, through the real protocol, against a server of its own (SERVER=host:port for yours).
simulate: install
	@$(BIN)/python packaging/simulate.py --schools $(SCHOOLS) --pcs $(PCS) $(if $(SERVER),--server $(SERVER))

# A virtual school year through the real server on a simulated clock, beside the usual practice: how far detection can be trusted.
replay: install
	@PYTHONPATH=packaging $(BIN)/python -m replay $(if $(SEED),--seed $(SEED)) $(if $(DAYS),--days $(DAYS)) $(if $(OUT),--out $(OUT)) \
		$(if $(filter command line environment,$(origin SCHOOLS)),--schools $(SCHOOLS)) $(if $(filter command line environment,$(origin PCS)),--pcs $(PCS))

screenshots: install browser
	$(BIN)/python packaging/screenshot.py

protos: install
	$(BIN)/python -m grpc_tools.protoc -Iprotos --python_out=protos --pyi_out=protos protos/fettle_protocol/v1/link.proto

# Needs uv on the path. The result carries hashes and no host.
lock:
	cd packaging && uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-annotate --no-header \
		$(foreach name,protocol agent server web,--no-emit-package fettle-$(name)) requirements.in -o requirements.lock

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache web/node_modules web/fettle_web/static/vendor
