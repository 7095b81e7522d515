"""Faults of volumes and of structure: what does not fit, and what cannot stand there."""

from __future__ import annotations

from collections.abc import Iterator

from archdsl.text import syntax
from archdsl.text.source import Span

from .fault import Change, Changes, fault
from .spec import Spec, Written, is_head


def _windows(spec: Spec) -> Iterator[Written]:
    for written in spec.layers:
        if written.layer in ("conv", "maxpool", "avgpool") and "same" not in written.words:
            yield written


def _before(spec: Spec, statement: str, *, on_vectors: bool) -> Changes:
    """A further statement in front of each on the trunk that gets images, or vectors."""
    for body in spec.trunks:
        for step in body.chains[0].statements:
            if isinstance(step, syntax.Step) and spec.is_vector_at(body, step) == on_vectors:
                start = step.span.start
                yield Change(Span(spec.source, start, start), f"{statement}; ")


@fault("kernel-larger-than-input")
def kernel_larger_than_input(spec: Spec) -> Changes:
    """a kernel larger than its input"""
    for written in _windows(spec):
        yield Change(written.arguments[0].span, "999x999")


@fault("kernel-larger-than-input")
def pooled_until_nothing_is_left(spec: Spec) -> Changes:
    """more pooling than there are pixels"""
    yield from _before(spec, "{ maxpool 2 s2 } ×12", on_vectors=False)


@fault("indivisible-channels", fixable=True)
def groups_that_do_not_divide(spec: Spec) -> Changes:
    """groups that do not divide the channels"""
    for written in spec.layers:
        if written.layer == "conv" and not any(
            isinstance(a, (syntax.Named, syntax.Flag)) and "g" in a.span.text
            for a in written.arguments
        ):
            yield Change(written.span.after, " g29")


@fault("branch-size-mismatch")
def unequal_branches_of_add(spec: Spec) -> Changes:
    """a residual connection around a layer that changes the channels"""
    for written in spec.layers:
        if written.layer == "conv" and " g" not in written.span.text:
            yield Change(written.span, f"add {{ {_of_more_channels(written)} | id }}")


def _of_more_channels(written: Written) -> str:
    kernel, _, *rest = (atom.span.text for atom in written.arguments)
    return " ".join(["conv", kernel, "(C + 1)", *rest])


@fault("branch-size-mismatch", "needs-image")
def unequal_branches_of_concat(spec: Spec) -> Changes:
    """branches of `concat` that differ in height and width"""
    for written in spec.layers:
        if written.layer in ("maxpool", "avgpool") and "same" not in written.words:
            yield Change(written.span, f"concat {{ {written.span.text} | id }}")


@fault("branch-size-mismatch", fixable=True, conflict=True)
def same_missing_in_a_branch(spec: Spec) -> Changes:
    """a branch without its `same`"""
    for body in spec.bodies:
        for chain in body.chains if body.forked else ():
            for written in spec.layers:
                last = written.arguments[-1] if written.arguments else None
                if (
                    isinstance(last, syntax.Name)
                    and last.id == "same"
                    and chain.span.start <= written.span.start < chain.span.end
                ):
                    yield Change(Span(spec.source, last.span.start - 1, last.span.end), "")


@fault("needs-image")
def conv_after_flatten(spec: Spec) -> Changes:
    """a convolution after `flatten`"""
    for written in spec.layers:
        if written.layer == "conv":
            yield Change(written.name.span, "flatten conv")


@fault("needs-image")
def head_on_a_vector(spec: Spec) -> Changes:
    """an auxiliary head with a convolution on a vector"""
    yield from _before(spec, "aux(0.3) { conv 1x1 8; fc 10 }", on_vectors=True)


@fault("misplaced-aux")
def head_inside_a_branch(spec: Spec) -> Changes:
    """an auxiliary head inside a branch"""
    yield from _before(spec, "concat { { aux(0.3) { fc 10 } } | id }", on_vectors=False)


@fault("wrong-volume", fixable=True)
def wrong_volume(spec: Spec) -> Changes:
    """a volume check with a wrong number"""
    for step in spec.steps:
        if isinstance(step.claim, syntax.Dims):
            height, rest = step.claim.span.text.split("x", 1)
            yield Change(step.claim.span, f"{int(height) + 1}x{rest}")


@fault("wrong-volume", fixable=True)
def wrong_stride(spec: Spec) -> Changes:
    """a stride that does not lead to the volume written behind it"""
    for written in spec.layers:
        claim = written.step.claim
        if claim is None or written.step.span.line != claim.span.line:
            continue
        for atom in written.arguments:
            if isinstance(atom, syntax.Flag) and atom.letter == "s":
                yield Change(atom.span, f"s{atom.sizes[0] + 1}")


@fault("wrong-volume", fixable=True)
def wrong_channels(spec: Spec) -> Changes:
    """channels other than those written behind the statement"""
    for written in spec.layers:
        claim = written.step.claim
        if (
            written.layer == "conv"
            and written.step.span.line == (claim.span.line if claim else 0)
            and isinstance(written.arguments[1], syntax.Number)
        ):
            yield Change(written.arguments[1].span, f"{written.arguments[1].value * 2}")


@fault("wrong-volume", fixable=True)
def wrong_output(spec: Spec) -> Changes:
    """a network that ends in another volume than its first line says"""
    for network in spec.items(syntax.Network):
        assert isinstance(network, syntax.Network)
        if isinstance(network.output, syntax.Number):
            yield Change(network.output.span, f"{network.output.value}1")


@fault("wrong-volume", fixable=True, conflict=True)
def wrong_number_of_classes(spec: Spec) -> Changes:
    """the last `fc` with another number of units"""
    for network in spec.items(syntax.Network):
        assert isinstance(network, syntax.Network)
        body = network.body.span
        own = [w for w in spec.layers if body.start < w.span.start < body.end]
        heads = [step.span for step in spec.steps if is_head(step)]
        trunk = [w for w in own if not any(h.start < w.span.start < h.end for h in heads)]
        if trunk and trunk[-1].layer == "fc":
            yield Change(trunk[-1].arguments[0].span, f"{trunk[-1].arguments[0].span.text}0")


@fault("failed-claim", fixable=True)
def wrong_claim(spec: Spec) -> Changes:
    """a claim with a wrong number"""
    for expect in spec.expects:
        start = spec.text.index(expect.digits[0], expect.metric.span.end)
        yield Change(Span(spec.source, start, start), "9")


@fault("recursive-block")
def recursion(spec: Spec) -> Changes:
    """a block that contains itself"""
    for block in spec.items(syntax.Block):
        assert isinstance(block, syntax.Block)
        listed = ", ".join(
            f"{f.name.id}→{f.pair.id}" if f.pair else f.name.id for f in block.formals
        )
        end = block.body.span.end
        call = f"; {block.name.id}({listed})\n}}"
        line = block.body.span.end_line
        yield Change(Span(spec.source, end - 1, end), call, line)


@fault("empty-branch", fixable=True)
def empty_branch(spec: Spec) -> Changes:
    """an empty branch"""
    yield from _before(spec, "add { relu | }", on_vectors=False)


@fault("missing-branches")
def merge_without_branches(spec: Spec) -> Changes:
    """a merge of one branch"""
    yield from _before(spec, "concat { relu }", on_vectors=False)


@fault("unmerged-branches")
def branches_without_merge(spec: Spec) -> Changes:
    """branches that nothing joins"""
    yield from _before(spec, "{ relu | id }", on_vectors=False)


@fault("wrong-padding", fixable=True)
def padding_beyond_half(spec: Spec) -> Changes:
    """a pool padded by more than half its kernel"""
    for written in spec.layers:
        padded = any(atom.span.text.startswith("p") for atom in written.arguments)
        if written.layer in ("maxpool", "avgpool") and "same" not in written.words and not padded:
            yield Change(written.span.after, " p9")
