"""One word for one thing: words that once meant something here, and are not the field's."""

from __future__ import annotations

import re
import subprocess

import pytest
from conftest import ROOT

#: What was said, and what is said instead.
WORDS = {
    r"\bmend(s|ed|ing|able)?\b": "fix",
    r"\bsilenc(e|es|ed|ing)\b": "suppress, suppression",
    # As a verb: the noun is the measure of a class.
    r"\brecall(s|ed|ing)\b": "reference, refer to",
    r"\btak(e|es|en|ing) up\b": "refer to",
    r"\bhang(s|ing)? on\b": "depend on",
    r"\bfor who\b": "for those who",
    r"\b(doubted|accused?|Sight|Unread)\b": "poisoned, reported, receptive field, error node",
    r"\bwish(es)?\b": "options",
    r"\bheed(s|ed)?\b": "support",
    r"\bspots\b|\b(strips|solids)\b": "placed boxes, trunk segments, cuboids",
    r"\b(Train|Template|Format|Configuration)Fault\b|\bInvalidModule\b": "an Error",
    r"\bcodes catalogue\b|archdsl/codes": "rules",
    r"archdsl[./](runtime|modules)\b": "torch_tools, classplan",
    r"\bclosed blocks?\b": "collapsed",
}
#: Where a word is the name that others gave it.
FOREIGN = ("CHANGELOG.md", "archdsl/layers/elsewhere.py", "tests/project/test_words.py")
KINDS = (".py", ".md", ".arch", ".jinja", ".js", ".toml", ".lark")


def _texts() -> dict[str, str]:
    listed = subprocess.check_output(["git", "ls-files"], cwd=ROOT, text=True).splitlines()
    return {
        name: (ROOT / name).read_text("utf-8")
        for name in listed
        if name.endswith(KINDS) and name not in FOREIGN and (ROOT / name).is_file()
    }


@pytest.fixture(scope="module")
def texts() -> dict[str, str]:
    if not (ROOT / ".git").exists():
        pytest.skip("what belongs to the project is listed by git")
    return _texts()


@pytest.mark.parametrize("pattern", WORDS)
def test_old_words_are_gone(texts: dict[str, str], pattern: str) -> None:
    found = [
        f"{name}:{number}: {line.strip()[:80]}"
        for name, text in texts.items()
        for number, line in enumerate(text.splitlines(), 1)
        if re.search(pattern, line)
    ]
    assert found == [], f"the word is: {WORDS[pattern]}"
