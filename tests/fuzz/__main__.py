"""Fuzzes what the outside world can hand us, and tells what came of it:

    python -m tests.fuzz --minutes 10 [--seed N] [--only config webhook crm csv]

The time is shared among the targets. Exit code 1 where anything but one of our own errors came out, a secret was told,
or descriptors or memory grew. A case that hangs ends the process after a minute with the stacks of all threads; it
stands in the folder that is named at the beginning.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
from pathlib import Path

from syncer import log
from tests.fuzz.config_files import CONFIG
from tests.fuzz.crm_answers import HUBSPOT, SALESFORCE
from tests.fuzz.door import WEBHOOK
from tests.fuzz.judging import Tally, Target, fuzz, leaks
from tests.fuzz.tables import CSV

TARGETS: dict[str, tuple[Target, ...]] = {
    "config": (CONFIG,),
    "webhook": (WEBHOOK,),
    "crm": (HUBSPOT, SALESFORCE),
    "csv": (CSV,),
}
_HEADING = ("target", "examples", "seconds", "slowest", "files", "memory MB", "findings", "how they ended")
_LINE = "{:<11}{:>9}{:>9}{:>9}{:>10}{:>12}{:>10}  {}"


def main() -> int:
    asked = _asked()
    targets = [target for name in asked.only for target in TARGETS[name]]
    home = Path(tempfile.mkdtemp(prefix="fuzz-"))
    print(f"seed {asked.seed}; the case under way stands in {home}/*/case.txt", flush=True)
    tallies: list[Tally] = []
    for target in targets:
        folder = home / target.name
        folder.mkdir()
        minutes = asked.minutes / len(targets)
        tallies.append(fuzz(target, folder, minutes=minutes, number=asked.seed))
        print(f"{target.name}: {tallies[-1].examples} examples", flush=True)
    _show(tallies)
    shutil.rmtree(home)
    return 1 if any(each.findings or leaks(each) for each in tallies) else 0


def _show(tallies: list[Tally]) -> None:
    for tally in tallies:
        for finding in tally.findings.values():
            print(f"\n{tally.target}: {log.redact(str(finding))}")
    print()
    print(_LINE.format(*_HEADING))
    for tally in tallies:
        ends = ", ".join(f"{end} {count}" for end, count in tally.ends.most_common())
        files, memory = ("{} → {}".format(*pair) for pair in (tally.files, tally.memory_mb))
        slowest, found = f"{tally.slowest_s:.1f} s", len(tally.findings)
        print(_LINE.format(tally.target, tally.examples, f"{tally.seconds:.0f}", slowest, files, memory, found, ends))
    for tally in tallies:
        for leak in leaks(tally):
            print(f"{tally.target}: {leak}")


def _asked() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description="Fuzzes what comes from outside.")
    parser.add_argument("--minutes", type=float, default=10.0, help="for all targets together")
    parser.add_argument("--seed", type=int, default=0, help="of the first round; the same one tries the same cases")
    parser.add_argument("--only", nargs="+", choices=[*TARGETS], default=[*TARGETS], help="these targets alone")
    return parser.parse_args()


if __name__ == "__main__":
    if "MALLOC_ARENA_MAX" not in os.environ:
        # As our image and unit have it: with an arena for each thread glibc keeps ever more, for a time, of what is
        # free, and a leak could not be told from that.
        os.execve(sys.executable, sys.orig_argv, {**os.environ, "MALLOC_ARENA_MAX": "2"})
    sys.exit(main())
