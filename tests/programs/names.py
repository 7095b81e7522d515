"""Names that make trouble: Python's, PyTorch's, those of generated code, and near twins."""

from __future__ import annotations

from random import Random

PYTHON = "class def lambda None True is list range len super self int print type object"
TORCH = "x torch nn np Tensor forward training heads copy layers modules state_dict"

LABELS = f"""
a b k z x_ y y_ z_ u v w y1 y5 x1 copy_ kept kept2 enc Enc ENC enc_ e_n_c torch_ nn_ a_ A aB a_b
stem Stem block1 layer1 layers2 relu1 branch1 branch2 aux1 reduce conv2 add2 concat_ result T
load_training_state aux_weights in_channels {PYTHON} {TORCH}
""".split()

VALUES = f"""
n k m a b c e r t n_ N width wide depth padding bias stride out_channels kernel_size in_channels
y x_ ratio half c1 n1 layers_ {PYTHON} {TORCH}
""".split()

BLOCKS = """
cell Cell cell_ c_ell unit Unit res res_ basic fire head stage channel_norm drop_path tensor
mapping named_tuple none reduction module torch nn network_ take_ crop_ net Net sequential aux_head
copy x list super_ layers features parameters
""".split()

NETWORKS = """
Net net NET Net_ N Small Tiny Tensor Mapping Crop_ Cell Unit Reduction torch x Plain Main Aux_head
Module VGG11 resnet
""".split()

#: For files whose names cause no trouble.
PLAIN = "alpha beta gamma delta kappa theta sigma omega part piece left right first second".split()

COMMENTS = (
    *("a note", 'with """quotes"""', "a backslash \\ and 'quotes'", 'ends in a quote "', "→ × − é"),
    *("# twice", "archdsl", "a { brace", "a title that is so long that it must wrap " * 3, "N: 1"),
)


def fresh(rng: Random, pool: list[str], taken: set[str], near: float = 0.3) -> str:
    """A name that is not taken; with this chance one that differs little from one that is."""
    if taken and rng.random() < near:
        word = rng.choice(sorted(taken))
        twin = rng.choice([f"{word}_", word.upper(), word.capitalize(), word.rstrip("_")])
        if twin and twin not in taken:
            return twin
    for _ in range(20):
        word = rng.choice(pool)
        if word not in taken:
            return word
    return f"{rng.choice(pool)}{rng.randrange(10, 99)}"
