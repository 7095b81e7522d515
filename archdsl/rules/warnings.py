"""Rules about what is allowed but probably not meant."""

from archdsl.rules.rule import Rule

_MAP = (28, 28, 16)

RULES = (
    Rule(
        "bias-before-norm",
        "a bias that the normalization after it subtracts",
        """A normalization subtracts the mean of each channel, and with it whatever constant the
        bias has added. The bias costs one parameter per channel and has no effect; the
        normalization has a shift of its own (Ioffe & Szegedy 2015).""",
        "conv 3x3 64 same bn relu",
        "conv 3x3 64 same nobias bn relu",
        _MAP,
    ),
    Rule(
        "dropout-before-norm",
        "dropout before batch normalization",
        """In training dropout scales what it keeps by 1/(1 − p), which raises the variance; in
        evaluation it does nothing. Batch normalization remembers the variance of training and
        divides by it in evaluation, where it no longer fits (Li et al. 2019).""",
        "conv 3x3 64 same nobias dropout 0.2 relu bn",
        "conv 3x3 64 same nobias bn relu dropout 0.2",
        _MAP,
    ),
    Rule(
        "dropped-rows",
        "rows or columns at the end of a volume that no window reads",
        """The number of windows is rounded down: ⌊(13 + 2·0 − 2)/2⌋ + 1 = 6. Six windows of 2 read
        12 of the 13 rows, and the last is never seen. `ceil` adds a window for it; padding may
        help, too.""",
        "maxpool 2",
        "maxpool 2 ceil",
        (13, 13, 16),
    ),
    Rule(
        "even-kernel-same",
        "an even window with `same`, which has no middle",
        """`same` with a window of 4 needs 3 rows of padding: 1 before and 2 after. The result is
        shifted by half a pixel, once for each such layer. Odd windows have a middle and are padded
        equally on both sides.""",
        "conv 4x4 8 same",
        "conv 5x5 8 same",
        _MAP,
    ),
    Rule(
        "strided-same",
        "`same` with a stride, which pads one side more than the other",
        """`same` pads as little as the size of the result needs, and an odd row after, as
        TensorFlow does. With a kernel of 3 and a stride of 2, an even size gets 0 rows before and 1
        after, where networks written in PyTorch have 1 on both sides: the result has the same
        size and other numbers. Write the padding.""",
        "conv 3x3 8 s2 same",
        "conv 3x3 8 s2 p1",
        _MAP,
    ),
    Rule(
        "softmax-before-loss",
        "a softmax before a loss that has its own",
        """PyTorch's cross-entropy takes logits and applies log-softmax itself. A softmax before it
        is applied twice: gradients shrink and training is slow, without an error. Leave it out;
        for probabilities, apply it when predicting.""",
        "network Small: 8x8x3 → 10 { fc 10 softmax }",
        "network Small: 8x8x3 → 10 { fc 10 }",
    ),
    Rule(
        "heavy-fc",
        "most parameters in one fully-connected layer",
        """A fully-connected layer has a weight for each pair of an input and an output: H·W·C·n on
        a volume of H×W×C. Global average pooling before it leaves C numbers and C·n weights
        (Lin et al. 2014).""",
        "network Small: 28x28x1 → 10 {\n"
        "  conv 3x3 32 relu; conv 3x3 64 relu; maxpool 2\n"
        "  fc 128 relu; fc 10\n"
        "}",
        "network Small: 28x28x1 → 10 {\n"
        "  conv 3x3 32 relu; conv 3x3 64 relu; maxpool 2\n"
        "  gap; fc 128 relu; fc 10\n"
        "}",
    ),
    Rule(
        "dead-layer",
        "layers that no output needs",
        """A name alone continues from that part. The layers in between are left behind unless
        another statement uses them: their result goes nowhere, or into layers whose result goes
        nowhere. They would cost time and memory, and their weights would never be trained.""",
        "a: conv 3x3 8 same\nconv 1x1 4 relu\na; relu",
        "a: conv 3x3 8 same\nconcat { conv 1x1 4 relu | a }",
        _MAP,
    ),
    Rule(
        "unused-name",
        "a value, parameter or block that is never used",
        """A name that is defined but never used is often misspelt where it was meant, or left over
        from an earlier version. A reader looks for its effect in vain.""",
        "let width = 8\nconv 3x3 16",
        "let width = 8\nconv 3x3 width",
        _MAP,
    ),
    Rule(
        "unused-use",
        "a used file from which nothing is called",
        """`use` brings in blocks and families, but none from this file is called. The line can be
        removed.""",
        reason='It needs a second file: `use "blocks.arch"` whose blocks are never called.',
    ),
    Rule(
        "constant-condition",
        "an `if` that always goes one way",
        """The condition is made of constants alone, so one branch is never built. A condition is
        useful where it tests a parameter of a block or the volume: `C`, `H`, `W`.""",
        "if 2 > 1 { conv 3x3 8 }",
        "conv 3x3 8",
        _MAP,
    ),
    Rule(
        "no-effect",
        "something written that changes nothing",
        """The network would be the same without it: a repeat of one, dropout with rate 0. Leave it
        out, or write the number that was meant.""",
        "conv 3x3 8 same relu ×1",
        "conv 3x3 8 same relu",
        _MAP,
    ),
    Rule(
        "idle-reference",
        "a name of a part directly behind that part",
        """A name refers to the result of its part, as a variable does; it does not run the layers
        again. Directly behind the part, that result is the input anyway. To run layers again,
        write them again, or call a block.""",
        "f: conv 3x3 16 same; f; relu",
        "f: conv 3x3 16 same; relu; conv 3x3 16 same; relu",
        _MAP,
    ),
    Rule(
        "loose-claim",
        "a claim that would also hold for a very different number",
        """A claim is there to notice a change. A budget of 1M is far above 1,930 parameters and
        would still hold if a layer were missing or doubled. Write more digits or a closer
        bound.""",
        "network Small: 8x8x3 → 10 { fc 10; expect params <= 1M }",
        "network Small: 8x8x3 → 10 { fc 10; expect params <= 2K }",
    ),
    Rule(
        "unused-ignore",
        "a comment that suppresses nothing",
        """There is no warning with this code on the line that the comment is about. It was fixed,
        or the comment has moved. Left in place, the comment would hide the next such warning.
        Errors cannot be suppressed.""",
        "relu  # archdsl: ignore[dropped-rows]",
        "relu",
        _MAP,
    ),
    Rule(
        "unknown-code",
        "a comment that suppresses a warning that does not exist",
        """The code between the brackets does not exist, so the comment does nothing.
        `archdsl explain` lists all rules.""",
        "relu  # archdsl: ignore[droped-rows]",
        "relu",
        _MAP,
    ),
)
