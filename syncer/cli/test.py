"""`test`: the cases of `tests/*.yml` beside the project file against its rules; `--update` writes what comes out into
them. Needs no database, no CRM and no secret."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
from rich.text import Text

from syncer import log
from syncer.app import read_rules
from syncer.cli.explain import ledger
from syncer.cli.output import points, print_json, process_of, show, table
from syncer.errors import NotFound
from syncer.handoff.text import one_line
from syncer.model import Contribution, Score
from syncer.rule_tests import Seen, Verdict, judge
from syncer.rules import Segment
from syncer.scoring import given_up
from syncer.settings.cases import Casebook, Expected, load_cases
from syncer.settings.problems import Steps
from syncer.settings.rewriting import Scalar, disputed, number_text, rewrite

_NO_TESTS = """\
there are no rule tests: no file tests/*.yml stands beside {config}. A first one, tests/leads.yml, to begin with:

cases:
  - name: A director in Spain
    lead: {{country: ES, jobtitle: Directora}}
    activities:
      - {{activity: meeting, ago: 3d, outcome: completed}}

`syncer test --update` then writes the stage and the points that come out under it, for you to look at"""
_NO_MODEL = "no model in the project file is for such a lead"


@dataclass(frozen=True, slots=True)
class Update:
    """One value for a file; `before` None: nothing was expected yet."""

    steps: Steps
    where: str
    of: str
    before: Scalar | None
    after: Scalar | Mapping[str, Scalar]


Judged = list[tuple[Casebook, list[Verdict]]]


def test(ctx: click.Context, words: str, update: bool, as_json: bool) -> None:
    process = process_of(ctx)
    config, segments = process.config, read_rules(process)
    judged = _chosen(judge_all(config, segments), words, config)
    updates: list[Update] = []
    if update:
        updates = [each for book, verdicts in judged for each in _write(book, verdicts)]
        judged = _chosen(judge_all(config, segments), words, config)
    for book, _ in judged:
        for doubt in book.doubts:
            help = f"; {doubt.help}" if doubt.help else ""
            place = f"{doubt.file}:{doubt.line}:{doubt.column}"
            click.echo(log.redact(f"warning {doubt.code}: {place}: {doubt.message}{help}"), err=True)
    for written in given_up():
        told = f"looking for {one_line(written)} was given up: it takes too many steps over a value of these cases"
        click.echo(f"warning SY211: {told}", err=True)
    failed = _tell(judged, updates, as_json)
    if failed:
        ctx.exit(1)


def _tell(judged: Judged, updates: Sequence[Update], as_json: bool) -> int:
    """Print it; how many cases failed."""
    every = [verdict for _, verdicts in judged for verdict in verdicts]
    failed = sum(not verdict.passed for verdict in every)
    if as_json:
        cases, updated = [_case_json(verdict) for verdict in every], [_update_json(each) for each in updates]
        told = {"passed": len(every) - failed, "failed": failed, "cases": cases, "updated": updated}
        print_json("syncer.test/1", told)
    else:
        _print(judged, updates)
        click.echo(f"{len(every) - failed} passed, {failed or 'none'} failed.")
    return failed


def judge_all(config: Path, segments: Sequence[Segment]) -> Judged:
    """Every case of every file. `SettingsError` with everything that is wrong with the files."""
    return [(book, judge(book, segments)) for book in load_cases(config, segments)]


def failure_text(verdict: Verdict) -> str:
    """What is wrong with a case, in one line."""
    if verdict.state is None or verdict.score is None:
        return _NO_MODEL
    if not verdict.case.expected:
        came = f"stage {verdict.state.stage}, total {_text(verdict.score.total)}"
        return f"it expects nothing, so it proves nothing; `syncer test --update` writes what comes out: {came}"
    return ", ".join(
        f"{each.of[-1]} is {_text(verdict.seen[each.of])} instead of {_text(each.value)}" for each in verdict.wrong
    )


def _chosen(judged: Judged, words: str, config: Path) -> Judged:
    """The cases with all the words in their name or their file's name."""
    if not judged:
        raise NotFound(_NO_TESTS.format(config=config), code="SY121")
    wanted = words.casefold().split()
    some: Judged = []
    for book, verdicts in judged:
        texts = {verdict.case.name: f"{book.source.name} {verdict.case.name}".casefold() for verdict in verdicts}
        kept = [verdict for verdict in verdicts if all(word in texts[verdict.case.name] for word in wanted)]
        if kept:
            some.append((book, kept))
    if not some:
        raise NotFound(f"no rule test has '{words}' in its name", code="SY121")
    return some


# --update: what came out is written into the file.


def _write(book: Casebook, verdicts: Sequence[Verdict]) -> list[Update]:
    """Those values that each stand in a place of their own; of the others it is told where they are."""
    updates = list(_updates(verdicts))
    written: dict[Steps, Scalar] = {each.steps: _scalar(each.value) for case in book.cases for each in case.expected}
    new = {each.steps: each.after for each in updates if not isinstance(each.after, Mapping)}
    shared = disputed(book.source, {**written, **new})
    for each in updates:
        if each.steps in shared:
            text = "one value stands here for several cases, which differ now; write it out for each of them"
            click.echo(f"warning SY123: {each.where}: {text}", err=True)
    kept = [each for each in updates if each.steps not in shared]
    if kept:
        rewrite(book.source, {each.steps: each.after for each in kept})
    return kept


def _updates(verdicts: Sequence[Verdict]) -> Iterator[Update]:
    for verdict in verdicts:
        case, seen = verdict.case, verdict.seen
        if not case.expected and verdict.score is not None:
            after = {of: _scalar(seen[(of,)]) for of in ("stage", "total")}
            yield Update((*case.steps, "expect"), case.where, "expect", None, after)
        for each in verdict.wrong:
            if seen.get(each.of) is not None:
                yield Update(each.steps, each.where, ".".join(each.of), _scalar(each.value), _scalar(seen[each.of]))


def _scalar(seen: Seen) -> Scalar:
    return points(seen) if isinstance(seen, int) else str(seen)


# What people and programs get to see.


def _text(seen: Seen) -> str:
    if seen is None:
        return "no rule of the model for this lead"
    return number_text(points(seen)) if isinstance(seen, int) else seen


def _print(judged: Judged, updates: Sequence[Update]) -> None:
    for each in updates:
        before = "" if each.before is None else f" {_plain(each.before)} →"
        click.echo(f"{each.where}: {each.of}{before} {_plain(each.after)}")
    for book, verdicts in judged:
        show(book.source.name, style="bold")
        for verdict in verdicts:
            if verdict.passed:
                show(Text.assemble(("✓ ", "green"), one_line(verdict.case.name)), indent=2)
            else:
                _print_failure(verdict)


def _plain(value: Scalar | Mapping[str, Scalar]) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_plain(inner)}" for name, inner in value.items())
    return value if isinstance(value, str) else number_text(value)


def _print_failure(verdict: Verdict) -> None:
    case = verdict.case
    show(Text.assemble(("✗ ", "red"), f"{one_line(case.name)}  ({case.where})"), indent=2)
    if verdict.score is None or not case.expected:
        show(one_line(failure_text(verdict)), indent=4)
    else:
        rows = [[each.of[-1], f"expected {_text(each.value)}", f"got {_text(verdict.seen[each.of])}", each.where]
                for each in verdict.wrong]  # fmt: skip
        show(table([("", "left")] * 4, rows, headed=False), indent=4)
    if verdict.score is not None:
        click.echo()
        show(ledger(verdict.score), indent=4)
        for line in verdict.score.ignored:
            show(one_line(f"ignored: {line.evidence}, by '{line.name}' ({line.where})"), indent=4)
        click.echo()


def _case_json(verdict: Verdict) -> dict[str, Any]:
    case, score, state = verdict.case, verdict.score, verdict.state
    return {
        "name": case.name,
        "where": case.where,
        "passed": verdict.passed,
        "message": "" if verdict.passed else failure_text(verdict),
        "wrong": [_wrong_json(each, verdict) for each in verdict.wrong],
        "stage": state.stage if state else None,
        **(_score_json(score) if score else {}),
    }


def _wrong_json(each: Expected, verdict: Verdict) -> dict[str, Any]:
    got = verdict.seen.get(each.of)
    return {
        "of": ".".join(each.of),
        "expected": _scalar(each.value),
        "got": None if got is None else _scalar(got),
        "where": each.where,
    }


def _score_json(score: Score) -> dict[str, Any]:
    return {
        "model": score.model,
        "as_of": score.as_of.isoformat(),
        "total": points(score.total),
        "dimensions": {name: points(sum_) for name, sum_ in score.dimensions.items()},
        "contributions": [_line_json(line) for line in score.contributions],
    }


def _line_json(line: Contribution) -> dict[str, Any]:
    told = {name: getattr(line, name) for name in ("rule", "name", "dimension", "evidence", "where")}
    return {**told, "points": points(line.hundredths)}


def _update_json(each: Update) -> dict[str, Any]:
    return {"where": each.where, "of": each.of, "before": each.before, "after": each.after}
