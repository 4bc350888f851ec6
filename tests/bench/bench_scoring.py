"""How much faster the kernel scores than the naive reference of the tests, as a ratio in one run; one lead; memory.

python -m tests.bench.bench_scoring [LEADS]
"""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Callable

from syncer import scoring
from tests.bench.mirrors import MODEL, NOW, person
from tests.scoring import reference

REFERENCE_LEADS = 300
REPEATS = 5


def median_s(work: Callable[[], object]) -> float:
    """Processor seconds of the median of a few runs."""
    taken = []
    for _ in range(REPEATS):
        before = time.process_time()
        work()
        taken.append(time.process_time() - before)
    return sorted(taken)[REPEATS // 2]


def main(leads: int) -> None:
    people = [person(number) for number in range(leads)]
    matched = scoring.match(people, MODEL)
    per_lead: dict[str, float] = {
        "match": median_s(lambda: scoring.match(people, MODEL)) / leads,
        "evaluate": median_s(lambda: scoring.evaluate(matched, MODEL, NOW)) / leads,
        "naive reference": median_s(lambda: [reference.told(each, MODEL, NOW) for each in people[:REFERENCE_LEADS]])
        / REFERENCE_LEADS,
    }
    per_lead["match + evaluate"] = per_lead["match"] + per_lead["evaluate"]
    print(f"{leads} leads x 10 activities x {len(MODEL.rules)} rules, median of {REPEATS}, processor time")
    for name, seconds in per_lead.items():
        ratio = per_lead["naive reference"] / seconds
        print(f"  {name:<16} {seconds * 1e6:9.1f} µs a lead   naive / this = {ratio:6.1f}")
    alone_s = median_s(lambda: scoring.score(people[0], MODEL, NOW))
    print(f"  one lead scored and explained: {alone_s * 1e3:.1f} ms warm")
    print(f"  peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 50_000)
