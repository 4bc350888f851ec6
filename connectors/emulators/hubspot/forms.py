"""Forms and what people send through them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from connectors.emulators.hubspot.answers import Json
from connectors.emulators.hubspot.clock import iso, parse_ms
from connectors.emulators.hubspot.timeline import Timeline

FORM_TYPES = frozenset({"hubspot", "captured", "flow", "blog_comment"})


@dataclass(frozen=True, slots=True)
class Submission:
    """One form, filled in once. `contact_id` None: it was loaded, and belongs to nobody the portal knows."""

    id: str
    at_ms: int
    values: tuple[tuple[str, str], ...]
    page_url: str
    contact_id: int | None = None

    def shown(self) -> Json:
        """As the submissions API shows it; the time is a number of milliseconds."""
        values = [{"name": name, "value": value, "objectTypeId": "0-1"} for name, value in self.values]
        return {"conversionId": self.id, "submittedAt": self.at_ms, "values": values, "pageUrl": self.page_url}


@dataclass(slots=True)
class Form:
    """A form by its GUID, with its submissions."""

    id: str
    name: str
    form_type: str
    created_ms: int
    updated_ms: int
    archived: bool = False
    field_names: tuple[str, ...] = ("email",)
    submissions: Timeline[Submission] = field(default_factory=Timeline)

    def shown(self) -> Json:
        """The definition, as the forms API shows it."""
        return {
            "id": self.id,
            "name": self.name,
            "createdAt": iso(self.created_ms),
            "updatedAt": iso(self.updated_ms),
            "archived": self.archived,
            "fieldGroups": [_group(name) for name in self.field_names],
            "configuration": _CONFIGURATION,
            "displayOptions": _DISPLAY,
            "legalConsentOptions": {"type": "none"},
            "formType": self.form_type,
        }


def parse_form(raw: Mapping[str, Any], now_ms: int) -> Form:
    """A form from {"id", "name"?, "formType"?, "createdAt"?, "archived"?, "fields"?: [names], "submissions"?}.

    A submission is {"values": {...}, "submittedAt"?, "conversionId"?, "pageUrl"?}. ValueError for an unknown formType.
    """
    kind = str(raw.get("formType", "hubspot"))
    if kind not in FORM_TYPES:
        raise ValueError(f"formType {kind!r} is none of {sorted(FORM_TYPES)}")
    created_ms = parse_ms(str(raw.get("createdAt") or now_ms))
    names = tuple(str(name) for name in raw.get("fields", ("email",)))
    form = Form(
        str(raw["id"]), str(raw.get("name", raw["id"])), kind, created_ms, created_ms, bool(raw.get("archived")), names
    )
    _load(form, raw.get("submissions", ()), now_ms)
    return form


def _load(form: Form, rows: Iterable[Mapping[str, Any]], now_ms: int) -> None:
    for row in rows:
        at_ms = parse_ms(str(row.get("submittedAt") or now_ms))
        values = tuple((str(name), str(value)) for name, value in row.get("values", {}).items())
        fallback = f"{form.id}-{len(form.submissions)}"
        form.submissions.add(
            at_ms, Submission(str(row.get("conversionId", fallback)), at_ms, values, str(row.get("pageUrl", "")))
        )


def _group(name: str) -> Json:
    shown: Json = {
        "objectTypeId": "0-1",
        "name": name,
        "label": name.replace("_", " ").capitalize(),
        "required": name == "email",
        "hidden": False,
        "fieldType": "email" if name == "email" else "single_line_text",
    }
    return {"groupType": "default_group", "richTextType": "text", "fields": [shown]}


_CONFIGURATION: Json = {
    "language": "en", "cloneable": True, "postSubmitAction": {"type": "thank_you", "value": "Thank you"},
    "editable": True, "archivable": True, "recaptchaEnabled": False, "notifyContactOwner": False,
    "notifyRecipients": [], "createNewContactForNewEmail": False, "prePopulateKnownValues": True,
    "allowLinkToResetKnownValues": False, "embedType": "V3",
}  # fmt: skip
_DISPLAY: Json = {
    "renderRawHtml": False, "theme": "default_style", "submitButtonText": "Submit", "cssClass": None,
    "style": {
        "fontFamily": "sans-serif", "backgroundWidth": "100%", "labelTextColor": "#000000", "labelTextSize": "12px",
        "helpTextColor": "#555555", "helpTextSize": "12px", "legalConsentTextColor": "#000000",
        "legalConsentTextSize": "12px", "submitColor": "#0000aa", "submitAlignment": "left",
        "submitFontColor": "#ffffff", "submitSize": "12px",
    },
}  # fmt: skip
