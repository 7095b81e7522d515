"""Rules about words and names."""

from archdsl.rules.rule import Rule

_MAP = (28, 28, 16)

RULES = (
    Rule(
        "unknown-word",
        "a word that is not a layer, flag, block, value or part",
        """A word is a layer, a flag of the layer before it, or a name that the file defines. This
        one is none of these, and archdsl does not guess: a dropped layer would go unnoticed
        until training. `archdsl layers` lists the layers.""",
        "conv 3x3 64 smae relu",
        "conv 3x3 64 same relu",
        _MAP,
    ),
    Rule(
        "unknown-attribute",
        "an attribute the layer does not have",
        """Attributes have PyTorch's names where PyTorch has one, such as `stride=2`, `eps=0.001`
        or `groups=4`. The letters `s`, `p`, `d` and `g` with a number are short for stride,
        padding, dilation and groups, where a layer has them. `archdsl layers NAME` shows what a
        layer takes.""",
        "conv 2x2 64 strde=2",
        "conv 2x2 64 stride=2",
        _MAP,
    ),
    Rule(
        "undefined-name",
        "a name that nothing defines",
        """A value comes from `let` or is a parameter of the block; a part comes from `name: …`. A
        part can be used only after the statement that makes it, because volumes are inferred in
        the order of the text.""",
        "conv 3x3 (2 * width)",
        "let width = 32\nconv 3x3 (2 * width)",
        _MAP,
    ),
    Rule(
        "repeated-name",
        "a name defined twice, or used for two different things",
        """A name is a value, a part or a word of the language, never two of them. Two parts with
        one name would be one attribute of the PyTorch module, and the second would replace the
        first. Choose another name.""",
        "a: conv 3x3 8; a: relu",
        "a: conv 3x3 8; b: relu",
        _MAP,
    ),
    Rule(
        "reserved-word",
        "a word of the language used as a name",
        """Layers, keywords and short attributes such as `s2` or `x3` already have a meaning. If
        they could be redefined, a reader could not tell what a line does without reading the whole
        file. A part that begins with a layer may have that layer's name, as in `conv: conv 3x3 8`:
        the name becomes an attribute of the module, but later statements cannot refer to it.""",
        "relu: conv 3x3 8",
        "conv1: conv 3x3 8",
        _MAP,
    ),
    Rule(
        "unknown-metric",
        "`expect` names a quantity that is not computed",
        """`expect` compares a number of the network with the one written. It knows `params`,
        `macs` and the other quantities that the language reference lists.""",
        "fc 10; expect parms = 125450",
        "fc 10; expect params = 125450",
        _MAP,
    ),
)
