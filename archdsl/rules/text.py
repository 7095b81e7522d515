"""Rules about texts that cannot be read as a specification."""

from archdsl.rules.rule import Rule

_MAP = (28, 28, 16)

RULES = (
    Rule(
        "not-utf8",
        "the file is not UTF-8 text",
        """Specifications are UTF-8 text, so that `×` and `→` mean the same on every machine. The
        file holds bytes that are not UTF-8; the message says where the first one is. Save it as
        UTF-8 in your editor. ASCII is UTF-8, too.""",
        reason="It needs a file with other bytes, such as one saved as Latin-1 or UTF-16.",
    ),
    Rule(
        "unreadable-file",
        "the file cannot be read",
        """The file does not exist, you may not read it, it is a folder without specifications, or
        it is not a regular file. The path after `use` is relative to the file it is written in,
        not to the folder where the command runs.""",
        'use "lost/blocks.arch"\nnetwork Small: 8x8x3 → 10 { fc 10 }',
        "network Small: 8x8x3 → 10 { fc 10 }",
    ),
    Rule(
        "unexpected-character",
        "a character that is not part of the language",
        """The language is made of words, numbers, strings and a few signs. This character belongs
        to none of them. A comment begins with `#`.""",
        "conv 3x3 64 $ relu",
        "conv 3x3 64 relu",
        _MAP,
    ),
    Rule(
        "unexpected-word",
        "a word, number or sign where the language does not allow it",
        """Each word and sign is known, but together they do not form a statement. Arguments of a
        layer are separated by spaces, those of a block call by commas; a statement ends with its
        line or with `;`.""",
        "conv 3x3, 64",
        "conv 3x3 64",
        _MAP,
    ),
    Rule(
        "unclosed-bracket",
        "a brace or parenthesis that is never closed",
        """Every `{` needs its `}` and every `(` its `)`. Two places are shown: where the bracket
        was opened, and where the text ended or closed another one. The missing bracket belongs
        somewhere between the two.""",
        "concat { conv 1x1 8 | id",
        "concat { conv 1x1 8 | id }",
        _MAP,
    ),
    Rule(
        "unmatched-bracket",
        "a closing brace or parenthesis that was never opened",
        """This bracket closes nothing: there is one too many, or the one that opens is missing
        before it.""",
        "conv 3x3 8 }",
        "conv 3x3 8",
        _MAP,
    ),
    Rule(
        "nested-too-deeply",
        "braces, parentheses or block calls nested beyond the bound",
        """Brackets may be nested 60 deep. No network that people read comes near this. The bound
        keeps a damaged or generated text from exhausting the parser. Move inner parts to blocks
        of their own with `block`.""",
        "{ " * 61 + "relu" + " }" * 61,
        "{ relu }",
        _MAP,
    ),
    Rule(
        "number-too-large",
        "a number beyond the bound",
        """Numbers and the sizes computed from them are at most 10¹⁵. That is far beyond what any
        memory holds, so a larger one is a typing error.""",
        "conv 3x3 9999999999999999999999",
        "conv 3x3 9999",
        _MAP,
    ),
)
