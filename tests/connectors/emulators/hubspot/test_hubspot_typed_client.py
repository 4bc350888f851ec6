"""HubSpot's own Python client, used as its documentation shows, finds what it expects."""

from collections.abc import Iterator
from typing import Any

import hubspot
import pytest
from hubspot.crm.contacts import exceptions as contact_errors

from connectors.emulators.hubspot import Manners, OAuthApp, Portal, Token
from tests.connectors.emulators.hubspot.portals import Client, load_contacts, served

REQUEST_TIMEOUT = (2, 10)


@pytest.fixture
def pair() -> Iterator[tuple[Any, Client]]:
    portal = Portal([Token("emulator-token"), OAuthApp("id", "secret", "r")], None, Manners(index_lag_s=0))
    with served(portal) as crm:
        yield hubspot.Client.create(access_token="emulator-token", host=crm.url, retry=False), crm


def finish(*apis: Any) -> None:
    """Close the pools: the package leaves its sockets to the garbage collector, which pytest takes for a leak."""
    for api in apis:
        api.api_client.rest_client.pool_manager.clear()


def test_contacts_are_made_read_changed_listed_and_archived(pair: tuple[Any, Client]) -> None:
    basic = pair[0].crm.contacts.basic_api
    made = basic.create({"properties": {"email": "a@example.com"}}, _request_timeout=REQUEST_TIMEOUT)
    assert made.properties["lifecyclestage"] == "lead"
    assert basic.get_by_id("a@example.com", id_property="email", archived=False).id == made.id
    changed = basic.update(made.id, {"properties": {"city": "Kiel"}})
    assert changed.updated_at >= made.updated_at
    history = basic.get_by_id(made.id, properties_with_history=["city"]).properties_with_history["city"]
    assert [each.value for each in history] == ["Kiel"]
    assert [each.id for each in basic.get_page(limit=5, archived=False, properties=["city"]).results] == [made.id]
    assert basic.archive(made.id) is None
    with pytest.raises(contact_errors.NotFoundException):
        basic.get_by_id(made.id)
    finish(basic)


def test_fetching_all_follows_the_pages(pair: tuple[Any, Client]) -> None:
    ids = load_contacts(pair[1], 230)
    assert [each.id for each in pair[0].crm.contacts.get_all()] == ids


def test_search_and_batches_come_as_models(pair: tuple[Any, Client]) -> None:
    client, crm = pair
    ids = load_contacts(crm, 3)
    search, batch = client.crm.contacts.search_api, client.crm.contacts.batch_api
    window = {"propertyName": "lastmodifieddate", "operator": "GT", "value": "1"}
    page = search.do_search({"filterGroups": [{"filters": [window]}], "limit": 2, "sorts": ["hs_object_id"]})
    assert (page.total, len(page.results), page.paging.next.after) == (3, 2, "2")
    inputs = [{"id": each, "properties": {"city": "Kiel"}} for each in ids]
    assert [each.properties["city"] for each in batch.update({"inputs": inputs}).results] == ["Kiel"] * 3
    partial = batch.read({"inputs": [{"id": ids[0]}, {"id": "5"}], "properties": ["city"], "propertiesWithHistory": []})
    assert type(partial).__name__ == "BatchResponseSimplePublicObjectWithErrors"
    assert partial.errors[0].context == {"ids": ["5"]}
    upserted = batch.upsert({"inputs": [{"id": "n@example.com", "idProperty": "email", "properties": {}}]})
    assert upserted.results[0].new is True
    finish(search, batch)


def test_properties_groups_and_pipelines_come_as_models(pair: tuple[Any, Client]) -> None:
    client, _ = pair
    core, groups, pipelines = (
        client.crm.properties.core_api,
        client.crm.properties.groups_api,
        client.crm.pipelines.pipelines_api,
    )
    assert groups.create("contacts", {"name": "own", "label": "Own"}).display_order > 0
    field = {"name": "score", "label": "S", "type": "number", "fieldType": "number", "groupName": "own"}
    assert core.create("contacts", field).modification_metadata.read_only_value is False
    assert len(core.get_all("contacts", archived=False).results) > 90
    assert core.get_by_name("contacts", "email").hubspot_defined is True
    assert core.update("contacts", "score", {"label": "T"}).label == "T"
    assert pipelines.get_all("contacts").results[0].stages[3].id == "salesqualifiedlead"
    finish(core, groups, pipelines)


def test_owners_and_associations_come_as_models(pair: tuple[Any, Client]) -> None:
    client, crm = pair
    owners, ties, basic = (
        client.crm.owners.owners_api,
        client.crm.associations.v4.batch_api,
        client.crm.associations.v4.basic_api,
    )
    assert [each.type for each in owners.get_page(limit=10, archived=False).results] == ["PERSON", "PERSON"]
    contact, call = load_contacts(crm, 1)[0], crm.create("calls", hs_timestamp="1767225600000")
    types = [{"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": 194}]
    made = ties.create("calls", "contacts", {"inputs": [{"from": {"id": call}, "to": {"id": contact}, "types": types}]})
    assert made.results[0].labels == []
    read = ties.get_page("contacts", "calls", {"inputs": [{"id": contact}]})
    assert read.results[0].to[0].association_types[0].type_id == 193
    assert basic.get_page("contacts", contact, "calls").results[0].association_types[0].type_id == 193
    assert len(basic.create_default("contacts", contact, "calls", call).results) == 1
    finish(owners, ties, basic)


def test_the_clients_own_refresh_gets_a_token(pair: tuple[Any, Client]) -> None:
    tokens = pair[0].oauth.tokens_api
    granted = tokens.create(grant_type="refresh_token", client_id="id", client_secret="secret", refresh_token="r")
    assert granted.expires_in == 1800
    finish(tokens)


def test_tasks_and_merges_work_through_the_client(pair: tuple[Any, Client]) -> None:
    client, crm = pair
    first, second = load_contacts(crm, 2)
    tasks, contacts = client.crm.objects.tasks.basic_api, client.crm.contacts.basic_api
    ties = [{"to": {"id": first}, "types": [{"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": 204}]}]
    properties = {"hs_timestamp": "1767225600000", "hs_task_subject": "Call", "hubspot_owner_id": "41629779"}
    made = tasks.create({"properties": properties, "associations": ties})
    read = tasks.get_by_id(made.id, associations=["contacts"], properties=["hs_task_subject"])
    assert read.associations["contacts"].results[0].id == first
    merged = contacts.merge({"primaryObjectId": first, "objectIdToMerge": second})
    assert contacts.get_by_id(second).id == merged.id
    finish(tasks, contacts)
