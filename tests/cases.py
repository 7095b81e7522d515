"""The cases of the corpus: faulty texts with their messages."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from archdsl.frontend import diagnose, read_input
from archdsl.layers.volume import Volume
from archdsl.report.diagnostics import render_diagnostics
from archdsl.text.source import Source

FOLDER = Path(__file__).parent / "elaborate" / "corpus"


BLOCK = re.compile(r"```(arch|diagnostic)([^\n]*)\n(.*?)```\n", re.DOTALL)


@dataclass(frozen=True)
class Case:
    """One heading of the corpus."""

    path: Path
    name: str
    body: str

    def write(self, folder: Path) -> tuple[Source, Volume | None]:
        """The text and its input; the files beside it are written into the folder."""
        text, input = "", None
        for kind, info, content in BLOCK.findall(self.body):
            if kind == "diagnostic":
                continue
            words = info.split()
            files = [word for word in words if word.endswith(".arch")]
            if files:
                (folder / files[0]).write_text(content, encoding="utf-8")
                continue
            text = content.removesuffix("\n")
            input = next((read_input(w[6:]) for w in words if w.startswith("input=")), None)
        return Source(text, "spec.arch"), input

    def run(self, folder: Path) -> str:
        return render_diagnostics(diagnose(*self.write(folder))) + "\n"

    def expected(self) -> str:
        blocks = BLOCK.findall(self.body)
        return "".join(content for kind, _, content in blocks if kind == "diagnostic")


def _cases() -> list[Case]:
    cases = []
    for path in sorted(FOLDER.glob("*.md")):
        for section in re.split(r"^## ", path.read_text("utf-8"), flags=re.MULTILINE)[1:]:
            name, _, body = section.partition("\n")
            cases.append(Case(path, name.strip(), body))
    return cases


CASES = _cases()
