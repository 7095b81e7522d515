"""Rules about the arguments of layers, blocks and families."""

from archdsl.rules.rule import Rule

_MAP = (28, 28, 16)

RULES = (
    Rule(
        "missing-argument",
        "a layer, block or family lacks an argument",
        """Some arguments have no sensible default, such as the units of `fc` or the kernel of
        `conv`. None is invented. The help shows how the layer or block is written.""",
        "fc",
        "fc 10",
        _MAP,
    ),
    Rule(
        "surplus-argument",
        "a layer, block or family has one argument too many",
        """All places for arguments are taken. Often the argument belongs to another layer of the
        chain, or it is an attribute and needs its name: `eps=0.001`.""",
        "relu 3",
        "relu",
        _MAP,
    ),
    Rule(
        "repeated-argument",
        "an argument given twice",
        """The same thing is set twice, perhaps in two spellings: `same` and `p1` both set the
        padding, and `s2` is `stride=2`. archdsl does not guess which one should count.""",
        "conv 3x3 64 same p1",
        "conv 3x3 64 same",
        _MAP,
    ),
    Rule(
        "wrong-pair",
        "a pair `a→b` where a single value belongs, or the reverse",
        """A block whose parameter is a pair, such as `r3→n3` of `inception`, is called with a
        pair: 96 channels after the 1x1 reduction, 128 after the convolution. It is written as in
        the table of the GoogLeNet paper.""",
        "inception(64, 96, 16→32, 32)",
        "inception(64, 96→128, 16→32, 32)",
        _MAP,
    ),
    Rule(
        "wrong-value",
        "a value of the wrong kind or out of range",
        """The argument must be of the kind that the message names. A dropout rate, for example,
        is the share of numbers set to zero: at least 0 and below 1, so 50 % is `0.5`.""",
        "dropout 1.5",
        "dropout 0.5",
        _MAP,
    ),
    Rule(
        "misplaced-argument",
        "an argument that belongs to no layer",
        """Arguments follow the layer they belong to. A statement therefore begins with a
        layer, a block call or a name.""",
        "64 conv 3x3",
        "conv 3x3 64",
        _MAP,
    ),
    Rule(
        "inexact-division",
        "`/` that does not divide exactly",
        """Channels are whole numbers, so `/` must leave no remainder: 16 / 3 is refused rather
        than rounded. `//` rounds down on purpose: 16 // 3 = 5.""",
        "conv 1x1 (16 / 3)",
        "conv 1x1 (16 // 3)",
        _MAP,
    ),
)
