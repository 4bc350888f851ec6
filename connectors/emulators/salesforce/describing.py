"""Describes, in the shape of the REST API."""

from connectors.emulators.salesforce.access import Access
from connectors.emulators.salesforce.errors import Json
from connectors.emulators.salesforce.fields import Choice, Field
from connectors.emulators.salesforce.schema import ChildRelationship, ObjectType, Schema
from connectors.emulators.salesforce.table import Row

MASTER_RECORD_TYPE = "012000000000000AAA"
_SCOPES = (("everything", "All {}"), ("mine", "My {}"), ("team", "My team's {}"))
_QUEUE_SCOPES = (("queue_owned", "Queue owned {}"), ("user_owned", "User owned {}"))


def described_global(schema: Schema, version: str) -> Json:
    """All objects in brief, by name."""
    kinds = sorted(schema, key=lambda kind: kind.name)
    return {"encoding": "UTF-8", "maxBatchSize": 200, "sobjects": [described_brief(each, version) for each in kinds]}


def described_brief(kind: ObjectType, version: str) -> Json:
    """An object's entry in the list of all."""
    base = f"/services/data/v{version}/sobjects/{kind.name}"
    urls = {"rowTemplate": f"{base}/{{ID}}", "describe": f"{base}/describe", "sobject": base}
    if kind.can.layoutable:
        urls["layouts"] = f"{base}/describe/layouts"
    return {**_flags(kind), "urls": urls}


def described(schema: Schema, kind: ObjectType, access: Access, record_types: list[Row], version: str) -> Json:
    """An object whole, with the fields the caller may see."""
    base = f"/services/data/v{version}/sobjects/{kind.name}"
    fields = [each for each in kind.fields.values() if (kind.name, each.name) not in access.hidden]
    whole = {
        **_flags(kind),
        "actionOverrides": [],
        "childRelationships": [_child(each) for each in schema.children(kind.name)],
        "compactLayoutable": kind.can.layoutable,
        "defaultImplementation": None,
        "extendedBy": None,
        "extendsInterfaces": None,
        "fields": [_field(kind, each, access) for each in fields],
        "implementedBy": None,
        "implementsInterfaces": None,
        "listviewable": None,
        "lookupLayoutable": None,
        "namedLayoutInfos": [],
        "networkScopeFieldName": None,
        "recordTypeInfos": _record_types(record_types, base),
        "searchLayoutable": kind.can.layoutable,
        "sobjectDescribeOption": "FULL",
        "supportedScopes": _scopes(kind),
        "urls": _urls(kind, base),
    }
    return {name: whole[name] for name in sorted(whole)}


def _flags(kind: ObjectType) -> Json:
    can = kind.can
    return {
        "activateable": can.activateable,
        "associateEntityType": "History" if kind.name.endswith("History") and can.queryable else None,
        "associateParentEntity": kind.name.removesuffix("History") if kind.name.endswith("History") else None,
        "createable": can.createable,
        "custom": can.custom,
        "customSetting": False,
        "deepCloneable": False,
        "deletable": can.deletable,
        "deprecatedAndHidden": False,
        "feedEnabled": can.mergeable,
        "hasSubtypes": False,
        "isInterface": False,
        "isSubtype": False,
        "keyPrefix": kind.prefix or None,
        "label": kind.label,
        "labelPlural": kind.label_plural,
        "layoutable": can.layoutable,
        "mergeable": can.mergeable,
        "mruEnabled": can.layoutable,
        "name": kind.name,
        "queryable": can.queryable,
        "replicateable": can.replicateable,
        "retrieveable": can.queryable,
        "searchable": can.searchable,
        "triggerable": can.triggerable,
        "undeletable": can.undeletable,
        "updateable": can.updateable,
    }


def _urls(kind: ObjectType, base: str) -> Json:
    urls: Json = {
        "compactLayouts": f"{base}/describe/compactLayouts",
        "rowTemplate": f"{base}/{{ID}}",
        "approvalLayouts": f"{base}/describe/approvalLayouts",
        "defaultValues": f"{base}/defaultValues?recordTypeId&fields",
        "listviews": f"{base}/listviews",
        "describe": f"{base}/describe",
        "quickActions": f"{base}/quickActions",
        "layouts": f"{base}/describe/layouts",
        "sobject": base,
    }
    return urls


def _scopes(kind: ObjectType) -> list[Json]:
    if "OwnerId" not in kind.fields:
        return [{"label": f"All {kind.label_plural.lower()}", "name": "everything"}]
    pairs = _SCOPES + (_QUEUE_SCOPES if "Group" in kind.fields["OwnerId"].targets else ())
    return [{"label": label.format(kind.label_plural.lower()), "name": name} for name, label in pairs]


def _record_types(record_types: list[Row], base: str) -> list[Json]:
    own = [
        _record_type((str(each["Name"]), str(each["DeveloperName"]), str(each["Id"])), base, master=False)
        for each in record_types
    ]
    return [*own, _record_type(("Master", "Master", MASTER_RECORD_TYPE), base, master=True)]


def _record_type(names: tuple[str, str, str], base: str, *, master: bool) -> Json:
    label, developer_name, record_type_id = names
    return {
        "active": True,
        "available": True,
        "defaultRecordTypeMapping": master,
        "developerName": developer_name,
        "master": master,
        "name": label,
        "recordTypeId": record_type_id,
        "urls": {"layout": f"{base}/describe/layouts/{record_type_id}"},
    }


def _child(way: ChildRelationship) -> Json:
    return {
        "cascadeDelete": way.cascade,
        "childSObject": way.child,
        "deprecatedAndHidden": False,
        "field": way.field,
        "junctionIdListNames": [],
        "junctionReferenceTo": [],
        "relationshipName": way.name or None,
        "restrictedDelete": False,
    }


def _field(kind: ObjectType, field: Field, access: Access) -> Json:
    read_only = (kind.name, field.name) in access.read_only
    return {
        **_numbers(field),
        **_abilities(field),
        **_nature(field),
        "createable": field.createable and not read_only,
        "updateable": field.updateable and not read_only,
        "compoundFieldName": field.compound or None,
        "defaultValue": _default(field),
        "extraTypeInfo": field.extra or None,
        "inlineHelpText": field.help or None,
        "label": field.label,
        "name": field.name,
        "picklistValues": [_choice(each) for each in field.choices],
        "referenceTo": list(field.targets),
        "relationshipName": field.relationship or None,
        "soapType": field.soap_type,
        "type": field.type,
    }


def _default(field: Field) -> object:
    """What describe says a new record holds: False even for the boxes that the platform ticks."""
    if field.type == "boolean":
        return bool(field.default) and field.custom
    return field.default_choice or field.default


def _numbers(field: Field) -> Json:
    return {
        "byteLength": field.length if field.soap_type == "tns:ID" else field.length * 3,
        "digits": field.digits,
        "length": field.length,
        "precision": field.precision,
        "scale": field.scale,
    }


def _abilities(field: Field) -> Json:
    return {
        "aggregatable": field.aggregatable,
        "autoNumber": field.auto_number,
        "calculated": field.calculated,
        "cascadeDelete": False,
        "caseSensitive": field.case_sensitive,
        "custom": field.custom,
        "defaultedOnCreate": field.defaulted,
        "externalId": field.external_id,
        "filterable": field.filterable,
        "groupable": field.groupable,
        "idLookup": field.id_lookup,
        "nameField": field.name_field,
        "namePointing": field.name_pointing,
        "nillable": field.nillable,
        "permissionable": field.permissionable,
        "polymorphicForeignKey": field.is_polymorphic,
        "queryByDistance": field.type in ("address", "location"),
        "restrictedPicklist": field.restricted,
        "searchPrefilterable": field.type == "reference"
        and (field.permissionable or field.name.startswith("Converted")),
        "sortable": field.sortable,
        "unique": field.unique,
    }


def _nature(field: Field) -> Json:
    """What is the same for all fields here."""
    return {
        "aiPredictionField": False,
        "calculatedFormula": field.formula or None,
        "controllerName": None,
        "defaultValueFormula": None,
        "dependentPicklist": False,
        "deprecatedAndHidden": False,
        "displayLocationInDecimal": False,
        "encrypted": False,
        "filteredLookupInfo": None,
        "formulaTreatNullNumberAsZero": False,
        "highScaleNumber": False,
        "htmlFormatted": field.extra == "richtextarea",
        "mask": None,
        "maskType": None,
        "referenceTargetField": None,
        "relationshipOrder": None,
        "restrictedDelete": False,
        "writeRequiresMasterRead": False,
    }


def _choice(choice: Choice) -> Json:
    return {
        "active": choice.active,
        "defaultValue": choice.default,
        "label": choice.label or choice.value,
        "validFor": None,
        "value": choice.value,
    }
