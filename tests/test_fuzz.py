"""Any text gives models or an ``ArchError``, in bounded time and memory.

``fuzz/`` has a target for Atheris that looks longer.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from resource import RUSAGE_SELF, getrusage

import pytest
from hypothesis import given
from hypothesis import strategies as st
from random_networks import networks
from texts import PIECES, examples, mutants

from archdsl.frontend import diagnose, read_models
from archdsl.layers.volume import Volume
from archdsl.report.diagnostics import render_diagnostics
from archdsl.text.diagnostics import ArchError, Diagnostic
from archdsl.text.fixes import apply_fixes
from archdsl.text.source import Source

INPUT = Volume((28, 28, 16))


# ── Random texts ─────────────────────────────────────────────────────────────────────────────


# The grammar, and nothing of the meaning of words.
NAMES = st.sampled_from(
    "conv fc relu concat add aux id a b n i act unit part C train sgd let expect for".split()
)
SIZES = st.sampled_from(["3x3", "28x28x3", "1x1", "0x0", "3", "0", "0.5", "1e400", "9" * 30])
EXPRESSIONS = st.recursive(
    st.one_of(NAMES, SIZES),
    lambda inner: st.one_of(
        st.builds("({})".format, inner),
        st.builds(
            "{} {} {}".format, inner, st.sampled_from("+ - * / // % == < and **".split()), inner
        ),
        st.builds(
            "{}({}, {})".format, st.sampled_from("min size round_to len".split()), inner, inner
        ),
        st.builds("{}({})".format, st.sampled_from("len sum log2 round".split()), inner),
        st.builds("[{}, {}]".format, inner, inner),
        st.builds("{}[{}]".format, st.sampled_from("a n C ns".split()), inner),
        st.builds("not {}".format, inner),
    ),
    max_leaves=5,
)
ATOMS = st.one_of(
    NAMES,
    SIZES,
    st.sampled_from("s2 p1 d0 g3 s2x1 same ceil nobias".split()),
    st.builds("{}=({})".format, st.sampled_from("stride padding k eps lr".split()), EXPRESSIONS),
    st.builds("({})".format, EXPRESSIONS),
    st.builds("{}({})".format, NAMES, EXPRESSIONS),
    st.builds("cell({}→{}, s={})".format, EXPRESSIONS, EXPRESSIONS, EXPRESSIONS),
    st.builds("u({}, {}, {})".format, NAMES, EXPRESSIONS, NAMES),
    st.builds("p({})".format, EXPRESSIONS),
)


LOOPS = st.builds("{}for {}".format, st.sampled_from(["", "a: ", '"b{i}": ']), NAMES)


def _statements(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    chains = st.lists(inner, min_size=1, max_size=3).map("; ".join)
    branches = st.lists(chains, min_size=1, max_size=3).map(" | ".join)
    return st.one_of(
        st.builds(
            "{} {{ {} }}".format, st.sampled_from(["", "a:", "concat", "add", "train"]), branches
        ),
        st.builds("{{ {} }} ×{}".format, chains, st.sampled_from(["2", "(n)", "0", "10000000"])),
        st.builds("if {} {{ {} }} else {{ {} }}".format, EXPRESSIONS, chains, chains),
        st.builds("aux({}) {{ {} }}".format, EXPRESSIONS, chains),
        st.builds("{} in {} {{ {} }}".format, LOOPS, EXPRESSIONS, chains),
        st.builds("{} in {}..{} {{ {} }}".format, LOOPS, EXPRESSIONS, EXPRESSIONS, chains),
        st.builds('"{}{{{}}}": {{ {} }}'.format, NAMES, EXPRESSIONS, chains),
    )


STATEMENTS = st.recursive(
    st.one_of(
        st.lists(ATOMS, min_size=1, max_size=4).map(" ".join),
        st.builds("{}: {} {} → {}".format, NAMES, NAMES, SIZES, SIZES),
        st.builds("let {} = {}".format, NAMES, EXPRESSIONS),
        st.builds("expect {} {} 5".format, NAMES, st.sampled_from("= ~ <= >".split())),
    ),
    _statements,
    max_leaves=6,
)
BODIES = st.lists(STATEMENTS, min_size=1, max_size=4).map("\n  ".join)
PROGRAMS = st.lists(
    st.one_of(
        STATEMENTS,
        st.builds("block cell(a→b, s={}) {{\n  {}\n}}".format, EXPRESSIONS, BODIES),
        st.builds("phrase p(n, act: layer={}) {{\n  {}\n}}".format, EXPRESSIONS, BODIES),
        st.builds("block u(act: layer, n, part: part) {{\n  {}\n}}".format, BODIES),
        st.builds("block cell(a→b, unit: block={}) {{\n  {}\n}}".format, NAMES, BODIES),
        st.builds("network N: {} → {} {{\n  {}\n}}".format, SIZES, SIZES, BODIES),
        st.builds("network F(n, a={}): 8x8x3 → n {{\n  {}\n}}".format, EXPRESSIONS, BODIES),
        st.builds("network M = F({}) {{ {} }}".format, EXPRESSIONS, BODIES),
    ),
    max_size=4,
).map("\n".join)


def _models_or_diagnostics(text: str) -> None:
    """Nothing but models or well-placed diagnostics, which render without control characters."""
    source = Source(text, "fuzz.arch")
    diagnostics: tuple[Diagnostic, ...] = ()
    try:
        read_models(source, INPUT)
    except ArchError as error:
        diagnostics = error.diagnostics
    rendered = render_diagnostics(diagnostics)
    assert "\x00" not in rendered
    assert "\x1b" not in rendered
    for diagnostic in diagnostics:
        assert diagnostic.code != "internal-error"
        assert diagnostic.span is not None
        assert diagnostic.span.start <= diagnostic.span.end <= len(diagnostic.span.source.text)
    apply_fixes(source, diagnostics, unsafe=True)


@examples(200)
@given(st.lists(st.sampled_from(PIECES), max_size=30).map(" ".join))
def test_any_words_give_models_or_diagnostics(text: str) -> None:
    _models_or_diagnostics(text)


@examples(100)
@given(st.text(max_size=60))
def test_any_characters_give_models_or_diagnostics(text: str) -> None:
    _models_or_diagnostics(text)


@examples(200)
@given(mutants())
def test_mutated_specs_give_models_or_diagnostics(text: str) -> None:
    _models_or_diagnostics(text)


@examples(40)
@given(mutants(networks()))
def test_mutated_networks_give_models_or_diagnostics(text: str) -> None:
    _models_or_diagnostics(text)


@examples(100)
@given(PROGRAMS)
def test_any_sentences_give_models_or_diagnostics(text: str) -> None:
    _models_or_diagnostics(text)


# ── Texts that are made to hurt ──────────────────────────────────────────────────────────────


def _tree(depth: int, leaf: str) -> str:
    """Blocks that each call the next one twice: 2 to the power of ``depth`` leaves."""
    blocks = (f"block b{i}() {{ b{i + 1}(); b{i + 1}() }}\n" for i in range(depth))
    return f"{''.join(blocks)}block b{depth}() {{ {leaf} }}\nb0()"


@contextmanager
def _bounded(seconds: float, megabytes: int) -> Iterator[None]:
    """No more CPU time than this, and no more growth of the process at its largest."""
    start, before = time.process_time(), getrusage(RUSAGE_SELF).ru_maxrss
    yield
    assert time.process_time() - start < seconds
    assert getrusage(RUSAGE_SELF).ru_maxrss - before < megabytes * 1000


#: A text, and the start of the first thing that is said of it; None where it is a model.
HURTING = {
    "calls that double": (_tree(60, "relu"), "blocks are nested more than 40 deep"),
    "calls that double and do nothing": (_tree(60, "id"), "blocks are nested more than 40 deep"),
    "a chain of blocks": (
        "".join(f"block b{i}() {{ b{i + 1}() }}\n" for i in range(1000)) + "b0()",
        "blocks are nested more than 40 deep",
    ),
    "parentheses": ("conv " + "(" * 100_000 + "3" + ")" * 100_000, "brackets are nested more"),
    "closing parentheses": (")" * 100_000, "this `)` closes nothing"),
    "closing braces": ("relu" + " }" * 100_000, "this `}` closes nothing"),
    "crossing brackets": ("({" * 50_000, "brackets are nested more"),
    "a word of 1 MB": ("a" * 1_000_000, "`aaaa"),
    "a comment of 1 MB": ("relu #" + "x" * 1_000_000, None),
    "a blank of 1 MB": (" " * 1_000_000 + "relu", None),
    "strange signs": ("£" * 1_000_000, "the character '£' is not part"),
    "empty branches": ("concat { " + "| " * 20_000 + "}", "this branch is empty"),
    "digits of a kernel": (f"conv {'9' * 5000} 8", "a number of 5000 digits"),
    "digits of a volume": (f"relu → {'9' * 5000}x3x3", "a number of 5000 digits"),
    "digits of a stride": (f"conv 3x3 8 s{'9' * 5000}", "a number of 5000 digits"),
    "digits of a repeat": (f"relu x{'9' * 5000}", "a number of 5000 digits"),
    "digits of a claim": (f"relu; expect params = {'9' * 5000}", "a number of 5000 digits"),
    "digits behind a point": (f"dropout 0.{'4' * 5000}", None),
    "an exponent": (f"dropout 1e{'9' * 5000}", "this number is too large"),
    "a repeat": ("relu ×1_000_000_000", "1,000,000,000 copies are beyond the bound"),
    "repeats in a row": ("id ×150_000; id ×60_000", "network `Fuzz` has no layer"),
    "layers in a row": ("relu ×150_000; relu ×60_000", "the network has more than 200,000 layers"),
    "a fault in many copies": ("{ { foo } ×1000 } ×1000", "`foo` is not a layer"),
    "a fault in a long loop": ("for i in 0..200_000 { foo }", "`foo` is not a layer"),
    "channels that double": ("concat { id | id } ×200", "the volume 28x28x2199023255552"),
    "values that square": (
        "let a0 = 9\n" + "".join(f"let a{i + 1} = a{i} * a{i}\n" for i in range(99)) + "relu",
        "the value is beyond the bound of 10¹⁵",
    ),
    "sizes without end": ("relu → " + "x".join("9" * 5000), "9x9x9"),
    "arguments without end": (f"inception({', '.join('1' * 10_000)})", "block `inception` takes 4"),
    "names before names": ("a: " * 50_000 + "relu", "`:` is not allowed here"),
    "files without end": ('use "nowhere.arch"\n' * 1000 + "relu", 'cannot read "nowhere.arch"'),
    "arrows without volumes": ("relu →\n" * 5000, "the statement is not finished"),
    "keywords misspelt": ("netwrok A:\n" * 5000, "`netwrok` is not a word of the language"),
    "headers without braces": (
        "network A: 8x8x3 → 8x8x3\n" * 2000 + "}\n" * 2000,
        "this `}` closes nothing",
    ),
    "optimizers": ("relu\ntrain { " + "sgd " * 2000 + "}", "a recipe has one optimizer"),
    "NUL": ("relu \x00", r"the character '\x00' is not part of the language"),
    "a lone surrogate": ("relu \ud800", r"the character '\ud800' is not part of the language"),
    "a lone surrogate in a path": ('use "\ud800.arch"\nrelu', 'cannot read "\ud800.arch"'),
    "a byte order mark inside": (
        "re\ufefflu",
        r"the character '\ufeff' is not part of the language",
    ),
    "a wide letter": ("ｃonv 3x3 8", "`ｃonv` is neither a word nor a number"),
    "a Cyrillic letter": ("сonv 3x3 8", "`сonv` is neither a word nor a number"),
    "Arabic digits": ("conv ٣x٣ 8", "`٣x٣` is neither a word nor a number"),
    "a superscript": ("conv 3x3 8²", "`8²` is neither a word nor a number"),
    "a line separator": ("relu\u2028relu", r"the character '\u2028' is not part of the language"),
    "a Greek semicolon": ("relu \u037e relu", "the character '\u037e' is not part of the language"),
    "a wide parenthesis": ("conv 3x3 （8）", "the character '（' is not part of the language"),
}


@pytest.mark.parametrize(("text", "said"), HURTING.values(), ids=HURTING)
def test_texts_that_hurt(text: str, said: str | None) -> None:
    with _bounded(seconds=2, megabytes=150):
        found = diagnose(Source(text, "fuzz.arch"), INPUT)
        render_diagnostics(found)
    if said is None:
        assert found == ()
    else:
        assert found[0].message.startswith(said)


@pytest.mark.parametrize(
    "line",
    ["l{0}: relu", "let v{0} = {0}", "block b{0}() {{ relu }}", "relu; expect params = 0"],
)
def test_time_grows_with_the_text(line: str) -> None:
    """Four times the lines take at most seven times as long."""

    def seconds(count: int) -> float:
        text = "\n".join(line.format(i) for i in range(count)) + "\nrelu"
        tries = []
        for _ in range(3):  # the least is the one that nothing else disturbed
            start = time.process_time()
            diagnose(Source(text, "fuzz.arch"), INPUT)
            tries.append(time.process_time() - start)
        return min(tries)

    seconds(100)
    assert seconds(2000) < 7 * seconds(500)
