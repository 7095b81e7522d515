"""What is printed about specifications: tables, JSON, layer pages, stages."""

from __future__ import annotations

import json
from textwrap import dedent

import pytest
from conftest import ROOT

from archdsl.frontend import read_models
from archdsl.layers import REGISTRY
from archdsl.layers.volume import Volume
from archdsl.model import Model
from archdsl.report.json import report_document
from archdsl.report.layers import (
    render_layer_definition,
    render_layer_list,
    render_layers_markdown,
    syntax_of,
)
from archdsl.report.stages import render_graph, render_parts, render_syntax
from archdsl.report.statement import render_layer
from archdsl.report.table import render_report
from archdsl.report.text import columns, count_of, printable
from archdsl.text.diagnostics import Diagnostic, Edit, Fix, Label
from archdsl.text.parser import parse_program
from archdsl.text.source import Source, Span


def models_of(text: str, path: str = "net.arch") -> tuple[Model, ...]:
    return read_models(Source(dedent(text).strip("\n"), path))


def model_of(text: str, path: str = "net.arch") -> Model:
    (model,) = models_of(text, path)
    return model


def at(source: Source, word: str) -> Span:
    start = source.text.index(word)
    return Span(source, start, start + len(word))


def expect_text(actual: str, wanted: str) -> None:
    assert actual == dedent(wanted).strip("\n")


# ── Tables ───────────────────────────────────────────────────────────────────────────────────


SMALL = """
    network Small: 8x8x3 → 10 {
      stem: conv 3x1 4 s2x1 relu
      aux(0.3) { gap; fc 10 }
      mix: { concat { conv 1x1 2 | id } }
      head: { fc 10; dropout 0.5 }
      expect params = 1_500
      expect weight_layers = 4
    }
    """


def test_the_table_of_a_network() -> None:
    expect_text(
        render_report(model_of(SMALL)),
        """
        Small  8x8x3 → 10  net.arch:1

        Name         Line  Layer            Volume  Parameters      %   MACs  Field     MB
        ──────────────────────────────────────────────────────────────────────────────────
        stem.0          2  conv 3x1 4 s2x1   3x8x4          40    2.7    864    3×1  0.000
        stem.1          2  relu              3x8x4           ·             ·    3×1  0.000
        mix.branch1     4  conv 1x1 2        3x8x2          10    0.7    192    3×1  0.000
        mix.concat      4  concat            3x8x6           ·             ·    3×1  0.001
        head.0          5  fc 10                10       1,450   96.7  1,440    7×8  0.000
        head.1          5  dropout 0.5          10           ·             ·    7×8  0.000
        ──────────────────────────────────────────────────────────────────────────────────
        Total              6 layers                      1,500  100.0  2,496         0.002

        Auxiliary head: in training only, counted apart; weight in the loss 0.3
        ──────────────────────────────────────────────────────────────────────────────────
        aux1.0          3  gap               1x1x4           ·             ·    7×8  0.000
        aux1.2          3  fc 10                10          50  100.0     40    7×8  0.000
        ──────────────────────────────────────────────────────────────────────────────────
        Total              2 layers                         50  100.0     40         0.000

        1,500 parameters in 3 weight layers: 0.006 MB at 4 bytes a number
        2,496 MACs for one image; 4,992 FLOPs (= 2 × MACs)
        404 activations for one image: 0.002 MB at 4 bytes a number
        Auxiliary heads, not in the numbers above:
          50 parameters in 1 weight layer: 0.000 MB at 4 bytes a number
          40 MACs for one image; 80 FLOPs (= 2 × MACs)
          14 activations for one image: 0.000 MB at 4 bytes a number
        MB = 10⁶ bytes, in the table those of each layer's result for one image
        Field = receptive field in pixels of the input

        ✓ line 6  expect params = 1_500     it is 1,500
        ✗ line 7  expect weight_layers = 4  it is 3
        """,
    )


def test_a_claim_that_fails_is_marked_and_the_number_given() -> None:
    model = model_of("network A: 4x4x2 → 3 { fc 3; expect params = 98 }")
    assert render_report(model).splitlines()[-1] == "✗ line 1  expect params = 98  it is 99"
    (diagnostic,) = model.diagnostics
    assert diagnostic.code == "failed-claim"


def test_the_table_is_as_wide_as_its_widest_row_and_the_same_each_time() -> None:
    channels = " ".join(map(str, range(60)))
    model = model_of(f"network A: 4x4x60 → 4x4x60 {{ take {channels} }}")
    assert channels in render_report(model)
    assert render_report(model) == render_report(model)


def test_a_layer_of_another_file_stands_at_the_line_of_the_call() -> None:
    model = model_of(
        """
        network A: 4x4x2 → 3 {

          part: inception(1, 1→1, 1→1, 1)
          fc 3
        }
        """
    )
    rows = [line.split()[:2] for line in render_report(model).splitlines()]
    assert ["part.concat", "3"] in rows
    assert ["fc", "4"] in rows


def test_names_may_be_as_long_as_a_writer_likes() -> None:
    name = "n" * 200
    assert name in render_report(model_of(f"network A: 4x4x1 → 3 {{ {name}: fc 3 }}"))


@pytest.mark.parametrize("name", sorted(REGISTRY))
def test_a_rendered_layer_reads_back_as_the_same_layer(name: str) -> None:
    if name in ("crop", "id"):
        pytest.skip("`crop` needs another part; `id` alone places no layer")
    for example in REGISTRY[name].examples:
        (model,) = read_models(Source(example.text, "x.arch"), Volume(example.input))
        for node in model.layers:
            if len(node.inputs) != 1:
                continue
            before = model.nodes[node.inputs[0]].volume
            text = render_layer(node.layer)
            (again,) = read_models(Source(text, "x.arch"), before)
            assert again.layers[-1].layer == node.layer, text


# ── JSON ─────────────────────────────────────────────────────────────────────────────────────


def test_the_json_document_of_vgg16() -> None:
    path = "specs/vgg16.arch"
    source = Source((ROOT / path).read_text("utf-8"), path)
    document = json.loads(json.dumps(report_document(read_models(source), [])))
    assert list(document) == ["schema", "networks", "diagnostics"]
    assert document["schema"] == 1
    assert document["diagnostics"] == []
    (network,) = document["networks"]
    layers, claims = network.pop("layers"), network.pop("claims")
    del network["recipe"]
    assert network.pop("init") == {"name": "xavier", "bias": 0.0}
    assert network == {
        "name": "VGG16",
        "path": "specs/vgg16.arch",
        "input": [224, 224, 3],
        "output": [1000],
        "inputs": [{"name": None, "volume": [224, 224, 3]}],
        "outputs": [{"name": None, "volume": [1000]}],
        "params": 138_357_544,
        "aux_params": 0,
        "macs": 15_470_264_320,
        "aux_macs": 0,
        "weight_layers": 16,
        "depth": 16,
    }
    assert len(layers) == 38
    first = layers[0]
    assert first.pop("line") == source.text[: source.text.index("conv")].count("\n") + 1
    assert first == {
        "name": "features.0",
        "layer": "conv",
        "volume": [224, 224, 64],
        "params": 1_792,
        "macs": 86_704_128,
        "receptive_field": 3,
        "aux": False,
        "shared": False,
    }
    assert sum(layer["params"] for layer in layers) == 138_357_544
    assert [c for c in claims if c["text"] == "params ~ 138M"] == [
        {
            "line": source.text[: source.text.index("params ~ 138M")].count("\n") + 1,
            "text": "params ~ 138M",
            "holds": True,
            "actual": 138_357_544,
        }
    ]


def test_auxiliary_heads_are_counted_apart_in_json() -> None:
    (network,) = report_document([model_of(SMALL)], [])["networks"]
    assert network["aux_params"] == 50
    assert network["aux_macs"] == 40
    assert [layer["name"] for layer in network["layers"] if layer["aux"]] == ["aux1.0", "aux1.2"]
    assert network["layers"][0]["receptive_field"] == 3


def test_a_diagnostic_in_json() -> None:
    source = Source("ab\nconv 3x3", "net.arch")
    diagnostic = Diagnostic(
        "wrong-value",
        "no",
        at(source, "3x3"),
        "here",
        related=(Label(at(source, "ab"), "there"),),
        context=("in block(1)",),
        notes=("n",),
        help="h",
        fixes=(Fix("respell", (Edit(at(source, "ab"), "cd"),), is_safe=False),),
    )
    placeless = Diagnostic("no-network", "none", None, path="x.arch")
    assert report_document([], [diagnostic, placeless]) == {
        "schema": 1,
        "networks": [],
        "diagnostics": [
            {
                "code": "wrong-value",
                "severity": "error",
                "message": "no",
                "path": "net.arch",
                "line": 2,
                "column": 6,
                "end_line": 2,
                "end_column": 9,
                "start": 8,
                "end": 11,
                "labels": [
                    {
                        "path": "net.arch",
                        "line": 2,
                        "column": 6,
                        "end_line": 2,
                        "end_column": 9,
                        "start": 8,
                        "end": 11,
                        "message": "here",
                    },
                    {
                        "path": "net.arch",
                        "line": 1,
                        "column": 1,
                        "end_line": 1,
                        "end_column": 3,
                        "start": 0,
                        "end": 2,
                        "message": "there",
                    },
                ],
                "context": ["in block(1)"],
                "notes": ["n"],
                "help": "h",
                "fixes": [
                    {
                        "message": "respell",
                        "safe": False,
                        "edits": [
                            {
                                "path": "net.arch",
                                "line": 1,
                                "column": 1,
                                "end_line": 1,
                                "end_column": 3,
                                "start": 0,
                                "end": 2,
                                "replacement": "cd",
                            }
                        ],
                    }
                ],
            },
            {
                "code": "no-network",
                "severity": "error",
                "message": "none",
                "path": "x.arch",
                "line": None,
                "column": None,
                "end_line": None,
                "end_column": None,
                "start": None,
                "end": None,
                "labels": [],
                "context": [],
                "notes": [],
                "help": None,
                "fixes": [],
            },
        ],
    }


# ── Layer pages and stages ───────────────────────────────────────────────────────────────────


def test_the_page_of_a_layer() -> None:
    page = render_layer_definition(REGISTRY["dropout"])
    expect_text(
        page,
        """
        dropout  (regularization)

        Zeroes each number with this probability and scales the rest up (Hinton et al. 2012).

          dropout [P]

        arguments
          P  probability of zeroing a number: a rate of at least 0 and below 1 (default 0.5)

        examples
          dropout 0.5  # 4096 → 4096
          dropout 0.4  # 1x1x1024 → 1x1x1024
        """,
    )


def test_the_syntax_of_a_layer_names_its_letters_and_words() -> None:
    wanted = "conv KERNEL_SIZE [OUT_CHANNELS] [s…] [same|p…] [d…] [g…] [nobias] [init=…]"
    assert syntax_of(REGISTRY["conv"]) == wanted


def test_every_layer_is_in_the_list_and_in_the_markdown() -> None:
    pages = list(REGISTRY.values())
    listed, markdown = render_layer_list(pages), render_layers_markdown(pages)
    for name in REGISTRY:
        assert f"\n  {name} " in listed
        assert f"\n### `{name}`\n" in markdown


def test_bars_do_not_end_the_cells_of_markdown_tables() -> None:
    markdown = render_layers_markdown([REGISTRY["add"]])
    row = next(line for line in markdown.splitlines() if "conv" in line)
    assert row.replace("\\|", "").count("|") == 4


def test_the_syntax_stage() -> None:
    source = Source("a: conv 3x3 n ×2 → 4x4x1", "net.arch")
    expect_text(
        render_syntax(parse_program(source)),
        """
        Program  net.arch
          Step @1:1
            label: Name id='a' @1:1
            atoms: Name id='conv' @1:4
            atoms: Dims sizes=(3, 3) @1:9
            atoms: Name id='n' @1:13
            repeat: Number value=2 @1:16
            claim: Dims sizes=(4, 4, 1) @1:20
        """,
    )


def test_the_syntax_stage_has_comments() -> None:
    source = Source("# one\n\n# two\n#\n# three\na: { # four\nrelu # \x1b\n} # five", "net.arch")
    expect_text(
        render_syntax(parse_program(source)),
        """
        # one
        Program  net.arch
          # two
          #
          # three
          Step @6:1  # four  # five
            label: Name id='a' @6:1
            atoms: Body forked=False @6:4
              chains: Chain @7:1
                statements: Step @7:1  # \\x1b
                  atoms: Name id='relu' @7:1
        """,
    )


def test_the_graph_stage() -> None:
    expect_text(
        render_graph(model_of(SMALL)),
        """
        Small  8x8x3 → 10  net.arch:1
          %0  input                                   → 8x8x3
          %1  stem.0       conv 3x1 4 s2x1  (%0)      → 3x8x4
          %2  stem.1       relu             (%1)      → 3x8x4
          %3  aux1.0       gap              (%2)      → 1x1x4  aux 1
          %4  aux1.2       fc 10            (%3)      → 10     aux 1
          %5  mix.branch1  conv 1x1 2       (%2)      → 3x8x2
          %6  mix.concat   concat           (%5, %2)  → 3x8x6
          %7  head.0       fc 10            (%6)      → 10
          %8  head.1       dropout 0.5      (%7)      → 10
        """,
    )


def test_the_model_stage() -> None:
    expect_text(
        render_parts(model_of(SMALL)),
        """
        Small  8x8x3 → 10  net.arch:1
          stem: group → 3x8x4  40 parameters
            conv 3x1 4 s2x1 → 3x8x4  40 parameters
            relu → 3x8x4
          aux(0.3) → 10  50 parameters
            gap → 1x1x4
            fc 10 → 10  50 parameters
          mix: group → 3x8x6  10 parameters
            concat → 3x8x6  10 parameters
              | → 3x8x2  10 parameters
                conv 1x1 2 → 3x8x2  10 parameters
              | → 3x8x4
          head: group → 10  1,450 parameters
            fc 10 → 10  1,450 parameters
            dropout 0.5 → 10
        """,
    )


def test_the_model_stage_shows_repeats_calls_and_parts_taken_up_again() -> None:
    model = model_of(
        """
        block twice(n) { conv 1x1 n ×2 }
        network A: 4x4x2 → 4x4x3 {
          many: { twice(3) } ×2
          relu
          many
          twice(n=3)
        }
        """
    )
    expect_text(
        render_parts(model),
        """
        A  4x4x2 → 4x4x3  net.arch:2
          many: repeat ×2 → 4x4x3  45 parameters
            0: → 4x4x3  21 parameters
              twice(n=3) → 4x4x3  21 parameters
                conv 1x1 3 → 4x4x3  9 parameters
                conv 1x1 3 → 4x4x3  12 parameters
            1: → 4x4x3  24 parameters
              twice(n=3) → 4x4x3  24 parameters
                conv 1x1 3 → 4x4x3  12 parameters
                conv 1x1 3 → 4x4x3  12 parameters
          relu → 4x4x3
          many again → 4x4x3
          twice(n=3) → 4x4x3  24 parameters
            conv 1x1 3 → 4x4x3  12 parameters
            conv 1x1 3 → 4x4x3  12 parameters
        """,
    )


# ── Text ─────────────────────────────────────────────────────────────────────────────────────


def test_columns_and_printable() -> None:
    assert columns("漢字a") == 5
    assert columns("e\u0301") == 1
    assert printable("a→b ✓ 漢") == "a→b ✓ 漢"
    assert printable("\ud800\x7f\u200b\n") == "\\ud800\\x7f\\u200b\\n"


def test_counts_have_their_plural() -> None:
    counts = [
        count_of(1, "error"),
        count_of(2, "branch"),
        count_of(4, "epoch"),
        count_of(3, "class"),
    ]
    assert counts == ["1 error", "2 branches", "4 epochs", "3 classes"]
