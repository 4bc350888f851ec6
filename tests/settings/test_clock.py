"""`handoff`: when sales works, and how soon it shall act."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

import pytest

from syncer.settings import Clock, HandoffSettings, show
from syncer.settings.shapes import TOUCHES
from syncer.worktime import ALWAYS, Calendar
from tests.settings.samples import PROJECT, loaded, only, problems

HOUR = timedelta(hours=1)
MAIL = """\
timezone: Europe/Madrid
handoff:
  notifiers:
    mail: {type: email, host: localhost, from: syncer@acme.es}
  notify: [mail]
  route: [{to: [owner]}]
"""


def clock_of(folder: Path, text: str) -> Clock:
    handoff = loaded(folder, PROJECT + MAIL + text).handoff
    assert isinstance(handoff, HandoffSettings)
    return handoff.clock


def test_left_out_sales_works_always_and_nobody_is_reminded(tmp_path: Path) -> None:
    assert clock_of(tmp_path, "") == Clock(ALWAYS, None, None, None, (), TOUCHES)


def test_hours_have_the_projects_zone_and_the_days_of_an_office(tmp_path: Path) -> None:
    clock = clock_of(tmp_path, "  hours: {}\n  respond_within: 1h\n  escalate_to: boss@acme.es\n")
    nine_to_six = ((540, 1080),)
    assert clock.calendar == Calendar("Europe/Madrid", (*(nine_to_six,) * 5, (), ()))
    assert (clock.respond_within, clock.remind_after, clock.escalate_after) == (HOUR, HOUR, 2 * HOUR)
    assert clock.escalate_to == ("boss@acme.es",)


def test_a_day_may_have_several_spans_and_days_their_own(tmp_path: Path) -> None:
    text = """\
  hours:
    timezone: America/Mexico_City
    to: "14:00"
    also:
      - {days: [mon, thu], from: "16:00", to: "19:30"}
      - {days: [sat], from: "22:00", to: "24:00"}
    holidays: [2026-12-25, 2027-01-01]
"""
    calendar = clock_of(tmp_path, text).calendar
    assert calendar.timezone == "America/Mexico_City"
    assert calendar.week[0] == calendar.week[3] == ((540, 840), (960, 1170))
    assert calendar.week[1] == ((540, 840),)
    assert calendar.week[5:] == (((1320, 1440),), ())
    assert calendar.holidays == {date(2026, 12, 25), date(2027, 1, 1)}


def test_only_with_a_time_to_act_in_the_kinds_of_touches_are_read_as_well(tmp_path: Path) -> None:
    assert loaded(tmp_path, PROJECT + MAIL).wanted_activities == ()
    timed = loaded(tmp_path, PROJECT + MAIL + "  respond_within: 1h\n  touched_by: [visit]\n")
    assert timed.wanted_activities == ("visit",)
    assert timed.needed_activities == ()


@pytest.mark.parametrize(
    ("text", "where", "says"),
    [
        ('  hours: {from: "18:00", to: "09:00"}\n', (10, 30), "'to' is not later than 'from'"),
        ('  hours: {from: "9 o\'clock"}\n', (10, 17), "is not a time of day"),
        ('  hours: {to: "24:30"}\n', (10, 15), "later than 24:00"),
        ("  hours: {days: []}\n", (10, 17), "the list is empty"),
        ("  hours: {days: [lunes]}\n", (10, 18), "is not one of mon, tue"),
        ("  hours: {holidays: [2026-02-30]}\n", (10, 22), "there is no day '2026-02-30'"),
        ("  hours: {holidays: [25]}\n", (10, 22), "25 is not a date"),
        ("  hours: {timezone: Europe/Madrit}\n", (10, 21), "there is no time zone"),
        ("  hours: {also: [{days: []}]}\n", (10, 25), "the list is empty"),
        ("  remind_after: 1h\n", (10, 3), "'remind_after' needs a time within which sales shall act"),
        ("  respond_within: 31d\n", (10, 19), "longer than 30d of working time"),
        ("  respond_within: 1h\n  escalate_after: 2h\n", (11, 3), "does not say to whom"),
        ("  respond_within: 1h\n  escalate_to: [x@a.es]\n  escalate_after: 1h\n", (12, 19), "must be longer"),
        ("  respond_within: 1h\n  escalate_to: [boss]\n", (11, 17), "is not an e-mail address"),
        ("  respond_within: 1h\n  touched_by: []\n", (11, 15), "the list is empty"),
    ],
)
def test_what_is_wrong_with_a_clock_is_said_at_its_place(
    tmp_path: Path, text: str, where: tuple[int, int], says: str
) -> None:
    found = only(problems(tmp_path, PROJECT + MAIL + text))
    assert says in found.message
    assert (found.line, found.column) == where


def test_a_clock_is_shown_with_what_comes_of_it(tmp_path: Path) -> None:
    clock = "  hours: {holidays: [2026-12-25]}\n  respond_within: 1h\n  escalate_to: boss@acme.es\n"
    shown = show(loaded(tmp_path, PROJECT + MAIL + clock))
    assert shown["handoff.hours.mon"] == (["09:00-18:00"], "default")
    assert shown["handoff.respond_within"] == ("1h", "syncer.yml:11")
    assert shown["handoff.escalate_after"] == ("2h", "default")
    assert show(loaded(tmp_path, PROJECT + MAIL))["handoff.hours"] == ("always", "default")


def test_what_is_escalated_needs_a_notifier_that_sends_e_mail(tmp_path: Path) -> None:
    text = MAIL.replace("notify: [mail]", "notify: []") + "  respond_within: 1h\n  escalate_to: boss@acme.es\n"
    found = only(problems(tmp_path, PROJECT + text))
    assert "names no notifier that sends it" in found.message
    assert (found.line, found.path) == (11, "handoff.escalate_to")


HOOK = """\
timezone: Europe/Madrid
handoff:
  notifiers:
    hook: {type: webhook, private_addresses: true, url: "http://localhost/", secret: hush}
  notify: [hook]
"""


@pytest.mark.parametrize("notify", ["[hook]", "[]"])
def test_a_time_to_act_in_needs_a_notifier_that_reminders_can_go_to(tmp_path: Path, notify: str) -> None:
    text = HOOK.replace("[hook]", notify) + "  respond_within: 1h\n"
    found = only(problems(tmp_path, PROJECT + text))
    assert "names no notifier that sends them" in found.message
    assert (found.code, found.line, found.column, found.path) == ("SY010", 9, 3, "handoff.respond_within")
