"""What goes wrong is told in the reader's language, and only as much of it as they may see."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import unescape
from pathlib import Path
from string import Formatter
from typing import Any

import pytest
from pydantic import ValidationError

from syncer.model import Record, RecordKey
from syncer.settings.values import Language
from syncer.web.pages import ACTIONS, DOWNLOADS, VIEWS
from syncer.web.phrases import PHRASES
from syncer.web.phrases.errors import FIELDS, SENTENCES
from syncer.web.refusing import Reader, in_words
from syncer.web.views import Asked
from tests.store.samples import NOW, put, record
from tests.web.guests import PASSWORD, SIGN_IN, Browser, Inn, inn_on_sqlite, opened_inn

SPANISH = Reader("es", is_program=False)
ASKED = [*(each.asked for each in VIEWS), *(each.asked for each in ACTIONS), *(each.asked for each in DOWNLOADS)]
MASKING = f"mask_emails: true\n  {SIGN_IN}"

pytestmark = pytest.mark.usefixtures("quick_hashes")


@pytest.fixture(scope="module")
def lasting_inn(tmp_path_factory: pytest.TempPathFactory, sqlite_template: Path) -> Iterator[Inn]:
    with inn_on_sqlite(tmp_path_factory.mktemp("inn"), sqlite_template) as opened:
        yield opened


def of_people(inn: Inn, role: Any = "admin", language: Language = "es") -> Browser:
    """Somebody who reads pages, known by a name of their own."""
    number = len(inn.rows("users"))
    browser = inn.user(f"somebody-{number}", role)
    browser.cookies["syncer_language"] = language
    return browser


def text_of(page: bytes) -> str:
    main = page.decode().partition("<main")[2].partition("</main>")[0]
    return re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]+>", " ", main))).strip()


# in words


def test_a_sentence_that_was_raised_is_found_and_its_facts_are_kept() -> None:
    assert in_words(SPANISH, "there is a user called 'ana' already") == "ya hay un usuario llamado «ana»"
    assert in_words(SPANISH, "must be at least 1, not '0'") == "debe ser 1 como mínimo, no '0'"
    assert in_words(SPANISH, "there is no run\n{7}") == "Detalle (en inglés): there is no run\n{7}"
    assert in_words(SPANISH, "there is no run {7}") == "no hay ninguna ejecución {7}"
    assert in_words(Reader("en", is_program=False), "there is no run 7") == "there is no run 7"


def test_each_sentence_is_the_first_that_fits_and_invents_no_fact() -> None:
    for english, spanish in SENTENCES:
        facts = [{name for _, name, _, _ in Formatter().parse(text) if name} for text in (english, spanish)]
        assert facts[1] <= facts[0], spanish
        filled = dict.fromkeys(facts[0], "x")
        assert in_words(SPANISH, english.format(**filled)) == spanish.format(**filled)


def test_what_is_asked_for_is_called_by_a_phrase_that_there_is() -> None:
    assert [key for key in FIELDS.values() if key not in PHRASES] == []
    assert {name for shape in ASKED for name in shape.model_fields} >= set(FIELDS)


@pytest.mark.parametrize(
    ("path", "form", "spanish", "english"),
    [
        ("/leads/99999", None, "no hay ningún lead 99999", "there is no lead 99999"),
        ("/leads?score_from=much", None, "Puntuación desde: hace falta un número, no 'much'",
         "score_from: a number is needed here, not 'much'"),
        ("/leads?moved=0", None, "Cambió de etapa: debe ser 1 como mínimo, no '0'",
         "moved: must be at least 1, not '0'"),
        ("/leads?sort=nmae", None, "Orden: 'nmae' no es ninguno de estos valores: score, since, name ¿quería decir "
         "«name»?", "sort: 'nmae' is not one of score, since, name did you mean 'name'?"),
        ("/leads?q=" + "x" * 999, None, "Buscar: debe tener 200 caracteres como máximo",
         "q: string should have at most 200 characters"),
        ("/leads?nonsense=1", None, "nonsense: aquí no se puede indicar «nonsense»",
         "nonsense: unknown key 'nonsense'"),
        ("/runs/999", None, "no hay ninguna ejecución 999", "there is no run 999"),
        ("/handoffs?connection=crn", None, "no hay ninguna conexión llamada «crn»; hay: crm",
         "no connection is called 'crn'; there are: crm"),
        ("/handoffs?after=x", None, "after: este enlace ya no lleva a ningún lugar de la lista: empiece desde el "
         "principio", "after: this is no place in the list; begin with the first page"),
        ("/users/add", {"name": "new", "password": "short"}, "la contraseña debe tener entre 12 y 1000 caracteres",
         "a password has 12 characters or more, and 1000 at most"),
        ("/users/add", {"name": "new", "password": "x" * 20}, "esta contraseña es la primera que probaría cualquiera: "
         "elija otra", "this password would be the first guess of everybody; choose another one"),
        ("/users/add", {"name": "somebody-0", "password": PASSWORD}, "ya hay un usuario llamado «somebody-0»",
         "there is a user called 'somebody-0' already"),
        ("/users/add", {"name": "x" * 201, "password": PASSWORD}, "el nombre de usuario debe tener entre 1 y 200 "
         "caracteres visibles", "a user's name has 1 to 200 printable characters"),
        ("/users/add", {"password": PASSWORD}, "Nombre: falta este dato", "name: the key 'name' is missing"),
        ("/users/role", {"name": "nobody", "role": "admin"}, "no hay ningún usuario llamado «nobody»",
         "no user is called 'nobody'"),
        ("/users/tokens/revoke", {"id": "99"}, "no hay ningún token n.º 99", "there is no token #99"),
        ("/users/tokens/add", {"name": "x", "until": "2020-01-31"},
         "el día 2020-01-31 ya ha pasado: indique uno futuro", "until 2020-01-31 is past; name a day to come"),
        ("/users/tokens/add", {"name": "x", "until": "soon"}, "Último día (opcional): no es una fecha válida",
         "until: input should be a valid date or datetime, input is too short"),
        ("/account/password", {"current": "wrong", "new": PASSWORD}, "la contraseña actual no es correcta",
         "the current password is wrong"),
    ],
)  # fmt: skip
def test_an_error_is_told_to_a_person_in_their_language_and_to_a_program_in_english(
    lasting_inn: Inn, path: str, form: dict[str, str] | None, spanish: str, english: str
) -> None:
    eva = lasting_inn.user("somebody-0", "admin") if not lasting_inn.rows("users") else of_people(lasting_inn)
    eva.cookies["syncer_language"] = "es"
    shown = eva.get(path) if form is None else eva.post(path, form)
    assert spanish in text_of(shown.data)
    told = eva.get(f"/api{path}") if form is None else eva.order(path, form, **{"Sec-Fetch-Site": "same-origin"})
    assert english in told.json()["error"]["message"]
    assert told.status == shown.status >= 400


def test_what_is_seldom_is_told_in_english_and_says_so(lasting_inn: Inn) -> None:
    shown = text_of(of_people(lasting_inn).get("/leads?after=x&before=x").data)
    assert "este enlace ya no lleva" in shown
    shown = text_of(of_people(lasting_inn).get("/what-if?moved=x").data)
    assert "Detalle (en inglés): write two stages, as in mql:sql" in shown


def test_a_form_of_a_sign_in_that_cannot_be_read_is_refused_in_the_readers_language(lasting_inn: Inn) -> None:
    reader = Browser(lasting_inn, {"syncer_language": "es"})
    shown = reader.post("/language", {"language": "fr"})
    assert (shown.status, "este formulario no es de estas páginas" in text_of(shown.data)) == (400, True)


def test_who_may_not_look_is_told_another_thing_than_who_may_not_act(lasting_inn: Inn) -> None:
    for language, looked, acted in (
        ("en", "This page takes the role admin", "You may look at this, but not do it: it takes the role admin"),
        ("es", "Esta página requiere el rol admin", "Puede verlo, pero no hacerlo: hace falta el rol admin"),
    ):
        vera = of_people(lasting_inn, "viewer", language)  # type: ignore[arg-type]
        for path in ("/users", "/audit"):
            answer = vera.get(path)
            assert (answer.status, looked in text_of(answer.data)) == (403, True)
        answer = vera.post("/users/remove", {"name": "x"})
        assert (answer.status, acted in text_of(answer.data)) == (403, True)
        assert vera.get("/api/users").json()["error"]["message"] == "This page takes the role admin"


# what may not be seen


def test_an_error_shows_addresses_in_part_to_who_sees_them_so(tmp_path: Path, sqlite_template: Path) -> None:
    with inn_on_sqlite(tmp_path, sqlite_template, MASKING) as inn:
        for name in ("ana.ruiz", "ana.sanz"):
            put(inn.app.store, Record(RecordKey("crm", "contacts", f"{name}@acme.es"), NOW, email="ana@nova.es"))
        vera, otto = inn.user("vera"), inn.user("otto", "operator")
        for path in ("/leads/by?record=ana@nova.es", "/api/leads/by?record=ana@nova.es"):
            answer = vera.get(path)
            assert answer.status == 404
            assert "a…@acme.es" in answer.data.decode()
            assert "ruiz" not in answer.data.decode()
            assert "ana.ruiz@acme.es" in otto.get(path).data.decode()


# texts that a database refuses


class Anything(Asked):
    text: str
    listed: tuple[str, ...] = ()
    number: int = 0


def test_no_text_that_is_asked_for_holds_what_a_database_refuses() -> None:
    found = Anything.model_validate({"text": " a\x00b\ud800 ", "listed": ["\x00c", "d"], "number": 2})
    assert found == Anything(text="ab?", listed=("c", "d"), number=2)
    with pytest.raises(ValidationError):
        Anything.model_validate({"text": {"a\x00": [[[]]]}})


def test_a_text_that_a_database_refuses_breaks_no_page(tmp_path: Path, database_url: str) -> None:
    with opened_inn(tmp_path, database_url) as inn:
        put(inn.app.store, record("1"))
        eva = inn.user("eva", "admin")
        nul = "x%00"
        for path in (
            f"/leads?q={nul}&owner={nul}&source={nul}&stage={nul}", f"/leads?connection={nul}", f"/leads?after={nul}",
            f"/leads/1?at={nul}", f"/leads/1/timeline?before=1.{nul}", f"/leads/by?record={nul}", f"/leads/{nul}",
            f"/handoffs?only=all&person={nul}", f"/handoffs?after={nul}", f"/?source={nul}", f"/?segment={nul}",
            f"/rejected?after={nul}", f"/plans/crm?move={nul}&after_move={nul}&after_lead=1", f"/plans/{nul}",
            f"/what-if?moved={nul}", f"/what-if?{nul}={nul}", f"/audit?before={nul}", f"/{nul}",
        ):  # fmt: skip
            for prefix in ("", "/api"):
                assert eva.get(prefix + path).status < 500, path
        for path, form in (
            ("/users/add", {"name": "a\x00b", "password": PASSWORD}), ("/handoffs/accept", {"handoff": "a\x00b"}),
            ("/leads/1/override", {"stage": "sql\x00", "reason": "a\x00b"}), ("/users/tokens/add", {"name": "a\x00b"}),
            ("/rejected/read-again", {"connection": "crm", "stream": "a\x00b", "id": "a\x00b"}),
        ):  # fmt: skip
            assert eva.post(path, form).status < 500, path
            assert eva.order(path, form, **{"Sec-Fetch-Site": "same-origin"}).status < 500, path
        assert ("user_added", "ab") in [each[:2] for each in inn.acts()]
