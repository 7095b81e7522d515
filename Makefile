# `make demo` and `make test` do all their own set-up: they need GNU make and Python 3.11 or newer.

PYTHON ?= python3
VENV = .venv
RUN = $(VENV)/bin/python -m
PIP = $(RUN) pip install --quiet --disable-pip-version-check
ARCHDSL = $(RUN) archdsl
# Each process builds whole networks, up to 3 GB: four are enough. A few tests take a minute: who
# is done takes over tests of another.
PYTEST = -n auto --maxprocesses 4 --dist worksteal
# Whose modules for inference are committed.
DEPLOYED = specs/googlenet.arch specs/torchvision/resnet.arch

.PHONY: help demo test lint generate grammar docs gallery looking clean

help:
	@echo "make demo      check, draw and compile the networks of specs/, and train LeNet-5"
	@echo "make test      lint, types, freshness of generated/, proof of specs/, all tests"
	@echo "make lint      ruff, mypy and the style of specs alone"
	@echo "make generate  compile specs/ to generated/, and some for inference to deployed/"
	@echo "make grammar   tables of the parser, after a change of grammar.lark or of Lark"
	@echo "make docs      regenerate docs/layers.md, diagnostics.md, faults.md and pictures/"
	@echo "make gallery   draw specs in every style for docs/gallery.md"
	@echo "make looking   train four small networks and look into them, for docs/looking.md"
	@echo "make clean     remove .venv, drawings, the demo's run and caches"

demo: $(VENV)/ready
	@mkdir -p drawings
	$(ARCHDSL) check specs/lenet5.arch
	@echo
	$(ARCHDSL) check specs > drawings/check.txt
	@tail -n 1 drawings/check.txt
	@echo
	$(ARCHDSL) draw specs --output drawings/
	@echo
	$(ARCHDSL) compile specs
	@echo
	@# Its layers are so small that threads mostly wait for one another.
	OMP_NUM_THREADS=1 \
		$(ARCHDSL) train specs/lenet5.arch --data digits --epochs 4 --devices 1 --name demo
	@echo
	@echo "drawings/check.txt   the tables of all networks"
	@echo "drawings/*.svg       their pictures"
	@echo "generated/*.py       their PyTorch modules"
	@echo "runs/demo/           LeNet-5 trained: report.md, curves.svg, weights.safetensors"

test: lint
	$(ARCHDSL) compile --check
	@# Two at a time: most networks are too small for threads.
	find specs -name '*.arch' | sort | OMP_NUM_THREADS=1 \
		xargs -P 2 -n 10 $(ARCHDSL) check --prove > $(VENV)/proofs.txt
	@grep -c "proved by torch" $(VENV)/proofs.txt
	$(ARCHDSL) compile --inference --check $(DEPLOYED)
	$(RUN) pytest $(PYTEST)

lint: $(VENV)/ready-for-tests
	$(RUN) ruff check .
	$(RUN) ruff format --check .
	$(RUN) mypy
	$(ARCHDSL) fmt --check specs archdsl/std

generate: $(VENV)/ready
	$(ARCHDSL) compile
	$(ARCHDSL) compile --inference $(DEPLOYED)

# Nothing where they fit.
grammar: $(VENV)/ready
	$(RUN) archdsl.text.grammar

docs: $(VENV)/ready
	$(ARCHDSL) layers --format md > docs/layers.md.new
	mv docs/layers.md.new docs/layers.md
	$(ARCHDSL) explain --format md > docs/diagnostics.md.new
	mv docs/diagnostics.md.new docs/diagnostics.md
	$(RUN) tests.faults --write
	$(ARCHDSL) draw specs/googlenet.arch --depth 0 --output docs/pictures/googlenet-collapsed.svg
	$(ARCHDSL) draw specs/alexnet.arch --fit slide --color-by params --output docs/pictures/alexnet-params.svg
	$(ARCHDSL) draw specs/zoo/unet.arch --style volumes --output docs/pictures/unet-volumes.svg

# A picture whose spec is gone goes, too.
gallery: $(VENV)/ready
	rm -rf docs/gallery
	$(ARCHDSL) draw $$($(VENV)/bin/python tools/gallery.py --specs) --fit a4 --output docs/gallery/graph/
	$(ARCHDSL) draw $$($(VENV)/bin/python tools/gallery.py --specs) --fit a4 --style volumes --output docs/gallery/volumes/
	$(VENV)/bin/python tools/gallery.py > docs/gallery.md.new
	mv docs/gallery.md.new docs/gallery.md

# It takes some minutes; a second run uses the same networks.
looking: $(VENV)/ready-for-tests
	$(VENV)/bin/python tools/looking_pictures.py

clean:
	rm -rf $(VENV) drawings runs/demo .hypothesis .mypy_cache .pytest_cache .ruff_cache

# ── Set-up ─────────────────────────────────────────────────────────────────────────────────────
# Each file is written when its step is done: a second run skips it, an interrupted one repeats it.

$(VENV)/made:
	@$(PYTHON) -c 'import sys; \
		sys.exit("Python 3.11 or newer is needed" if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv $(VENV)
	@touch $@

# PyTorch takes its time to install.
$(VENV)/ready: $(VENV)/made pyproject.toml
	$(PIP) --editable '.[train]'
	@touch $@

# The test tools, and all that training needs.
$(VENV)/ready-for-tests: $(VENV)/made pyproject.toml
	$(PIP) --editable '.[test]'
	@touch $@ $(VENV)/ready
