"""The rows become contacts as an import would make them, and the shipped model sorts the real leads."""

from __future__ import annotations

import random
from collections.abc import Mapping
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

import pytest

from syncer import scoring
from syncer.model import Signals
from syncer.planning import marks_of
from syncer.rules import FieldTest, Model, leaves
from syncer.settings.models import load_model
from syncer.stages import Hands, Occasion, next_state
from tests.runs.x_education import (
    COLUMNS,
    TABLE,
    StageShare,
    base_rate,
    contact_of,
    converted_share,
    definitions,
    email_of,
    outcomes,
    rows,
)

AS_OF = datetime(2026, 1, 5, 9, tzinfo=UTC)
MODEL_FILE = Path(__file__).parents[2] / "config" / "models" / "education.yml"
STAGES = ("cold", "iql", "mql", "sql")
FILLED_IN_AFTERWARDS = ("Converted", "Tags", "Lead Quality", "Lead Profile", "Last Notable Activity")
MADE_UP = {
    "Prospect ID": " AB-12 ",
    "Lead Number": "1",
    "Lead Origin": "API",
    "Lead Source": "Google",
    "Do Not Email": "No",
    "TotalVisits": "0",
    "Page Views Per Visit": "2.5",
    "Specialization": "Select",
    "City": "",
    "Country": " Spain ",
    "Converted": "1",
    "Tags": "Ringing",
    "Lead Quality": "Might be",
    "Lead Profile": "Potential Lead",
    "Last Notable Activity": "Modified",
    "Asymmetrique Activity Score": "15",
}


def test_a_row_becomes_a_contact_with_trimmed_texts_under_the_names_of_its_properties() -> None:
    assert contact_of(MADE_UP) == {
        "email": "ab-12@leads.example",
        "lead_origin": "API",
        "lead_source": "Google",
        "do_not_email": "No",
        "total_visits": "0",
        "page_views_per_visit": "2.5",
        "country": "Spain",
    }


def test_select_and_empty_are_left_out_while_zero_stays() -> None:
    contact = contact_of(
        {**MADE_UP, "Last Activity": " Select ", "TotalVisits": "0", "Total Time Spent on Website": " "}
    )
    assert contact["total_visits"] == "0"
    assert not {"last_activity", "specialization", "city", "total_time_on_website"} & set(contact)


def test_no_column_that_was_filled_in_afterwards_reaches_the_crm() -> None:
    titles = {column.title for column in COLUMNS}
    assert not titles & set(FILLED_IN_AFTERWARDS)
    assert not [title for title in titles if title.startswith("Asymmetrique")]


def test_two_leads_have_two_addresses_and_one_lead_always_the_same() -> None:
    other = {**MADE_UP, "Prospect ID": "ab-13"}
    assert email_of(MADE_UP) == email_of(dict(MADE_UP)) != email_of(other)


def test_a_row_without_an_id_is_refused() -> None:
    with pytest.raises(KeyError, match="Prospect ID"):
        contact_of({"Lead Origin": "API"})


def test_custom_properties_are_defined_as_text_or_number_and_standard_ones_are_not_created() -> None:
    defined = {one["name"]: (one["type"], one["fieldType"]) for one in definitions()}
    assert defined["total_visits"] == ("number", "number")
    assert defined["lead_origin"] == ("string", "text")
    assert not {"country", "city", "email"} & set(defined)
    assert all(one["label"] and one["groupName"] for one in definitions())


def test_the_table_is_read_with_its_titles_and_the_outcome_apart(tmp_path: Path) -> None:
    table = tmp_path / "table.csv"
    table.write_text('Prospect ID,Country,Converted\na1,"Bosnia, and more",1\na2,España,0\n', encoding="utf-8")
    assert [contact_of(row)["country"] for row in rows(table)] == ["Bosnia, and more", "España"]
    assert outcomes(rows(table)) == {"a1@leads.example": True, "a2@leads.example": False}


def test_the_share_of_a_stage_counts_its_leads_and_those_that_converted() -> None:
    converted = {"a": True, "b": False, "c": True, "d": False}
    shares = converted_share({"a": "sql", "b": "sql", "c": "cold", "d": "cold"}, converted, ("cold", "iql", "sql"))
    assert shares == (StageShare("cold", 2, 1), StageShare("iql", 0, 0), StageShare("sql", 2, 1))
    assert [share.share for share in shares] == [0.5, 0.0, 0.5]
    assert base_rate(converted) == 0.5


def test_a_stage_nobody_named_and_a_lead_nobody_knows_are_refused() -> None:
    with pytest.raises(ValueError, match="customer"):
        converted_share({"a": "customer"}, {"a": True}, STAGES)
    with pytest.raises(KeyError, match="z"):
        converted_share({"z": "sql"}, {"a": True}, STAGES)


# The shipped model.


@pytest.fixture(scope="module")
def model() -> Model:
    return load_model(MODEL_FILE)


@pytest.fixture(scope="module")
def converted() -> dict[str, bool]:
    if not TABLE.exists():
        pytest.skip("the recorded leads are not here")
    return outcomes(rows(TABLE))


@pytest.fixture(scope="module")
def placed(model: Model, converted: Mapping[str, bool]) -> dict[str, str]:
    """E-mail address -> stage of every recorded lead, scored for the first time."""
    assert converted
    return stages_of([contact_of(row) for row in rows(TABLE)], model)


def stages_of(contacts: list[dict[str, str]], model: Model) -> dict[str, str]:
    leads = [Signals(number, contact) for number, contact in enumerate(contacts)]
    evaluation = scoring.evaluate(scoring.match(leads, model), model, AS_OF)
    occasion = Occasion(AS_OF, "baseline")
    return {
        contact["email"]: next_state(None, marks_of(model, evaluation, row), model, Hands(), occasion).stage
        for row, contact in enumerate(contacts)
    }


def test_the_model_asks_in_all_four_dimensions_and_only_for_properties_the_import_fills(model: Model) -> None:
    asked = {leaf.field for when in model.conditions() for leaf in leaves(when) if isinstance(leaf, FieldTest)}
    assert [dimension.name for dimension in model.dimensions] == ["fit", "engagement", "need", "readiness"]
    assert tuple(stage.name for stage in model.stages) == STAGES
    assert asked <= {column.name for column in COLUMNS}


@pytest.mark.parametrize("nothing", ["Select", "", "  "])
def test_what_was_not_given_earns_nothing_and_opens_no_shortcut(model: Model, nothing: str) -> None:
    fields = {column.name: nothing for column in COLUMNS if column.type == "string"}
    busy = {"total_time_on_website": "3600"}
    evaluation = scoring.evaluate(scoring.match([Signals(1, fields), Signals(2, fields | busy)], model), model, AS_OF)
    assert evaluation.total[0] == 0
    assert stages_of([{"email": "a", **fields}, {"email": "b", **fields, **busy}], model) == {"a": "cold", "b": "cold"}


def test_a_refusal_holds_the_best_of_leads_cold_and_a_refused_call_keeps_it_from_sales(model: Model) -> None:
    best = {
        "lead_origin": "Lead Add Form",
        "lead_source": "Reference",
        "current_occupation": "Working Professional",
        "what_matters_most": "Better Career Prospects",
        "last_activity": "SMS Sent",
        "total_time_on_website": "1500",
    }
    contacts = [
        {"email": "willing", **best},
        {"email": "no-mail", **best, "do_not_email": "Yes"},
        {"email": "no-calls", **best, "do_not_call": "Yes"},
    ]
    assert stages_of(contacts, model) == {"willing": "sql", "no-mail": "cold", "no-calls": "mql"}


def test_the_converted_share_rises_from_stage_to_stage_and_is_twice_the_base_rate_at_sql(
    placed: Mapping[str, str], converted: Mapping[str, bool]
) -> None:
    assert len(placed) == len(converted) == 6_468
    shares = converted_share(placed, converted, STAGES)
    assert_rising(shares, base_rate(converted))
    assert all(share.leads >= 500 for share in shares)
    assert shares[-1].share >= 0.85


@pytest.mark.parametrize("seed", range(10))
def test_each_random_half_of_the_leads_shows_the_same(
    placed: Mapping[str, str], converted: Mapping[str, bool], seed: int
) -> None:
    half = random.Random(seed).sample(sorted(placed), len(placed) // 2)
    shares = converted_share({email: placed[email] for email in half}, converted, STAGES)
    assert_rising(shares, base_rate({email: converted[email] for email in half}))


def assert_rising(shares: tuple[StageShare, ...], base: float) -> None:
    by_stage = [share.share for share in shares]
    assert all(before < after for before, after in pairwise(by_stage)), shares
    assert shares[2].share > 1.25 * base, shares
    assert shares[3].share >= 2 * base, shares
