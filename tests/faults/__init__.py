"""The fault battery: every spec, broken in named ways, and what is said of it.

A fault is a function of a spec that yields a change for each place where it can be made.
``measure.py`` makes the changes and looks at the diagnostics; ``python -m tests.faults`` prints the
tables of docs/faults.md.
"""

from . import arguments, texts, volumes, words

#: The modules that register the faults, in the order of the table.
CHAPTERS = {
    "Signs": texts,
    "Words and names": words,
    "Arguments": arguments,
    "Volumes and structure": volumes,
}
