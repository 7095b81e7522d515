"""Diagnostics for other programs: a line each, annotations of GitHub, SARIF."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT
from jsonschema import Draft4Validator

from archdsl.cli import main
from archdsl.frontend import diagnose
from archdsl.layers.volume import Volume
from archdsl.report.lines import render_concise, render_github
from archdsl.report.sarif import sarif_document
from archdsl.text.diagnostics import Diagnostic, Edit, Fix, Label
from archdsl.text.source import Source, Span

SCHEMA = json.loads((ROOT / "tests/report/schemas/sarif-2.1.0-rtm.5.json").read_text("utf-8"))
SPAN = Span(Source("𝑥 bad\nnext\n", "a b/ü,1:x.arch"), 2, 5)
NEXT = Span(SPAN.source, 2, 8)
PLACELESS = Diagnostic("unreadable-file", "no such file", None, path="lost.arch")
FULL = Diagnostic(
    "unknown-word",
    "100 % wrong\r\nreally",
    SPAN,
    "here",
    related=(Label(NEXT, "there"),),
    notes=("a note",),
    help="write `good`",
    fixes=(Fix("write `good`", (Edit(SPAN, "good"),)),),
)


def test_concise() -> None:
    assert render_concise([FULL, PLACELESS]) == (
        "a b/ü,1:x.arch:1:3: error[unknown-word]: 100 % wrong\\r\\nreally\n"
        "lost.arch: error[unreadable-file]: no such file"
    )


def test_github_escapes_messages_and_properties() -> None:
    over_lines = Diagnostic("wrong-value", "no", NEXT)
    assert render_github([FULL, over_lines, PLACELESS]) == (
        "::error file=a b/ü%2C1%3Ax.arch,line=1,col=3,endColumn=6,title=unknown-word::"
        "100 %25 wrong%0D%0Areally%0Ahelp: write `good`%0Anote: a note\n"
        "::error file=a b/ü%2C1%3Ax.arch,line=1,endLine=2,title=wrong-value::no\n"
        "::error file=lost.arch,title=unreadable-file::no such file"
    )


def valid(document: dict[str, Any]) -> dict[str, Any]:
    """The run of a log, which the schema of OASIS accepts."""
    assert [error.message for error in Draft4Validator(SCHEMA).iter_errors(document)] == []
    return document["runs"][0]


def test_sarif() -> None:
    run = valid(sarif_document([FULL, PLACELESS]))
    place = {
        "artifactLocation": {"uri": "a%20b/%C3%BC%2C1%3Ax.arch"},
        "region": {"startLine": 1, "startColumn": 3, "endLine": 1, "endColumn": 6},
    }
    first, second = run["results"]
    assert run["columnKind"] == "unicodeCodePoints"
    assert first["ruleId"] == run["tool"]["driver"]["rules"][first["ruleIndex"]]["id"]
    assert first["level"] == "error"
    assert first["message"]["text"] == (
        "100 % wrong\r\nreally (here)\nhelp: write `good`\nnote: a note"
    )
    assert first["locations"] == [{"physicalLocation": place}]
    assert first["relatedLocations"][0]["message"] == {"text": "there"}
    assert first["fixes"] == [
        {
            "description": {"text": "write `good`"},
            "artifactChanges": [
                {
                    "artifactLocation": place["artifactLocation"],
                    "replacements": [
                        {
                            "deletedRegion": place["region"],
                            "insertedContent": {"text": "good"},
                        }
                    ],
                }
            ],
        }
    ]
    assert second["locations"] == [{"physicalLocation": {"artifactLocation": {"uri": "lost.arch"}}}]


def test_an_absolute_path_and_no_text_are_uris() -> None:
    paths = ["/tmp/a b.arch", "a\udcff.arch", "<stdin>"]
    run = valid(sarif_document(Diagnostic("no-network", "no", None, path=p) for p in paths))
    places = [result["locations"][0]["physicalLocation"] for result in run["results"]]
    assert [place["artifactLocation"]["uri"] for place in places] == [
        "file:///tmp/a%20b.arch",
        "a%FF.arch",
        "%3Cstdin%3E",
    ]


def test_sarif_of_a_clean_run_and_of_a_real_one_are_valid() -> None:
    assert valid(sarif_document([]))["results"] == []
    text = "conv 3x3 64 smae; conv 3x3 9 strde=2"
    assert len(valid(sarif_document(diagnose(Source(text), Volume((28, 28, 3)))))["results"]) == 2


@pytest.mark.parametrize("format", ["concise", "json", "sarif", "github"])
def test_a_format_is_all_that_is_printed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfdbinary: Any, format: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("lib.arch").write_text("block a(n) { conv 1x1 n }\n", "utf-8")
    Path("net.arch").write_text("network N: 8x8x3 → 10 { fc 9 }\n", "utf-8")
    with pytest.raises(SystemExit) as leave:
        main(["check", ".", "--format", format])
    out, err = capfdbinary.readouterr()
    assert (leave.value.code, err) == (1, b"")
    starts = {
        "concise": b"net.arch:1:20: error[wrong-volume]: the network ends in 9, not in 10\n",
        "github": b"::error file=net.arch,line=1,col=20,endColumn=22,title=wrong-volume::",
    }
    if format in starts:
        assert out.startswith(starts[format])
        assert out.count(b"\n") == 1
    else:
        json.loads(out)
