"""Colours on a terminal: which part of a text has which, and that they change nothing else."""

from __future__ import annotations

import re

import click
import pytest
from test_report import SMALL, at, expect_text, model_of

from archdsl.model.memory import estimate_memory
from archdsl.model.proof import Proof
from archdsl.report.diagnostics import render_diagnostics
from archdsl.report.memory import render_memory
from archdsl.report.proof import render_proof
from archdsl.report.rules import render_rule
from archdsl.report.table import render_report
from archdsl.rules import RULES
from archdsl.text.diagnostics import Diagnostic, Label, Severity
from archdsl.text.source import Source

STYLES = {"1": "bold", "2": "dim", "31": "red", "32": "green", "33": "yellow", "34": "blue"}


def tagged(text: str) -> str:
    """The text with its colours as words: ``<red bold>no</>``."""

    def words(match: re.Match[str]) -> str:
        styles = [STYLES[code] for code in re.findall(r"\d+", match[0])]
        return f"<{' '.join(styles)}>"

    return re.sub(r"(\x1b\[[1-9]\d*m)+", words, text.replace("\x1b[0m", "</>"))


def test_a_diagnostic() -> None:
    source = Source("concat { a | b }\nfc 3\n", "net.arch")
    error = Diagnostic(
        "wrong-value",
        "no",
        at(source, "a"),
        "here",
        related=(Label(at(source, "b"), "there"),),
        notes=("a note",),
        help="a way",
    )
    warning = Diagnostic("no-network", "hm", None, path="x.arch", severity=Severity.WARNING)
    colored = render_diagnostics([error, warning], color=True)
    assert click.unstyle(colored) == render_diagnostics([error, warning])
    expect_text(
        tagged(colored),
        """
        <red bold>error[wrong-value]</><bold>: no</>
          <blue bold>--></> net.arch:1:5
          <blue bold>|</>
        <blue bold>1</> <blue bold>|</> concat { a | b }
          <blue bold>|</>     <red bold>^</>        <blue bold>-</> <blue bold>there</>
          <blue bold>|</>     <red bold>|</>
          <blue bold>|</>     <red bold>here</>
          <blue bold>|</>
        <bold>help</>: a way
        <bold>note</>: a note

        <yellow bold>warning[no-network]</><bold>: hm</>
          <blue bold>--></> x.arch

        <red bold>1 error</>, <yellow bold>1 warning</>
        """,
    )


def test_a_page_of_a_code() -> None:
    page = render_rule(RULES["wrong-value"], color=True)
    assert click.unstyle(page) == render_rule(RULES["wrong-value"])
    painted = tagged(page).splitlines()
    assert painted[0].startswith("<bold>wrong-value</>: ")
    assert "<bold>fixed</>" in painted
    assert any(line.startswith("<red bold>error[wrong-value]</>") for line in painted)


def test_a_table() -> None:
    model = model_of(SMALL)
    colored = render_report(model, color=True)
    assert click.unstyle(colored) == render_report(model)
    painted = [line for line in tagged(colored).splitlines() if "<" in line]
    rule = f"<dim>{'─' * 82}</>"
    assert [line.split("  ")[0] for line in painted if line != rule] == [
        "<bold>Small</><dim>",
        "<dim>Name",
        "<bold>Total",
        "<dim>Auxiliary head: in training only, counted apart; weight in the loss 0.3</>",
        "<bold>Total",
        "<green bold>✓</> line 6",
        "<red bold>✗</> line 7",
    ]
    assert painted.count(rule) == 4


def test_memory() -> None:
    model = model_of(SMALL)
    memory = estimate_memory(model, batch=4)
    colored = render_memory(model, memory, color=True)
    assert click.unstyle(colored) == render_memory(model, memory)
    total, *legend = [line for line in tagged(colored).splitlines() if "<" in line]
    assert total == "<bold>  total        0.032 MB</>"
    assert len(legend) == 4
    assert all(line.startswith("<dim>") and line.endswith("</>") for line in legend)


@pytest.mark.parametrize(("faults", "sign"), [(0, "<green bold>✓</>"), (1, "<red bold>✗</>")])
def test_a_proof(faults: int, sign: str) -> None:
    diagnostics = (Diagnostic("torch-disagrees", "no", None),) * faults
    proof = Proof("2.9", 3, 1_450, 2, None, "it is large", diagnostics)
    colored = render_proof(proof, color=True)
    assert click.unstyle(colored) == render_proof(proof)
    assert tagged(colored).startswith(f"{sign} ")
