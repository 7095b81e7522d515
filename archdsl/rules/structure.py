"""Rules about structure: branches, blocks, heads, files."""

from archdsl.rules.rule import Rule

_MAP = (28, 28, 16)

RULES = (
    Rule(
        "empty-branch",
        "a branch, group, block or network without a layer",
        """A branch must do something. The branch that passes its input on unchanged, as the
        shortcut of a residual block does, is written `id`.""",
        "add { conv 3x3 same | }",
        "add { conv 3x3 same | id }",
        _MAP,
    ),
    Rule(
        "missing-branches",
        "a merge without branches",
        """A merge such as `concat` joins the results of several branches. It needs at least two,
        in braces and separated by `|`; all begin at the same input.""",
        "concat { relu }",
        "concat { relu | id }",
        _MAP,
    ),
    Rule(
        "unmerged-branches",
        "branches that no merge joins",
        """Braces alone only group statements. A merge must say what becomes of several results:
        `concat`, for example, joins their channels one after the other, and `add` adds them
        element by element.""",
        "{ conv 1x1 8 | id }",
        "concat { conv 1x1 8 | id }",
        _MAP,
    ),
    Rule(
        "misplaced-aux",
        "an auxiliary head that is not attached to the trunk of a network",
        """An auxiliary head is a second output, which adds its weighted loss in training. It is
        written as a separate statement on the trunk, which continues with the head's input. Inside
        a branch or a named group it would not be clear whose output it is.""",
        "add { aux(0.3) { gap; fc 10 } | id }",
        "aux(0.3) { gap; fc 10 }\nadd { relu | id }",
        _MAP,
    ),
    Rule(
        "not-reusable",
        "`reuse` of a name behind which there is no module to run again",
        """`reuse` runs the module of an earlier part once more. It needs a part with layers: not an
        input, a reference or an auxiliary head. The module runs where it belongs, in the braces
        that the part is named in, and not inside another named part or a block.""",
        "f: conv 3x3 16 same\ng: { relu; reuse f }",
        "f: conv 3x3 16 same\nrelu; reuse f",
        _MAP,
    ),
    Rule(
        "reuse-mismatch",
        "a part that cannot run again on the volume it would get",
        """The weights of a reused part are those it already has, so each of its layers must have
        the same module for both volumes. A convolution takes any height and width, but only as
        many channels as it was made for; `fc` takes only vectors of the same length.""",
        "f: conv 3x3 8 same\nreuse f",
        "f: conv 3x3 16 same\nreuse f",
        _MAP,
    ),
    Rule(
        "not-an-output",
        "a named output that is not a result of the network's own parts",
        """`→ (a: …, b: …)` names the parts whose results the network gives. They are parts in the
        braces of the network itself, not inside a named part, and not one of its inputs as it
        is.""",
        "network N: (x: 8x8x3) → (y: 10, x: 8x8x3) { y: fc 10 }",
        "network N: (x: 8x8x3) → (y: 10, z: 8x8x3) { z: relu; y: fc 10 }",
    ),
    Rule(
        "misplaced-statement",
        "a statement where it has no meaning",
        """Layers belong to a network or a block; `expect` and `train` belong to the body of a
        network. A file with networks cannot have bare layers beside them, since these would not
        belong to any network.""",
        "conv 3x3 8\nnetwork Small: 8x8x3 → 10 { fc 10 }",
        "network Small: 8x8x3 → 10 { conv 3x3 8; fc 10 }",
    ),
    Rule(
        "recursive-block",
        "a block or family that contains itself",
        """A block is replaced by its body when it is called. One that calls itself, even through
        others, would never end. A repeat `×n` is the way to say "the same again".""",
        "block a(n) { b(n) }\nblock b(n) { conv 3x3 n same; a(n) }\na(8)",
        "block a(n) { b(n) ×2 }\nblock b(n) { conv 3x3 n same }\na(8)",
        _MAP,
    ),
    Rule(
        "use-cycle",
        "files that use each other",
        """`use` brings in the blocks of another file. If files use each other in a cycle, there
        is no order in which to read them. Move what both need to a third file.""",
        reason='It needs files on disk: `a.arch` with `use "b.arch"`, and `b.arch` with '
        '`use "a.arch"`.',
    ),
    Rule(
        "missing-input",
        "bare statements without an input volume",
        """All volumes follow from the first one. A file of bare statements does not state it, so
        it is given on the command line with `--input 28x28x16`; a network states it in its first
        line.""",
        "conv 3x3 8 relu",
        "network Small: 28x28x16 → 26x26x8 { conv 3x3 8 relu }",
    ),
    Rule(
        "no-network",
        "a file without a network",
        """The file holds no statement, or not what was asked for: some commands and functions
        need exactly one network. A file that holds only blocks is a library, and `check` accepts
        it.""",
        "# nothing yet",
        "network Small: 8x8x3 → 10 { fc 10 }",
    ),
    Rule(
        "too-many-layers",
        "a repeat or an expansion beyond the bound",
        """A network has at most 200,000 layers after all repeats and calls. More is taken for a
        mistake, often channels written as a repeat.""",
        "conv 3x3 8 same ×1000000",
        "conv 3x3 8 same ×10",
        _MAP,
    ),
)
