"""Who of a team gets the next hand-off: fair shares, room, absence, hours, and never nobody."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from syncer.handoff.choosing import Turns, choose, day_begins, is_away
from syncer.settings import Person, Team
from syncer.settings.shapes import Pick
from syncer.worktime import Calendar

AT = datetime(2026, 12, 3, 10, tzinfo=UTC)  # a Thursday
TODAY, DAY = AT.date(), timedelta(days=1)
OFFICE = Calendar("UTC", (*(((540, 1080),),) * 5, (), ()))


def person(name: str, **changes: object) -> Person:
    return replace(Person(name, f"{name}@acme.es"), **changes)  # type: ignore[arg-type]


def team(*members: Person, pick: Pick = "round_robin") -> Team:
    return Team("latam", members, pick)


def chosen(of: Team, times: int, loads: Counter[str] | None = None, at: datetime = AT) -> list[str]:
    """The names of those who get so many hand-offs, one after the other, on one day."""
    turns: Turns = {}
    counted, names = Counter[str]() if loads is None else loads, []
    for _ in range(times):
        found = choose(of, counted, turns, at, insist=True)
        assert found is not None
        who, turns = found
        counted[who.email] += 1
        names.append(who.name)
    return names


def test_it_goes_round_in_the_order_of_the_file() -> None:
    assert chosen(team(person("zoe"), person("ana"), person("luis")), 7) == [
        "zoe", "ana", "luis", "zoe", "ana", "luis", "zoe"
    ]  # fmt: skip


def test_a_heavier_member_gets_more_and_not_all_at_once() -> None:
    both = team(person("ana", weight=3), person("luis"), pick="weighted")
    assert chosen(both, 8) == ["ana", "ana", "luis", "ana", "ana", "ana", "luis", "ana"]
    assert Counter(chosen(replace(both, pick="round_robin"), 8)) == {"ana": 4, "luis": 4}, "weights do not count there"


_WEIGHTS = st.lists(st.integers(1, 100), min_size=1, max_size=8)


@given(_WEIGHTS, st.integers(1, 400))
def test_at_no_moment_is_anybody_a_whole_hand_off_away_from_their_share(weights: list[int], times: int) -> None:
    members = [person(f"p{rank}", weight=weight) for rank, weight in enumerate(weights)]
    counted: Counter[str] = Counter()
    for number, name in enumerate(chosen(team(*members, pick="weighted"), times), start=1):
        counted[name] += 1
        for each in members:
            share = Fraction(number * each.weight, sum(weights))
            assert abs(counted[each.name] - share) < 1


@given(st.integers(1, 12), st.integers(1, 200))
def test_in_a_round_nobody_gets_two_more_than_another(size: int, times: int) -> None:
    got = Counter(chosen(team(*(person(f"p{rank}") for rank in range(size))), times))
    counts = [got[f"p{rank}"] for rank in range(size)]
    assert max(counts) - min(counts) <= 1


_AWAY = st.sampled_from([(), ((TODAY, TODAY),), ((TODAY - DAY, TODAY + DAY),), ((TODAY + DAY, TODAY + DAY),)])
_PEOPLE = st.lists(
    st.tuples(st.none() | st.integers(1, 4), st.integers(1, 5), _AWAY, st.booleans()), min_size=1, max_size=6
)


def _team_of(drawn: Sequence[tuple[int | None, int, tuple[tuple[date, date], ...], bool]]) -> Team:
    night = Calendar("UTC", (((0, 60),),) * 7)
    members = (
        person(f"p{rank}", per_day=most, weight=weight, away=away, calendar=OFFICE if works else night)
        for rank, (most, weight, away, works) in enumerate(drawn)
    )
    return team(*members, pick="weighted")


@given(_PEOPLE, st.integers(1, 40))
def test_nobody_gets_too_many_or_any_while_away_as_long_as_somebody_has_room(drawn: list[object], times: int) -> None:
    whole = _team_of(drawn)  # type: ignore[arg-type]
    by_name = {each.name: each for each in whole.members}
    loads: Counter[str] = Counter()
    for who in chosen(whole, times):
        there = [each for each in whole.members if not is_away(each, AT)]
        room = [each for each in there if each.per_day is None or loads[each.name] < each.per_day]
        if room:
            assert by_name[who] in room
        elif there:
            beyond = {each.name: loads[each.name] - (each.per_day or 0) for each in there}
            assert beyond[who] == min(beyond.values()), "those come first who have the least too many"
        loads[who] += 1


@given(_PEOPLE, st.integers(1, 40))
def test_the_same_hand_offs_go_to_the_same_people_in_every_replay(drawn: list[object], times: int) -> None:
    whole = _team_of(drawn)  # type: ignore[arg-type]
    assert chosen(whole, times) == chosen(whole, times)


def test_without_room_nobody_is_chosen_unless_somebody_must_be() -> None:
    full = team(person("ana", per_day=1), person("luis", away=((TODAY, TODAY),)))
    loads = {"ana@acme.es": 1}
    assert choose(full, loads, {}, AT) is None
    insisted = choose(full, loads, {}, AT, insist=True)
    assert insisted is not None
    assert insisted[0].name == "ana", "who is there has too many, but who is away would not see it"
    all_away = team(*(replace(each, away=((TODAY, TODAY),)) for each in full.members))
    assert chosen(all_away, 2, Counter(loads)) == ["luis", "luis"]


def test_those_who_work_now_come_first_and_the_others_when_nobody_does() -> None:
    late = replace(OFFICE, week=(((1080, 1320),),) * 7)
    shifts = team(person("ana", calendar=OFFICE), person("luis", calendar=late))
    assert set(chosen(shifts, 4)) == {"ana"}
    assert set(chosen(shifts, 4, at=AT.replace(hour=19))) == {"luis"}
    assert set(chosen(shifts, 4, at=AT.replace(hour=3))) == {"ana", "luis"}


def test_who_comes_back_finds_no_heap_and_has_lost_nothing() -> None:
    ana, luis = person("ana"), person("luis")
    away = team(replace(ana, away=((TODAY, TODAY),)), luis)
    turns: Turns = {}
    for _ in range(20):
        found = choose(away, {}, turns, AT)
        assert found is not None
        turns = found[1]
    after: list[str] = []
    for _ in range(6):
        found = choose(away, {}, turns, AT + DAY)
        assert found is not None
        turns = found[1]
        after.append(found[0].name)
    assert after == ["ana", "luis", "ana", "luis", "ana", "luis"]


def test_a_team_that_has_changed_begins_anew() -> None:
    found = choose(team(person("ana"), person("luis")), {}, {"ana": (1, -1), "marta": (1, 1)}, AT)
    assert found is not None
    assert (found[0].name, found[1]) == ("ana", {"ana": (1, -1), "luis": (1, 1)})


def test_days_begin_and_end_where_the_person_is() -> None:
    bogota = person("ana", calendar=Calendar("America/Bogota"), away=((date(2026, 12, 2), date(2026, 12, 2)),))
    moment = datetime(2026, 12, 3, 4, 59, tzinfo=UTC)
    assert is_away(bogota, moment)
    assert not is_away(bogota, moment + timedelta(minutes=1))
    assert day_begins([bogota], moment) == {"ana@acme.es": datetime(2026, 12, 2, 5, tzinfo=UTC)}
