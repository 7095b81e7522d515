"""The corpus: faulty texts in Markdown with the full text of what is said about them.

A heading is a case, an ``arch`` block its text, further ``arch NAME`` blocks files beside it, and
the ``diagnostic`` block the exact message. ``pytest --update`` rewrites the messages; read the
difference before committing it.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from cases import CASES, Case, _cases
from conftest import ROOT

from archdsl.rules import RULES

#: Shown elsewhere: by files on disk in test_cli_check.py, which Markdown cannot hold, by options of
#: the command line in test_memory.py, and by Models made wrong on purpose in test_prove.py.
NOT_TEXT = {"not-utf8", "internal-error", "memory-exceeded", "torch-disagrees"}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_case(
    case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    monkeypatch.chdir(tmp_path)
    actual = case.run(tmp_path)
    if request.config.getoption("--update"):
        _rewrite(case, actual)
    else:
        assert actual == case.expected()


def _rewrite(case: Case, actual: str) -> None:
    before = case.path.read_text("utf-8")
    body = re.sub(r"\n```diagnostic\n.*?```\n", "", case.body, flags=re.DOTALL).rstrip()
    after = f"{case.name}\n{body}\n\n```diagnostic\n{actual}```\n\n"
    section = f"## {case.name}\n{case.body}"
    assert section in before
    case.path.write_text(before.replace(section, f"## {after}").rstrip() + "\n", "utf-8")


def test_every_code_is_shown() -> None:
    text = "\n".join(case.body for case in _cases())  # with what `--update` has written
    shown = set(re.findall(r"^(?:error|warning)\[([\w-]+)\]", text, re.MULTILINE))
    assert shown == RULES.keys() - NOT_TEXT


# ── Messages ─────────────────────────────────────────────────────────────────────────────────

#: Of texts that are too long for a page, as test_fuzz.py has them, or that go deeper than Python,
#: of which the parser keeps texts away.
NOT_SHOWN = (
    "blocks are nested more than 40 deep",
    "the network expands beyond the bound of 200,000 statements",
    "this is nested too deeply to read",
)
MAKERS = {"Diagnostic", "ElaborationError", "Label", "LayerError", "warning"}


def test_every_message_is_shown() -> None:
    """Each way to find fault with a text has a case, but for rules of layers, which may be new;
    a number or a name may be any.
    """
    shown = " ".join("\n".join(case.body for case in _cases()).split())
    folders = ("elaborate", "lints")
    paths = [path for name in folders for path in sorted((ROOT / "archdsl" / name).glob("*.py"))]
    messages = [(path, *found) for path in paths for found in _messages(path)]
    assert len(messages) > 150
    missing = [
        f"{path.name}:{line}: {ast.unparse(message)}"
        for path, line, message in messages
        if not re.search(_pattern(message), shown)
        and not any(re.fullmatch(_pattern(message), text) for text in NOT_SHOWN)
    ]
    assert missing == []


def _messages(path: Path) -> Iterator[tuple[int, ast.expr]]:
    """Messages, helps and labels that are written out, or with something filled in."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        match node:
            case ast.Call(func=ast.Name(id=maker)) if maker in MAKERS:
                texts = [*node.args, *(k.value for k in node.keywords if k.arg == "help")]
            case ast.Assign(targets=[ast.Name(id="message" | "help" | "hint")]):
                texts = [node.value]
            case _:
                continue
        for text in texts:
            if isinstance(text, ast.JoinedStr) or (
                isinstance(text, ast.Constant) and isinstance(text.value, str)
            ):
                yield text.lineno, text


def _pattern(text: ast.expr) -> str:
    parts = text.values if isinstance(text, ast.JoinedStr) else [text]
    return "".join(
        re.escape(str(part.value)) if isinstance(part, ast.Constant) else ".{0,80}?"
        for part in parts
    )
