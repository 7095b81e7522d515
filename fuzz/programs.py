"""Random structured programs, compiled and compared with torch: a long run.

    python -m fuzz.programs --count 100000 --jobs 2 --seed 0

The programs and their judge are those of tests/programs. Each seed is one file. What fails is made
small and printed, a few for each kind of failure; the exit code is 1 then. A run that was stopped
goes on with ``--seed`` at the number that it printed last. See README.md beside this file.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from programs.campaign import Trial, reduce_seed, try_seed

#: Seeds that one process takes at once.
CHUNK = 50
#: Seconds for making one program small.
PATIENCE = 60.0


def try_chunk(seeds: range) -> list[Trial]:
    return [try_seed(seed) for seed in seeds]


def describe(seed: int) -> str:
    program, failure = reduce_seed(seed, PATIENCE)
    return f"# seed {seed}: {failure.kind}\n# {failure.detail}\n{program}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--count", type=int, default=1000, help="how many files")
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    parser.add_argument("--seed", type=int, default=0, help="the first seed")
    parser.add_argument("--reduce", type=int, default=3, help="programs made small of each kind")
    options = parser.parse_args()
    start, seen, kinds = time.monotonic(), 0, Counter[str]()
    features: Counter[str] = Counter()
    with ProcessPoolExecutor(options.jobs) as pool:
        for trials in pool.map(try_chunk, _chunks(options.seed, options.count)):
            failed = [trial for trial in trials if trial.failure]
            for trial in trials:
                features.update(trial.features.keys())
            seen += len(trials)
            wanted = []
            for trial in failed:
                assert trial.failure is not None
                kind = trial.failure.kind
                print(f"seed {trial.seed} fails: {kind}: {trial.failure.detail}", flush=True)
                wanted += [trial.seed] if kinds[kind] < options.reduce else []
                kinds[kind] += 1
            # Here, and not in the pool, where it would have to wait behind all that is to be tried.
            for seed in wanted:
                print(f"\n{describe(seed)}", flush=True)
            if seen % 1000 == 0 or seen == options.count:
                seconds = time.monotonic() - start
                next_seed = options.seed + seen
                print(
                    f"{seen} files, {kinds.total()} fail, {seconds:.0f} s; next seed {next_seed}",
                    flush=True,
                )
    for kind, count in kinds.most_common():
        print(f"{count:8} {kind}")
    print("files that have")
    for feature, count in features.most_common():
        print(f"{count:8} {feature}")
    return 1 if kinds else 0


def _chunks(first: int, count: int) -> Iterator[range]:
    for start in range(first, first + count, CHUNK):
        yield range(start, min(start + CHUNK, first + count))


if __name__ == "__main__":
    sys.exit(main())
