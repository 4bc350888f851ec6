"""What an admin does to the org while somebody works with it."""

from tests.connectors.emulators.salesforce.orgs import Client


def test_a_record_may_be_hidden_and_shown_again(crm: Client) -> None:
    seen, hidden = crm.create(), crm.create()
    crm.control("sharing", hide=[hidden])
    assert [each["Id"] for each in crm.rows("SELECT Id FROM Lead")] == [seen]
    crm.control("sharing", share=None)
    assert [each["Id"] for each in crm.rows("SELECT Id FROM Lead")] == [seen, hidden]


def test_a_picklist_gets_other_values_and_an_object_goes(crm: Client) -> None:
    crm.control("schema", picklist="Lead.Status", values=["Fresh*", "Done"], restricted=True)
    assert [each["MasterLabel"] for each in crm.rows("SELECT MasterLabel FROM LeadStatus")] == ["Fresh", "Done"]
    crm.create()
    assert [each["Status"] for each in crm.rows("SELECT Status FROM Lead")] == ["Fresh"]
    crm.control("schema", remove="CampaignMember")
    reply = crm.get("/services/data/v60.0/query?q=SELECT+Id+FROM+CampaignMember")
    assert (reply.status, reply.body[0]["errorCode"]) == (400, "INVALID_TYPE")
