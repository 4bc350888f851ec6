"""What every connector must do, as checks that anybody's tests can run.

A connector's author writes an `Account`: an empty account of the CRM (or of something that behaves like it), with a few
means to do what people do there. Then the whole suite is one test:

    @pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
    def test_it_conforms(check: Check) -> None:
        with my_account() as account:
            check(account)

`CHECKS` is for connectors that read and write; `READING` alone for those that only read. `ASSIGNING` comes beside them
where the CRM's records belong to somebody: its checks take a `StaffedAccount`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any, Protocol

from syncer.connector import Assigner, Destination, Source, Wanted
from syncer.errors import ConfigError, LeaseLost, NotFound, Stopped
from syncer.model import (
    Activity,
    Assignment,
    Change,
    Cursor,
    Page,
    Record,
    RecordKey,
    Rejected,
    Standing,
    Written,
)

NAME = "crm"
STAGES = ("cold", "warm", "hot")
_MANY = 230  # more than one page in most CRMs
_PROMPT_S = 5.0
_EMPTY = Standing()


class Account(Protocol):
    """One empty account, reached by other means than the connector that is tested."""

    @property
    def field(self) -> str:
        """A text field of a person, by the name a model would use."""
        ...

    @property
    def kind(self) -> str | None:
        """The kind of activity that `act` logs; None where the CRM has none."""
        ...

    @property
    def unknown_id(self) -> str:
        """An id, well formed, that no person has."""
        ...

    @property
    def bad_token(self) -> str | None:
        """A secret that the CRM refuses; it must never be seen in a message. None where the CRM asks for none."""
        ...

    def connect(self, name: str, wanted: Wanted, *, token: str | None = None) -> Source:
        """The connector on this account, new each time; with another secret when `token` is given."""
        ...

    def add(self, people: int) -> Sequence[str]:
        """That many new people, each with an e-mail address of their own; their ids."""
        ...

    def edit(self, person: str, value: str) -> None:
        """Somebody sets `field` of a person."""
        ...

    def remove(self, person: str) -> None:
        """Somebody deletes a person."""
        ...

    def slip(self, person: str, value: str) -> bool:
        """`field` of a person changes without a trace, as calculated values do; False where the CRM knows no such."""
        ...

    def erase(self, person: str) -> bool:
        """Somebody deletes a person for good; False where the CRM cannot."""
        ...

    def merge(self, person: str, other: str) -> str | None:
        """Somebody merges `other` into a person; the id of what remains, None where the CRM cannot."""
        ...

    def act(self, person: str) -> None:
        """An activity of `kind` happens with a person."""
        ...

    def choose(self, person: str, stage: str | None) -> bool:
        """Somebody chooses a stage for a person by hand, in the field that the connector is told to look at, or with
        None empties that; False where the connector knows no such field."""
        ...

    def score_shown(self, person: str) -> int | None:
        """The score that people see on a person, in hundredths; None: none."""
        ...

    def settle(self) -> None:
        """Let time pass until everything that was done can be read."""
        ...


class StaffedAccount(Account, Protocol):
    """One whose records belong to somebody."""

    @property
    def staff(self) -> tuple[str, str]:
        """The e-mail addresses of two who can own people, and own none of those that `add` makes."""
        ...

    def give(self, person: str, owner: str) -> None:
        """Somebody makes one of the staff the owner of a person."""
        ...


Check = Callable[[Account], None]
StaffedCheck = Callable[[StaffedAccount], None]


def wanted(account: Account) -> Wanted:
    """What a model over this account would ask for."""
    return Wanted(fields=(account.field,), activities=(account.kind,) if account.kind else (), stages=STAGES)


def reader(account: Account) -> Source:
    source = account.connect(NAME, wanted(account))
    _must(isinstance(source, Source), "it does not have everything that `Source` asks for")
    return source


def writer(account: Account) -> Destination:
    """The connector as a destination, with its fields in place."""
    destination = reader(account)
    if not isinstance(destination, Destination):
        raise AssertionError("it does not have everything that `Destination` asks for")
    for change in destination.setup():
        if not change.exists:
            destination.create(change)
    return destination


def assigner(account: Account) -> Assigner:
    """The connector as one that assigns, new each time: nothing may be kept in its head."""
    source = reader(account)
    if not isinstance(source, Assigner):
        raise AssertionError("it does not have everything that `Assigner` asks for")
    return source


def pages(account: Account, since: Cursor | None = None, stream: str | None = None) -> list[Page]:
    """A whole pull, by a new connector: nothing may be kept in its head."""
    source = reader(account)
    return list(source.pull(stream or source.people[0], since))


def sweep(account: Account, since: Cursor | None = None) -> list[Page]:
    """A whole sweep of the people, by a new connector."""
    source = reader(account)
    return list(source.sweep(source.people[0], since))


# ---- reading ----


def everybody_comes_when_pulled_from_the_beginning(account: Account) -> None:
    people = set(account.add(_MANY))
    account.settle()
    found = _records(pages(account))
    _same(_live(found), people, "people pulled")
    for record in found.values():
        _must(record.key.connection == NAME, f"{record.key} does not name its connection")
        _must(_aware(record), f"{record.key}: modified_at must be aware and in UTC, not {record.modified_at!r}")
        _must(bool(record.email), f"{record.key} has no e-mail")


def what_was_edited_after_the_last_cursor_comes(account: Account) -> None:
    people = account.add(3)
    account.settle()
    cursor = _last(pages(account))
    account.edit(people[1], "Aveiro")
    account.settle()
    found = _records(pages(account, cursor))
    _must(people[1] in found, "the person edited after the last cursor did not come")
    _same(found[people[1]].fields.get(account.field), "Aveiro", "the edited field")


def who_is_new_after_the_last_cursor_comes(account: Account) -> None:
    account.add(2)
    account.settle()
    cursor = _last(pages(account))
    new = set(account.add(2))
    account.settle()
    _must(new <= _live(_records(pages(account, cursor))), "people added after the last cursor did not come")


def nothing_new_still_yields_a_page_with_a_cursor(account: Account) -> None:
    account.add(1)
    account.settle()
    first = _last(pages(account))
    account.settle()
    second = pages(account, first)
    _must(bool(second), "a pull with nothing new must yield one page")
    _must(bool(pages(account, _last(second))), "its cursor must be good for the next pull")


def a_pull_goes_on_from_any_of_its_pages(account: Account) -> None:
    people = set(account.add(_MANY))
    account.settle()
    seen: set[str] = set()
    for page in pages(account):
        seen |= _live(_records([page]))
        _same(seen | _live(_records(pages(account, page.cursor))), people, "people after going on from a page's cursor")


def an_increment_goes_on_from_any_of_its_pages(account: Account) -> None:
    people = account.add(_MANY)
    account.settle()
    cursor = _last(pages(account))
    for each in people:
        account.edit(each, "Aveiro")
    account.settle()
    seen: set[str] = set()
    for page in pages(account, cursor):
        seen |= _live(_records([page]))
        rest = _live(_records(pages(account, page.cursor)))
        _same(seen | rest, set(people), "people after going on from a page's cursor")


def a_cursor_is_text_and_a_strange_one_loses_nothing(account: Account) -> None:
    people = set(account.add(2))
    account.settle()
    _must(all(isinstance(page.cursor, str) for page in pages(account)), "a cursor must be text")
    try:
        found = _live(_records(pages(account, Cursor("not a cursor of ours"))))
    except ConfigError:
        return
    _same(found, people, "people pulled with a strange cursor")


def activities_come_with_their_people(account: Account) -> None:
    if account.kind is None:
        return
    one, other = account.add(2)
    account.act(one)
    account.settle()
    first = _activities(account)
    _same([activity.kind for activity in first.values()], [account.kind], "activities pulled")
    _same({key.id for activity in first.values() for key in activity.records}, {one}, "whose activities they are")
    account.act(other)
    account.settle()
    _same(len(_activities(account)), 2, "activities after the second")


def what_is_known_may_be_left_out_and_what_changed_since_may_not(account: Account) -> None:
    people = account.add(3)
    account.settle()
    before = pages(account)
    stored = {key: record.modified_at for key, record in _records(before).items()}
    account.edit(people[1], "Aveiro")
    account.settle()
    wish = replace(wanted(account), known=lambda stream, ids: {each: stored[each] for each in ids if each in stored})
    source = account.connect(NAME, wish)
    found = _records(source.pull(source.people[0], _last(before)))
    _must(people[1] in found, "a person who changed after they were stored did not come")
    _same(found[people[1]].fields.get(account.field), "Aveiro", "the edited field")


def a_sweep_shows_everybody_once_and_goes_on_from_any_of_its_pages(account: Account) -> None:
    people = account.add(_MANY)
    account.remove(people[0])
    account.settle()
    swept = sweep(account)
    _same(sorted(_shown(swept)), sorted(people[1:]), "people swept, each once")
    seen: set[str] = set()
    for page in swept:
        seen.update(_shown([page]))
        rest = _shown(sweep(account, page.cursor))
        _same(sorted(seen.union(rest)), sorted(people[1:]), "people after going on from a page's cursor")
    _must(not set(_shown(sweep(account, swept[-1].cursor))) - set(_shown(swept[-1:])), "a sweep must come to its end")


def a_sweep_shows_what_changed_without_a_trace(account: Account) -> None:
    people = account.add(3)
    account.settle()
    if not account.slip(people[1], "Aveiro"):
        return
    found = _records(sweep(account))
    _same(found[people[1]].fields.get(account.field), "Aveiro", "the field that changed without a trace")
    _same(_fetched(account, [people[1]])[people[1]].fields.get(account.field), "Aveiro", "the same, asked for by id")


def a_sweep_shows_every_activity(account: Account) -> None:
    if account.kind is None:
        return
    people = account.add(2)
    for person in people:
        account.act(person)
    account.settle()
    source = reader(account)
    _same(source.streams[: len(source.people)], source.people, "the people, who are pulled first")
    _same(source.swept[: len(source.people)], source.people, "the people, who are swept first")
    _same([each for each in source.swept if each not in source.streams], [], "streams that are swept and never pulled")
    others = source.swept[len(source.people) :]
    shown = [each for stream in others for page in source.sweep(stream, None) for each in page.activities]
    _same(sorted(each.id for each in shown), sorted(_activities(account)), "activities swept, each once")
    _same({key.id for each in shown for key in each.records}, set(people), "whose activities they are")


def who_is_asked_for_by_id_comes_as_they_are_now(account: Account) -> None:
    people = account.add(3)
    account.settle()
    account.edit(people[0], "Aveiro")
    account.remove(people[1])
    found = _fetched(account, [*people[:2], account.unknown_id])
    _same(found[people[0]].fields.get(account.field), "Aveiro", "the field edited a moment ago")
    _same({found[each].deleted for each in (people[1], account.unknown_id)}, {True}, "deleted, of who is not there")
    _must(people[2] not in found, "somebody came who was not asked for")


def who_was_erased_is_told_from_who_was_deleted(account: Account) -> None:
    people = account.add(2)
    account.settle()
    if not account.erase(people[0]):
        return
    account.remove(people[1])
    found = _fetched(account, people)
    _same((found[people[0]].deleted, found[people[0]].erased), (True, True), "deleted and erased, of who was erased")
    _same((found[people[1]].deleted, found[people[1]].erased), (True, False), "deleted and erased, of who was deleted")
    _must(not found[people[0]].email and not found[people[0]].fields, "what is erased must not be shown")


def who_was_merged_comes_with_what_absorbed_them(account: Account) -> None:
    one, other = account.add(2)
    account.settle()
    kept = account.merge(one, other)
    if kept is None:
        return
    account.settle()
    found = _fetched(account, [other])
    _must(found[other].merged_into == RecordKey(NAME, found[other].key.object, kept), "who absorbed them is not told")
    _must(kept in _live(found), "what absorbed them did not come with them")


def an_activity_that_is_gone_is_told_as_deleted(account: Account) -> None:
    if account.kind is None:
        return
    (person,) = account.add(1)
    account.act(person)
    account.settle()
    ((name, known),) = _activities(account).items()
    source = reader(account)
    stream = name.partition("/")[0]
    asked = [known.id.partition("/")[2], account.unknown_id]
    found = {each.id: each for page in source.fetch(stream, asked) for each in page.activities}
    gone = {name: False, f"{stream}/{account.unknown_id}": True}
    _same({each.id: each.deleted for each in found.values()}, gone, "deleted, by id")


def what_people_did_lately_may_come_with_them(account: Account) -> None:
    if account.kind is None:
        return
    one, other = account.add(2)
    account.act(one)
    account.act(other)
    account.settle()
    source = reader(account)
    shown = [each for page in source.fetch(source.people[0], [one], lately=True) for each in page.activities]
    _must({key.id for each in shown for key in each.records} <= {one}, "activities of somebody else came")


def a_stage_chosen_by_hand_comes_and_comes_emptied(account: Account) -> None:
    one, other = account.add(2)
    account.settle()
    before = pages(account)
    if not account.choose(one, STAGES[1]):
        return
    account.settle()
    changed = pages(account, _last(before))
    _same(_stages_chosen(_records(changed), one), {one: STAGES[1]}, "the stage chosen by hand")
    _same(_stages_chosen(_fetched(account, [one, other]), one, other), {one: STAGES[1], other: None}, "the same, by id")
    source, keys = reader(account), [_records(changed)[one].key]
    if isinstance(source, Destination):
        _same(_stages_chosen(_by_id(source.read_back(keys)), one), {one: STAGES[1]}, "the same, read back")
    account.choose(one, None)
    account.settle()
    _same(_stages_chosen(_records(pages(account, _last(changed))), one), {one: None}, "the stage once emptied")


def the_account_has_a_lasting_name(account: Account) -> None:
    name = reader(account).account()
    _must(":" in name, f"the account's name must say which CRM and which account, not {name!r}")
    _same(reader(account).account(), name, "the account's name, asked twice")


def check_finds_nothing_wrong_with_a_good_account(account: Account) -> None:
    account.add(1)
    account.settle()
    found = list(reader(account).check())
    _must(bool(found), "check must tell what it looked at")
    _same([finding.message for finding in found if finding.level == "error"], [], "errors found")


def a_bad_token_is_told_without_showing_it(account: Account) -> None:
    if account.bad_token is None:
        return
    source = account.connect(NAME, wanted(account), token=account.bad_token)
    told = list(source.check())
    _must(any(finding.level == "error" for finding in told), "check must tell that the token is refused")
    told_text = " ".join(f"{finding.message} {finding.help}" for finding in told)
    error = _raised(ConfigError, lambda: list(source.pull(source.people[0], None)))
    _must(account.bad_token not in told_text + repr(error) + str(error), "the token was shown")


def a_stop_ends_a_pull_soon(account: Account) -> None:
    account.add(1)
    account.settle()
    wish = wanted(account)
    source = account.connect(NAME, wish)
    wish.stop.set()
    began = time.monotonic()
    _raised(Stopped, lambda: list(source.pull(source.people[0], None)))
    _must(time.monotonic() - began < _PROMPT_S, "a stop must end a pull at once")


# ---- writing ----


def what_is_written_is_shown_and_read_back(account: Account) -> None:
    destination, keys = _prepared(account, 2)
    answers = list(destination.write([_change(keys[0], 1234, "hot")]))
    written = _one_written(answers)
    _same((written.standing.score, written.standing.stage), (1234, "hot"), "what the answer shows")
    _same(written.refused, None, "refused")
    _same(account.score_shown(keys[0].id), 1234, "the score people see")
    account.settle()
    back = _by_id(destination.read_back(keys))
    _same([back[key.id].stage for key in keys], ["hot", None], "stages read back")


def writing_twice_is_writing_once(account: Account) -> None:
    destination, keys = _prepared(account, 1)
    change = _change(keys[0], 1234, "hot")
    first, second = (_one_written(list(destination.write([change]))) for _ in range(2))
    _same(second.standing, first.standing, "what the second answer shows")
    _same(account.score_shown(keys[0].id), 1234, "the score people see")


def nothing_is_written_once_another_process_may_be_at_work(account: Account) -> None:
    destination, keys = _prepared(account, 1)
    _one_written(list(destination.write([_change(keys[0], 500, "warm")])))
    fenced = account.connect(NAME, replace(wanted(account), fence=_another_took_over))
    assert isinstance(fenced, Destination)
    _raised(LeaseLost, lambda: list(fenced.write([_change(keys[0], 1234, "hot")])))
    _same(account.score_shown(keys[0].id), 500, "the score people see")


def every_change_gets_one_answer(account: Account) -> None:
    destination, keys = _prepared(account, _MANY)
    answers = list(destination.write([_change(key, 100 * at, "warm") for at, key in enumerate(keys)]))
    _same(sorted(_answered(answers)), sorted(key.id for key in keys), "records answered, each once")
    shown = [account.score_shown(key.id) for key in (keys[1], keys[-1])]
    _same(shown, [100, 100 * (len(keys) - 1)], "scores people see")


def an_unknown_record_fails_alone(account: Account) -> None:
    destination, keys = _prepared(account, 2)
    strange = keys[0]._replace(id=account.unknown_id)
    answers = list(destination.write([_change(key, 700, "warm") for key in (keys[0], strange, keys[1])]))
    rejected = [answer for answer in answers if isinstance(answer, Rejected)]
    _same([answer.id for answer in rejected], [account.unknown_id], "records rejected")
    _must(bool(rejected[0].reason) and not rejected[0].retry, "a record that does not exist is not to be tried again")
    _same([account.score_shown(key.id) for key in keys], [700, 700], "scores of the others")


def only_what_is_asked_for_is_written(account: Account) -> None:
    destination, keys = _prepared(account, 1)
    list(destination.write([_change(keys[0], 1234, "hot")]))
    before = Standing(score=1234, stage="hot")
    change = Change(keys[0], before, Standing(score=99), "fading")
    written = _one_written(list(destination.write([change])))
    _same((written.standing.score, written.standing.stage), (99, "hot"), "what the answer shows")
    _same(_by_id(destination.read_back(keys))[keys[0].id].stage, "hot", "the stage read back")


def a_removed_person_is_read_back_as_deleted(account: Account) -> None:
    destination, keys = _prepared(account, 2)
    account.remove(keys[0].id)
    back = _by_id(destination.read_back(keys))
    _same(
        {identity: record.deleted for identity, record in back.items()}, {keys[0].id: True, keys[1].id: False}, "gone"
    )


def setting_up_twice_creates_nothing_new(account: Account) -> None:
    destination = writer(account)
    again = list(destination.setup())
    _same([change.name for change in again if not change.exists], [], "what a second set-up would create")
    _same([change.problem for change in again if change.problem], [], "problems of what was created")
    for change in again:
        destination.create(change)  # as when somebody else created it in the meantime


# ---- assigning ----


def who_was_given_to_somebody_belongs_to_them(account: StaffedAccount) -> None:
    one, other = account.staff
    records = _unassigned(account, 2)
    _same(assigner(account).assign(_assignment(records[0], one)), "assigned", "the answer")
    now = _owners(account, *records)
    _same(now[records[0].key.id], one.casefold(), "the owner")
    _same(now[records[1].key.id], _lower(records[1].owner), "the owner of who was not given to anybody")
    again = replace(records[0], owner=one.upper())
    _same(assigner(account).assign(_assignment(again, other)), "assigned", "the answer, from one to the other")
    _same(_owners(account, again), {again.key.id: other.casefold()}, "the owner after the second")


def assigning_twice_is_assigning_once(account: StaffedAccount) -> None:
    (record,) = _unassigned(account, 1)
    wish = _assignment(record, account.staff[0])
    _same([assigner(account).assign(wish) for _ in range(2)], ["assigned", "assigned"], "the answers")
    _same(_owners(account, record), {record.key.id: account.staff[0].casefold()}, "the owner")


def whom_somebody_gave_to_somebody_else_meanwhile_stays_so(account: StaffedAccount) -> None:
    one, other = account.staff
    (record,) = _unassigned(account, 1)
    account.give(record.key.id, other)
    _same(assigner(account).assign(_assignment(record, one)), "kept", "the answer")
    _same(_owners(account, record), {record.key.id: other.casefold()}, "the owner")


def nobody_is_given_to_who_is_not_there(account: StaffedAccount) -> None:
    (record,) = _unassigned(account, 1)
    error = _raised(ConfigError, lambda: assigner(account).assign(_assignment(record, "nobody@nowhere.example")))
    _must("nobody@nowhere.example" in str(error), "the message must name who cannot be the owner")
    _same(_owners(account, record), {record.key.id: _lower(record.owner)}, "the owner")


def who_is_gone_is_given_to_nobody(account: StaffedAccount) -> None:
    (record,) = _unassigned(account, 1)
    account.remove(record.key.id)
    _raised(NotFound, lambda: assigner(account).assign(_assignment(record, account.staff[0])))


def what_absorbed_them_is_given_in_place_of_who_was_merged(account: StaffedAccount) -> None:
    one, other = _unassigned(account, 2)
    kept = account.merge(one.key.id, other.key.id)
    if kept is None:
        return
    account.settle()
    remains = _fetched(account, [kept])[kept]
    wish = _assignment(replace(remains, key=other.key), account.staff[0])
    _same(assigner(account).assign(wish), "assigned", "the answer")
    _same(_owners(account, remains), {kept: account.staff[0].casefold()}, "the owner of what remains")


READING: tuple[Check, ...] = (
    everybody_comes_when_pulled_from_the_beginning,
    what_was_edited_after_the_last_cursor_comes,
    who_is_new_after_the_last_cursor_comes,
    nothing_new_still_yields_a_page_with_a_cursor,
    a_pull_goes_on_from_any_of_its_pages,
    an_increment_goes_on_from_any_of_its_pages,
    a_cursor_is_text_and_a_strange_one_loses_nothing,
    activities_come_with_their_people,
    what_is_known_may_be_left_out_and_what_changed_since_may_not,
    a_sweep_shows_everybody_once_and_goes_on_from_any_of_its_pages,
    a_sweep_shows_what_changed_without_a_trace,
    a_sweep_shows_every_activity,
    who_is_asked_for_by_id_comes_as_they_are_now,
    who_was_erased_is_told_from_who_was_deleted,
    who_was_merged_comes_with_what_absorbed_them,
    an_activity_that_is_gone_is_told_as_deleted,
    what_people_did_lately_may_come_with_them,
    a_stage_chosen_by_hand_comes_and_comes_emptied,
    the_account_has_a_lasting_name,
    check_finds_nothing_wrong_with_a_good_account,
    a_bad_token_is_told_without_showing_it,
    a_stop_ends_a_pull_soon,
)
WRITING: tuple[Check, ...] = (
    what_is_written_is_shown_and_read_back,
    writing_twice_is_writing_once,
    nothing_is_written_once_another_process_may_be_at_work,
    every_change_gets_one_answer,
    an_unknown_record_fails_alone,
    only_what_is_asked_for_is_written,
    a_removed_person_is_read_back_as_deleted,
    setting_up_twice_creates_nothing_new,
)
CHECKS = READING + WRITING
ASSIGNING: tuple[StaffedCheck, ...] = (
    who_was_given_to_somebody_belongs_to_them,
    assigning_twice_is_assigning_once,
    whom_somebody_gave_to_somebody_else_meanwhile_stays_so,
    nobody_is_given_to_who_is_not_there,
    who_is_gone_is_given_to_nobody,
    what_absorbed_them_is_given_in_place_of_who_was_merged,
)


# ---- words of the checks ----


def _must(holds: bool, otherwise: str) -> None:
    if not holds:
        raise AssertionError(otherwise)


def _same(found: Any, expected: Any, what: str) -> None:
    if found != expected:
        raise AssertionError(f"{what}: found {_short(found)}, expected {_short(expected)}")


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 300 else f"{text[:300]}... ({len(value)})"


def _raised(kind: type[Exception], act: Callable[[], object]) -> Exception:
    try:
        act()
    except kind as error:
        return error
    raise AssertionError(f"{kind.__name__} was not raised")


def _last(pulled: Sequence[Page]) -> Cursor:
    _must(bool(pulled), "a pull must yield at least one page")
    cursor = pulled[-1].cursor
    if cursor is None:
        raise AssertionError("a page of a pull must have a cursor")
    return cursor


def _shown(swept: Iterable[Page]) -> list[str]:
    return [record.key.id for page in swept for record in page.records if not record.deleted and not record.merged_into]


def _fetched(account: Account, ids: Sequence[str]) -> dict[str, Record]:
    source = reader(account)
    found = list(source.fetch(source.people[0], ids))
    _must(all(page.cursor is None for page in found), "what is asked for by id is no place in a stream: cursor None")
    return _records(found)


def _records(pulled: Iterable[Page]) -> dict[str, Record]:
    return {record.key.id: record for page in pulled for record in page.records}


def _stages_chosen(records: dict[str, Record], *people: str) -> dict[str, str | None]:
    _must(set(people) <= set(records), "somebody whose stage was chosen by hand, or taken back, did not come")
    manual = {each: records[each].manual for each in people}
    return {each: chosen.stage if chosen else None for each, chosen in manual.items()}


def _live(records: dict[str, Record]) -> set[str]:
    return {identity for identity, each in records.items() if not each.deleted and each.merged_into is None}


def _aware(record: Record) -> bool:
    return record.modified_at.utcoffset() == timedelta(0)


def _activities(account: Account) -> dict[str, Activity]:
    source = reader(account)
    others = source.streams[len(source.people) :] or source.streams
    return {each.id: each for stream in others for page in source.pull(stream, None) for each in page.activities}


def _prepared(account: Account, people: int) -> tuple[Destination, list[RecordKey]]:
    destination = writer(account)
    account.add(people)
    account.settle()
    return destination, [record.key for page in pages(account) for record in page.records]


def _another_took_over() -> None:
    raise LeaseLost("another process has this connection now", code="SY064")


def _unassigned(account: StaffedAccount, people: int) -> list[Record]:
    """So many people who belong to nobody of the staff yet."""
    ids = account.add(people)
    account.settle()
    found = _fetched(account, ids)
    _must(
        not {_lower(each.owner) for each in found.values()} & {each.casefold() for each in account.staff},
        "the staff must own nobody yet",
    )
    return [found[each] for each in ids]


def _assignment(record: Record, to: str) -> Assignment:
    return Assignment(record.key, to, before=record.owner)


def _owners(account: Account, *records: Record) -> dict[str, str | None]:
    found = _fetched(account, [each.key.id for each in records])
    return {each.key.id: _lower(found[each.key.id].owner) for each in records}


def _lower(text: str | None) -> str | None:
    return text.casefold() if text is not None else None


def _change(key: RecordKey, hundredths: int, stage: str) -> Change:
    return Change(key, _EMPTY, Standing(score=hundredths, stage=stage, reasons="because"), "activity")


def _one_written(answers: Sequence[Written | Rejected]) -> Written:
    if len(answers) != 1 or not isinstance(answers[0], Written):
        raise AssertionError(f"one change was to be written, found {answers!r}")
    return answers[0]


def _answered(answers: Iterable[Written | Rejected]) -> Iterator[str]:
    return (each.id if isinstance(each, Rejected) else each.record.id for each in answers)


def _by_id(records: Iterable[Record]) -> dict[str, Record]:
    return {record.key.id: record for record in records}
