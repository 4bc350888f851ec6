"""The CRMs syncer can talk to. A third party adds its own through the entry-point group `syncer.connectors`."""

REGISTRY = {
    "hubspot": "connectors.hubspot.HubSpot",
    "salesforce": "connectors.salesforce.Salesforce",
    "spreadsheet": "connectors.spreadsheet.Spreadsheet",
}
"""The `type:` of a connection -> the dotted name of its connector class."""
