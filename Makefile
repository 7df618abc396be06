# make app [PORT=8501]   install into .venv and open the page
# make test              install into .venv and pass the tests
# make test-pages        those that walk through the served page in a browser: its forms, lessons, links and notebooks
# make test-coverage     both, with those of training, benchmarks, memory and Ray, and prints how much of mmviz/ is run
# make quick             the tests that need neither a browser nor much time, for the loop of work
# make lint              ruff and mypy
# make docs              the pages of docs/ as a site in site/, built strictly
# make texts             the catalogues of translations, brought up to date with the texts and compiled
# make versions          tries the bounds of pyproject.toml: oldest and newest packages, each Python; not part of the tests
# make coverage          what capture records of over 95 model families: docs/coverage.md; not part of the tests
# make huggingface       what works with which family of Hugging Face models: docs/huggingface.md; not part of the tests
# make benchmark         what capture costs, beside eager attention and bertviz; an environment of its own
SHELL := /bin/bash
VENV ?= .venv
PORT ?= 8501
# One process more than there are cores, as tests of the page wait for the browser; four at most, for the memory.
WORKERS := $(shell cores=$$(getconf _NPROCESSORS_ONLN 2>/dev/null || echo 1); echo $$((cores < 3 ? cores + 1 : 4)))
# Else each of some 200 processes of the tests would compile all modules again.
unexport PYTHONDONTWRITEBYTECODE
PYTEST_ARGS ?= -n $(WORKERS) --dist loadfile

# python3 where it is 3.11, 3.12 or 3.13, else the first of those found by name.
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
	"$$p" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' >/dev/null 2>&1 && echo "$$p" && break; done)

.PHONY: app test test-pages test-coverage quick lint docs texts versions coverage huggingface notebooks benchmark dev clean

app: $(VENV)/.mmviz
	$(VENV)/bin/mmviz app --port $(PORT)

test: dev
	@bash .ci/system-packages
	$(VENV)/bin/python -m pytest $(PYTEST_ARGS) -m "not long and not pages"

test-pages: dev
	@bash .ci/system-packages
	$(VENV)/bin/python -m pytest $(PYTEST_ARGS) -m "pages and not long"

test-coverage: dev
	@bash .ci/system-packages
	$(VENV)/bin/python -m pytest $(PYTEST_ARGS) --cov --cov-report=term

# Without a browser to wait for, a process a core.
quick: WORKERS := $(shell cores=$$(getconf _NPROCESSORS_ONLN 2>/dev/null || echo 1); echo $$((cores < 4 ? cores : 4)))
quick: dev
	$(VENV)/bin/python -m pytest $(PYTEST_ARGS) -q -m "not browser and not slow and not long"

lint: dev
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy mmviz

docs: $(VENV)/.mmviz-docs
	NO_MKDOCS_2_WARNING=1 $(VENV)/bin/python -m mkdocs build --strict --quiet

texts: dev
	$(VENV)/bin/python tools/catalogues.py

versions: dev
	$(VENV)/bin/python tools/dependency_bounds.py

coverage: dev
	$(VENV)/bin/python -m tools.model_coverage

notebooks: dev
	$(VENV)/bin/python -m tools.notebooks

huggingface: dev
	$(VENV)/bin/python -m tools.huggingface_families

benchmark: $(VENV)-benchmark/.mmviz
	$(VENV)-benchmark/bin/python benchmarks/capture.py

dev: $(VENV)/.mmviz-dev $(VENV)/torchvision-only/.mmviz

clean:
	rm -rf $(VENV) $(VENV)-benchmark

# The two marks are newer than what they were installed from, or the install is done again.
$(VENV)/.mmviz: pyproject.toml constraints.txt | $(VENV)/bin/pip
	$(VENV)/bin/python -m pip install --disable-pip-version-check -c constraints.txt -e '.[app]'
	@touch $@

$(VENV)/.mmviz-dev: pyproject.toml constraints.txt | $(VENV)/bin/pip
	$(VENV)/bin/python -m pip install --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@ $(VENV)/.mmviz

$(VENV)/.mmviz-docs: pyproject.toml constraints.txt | $(VENV)/bin/pip
	$(VENV)/bin/python -m pip install --disable-pip-version-check -c constraints.txt -e '.[docs]'
	@touch $@

# What processors of Hugging Face import beside transformers, where the tests that need it find it and no others do.
# torchvision comes without its CUDA; where it cannot be had, its tests are skipped by name.
$(VENV)/torchvision-only/.mmviz: constraints.txt | $(VENV)/.mmviz-dev
	-$(VENV)/bin/python -m pip install --disable-pip-version-check -c constraints.txt --no-deps --upgrade --target $(@D) torchvision timm num2words docopt && touch $@

$(VENV)-benchmark/.mmviz: pyproject.toml constraints.txt benchmarks/requirements.txt | $(VENV)/bin/pip
	$(VENV)/bin/python -m venv $(VENV)-benchmark
	$(VENV)-benchmark/bin/python -m pip install --disable-pip-version-check -c constraints.txt -e .
	$(VENV)-benchmark/bin/python -m pip install --disable-pip-version-check -r benchmarks/requirements.txt
	@touch $@

$(VENV)/bin/pip:
	@test -n "$(PYTHON)" || { echo "mmviz needs Python 3.11, 3.12 or 3.13, and none was found; install one, or name it: make PYTHON=path/to/python3.12" >&2; exit 1; }
	@package=$$($(PYTHON) -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])'); \
	$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || bash .ci/system-packages "$$package"; \
	$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { echo "This Python cannot make virtual environments: install $$package (as root: apt-get install $$package), then run make again." >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
