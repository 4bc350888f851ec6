"""Templates of a project's own, and what becomes of a message when they are broken."""

from __future__ import annotations

from pathlib import Path

import pytest
from structlog.testing import capture_logs

from syncer.handoff import wording
from syncer.handoff.messages import Audience, letter, sample_facts, slack_post
from syncer.handoff.wording import Broken, broken, strangers
from tests.handoff.samples import handoff

OURS = Path(wording.__file__).parent / "templates"


def _audience(folder: Path) -> Audience:
    return Audience("es", "Europe/Madrid", folder)


def _put(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def test_a_file_of_the_same_name_stands_in_for_ours_and_the_others_stay(tmp_path: Path) -> None:
    _put(tmp_path, "subject.txt.j2", "{{ stage }} {{ name }}!")
    written = letter(handoff(), _audience(tmp_path))
    assert written.subject == "SQL Ana Ruiz!"
    assert written.text == letter(handoff(), Audience("es", "Europe/Madrid")).text


def test_words_alone_can_be_other_words(tmp_path: Path) -> None:
    words = (OURS / "es" / "words.j2").read_text("utf-8").replace('"ya es"', '"pasa a"')
    _put(tmp_path, "es/words.j2", words)
    assert letter(handoff(), _audience(tmp_path)).subject == "Ana Ruiz pasa a SQL: 78 puntos"
    assert list(broken(tmp_path, sample_facts())) == []


def test_a_change_of_the_file_shows_in_the_next_message(tmp_path: Path) -> None:
    path = _put(tmp_path, "subject.txt.j2", "one")
    assert letter(handoff(), _audience(tmp_path)).subject == "one"
    path.write_text("two and more")
    assert letter(handoff(), _audience(tmp_path)).subject == "two and more"


@pytest.mark.parametrize(
    ("text", "line", "why"),
    [
        ("fine\n{{ nme }}\n", 2, "'nme' is undefined"),
        ("{% if repeat %}\n{% endfor %}\n", 2, "endfor"),
        ("\n\n{{ ''.__class__.__mro__ }}", 3, "unsafe"),
        ("{{ 1 / 0 }}", 1, "ZeroDivisionError"),
        ("{{ reasons[0].evidence }}", 1, "no attribute 'evidence'"),
        ("{{ did.append(1) }}", 1, "no attribute 'append'"),
        ("{% if false %}x{% endif %}", None, "no text at all"),
        ("{{ 'x' * 4000 }}", None, "more than 3,000 characters"),
        ("{% include 'nothing.j2' %}", 1, "nothing.j2"),
    ],
)
def test_a_broken_template_is_found_with_its_line_and_never_stops_a_message(
    tmp_path: Path, text: str, line: int | None, why: str
) -> None:
    _put(tmp_path, "slack.txt.j2", text)
    where = f"{tmp_path.name}/slack.txt.j2" + (f":{line}" if line else "")
    found = list(broken(tmp_path, sample_facts()))
    assert where in [each.where for each in found]
    assert any(why in each.why for each in found)
    bare = handoff(reasons=())
    with capture_logs() as logged:
        post = slack_post(bare, _audience(tmp_path))
    assert post == slack_post(bare, Audience("es", "Europe/Madrid"))
    assert {each["event"] for each in logged} == {"template_broken"}
    assert logged[0]["template"] == where


def test_what_breaks_only_for_some_leads_is_found_too(tmp_path: Path) -> None:
    _put(tmp_path, "email.txt.j2", "Hello\n{% if kind == 'escalation' and not email %}\n{{ oops }}\n{% endif %}\n")
    (found,) = broken(tmp_path, sample_facts())
    assert found == Broken(f"{tmp_path.name}/email.txt.j2:3", "UndefinedError: 'oops' is undefined")


def test_words_that_are_not_all_there_are_named(tmp_path: Path) -> None:
    words = (OURS / "en" / "words.j2").read_text("utf-8").replace("set why", "set wy")
    _put(tmp_path, "en/words.j2", words)
    (found,) = broken(tmp_path, sample_facts())
    assert found == Broken(f"{tmp_path.name}/en/words.j2", "ValueError: it does not set why")
    assert "Why:" in letter(handoff(), Audience("en", "UTC", tmp_path)).text


def test_a_file_that_is_no_text_is_found_and_passed_over(tmp_path: Path) -> None:
    (tmp_path / "chat.txt.j2").write_bytes(b"\xff\xfe\x00")
    (found,) = broken(tmp_path, sample_facts())
    assert found.where == f"{tmp_path.name}/chat.txt.j2"


def test_names_that_stand_in_for_nothing_are_told(tmp_path: Path) -> None:
    _put(tmp_path, "slak.txt.j2", "x")
    _put(tmp_path, "fr/words.j2", "x")
    _put(tmp_path, "subject.txt.j2", "x")
    assert strangers(tmp_path) == ["fr/words.j2", "slak.txt.j2"]


def test_every_template_of_ours_is_one_that_can_be_replaced() -> None:
    assert sorted(path.relative_to(OURS).as_posix() for path in OURS.rglob("*.j2")) == sorted(wording.NAMES)


def test_our_own_templates_serve_every_sample(tmp_path: Path) -> None:
    for name in wording.NAMES:
        _put(tmp_path, name, (OURS / name).read_text("utf-8"))
    assert list(broken(tmp_path, sample_facts())) == []


def test_a_block_of_slack_s_can_be_left_out(tmp_path: Path) -> None:
    _put(tmp_path, "slack_more.txt.j2", "")
    told = handoff(missing=("Has a budget (budget is empty)",))
    assert [block["type"] for block in slack_post(told, _audience(tmp_path)).blocks] == ["section", "context"]
    assert list(broken(tmp_path, sample_facts())) == []
