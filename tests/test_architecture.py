"""Imports run one way, and what is wrapped in one place is imported only there."""

from __future__ import annotations

import ast
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from conftest import ROOT

PACKAGE = ROOT / "archdsl"

#: From the bottom of the house to the top. A module may import what stands on its own floor or
#: below, and what stands in its own folder.
FLOORS = (
    ("records",),
    ("source", "volume", "codes", "symbolic"),
    ("syntax",),
    ("diagnostics",),
    ("syntax_faults", "brackets", "fixes", "verification"),
    ("grammar", "parser"),
    ("formatting",),
    ("layers",),
    ("recipe",),
    ("graph",),
    ("elaborate",),
    ("receptive", "cost", "modules", "rules"),
    ("model",),
    ("memory", "proof", "deployment", "lints", "configuration"),
    ("report", "drawing", "codegen", "validation"),
    ("compilation",),
    ("runtime",),
    ("train",),
    ("api",),
    ("cli", "notebook"),
    ("__init__", "__main__"),
)
HEIGHT = {room: height for height, floor in enumerate(FLOORS) for room in floor}

#: Targets do not know each other, and what validates a module shares nothing with what writes it.
APART = {"report", "drawing", "codegen", "validation"}

#: Imports inside functions that go up on purpose, each with its reason.
UPWARD = {
    # The page shows the picture beside the table of `archdsl check`.
    ("drawing", "report"),
    # `_repr_mimebundle_`, by which notebooks show a model.
    ("model", "drawing"),
    # The examples of the layers' pages are run to print their results.
    ("report", "api"),
}

#: Each library outside the standard one has one place.
ONLY_IN = {
    "lark": {"parser/", "grammar.py"},
    "networkx": {"graph.py", "rules.py", "model.py", "validation/graphs.py"},
    "jinja2": {"codegen/", "drawing/page/"},
    "graphviz": {"drawing/dot.py"},
    "resvg_py": {"drawing/raster.py"},
    "reportlab": {"drawing/pdf.py"},
    # Beside the command line, its colours of text.
    "click": {"cli/", "report/text.py"},
    "rich_click": {"cli/"},
    "rich": {"cli/", "train/progress.py"},
    "IPython": {"notebook.py"},
    # Checking, drawing and compiling need no torch.
    "torch": {"runtime/", "train/"},
    "onnx": {"runtime/"},
    "onnxruntime": {"runtime/"},
    "webdataset": {"train/data/shards.py"},
    "nvidia": {"train/dali.py"},
}


@dataclass(frozen=True)
class Import:
    path: Path
    line: int
    module: str
    in_function: bool
    for_types: bool

    @property
    def place(self) -> str:
        return self.path.relative_to(PACKAGE).as_posix()

    @property
    def room(self) -> str:
        return self.place.split("/")[0].removesuffix(".py")

    @property
    def target(self) -> str:
        """The room of the package that is imported."""
        parts = self.module.split(".")
        return parts[1] if len(parts) > 1 else "__init__"

    def __str__(self) -> str:
        return f"archdsl/{self.place}:{self.line} imports {self.module}"


class _Collector(ast.NodeVisitor):
    """All imports of a file, with where they stand."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.found: list[Import] = []
        self.in_function = False
        self.for_types = False

    def _add(self, line: int, module: str) -> None:
        self.found.append(Import(self.path, line, module, self.in_function, self.for_types))

    def visit_Import(self, node: ast.Import) -> None:
        for alias in node.names:
            if alias.name != "archdsl":  # whose own import is nothing but the version
                self._add(node.lineno, alias.name)

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        assert node.level == 0, f"{self.path}:{node.lineno} imports relatively"
        assert node.module
        rooms = [alias.name for alias in node.names if alias.name in HEIGHT]
        if node.module != "archdsl":
            self._add(node.lineno, node.module)
            return
        for room in rooms:
            self._add(node.lineno, f"archdsl.{room}")
        if {alias.name for alias in node.names} - {*rooms, "__version__"}:
            self._add(node.lineno, "archdsl")

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        outer, self.in_function = self.in_function, True
        self.generic_visit(node)
        self.in_function = outer

    def visit_If(self, node: ast.If) -> None:
        outer = self.for_types
        self.for_types = isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"
        self.generic_visit(node)
        self.for_types = outer


def _imports() -> list[Import]:
    found: list[Import] = []
    for path in sorted(PACKAGE.rglob("*.py")):
        collector = _Collector(path)
        collector.visit(ast.parse(path.read_text("utf-8")))
        found += collector.found
    return found


IMPORTS = _imports()
OWN = [found for found in IMPORTS if found.module.split(".")[0] == "archdsl"]


def _is_allowed(found: Import) -> bool:
    if found.room in (found.target, "__init__", "__main__"):
        return True
    if (found.room, found.target) in UPWARD:
        return found.in_function
    if {found.room, found.target} <= APART:
        return False
    return HEIGHT.get(found.target, -1) <= HEIGHT.get(found.room, -1)


def test_every_module_has_a_floor() -> None:
    entries = [e for e in PACKAGE.iterdir() if e.suffix == ".py" or (e / "__init__.py").exists()]
    assert {entry.name.removesuffix(".py") for entry in entries} <= HEIGHT.keys()


def test_imports_run_one_way() -> None:
    assert [str(found) for found in OWN if not _is_allowed(found)] == []


def test_every_exception_is_needed() -> None:
    used = {(found.room, found.target) for found in OWN}
    assert used >= UPWARD


@pytest.mark.parametrize("library", ONLY_IN)
def test_only_importer(library: str) -> None:
    strangers = [
        str(found)
        for found in IMPORTS
        if found.module.split(".")[0] == library
        and not any(found.place.startswith(home) for home in ONLY_IN[library])
    ]
    assert strangers == []


# ── Fast start ───────────────────────────────────────────────────────────────────────────────

#: Runs a check and prints the names of all modules that it has imported.
CHECK = """
import contextlib, io, sys
from archdsl.cli import main
with contextlib.suppress(SystemExit), contextlib.redirect_stdout(io.StringIO()):
    main(["check", "specs/vgg16.arch"])
print(*sys.modules)
"""


def test_what_a_check_imports() -> None:
    """Nothing of torch or targets, and dataclasses whose methods are not written in advance."""
    printed = subprocess.check_output([sys.executable, "-c", CHECK], text=True, cwd=ROOT)
    modules = set(printed.split())
    assert "networkx" in modules
    assert not modules & {"torch", "numpy", "jinja2", "reportlab", "rich", "matplotlib"}
    assert not modules & {"archdsl.formatting", "archdsl.drawing", "archdsl.codegen"}
    own = modules - {"archdsl.records"}
    eager = {
        name
        for path in PACKAGE.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.ImportFrom)
        and node.module == "dataclasses"
        and "dataclass" in {alias.name for alias in node.names}
        for name in [".".join(path.relative_to(ROOT).with_suffix("").parts)]
    }
    assert eager & {name.removesuffix(".__init__") for name in own} == set()
