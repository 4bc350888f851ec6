"""A base in which something is wrong, behind a sign-in: a plan waits at the fuse, records were rejected, the CRM takes
nothing, and names are long or hostile."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import update

from syncer.errors import UnsafePlanError
from syncer.model import Page, Rejected
from syncer.overruling import Speaker, Word, speak
from syncer.queries import accounts
from syncer.store import mirror, tables
from syncer.web import serve
from tests.runs.house import MODEL, house_on
from tests.web.calling import Caller, free_port
from tests.web.guests import PASSWORD
from tests.web.pages import Pages

ADMIN = "rosa"
HASTY = MODEL.replace("enter: [engagement >= 50]", "enter: [engagement >= 20]")  # who came to one meeting is ready
NAMES = (
    ("<b>Zoë</b>", 'O\'Hara & "Söhne"'),
    ("Wolfeschlegelsteinhausenbergerdorff" * 3, "van der Maximiliansstraße"),
    ("محمد", "عبد الله"),
    ("", ""),
    *((f"Lucía {number}", "Núñez") for number in range(60)),
)


@contextmanager
def troubled(folder: Path) -> Iterator[Pages]:
    database, port = f"sqlite:///{folder / 'syncer.db'}", free_port()
    with house_on(folder, database) as house:
        house.setup()
        people = [
            house.person(firstname=first, lastname=last, country="MX", jobtitle="Directora de compras")
            for first, last in NAMES
        ]
        house.meeting(*people)
        house.sync()
        house.limit = 1
        house.write_project(HASTY)
        path = folder / "syncer.yml"
        path.write_text(f"{path.read_text()}web:\n  port: {port}\n  mask_emails: true\n  sign_in: {{}}\n")
        with pytest.raises(UnsafePlanError):
            house.sync()
        with house.app() as app, serve(lambda: app, lambda: None):
            pages = Pages(app, Caller(port))
            _trouble(pages)
            yield pages


def _trouble(pages: Pages) -> None:
    app, by = pages.app, accounts.By("test", "203.0.113.7")
    told = [Rejected(f"bad{number}", f"the e-mail address <i>{number}</i> has no @") for number in range(60)]
    stuck = {"pending": "{}", "pending_stage": "mql", "given_up": True, "reason": "PROPERTY_DOESNT_EXIST: ls_score"}
    with app.store.writing() as tx:
        mirror.store_page(tx, "crm", "contacts", Page(None, rejected=tuple(told)), app.clock())
        tx.execute(update(tables.write_backs).values(stuck))
    accounts.add_user(app, by, ADMIN, "admin", PASSWORD)
    accounts.add_user(app, by, "a-viewer-with-a-rather-long-name@nosotros.example", "viewer", PASSWORD)
    accounts.add_token(app, by, "the warehouse, every night", "viewer", None)
    speak(app, 1, Word("sql", "she called us"), Speaker("rosa", "page"))


def session_of(pages: Pages) -> tuple[str, str]:
    """The name and the value of the cookie of somebody who may do everything."""
    form = {"name": ADMIN, "password": PASSWORD, "to": "/account"}
    answer = pages.submit("/sign-in", form)
    assert answer.status == 303, answer.data
    name, _, value = answer.headers["set-cookie"].partition(";")[0].partition("=")
    return name, value
