"""The pages of the codes: each example gives its code and no other, each fixed text none."""

from __future__ import annotations

from pathlib import Path

import pytest
from conftest import ROOT

from archdsl.cli import main
from archdsl.frontend import diagnose
from archdsl.layers.volume import Volume
from archdsl.report.rules import explanation_of, render_rules_markdown
from archdsl.rules import RULES, RULES_BY_TOPIC, Rule, Topic
from archdsl.text.diagnostics import Diagnostic, Severity
from archdsl.text.source import Source

ALL = list(RULES.values())


@pytest.fixture(autouse=True)
def empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def found(text: str, rule: Rule) -> tuple[Diagnostic, ...]:
    input = Volume(rule.input) if rule.input else None
    return diagnose(Source(text, "example.arch"), input)


@pytest.mark.parametrize("rule", ALL, ids=lambda rule: rule.name)
def test_an_example_gives_its_code_and_its_fixed_text_none(rule: Rule) -> None:
    if rule.example is None:
        assert rule.fixed is None
        assert rule.reason
        return
    assert rule.reason is None
    (diagnostic,) = found(rule.example, rule)
    assert diagnostic.code == rule.name
    is_warning = rule in RULES_BY_TOPIC[Topic.WARNINGS]
    assert (diagnostic.severity is Severity.WARNING) == is_warning
    assert rule.fixed
    assert found(rule.fixed, rule) == ()


def test_few_codes_are_without_an_example() -> None:
    without = {rule.name for rule in ALL if rule.example is None}
    assert without == {
        "not-utf8",
        "use-cycle",
        "internal-error",
        "memory-exceeded",
        "torch-disagrees",
        "unused-use",
    }


@pytest.mark.parametrize("rule", ALL, ids=lambda rule: rule.name)
def test_an_explanation_is_a_few_sentences(rule: Rule) -> None:
    text = explanation_of(rule)
    assert 60 < len(text) < 700
    assert text.endswith(".")
    assert not rule.summary.endswith(".")


def test_every_code_has_one_topic() -> None:
    assert list(RULES_BY_TOPIC) == list(Topic)
    assert sum(map(len, RULES_BY_TOPIC.values())) == len(RULES)


def test_the_documentation_is_fresh() -> None:
    expected = render_rules_markdown(RULES_BY_TOPIC) + "\n"
    assert (ROOT / "docs" / "diagnostics.md").read_text("utf-8") == expected, "run `make docs`"


# ── explain ──────────────────────────────────────────────────────────────────────────────────


def explain(capsys: pytest.CaptureFixture[str], *argv: str) -> tuple[object, str, str]:
    with pytest.raises(SystemExit) as leave:
        main(["explain", *argv])
    return (leave.value.code, *capsys.readouterr())


def test_a_page_in_full(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = explain(capsys, "surplus-argument")
    assert (code, err) == (0, "")
    assert (
        out
        == """\
surplus-argument: a layer, block or family has one argument too many

All places for arguments are taken. Often the argument belongs to another layer of the
chain, or it is an attribute and needs its name: `eps=0.001`.

example, with the input 28x28x16

  relu 3

error[surplus-argument]: `relu` has no place for the argument `3`
  --> example.arch:1:6
  |
1 | relu 3
  |      ^
  |
help: its positional arguments: none

fixed

  relu
"""
    )


def test_without_a_code_all_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = explain(capsys)
    assert code == 0
    assert [name for name in RULES if f"\n  {name} " not in out] == []
    assert out.startswith("text\n  not-utf8 ")
    assert out.endswith("\n\n`archdsl explain RULE` shows a rule\n")


@pytest.mark.parametrize(
    ("typed", "help"),
    [
        ("wrong-volum", "did you mean `wrong-volume`?"),
        ("x", "`archdsl explain` lists all rules"),
    ],
)
def test_an_unknown_code_is_refused(
    capsys: pytest.CaptureFixture[str], typed: str, help: str
) -> None:
    assert explain(capsys, typed) == (2, "", f"error: there is no code `{typed}`; {help}\n")


def test_codes_are_completed() -> None:
    import click

    from archdsl.cli.explain import explain as command

    context = click.Context(command)
    items = command.params[0].shell_complete(context, "wrong-v")
    assert [item.value for item in items] == ["wrong-value", "wrong-volume"]
