"""Structures that a compiler may get wrong, as statements behind 8x8x4."""

from __future__ import annotations

STRUCTURES = {
    "plain chain": "conv 3x3 8 relu; maxpool 2; fc 10",
    "named layers": "conv1: conv 3x3 8; relu; pool: maxpool 2; fc1: fc 10",
    "flatten in front of a group": "conv 3x3 4; head: { fc 8 relu; fc 10 }",
    "flatten in front of everything": "fc 10",
    "flatten inside a row": "conv 1x1 2 fc 10",
    "residual": "add { conv 3x3 same bn relu; conv 3x3 same bn | id } relu",
    "residual with names": "add { c1: conv 3x3 same; b1: bn; relu; c2: conv 3x3 same | id } relu",
    "two forks in a row": "concat { conv 1x1 2 | conv 3x3 3 same }; add { conv 1x1 | id }",
    "fork in a branch": "concat { add { conv 1x1 | id } relu; conv 1x1 2 | conv 1x1 4 | id }",
    "two long branches": "add { add { conv 1x1 | id } relu | add { bn | id } tanh }",
    "three deep": "add { add { add { conv 1x1 | id } relu | id } relu | id } relu",
    "squeeze and excite": "mul { id | gap; conv 1x1 2 relu; conv 1x1 4 sigmoid }",
    "skip from the past": "a: conv 3x3 8 same; maxpool 2; upsample 2; concat { a | id }",
    "skip with layers": "a: conv 3x3 8 same; relu; concat { a; conv 1x1 2 | id; conv 1x1 3 }",
    "skip that is cut": "a: conv 3x3 8; conv 3x3 4; conv 2x2 4; concat { crop a | id } relu",
    "two skips": "a: conv 1x1 3; b: conv 1x1 3; add { a | b | id }; add { a | id }",
    "back to a part": "a: conv 3x3 8 same; conv 5x5 2; a; conv 1x1 3",
    "skip into a group": "a: conv 1x1 8; dec: { relu; conv 1x1 8; add { a | id } relu }",
    "skip into a nested group": "a: conv 1x1 8; d: { conv 1x1 8; e: { relu; add { a | id } } }",
    "skip into copies": "a: conv 1x1 8; d: { conv 1x1 8 same; add { a | id } } ×3",
    "skip from a group": "a: { conv 1x1 8; relu }; tanh; add { a | id }",
    "named copies": "stage: conv 3x3 8 same relu ×3; fc 3",
    "named copies of one layer": "stage: conv 3x3 8 same ×3",
    "named copies of groups": "stage: { add { conv 3x3 same | id } relu } ×3",
    "unnamed copies of groups": "{ add { conv 3x3 same | id } relu } ×3; fc 3",
    "long repeat": "conv 3x3 4 same relu ×20",
    "block calls": "basic(8); basic(8); basic(16, 2); basic(16)",
    "block calls in a group": "layer1: { basic(8); basic(8) ×4 }",
    "bottlenecks": "bottleneck(4); bottleneck(4); bottleneck(8, 2)",
    "inceptions": "i1: inception(1, 2→3, 2→1, 2); inception(2, 2→3, 2→2, 2)",
    "asymmetric same": "conv 3x3 8 s2 same; maxpool 2 s1 same; avgpool 2 s1 same",
    "name on nothing": "a: id; conv 1x1 3; add { a; conv 1x1 3 | id }",
    "names of Python": "class: conv 1x1 3; lambda: relu; forward: conv 1x1 4; training: bn",
    "names of variables": "x: conv 1x1 3; y: relu; torch: conv 1x1 3; add { x | torch | y }",
    "auxiliary heads": "conv 1x1 3; aux(0.3) { gap; fc 3 }; conv 1x1 4; a: aux(1) { fc 3 }; fc 3",
    "named head of one block": "conv 1x1 3; aux(0.3) { inception(1, 1→1, 1→1, 1) }; fc 3",
    "skip into a head": "a: conv 1x1 3; relu; aux(0.3) { add { a | id }; fc 3 }; fc 3",
    "a merge at the end": "concat { conv 1x1 2 | conv 3x3 3 same }",
    "a sum at the end": "add { conv 1x1 | id }",
    "conditions": "let k = C * 2; if k > 4 { conv 1x1 k } else { conv 1x1 1 }; conv 1x1 (k // 2)",
    "an else that is empty": "if C == 4 { conv 1x1 3 } else { }; fc 3",
    "leaves the input as it is": "add { id | id }",
    "no copies beside what flows in": (
        "k: conv 1x1 4; a: mul { for i in [] { tanh } | k }; reuse a"
    ),
    "for over a list": "for n in [8, 4, 6] { conv 3x3 n same relu }; fc 3",
    "named for over a range": "stage: for i in 0..3 { conv 1x1 (4 + i) relu }; fc 3",
    "for with named parts": 'for i in 1..4 { "conv{i}": conv 3x3 (2 * i) same; relu }; fc 3',
    "for with named groups": (
        'block b(d) { for i in 0..d { "a{i}": { x: conv 1x1 (3 + i); relu; add { x | id } } } }\n'
        'b(1); b(2); for i in 0..2 { "c{i}": { y: conv 1x1 3; z: relu; concat { y | z } } }; fc 3'
    ),
    "for with skips": "a: conv 1x1 8; d: for n in [8, 8] { conv 1x1 n; add { a | id } }; fc 3",
    "for in a block": (
        "block b(ns, d) { for n in ns { conv 1x1 n relu }; for i in 0..d { conv 1x1 (4*2**i) } }\n"
        "b([8, 6], 2); b([4, 5], 3); b([3], 1); fc 3"
    ),
    "lists that are empty for some": (
        "block b(ns) { for n in ns { conv 1x1 n } }\nb([]); b([3]); b([4, 5]); b([]); fc 3"
    ),
    "for of dense layers": (
        "block dense(d) { for i in 0..d { concat { id | conv 3x3 (2 + i) same } } }\n"
        "dense(2); dense(3); fc 3"
    ),
    "phrases": "phrase c(k, n) { conv k n same bn relu }\nc(3, 8); a: c(1, 4); add { a | c(3, 4) }",
    "phrase in an if": (
        "phrase c(n) { conv 1x1 n; bn }\n"
        "block b(n) { add { id | if C == n { c(n) } else { c(4); relu } } }\nb(4); b(8); fc 3"
    ),
    "phrase with names": "phrase c(n) { p: conv 1x1 n; relu }\nc(4); conv 1x1 4; add { p | id }",
    "blocks and layers as arguments": (
        "block plain(n) { conv 3x3 n same }\nblock deep(n) { conv 3x3 n same; bn; relu }\n"
        "block b(n, unit: block=plain, act: layer=relu) { unit(n); act }\n"
        "b(8); b(4, deep); b(4, act=leakyrelu(0.1)); b(6, act=hardtanh(max_val=2)); fc 3"
    ),
    "parts as arguments": (
        "block up(n, skip: part) { deconv 2x2 n s2; concat { skip | id }; conv 1x1 n }\n"
        "a: conv 3x3 8 same; maxpool 2; b: conv 1x1 6; maxpool 2; up(4, b); u: up(3, a); fc 3"
    ),
    "parts given to blocks in blocks": (
        "block b(n, s: part) { concat { s; conv 1x1 2 | id | crop s }; conv 1x1 n }\n"
        "block c(n, t: part) { t; add { conv 1x1 | id }; b(n, t); b(n, t); relu }\n"
        "a: conv 1x1 4; relu; c(3, a); z: relu; c(5, z); c(4, a); fc 3"
    ),
    "a part given twice": (
        "block both(p: part, q: part) { concat { p | q | id }; conv 1x1 4 }\n"
        "a: conv 1x1 4; relu; both(a, a); b: both(a, a); both(a, b); fc 3"
    ),
    "halves of channels": (
        "block u(n) { concat { slice 0 (C/2) | slice (C/2); conv 1x1 (n/2) relu } }\n"
        "block s(n, d) { conv 3x3 n; u(n) ×(d - 1) }\ns(8, 3); s(6, 2); fc 3"
    ),
    "keys of a row": 'a: { "2": conv 1x1 4; "0-1": bn; "b": { relu; relu } }; fc 3',
    "classes of keys": (
        'a: { "2": add { conv 1x1 | id }; "-": concat { bn | id }; "b-1": { add { relu | id } } }; '
        'c: { "2": concat { conv 1x1 4 | id }; "x": relu }; fc 3'
    ),
    "loops over keys": (
        "block b(n) { concat { id | conv 1x1 n } }\n"
        'block s(d, k) { "in": conv 1x1 (4*k); for i in 0..d { "b{k}-{i}": b(2 + i) } }\n'
        "s(2, 1); s(3, 2); x: s(1, 1); fc 3"
    ),
    "loop of named parts": (
        'block s(d) { for i in 1..d { "conv{i}": conv 3x3 (2*i) same relu } }\ns(3); s(4); fc 3'
    ),
    "names in quotes": '"conv": { conv 1x1 4 relu }; "relu": bn; d1: conv 1x1 4; x2: relu; fc 3',
}

#: Parts that run again with the same weights.
REUSED = {
    "a layer runs again": "f: conv 3x3 4 same; relu; reuse f; tanh; reuse f",
    "a layer runs again on another size": "f: conv 3x3 4; maxpool 2; reuse f",
    "a layer runs again in copies": "f: conv 3x3 4 same; { relu; reuse f } ×3; fc 3",
    "a layer runs again in branches": "f: conv 1x1 4; add { reuse f | tanh; reuse f; relu | id }",
    "a branch runs again": "add { f: conv 1x1 4; relu | tanh }; concat { reuse f | id }",
    "a row runs again": "f: conv 3x3 4 same bn relu; reuse f ×2; fc 3",
    "a group runs again": "f: { conv 3x3 4 same bn; add { relu; conv 1x1 4 | id } }; reuse f",
    "a group with a skip runs again": "a: conv 1x1 4; d: { relu; add { a | id } }; tanh; reuse d",
    "a group with a call and a skip runs again": "block cell(n) { conv 3x3 n same }\n"
    "a: conv 1x1 4; d: { cell(4); add { a | id } }; tanh; reuse d",
    "copies run again": "f: { conv 3x3 4 same tanh } ×3; reuse f",
    "copies with a skip run again": "a: conv 1x1 4; f: { relu; add { a | id } } ×2; reuse f",
    "a call runs again": "f: basic(4); g: basic(4); reuse f; reuse g; reuse f",
    "a call in a group runs again": "f: { basic(4); conv 1x1 4 }; reuse f; fc 3",
    "a result of a second run is read": "f: conv 1x1 4; b: reuse f; relu; add { b | f | id }",
    "a result of copies of a run is read": "f: conv 1x1 4; b: reuse f ×2; relu; add { b | id }",
    "a run in a run": "g: { f: conv 1x1 4; relu; reuse f }; reuse g; tanh; reuse g",
    "a run in a block": "block b(n) { conv 1x1 n; f: conv 3x3 n same; relu; reuse f }\nb(4); b(8)",
    "a run that needs equal channels": "block b(n) { f: conv 1x1 n; relu; reuse f }\n"
    "b(4); tanh; b(4)",
    "a run of nothing": "f: id; conv 1x1 4; reuse f; relu",
    "fully-connected layers run again": "f: fc 8; relu; g: fc 8 relu; reuse g; reuse g; fc 3",
    "a flattening runs again": "f: { conv 1x1 2; fc 8 }; u: f; reshape 2x2x2; upsample 4x4; "
    "conv 1x1 4; reuse f; add { u | id }",
    "a normalization of two convolutions": "conv 1x1 4; f: bn; relu; conv 1x1 4; reuse f",
    "a convolution before two normalizations": "f: conv 1x1 4; bn; relu; reuse f; bn",
    "a pair runs again": "c: conv 1x1 4; f: bn; relu; reuse c; reuse f",
    "dropout runs again": "f: dropout 0.5; conv 1x1 4; reuse f; relu; add { f | id }",
    "dropout in a part that runs again": "f: { conv 1x1 4; dropout 0.5; relu }; reuse f",
    "relu of what is read twice": "f: { conv 1x1 4; r: relu; add { r | conv 1x1 4 } }; reuse f",
    "an inception runs again": "f: inception(1, 2→1, 2→1, 1); reuse f",
    "a crop runs again": "f: { a: conv 3x3 4; conv 3x3 4; concat { crop a | id } }; conv 1x1 4; "
    "pad 2; reuse f",
    "a run under a condition": "f: conv 1x1 4; if C == 4 { reuse f } else { id }; relu",
    "runs before a head": "f: conv 1x1 4; aux(0.3) { gap; fc 3 }; reuse f; fc 3",
}

STRUCTURES |= REUSED

#: Networks with names for what flows in and out, on 8x8x4.
PORTS = {
    "two inputs": "(a: 8x8x4, b: 8x8x4) → 3 { add { a | b }; relu; fc 3 }",
    "inputs of other sizes": "(a: 8x8x4, b: 5) → 3 "
    "{ conv 3x3 2; flatten; concat { id | b; fc 7 }; fc 3 }",
    "an input that is read late": "(a: 8x8x4, b: 8x8x4) → 3 "
    "{ conv 3x3 4 same; d: { relu; add { b | id } }; fc 3 }",
    "inputs named like variables": "(x: 8x8x4, y: 8x8x4) → 3 "
    "{ z: conv 1x1 4; concat { relu; tanh | x; bn; relu | y }; fc 3 }",
    "inputs named like words of Python": "(self: 8x8x4, class: 4, torch: 8x8x4) → 3 "
    "{ conv 1x1 4; mul { id | class; reshape 1x1x4 }; max { id | torch }; fc 3 }",
    "one input with a name": "(image: 8x8x4) → 3 { conv 3x3 4; fc 3 }",
    "an input that nothing needs": "(a: 8x8x4, b: 3) → 3 { conv 3x3 4; fc 3 }",
    "a network for pairs": "(left: 8x8x4, right: 8x8x4) → 1 "
    "{ f: { conv 3x3 4 same bn relu; maxpool 2; fc 8 sigmoid }; right; g: reuse f; "
    "sub { f | g }; fc 1 }",
    "a head over several maps": "(a: 8x8x4, b: 4x4x4) → (c: 8x8x3, d: 4x4x3) "
    "{ f: { conv 3x3 4 same relu; conv 1x1 3 }; c: f; b; d: reuse f }",
    "two outputs": "8x8x4 → (cls: 8x8x2, box: 8x8x3) "
    "{ r: conv 3x3 4 same relu; cls: conv 1x1 2; r; box: conv 1x1 3 }",
    "outputs in the middle": "8x8x4 → (a: 8x8x4, b: 3) "
    "{ a: conv 1x1 4; relu; conv 1x1 2; b: fc 3 }",
    "an output of a branch": "8x8x4 → (a: 8x8x4, b: 3) { add { a: conv 1x1 4 | id }; b: fc 3 }",
    "an output that is a merge": "8x8x4 → (b: 3, a: 8x8x4) { a: add { conv 1x1 4 | id }; b: fc 3 }",
    "one output with a name": "8x8x4 → (y: 3) { y: fc 3 }",
    "outputs named like methods": "8x8x4 → (count: 3, class: 2, x: 8x8x4) "
    "{ x: tanh; count: fc 3; x; class: fc 2 }",
    "one result with two names": "8x8x4 → (a: 3, b: 3) { a: fc 3; b: a }",
    "outputs that deployment would drop": "8x8x4 → (a: 8x8x4, b: 8x8x4) "
    "{ conv 1x1 4; a: dropout 0.5; relu; b: conv 1x1 4 bn }",
    "an output before a normalization": "8x8x4 → (a: 8x8x4, b: 3) "
    "{ a: conv 1x1 4; bn; relu; b: fc 3 }",
    "an output before relu": "8x8x4 → (a: 8x8x4, b: 3) { a: conv 1x1 4; relu; b: fc 3 }",
    "an output of copies": "8x8x4 → (a: 8x8x4, b: 3) { a: { conv 3x3 4 same relu } ×3; b: fc 3 }",
    "an output that runs again": "8x8x4 → (a: 8x8x4, b: 8x8x4) "
    "{ a: conv 3x3 4 same; relu; b: reuse a ×2 }",
    "layers behind the outputs": "8x8x4 → (a: 3) { a: fc 3; fc 5 }",
    "a parallel reduction that is an output": "8x8x4 → (a: 8x8x2, b: 8x8x5) "
    "{ b: concat { conv 1x1 2 | conv 1x1 3 }; a: conv 1x1 2 }",
    "reductions, one an output": "8x8x4 → (a: 8x8x2, b: 3) "
    "{ concat { a: conv 1x1 2 | conv 1x1 3 }; b: fc 3 }",
    "a network named like its result": "(NOutput: 8x8x4, b: 4) → (y: 3) "
    "{ p: mul { id | b; reshape 1x1x4 }; y: fc 3 }",
}

INCEPTION = "concat { conv 1x1 2 relu | conv 1x1 3 relu; conv 3x3 4 same relu | maxpool 3 s1 same }"
CELL = "block cell(n) { conv 3x3 n same bn relu }\n"

#: Those that a network for inference changes.
FOR_INFERENCE = {
    "a normalization behind a convolution": "conv 3x3 8 bn relu",
    "one with a bias": "conv 3x3 8 nobias bn eps=0.1; relu",
    "one without factor and bias": "conv 3x3 8 bn affine=false; relu",
    "one behind a depthwise convolution": "dwconv 3x3 bn relu; conv 1x1 8 nobias bn",
    "one behind an odd padding": "conv 3x3 8 s2 same bn relu; conv 2x2 4 same",
    "one behind a fully-connected layer": "fc 8 bn relu; fc 3 nobias bn",
    "one behind a linear layer": "linear 8 bn relu; fc 3",
    "one in the next group": "a: { conv 3x3 8 }; b: { bn relu }; fc 3",
    "one in the next block": "block norm() { bn relu }\nconv 3x3 8; norm(); norm()",
    "one behind dropout": "conv 3x3 8 dropout 0.5 bn relu",
    "one behind a sum": "add { conv 3x3 same | id } bn relu",
    "one at the start": "bn conv 3x3 8 relu",
    "one behind another": "conv 3x3 8 bn bn relu",
    "one behind a transposed convolution": "deconv 2x2 6 s2 bn relu",
    "a convolution read twice": "a: conv 1x1 4; bn; add { a | id } relu",
    "a normalization read twice": "conv 1x1 4; a: bn; relu; add { a | id }",
    "a named dropout read later": "conv 1x1 4 relu; a: dropout 0.5; conv 1x1 4; add { a | id }",
    "a group that dropout ends": "a: { conv 1x1 4; dropout 0.5 }; relu; add { a | id }",
    "a group of dropout alone": "conv 1x1 4; a: { dropout 0.5 droppath 0.1 }; relu; add { a | id }",
    "nothing but dropout": "dropout 0.5",
    "copies of dropout": "conv 1x1 4; a: dropout 0.5 ×3; relu",
    "dropout in a row": "features: { conv 1x1 4 relu dropout 0.5; conv 1x1 4 }; fc 3",
    "dropout in a branch": "add { dropout 0.5 | droppath 0.2 conv 3x3 same bn } relu",
    "dropout between copies": "stage: { conv 3x3 4 same bn relu dropout 0.5 } ×5; fc 3",
    "relu of the input": "add { relu | id }",
    "relu of a part that is kept": "a: conv 1x1 4; relu; add { a | id }",
    "relu of a view": "flatten relu",
    "an inception": INCEPTION,
    "two inceptions": f"{INCEPTION}; {INCEPTION}; fc 3",
    "calls of inception": "inception(1, 2→3, 2→1, 2); inception(2, 2→3, 2→2, 2); fc 3",
    "an inception of an inception": "concat { conv 1x1 2 | conv 1x1 3; concat { conv 1x1 1 tanh "
    "| conv 1x1 2 tanh } | conv 1x1 4 relu }",
    "reductions without a bias": "concat { conv 1x1 2 nobias | conv 1x1 3 nobias relu }",
    "reductions, one without a bias": "concat { conv 1x1 2 nobias | conv 1x1 3 }",
    "reductions with normalization": "concat { conv 1x1 2 nobias bn relu | conv 1x1 3 bn relu }",
    "reductions in blocks": f"{CELL}block one(n) {{ conv 1x1 n nobias bn relu }}\n"
    "concat { one(2) | b: { one(3); cell(4) } | c: { one(1); cell(2) } }; one(3)",
    "reductions in the middle of blocks": "block two(n) { conv 1x1 n relu; conv 3x3 n same }\n"
    "concat { two(2) | two(3) }",
    "a stride": "concat { conv 1x1 2 s2 | conv 1x1 3 s2 }",
    "groups": "concat { conv 1x1 2 g2 | conv 1x1 4 g2 }",
    "a reduction read again": "concat { a: conv 1x1 2; relu | conv 1x1 3 }; concat { a | id }",
    "a reduction read again before another activation": "concat { a: conv 1x1 2; sigmoid "
    "| conv 1x1 3 relu }; concat { a relu | id }",
    "a sum of 1×1 convolutions": "add { conv 1x1 3 | conv 1x1 3 } relu",
    "a head": "conv 1x1 3 bn; aux(0.3) { gap; fc 3 }; conv 1x1 4; a: aux(1) { fc 3 }; fc 3",
    "parameters elsewhere": "conv 1x1 4 prelu; scale; ln; gn 2; in",
    "blocks without numbers": "block act() { relu }\n"
    "block cell(n) { conv 1x1 n bn; act(); act() }\n"
    "a: cell(4); dropout 0.1; cell(3); act(); fc 3",
    "copies that differ": "s: { add { conv 3x3 same bn | id } relu dropout 0.1 } ×3; fc 3",
    "blocks with and without dropout": "block b(p) { conv 3x3 4 same; if p > 0 { dropout p }; "
    "bn relu; conv 1x1 4 bn }\nb(0.5); b(0); a: b(0.1); c: { b(0); tanh }",
}
