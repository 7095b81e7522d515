"""What is called safe: every fix whose text was checked again and found good, and no other."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from time import perf_counter

import pytest
from cases import CASES, Case
from conftest import ROOT

from archdsl.cli.fixing import fix_source
from archdsl.frontend import diagnose, read_models
from archdsl.layers.volume import Volume
from archdsl.text import verification
from archdsl.text.diagnostics import ArchError, Diagnostic, Severity, replaced
from archdsl.text.fixes import FixedText, apply_fixes
from archdsl.text.source import Source, Span
from archdsl.text.verification import Examined, verify

IMAGE = Volume((28, 28, 16))

#: What ``check --fix`` makes of a text without ``--unsafe-fixes``: right, and nothing else changed.
SAFE = {
    "cnov 3x3 8 smae relu": "conv 3x3 8 same relu",
    "Conv2D 3x3 8; Leaky_ReLU; dense 10": "conv 3x3 8; leakyrelu; fc 10",
    "upsample 2 bilinear": "upsample 2 mode=bilinear",
    "conv 3x3 8 stride 2 same": "conv 3x3 8 stride=2 same",
    "conv 3x3 8 init he": "conv 3x3 8 init=he",
    "fc 10; init he fan_out": "fc 10; init he mode=fan_out",
    "fc 10; train { sgd momentum 0.9 }": "fc 10; train { sgd momentum=0.9 }",
    "fc 10; train { sgd lr 0.1 nesterov true }": "fc 10; train { sgd lr=0.1 nesterov=true }",
    "fc 10; train { augment mirror }": "fc 10; train { augment hflip }",
    "conv 3x3, 8": "conv 3x3 8",
    "conv 3x3 8 → 26,26,8": "conv 3x3 8 → 26x26x8",
    "conv 3x3 C // 2 same": "conv 3x3 (C // 2) same",
    "relu // and on": "relu # and on",
    "if 1 < C < 40 { relu }": "if 1 < C and C < 40 { relu }",
    "if not 1 < C < 4 { relu }": "if not (1 < C and C < 4) { relu }",
    "fc 10; expect parms = 125450": "fc 10; expect params = 125450",
    "relu ×1": "relu",
    "conv 3x3 8 p1 p1": "conv 3x3 8 p1",
}
#: Texts that stay as they are: what could be written there is a guess, or makes it worse.
LEFT = [
    "celu",
    "glu",
    "softmin",
    "attn",
    "conv3d 3 8",
    "maxunpool 2",
    "unfold 2",
    "adaptivemaxpool 2",
    "pool 2",
    "pelu",
    "conv 3x3 8; norm",
    "skip: relu; concat { crop skp2 | id }",
    "enc1: relu; concat { crop enc2 | id }",
    "let n1 = 8; fc (2 * n2)",
    "fc 10; train { adamax }",
    "fc 10; train { adagrad }",
    "fc 10; train { momentum 0.9 }",
    "fc 10; train { schedule step 30 }",
    "fc 10; train { augment vflip }",
    "fc 10; train { loss l1 }",
    "conv 3x3 8 init=constant(1)",
    "conv 3x3 8 init=he_uniform",
    # The claims do not hold with what would be written.
    "conv 3x3 8 smae → 27x27x8",
    "fc 10; expect parms = 5",
    "cnov 3x3 8; maxpool 99",
    # The text would have the next error at the next comma, or in the arguments.
    "fc 4,096",
    "pad 1, 1",
    "pad 1, 1; pad 1, 1",
    "let n = 2; conv 3x3 8 // n",
]


@pytest.mark.parametrize(("before", "after"), SAFE.items(), ids=SAFE)
def test_what_is_fixed_unasked(before: str, after: str) -> None:
    text, faults = fix_source(Source(before, "x.arch"), IMAGE)
    assert text == after
    assert faults
    assert not _errors(diagnose(Source(after, "x.arch"), IMAGE))


@pytest.mark.parametrize("text", LEFT)
def test_what_is_left_alone_unasked(text: str) -> None:
    source = Source(text, "x.arch")
    assert fix_source(source, IMAGE) == (text, ())
    assert not any(fix.is_safe for found in diagnose(source, IMAGE) for fix in found.fixes)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("network S: 105x105x1, 105x105x1 → 1 { fc 1 }", None),
        ("network S: 105x105x1 → 10, 4 { fc 10 }", None),
        ("network S: 32,32,3 → 10 { fc 10 }", "network S: 32x32x3 → 10 { fc 10 }"),
        ("network S: 32, 32,3 → 10, 4 { fc 10 }", None),
        ("netwrk S: 8x8x3 → 10 { fc 10 }", "network S: 8x8x3 → 10 { fc 10 }"),
        (
            "network S: 8x8x3 → 10 { fc 10; expect params = 1,930 }",
            "network S: 8x8x3 → 10 { fc 10; expect params = 1_930 }",
        ),
        ("network S: 8x8x3 → 10 { fc 10; expect params = 1,931 }", None),
    ],
)
def test_headers_and_claims(before: str, after: str | None) -> None:
    assert fix_source(Source(before), None)[0] == (after or before)


def test_where_no_fix_can_be_right_none_is_offered() -> None:
    (found,) = diagnose(Source("network S: 105x105x1, 105x105x1 → 1 { fc 1 }"))
    assert (found.fixes, found.help) == (
        (),
        "several inputs or outputs have names: `(left: 28x28x16, right: 28x28x16)`",
    )


def _errors(found: Sequence[Diagnostic]) -> list[Diagnostic]:
    return [d for d in found if d.severity is Severity.ERROR]


def _said(found: Sequence[Diagnostic]) -> Counter[tuple[str, str]]:
    return Counter((d.code, d.message) for d in _errors(found))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_safe_fixes_of_the_corpus_bring_nothing_new(
    case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each alone, and all at once; what one brings to light, the next takes away."""
    monkeypatch.chdir(tmp_path)
    source, input = case.write(tmp_path)
    before = diagnose(source, input)
    safe = [d for d in before if any(fix.is_safe for fix in d.fixes)]
    for group in [*([d] for d in safe), safe]:
        fixed = apply_fixes(source, group)
        if not fixed.diagnostics:
            continue  # of another file
        text, _ = fix_source(Source(fixed.text, source.path), input)
        after = diagnose(Source(text, source.path), input)
        new = _said(after) - _said(before)
        assert not new or len(_errors(after)) <= len(_errors(before)), (text, new)
        assert not {(d.code, d.span and d.span.text) for d in group} & {
            (d.code, d.span and d.span.text) for d in _errors(after)
        } or len(_errors(after)) < len(_errors(before))


# ── Networks that were right ─────────────────────────────────────────────────────────────────


def test_a_fix_must_not_change_a_network_that_was_right() -> None:
    text = """\
block cell(n) { conv 3x3 n same; if n > 4 { rleu } }
network Small: 8x8x3 → 8x8x4 { cell(4) }
network Large: 8x8x3 → 8x8x8 { cell(8) }
"""
    (found,) = diagnose(Source(text))
    assert [fix.is_safe for fix in found.fixes] == [True]
    small = read_models(Source(fix_source(Source(text), None)[0]))[0]
    assert [node.layer.name for node in small.layers] == ["conv"]


def test_networks_are_compared_by_what_they_compute() -> None:
    """A fix that leaves no error and makes another network of one that was right is not safe."""

    class Network:
        def __init__(self, meaning: str) -> None:
            self.meaning = meaning

    source = Source("abc")
    span = Span(source, 0, 1)
    fix = replaced(span, "x", "write `x`")
    fault = Diagnostic("unknown-word", "wrong", span, fixes=(fix,))
    before = Examined((fault,), {"A": Network("one")})
    for meaning, is_safe in (("one", True), ("another", False)):
        after = Examined((), {"A": Network(meaning)})
        (found,) = verify(before, lambda _, after=after: after)
        assert found.fixes[0].is_safe is is_safe
    (found,) = verify(before, lambda _: Examined((), {}))
    assert not found.fixes[0].is_safe
    (found,) = verify(before, lambda _: Examined((fault,), before.networks))
    assert not found.fixes[0].is_safe


def test_warnings_must_not_bring_warnings() -> None:
    source = Source("ab")
    spans = Span(source, 0, 1), Span(source, 1, 2)
    fix = replaced(spans[0], "x", "write `x`")
    first = Diagnostic("no-effect", "1", spans[0], fixes=(fix,), severity=Severity.WARNING)
    other = Diagnostic("unused-name", "2", spans[1], severity=Severity.WARNING)
    for code, is_safe in (("no-effect", False), ("unknown-word", True)):
        severity = Severity.WARNING if code == "no-effect" else Severity.ERROR
        fault = Diagnostic(code, "1", spans[0], fixes=(fix,), severity=severity)
        (found,) = verify(Examined((fault,), {}), lambda _: Examined((other,), {}))
        assert found.fixes[0].is_safe is is_safe
    (found, _) = verify(Examined((first, other), {}), lambda _: Examined((other,), {}))
    assert found.fixes[0].is_safe


# ── Files that use one another ───────────────────────────────────────────────────────────────


def test_a_library_is_fixed_where_those_that_use_it_stay_right(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    library = Source("block cell(n) { conv 3x3 n smae }\n", "cell.arch")
    Path("cell.arch").write_text(library.text, "utf-8")
    for output, is_fixed in (("8x8x4", True), ("6x6x4", False)):
        user = Source(f'use "cell.arch"\nnetwork N: 8x8x3 → {output} {{ cell(4) }}\n', "n.arch")
        fixed, _ = fix_source(library, None, users=[user], texts={user.path: user})
        assert ("same" in fixed) is is_fixed
        # And where the fault is found in the file that uses it.
        (found,) = diagnose(user)
        assert [fix.is_safe for fix in found.fixes] == [is_fixed]


# ── Many faults ──────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "line", ["cnov 3x3 8 same", "conv 3x3 8 smae", "conv 3x3, 8 same", "relu ×1"]
)
def test_five_hundred_faults_take_seconds_and_few_checks(
    line: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    checks = 0

    def count(before: Examined, examine: verification.Examine) -> tuple[Diagnostic, ...]:
        def counted(texts: Mapping[str, Source]) -> Examined:
            nonlocal checks
            checks += 1
            return examine(texts)

        return verify(before, counted)

    monkeypatch.setattr("archdsl.frontend.verify", count)
    begin = perf_counter()
    found = diagnose(Source("\n".join([line] * 500)), IMAGE)
    assert all(fix.is_safe for d in found for fix in d.fixes)
    assert checks <= 3
    assert perf_counter() - begin < 60


def test_one_bad_fix_among_many_is_found() -> None:
    lines = ["conv 3x3, 8 same"] * 12
    lines[5] = "pad 1, 1"
    found = diagnose(Source("\n".join(lines)), IMAGE)
    assert [d.fixes[0].is_safe for d in found] == [index != 5 for index in range(12)]


def test_beyond_the_bounds_nothing_is_safe(monkeypatch: pytest.MonkeyPatch) -> None:
    source = Source("cnov 3x3 8")
    monkeypatch.setattr(verification, "MAX_SECONDS", -1.0)
    (found,) = diagnose(source, IMAGE)
    assert not found.fixes[0].is_safe
    monkeypatch.undo()
    (found,) = diagnose(source, IMAGE)
    assert found.fixes[0].is_safe


def test_a_fix_that_nobody_has_verified_is_not_safe() -> None:
    source = Source("cnov 3x3 8", "x.arch")
    with pytest.raises(ArchError) as refused:
        read_models(source, IMAGE)
    (found,) = refused.value.diagnostics
    assert found.fixes[0].keeps_choices
    assert not found.fixes[0].is_safe
    assert apply_fixes(source, [found]) == FixedText("cnov 3x3 8", ())


def test_a_faulty_googlenet_is_checked_in_good_time() -> None:
    text = (ROOT / "specs/googlenet.arch").read_text("utf-8")
    source = Source(text.replace("maxpool", "maxpol", 1), "googlenet.arch")
    begin = perf_counter()
    (found,) = diagnose(source)
    assert found.fixes[0].is_safe
    assert perf_counter() - begin < 5
