"""Rule tests: made-up leads are scored and placed as real ones are, and compared with what must come out. No clock, no
database, no CRM."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from syncer import planning, scoring
from syncer.model import Score, StageState
from syncer.rules import Model, Segment
from syncer.scoring.ledger import cap_id
from syncer.settings.cases import NO_VETO, Case, Casebook, Expected
from syncer.stages import Hands, Marks, Occasion, next_state

Seen = str | int | None  # a stage or veto rule; hundredths; None: there is no such rule


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the rules made of one case. `score` and `state` None: no model is for such a lead."""

    case: Case
    score: Score | None = None
    state: StageState | None = None
    seen: Mapping[tuple[str, ...], Seen] = field(default_factory=dict)  # by `Expected.of`

    @property
    def wrong(self) -> tuple[Expected, ...]:
        """What came out otherwise than it must."""
        return tuple(each for each in self.case.expected if self.seen.get(each.of) != each.value)

    @property
    def passed(self) -> bool:
        """A case that expects nothing proves nothing."""
        return bool(self.case.expected) and self.score is not None and not self.wrong


def judge(book: Casebook, segments: Sequence[Segment]) -> list[Verdict]:
    """Every case of one file, by the first model whose segment its lead fits."""
    leads = [case.signals for case in book.cases]
    chosen = scoring.first_passed([segment.when for segment in segments], leads, book.as_of)
    return [
        Verdict(case) if number is None else _judged(case, segments[number].model, book)
        for case, number in zip(book.cases, chosen, strict=True)
    ]


def _judged(case: Case, model: Model, book: Casebook) -> Verdict:
    evaluation = scoring.evaluate(scoring.match([case.signals], model), model, book.as_of)
    score = scoring.score_of(case.signals, model, book.as_of, evaluation, 0)
    marks = planning.marks_of(model, evaluation, 0)
    state = next_state(case.before, marks, model, Hands(), Occasion(book.as_of, "activity"))
    seen: dict[tuple[str, ...], Seen] = {("stage",): state.stage, ("total",): score.total}
    for each in case.expected:
        if each.of[0] == "rules":
            seen[each.of] = _points_of(each.of[1], score, model)
        elif each.of[0] == "veto":
            seen[each.of] = _veto(each.value, marks)
        elif each.of not in seen:
            seen[each.of] = score.dimensions.get(each.of[0], 0)
    return Verdict(case, score, state, seen)


def _points_of(name: str, score: Score, model: Model) -> int | None:
    """What the rule of that id or name gave, its cap included; None where the model has no such rule."""
    ids = [rule.id for _, rule in model.rules if name == rule.id]
    ids = ids or [rule.id for _, rule in model.rules if name == rule.name]
    if not ids:
        return None
    lines = (ids[0], cap_id(ids[0]))
    return sum(line.hundredths for line in score.contributions if line.rule in lines)


def _veto(wanted: Any, marks: Marks) -> str:
    """The wanted veto rule if it holds, else the first that does."""
    if any(wanted in (veto.id, veto.name) for veto in marks.vetoes):
        return str(wanted)
    return marks.vetoes[0].id if marks.vetoes else NO_VETO
