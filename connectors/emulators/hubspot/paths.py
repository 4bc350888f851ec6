"""HubSpot's several addresses for one endpoint, reduced to one.

| asked for | route | version |
|---|---|---|
| /crm/v3/objects/contacts/1/ | /objects/contacts/1 | v3 |
| /crm/objects/2026-09/contacts/1 | /objects/contacts/1 | 2026-09 |
| /crm/v4/associations/0-1/0-48/batch/read | /associations/0-1/0-48/batch/read | v4 |
| /crm/v3/associations/contact/call/batch/read | /associations-v3/contact/call/batch/read | v3 |
| /marketing/v3/forms, /marketing/forms/2026-09-beta | /marketing/forms | v3, 2026-09-beta |
| /marketing/lead-scoring/2026-09-beta/scores | /marketing/lead-scoring/scores | 2026-09-beta |
| /form-integrations/v1/submissions/forms/GUID | /form-integrations/submissions/forms/GUID | v1 |
| /email/public/v1/events | /email/events | v1 |
| /events/v3/events, /events/event-occurrences/2026-09 | /events/event-occurrences | v3, 2026-09 |
| /marketing/v3/campaigns, /marketing/campaigns/2026-03 | /marketing/campaigns | v3, 2026-03 |
"""

import re

DATES = frozenset({"2025-09", "2026-03", "2026-09"})
_AREAS = "objects|properties|owners|pipelines|associations|limits"
_NUMBERED = re.compile(rf"/crm/(v3|v4)/({_AREAS})(/.*)?")
_DATED = re.compile(rf"/crm/({_AREAS})/(\d{{4}}-\d\d)(/.*)?")
_OTHER = re.compile(r"/(account-info|oauth)/(v1|v3|\d{4}-\d\d)(/.*)")

_DATE = "|".join(sorted(DATES))
_BETA = "2026-09-beta|2027-03-beta"
_ELSEWHERE = tuple(  # outside /crm; the first group is the version, the second what stays of the path
    (re.compile(pattern), route)
    for pattern, route in (
        (r"/marketing/(v3)/forms(/.*)?", "/marketing/forms"),
        (rf"/marketing/forms/({_BETA})(/.*)?", "/marketing/forms"),
        (rf"/marketing/lead-scoring/({_BETA})(/.*)", "/marketing/lead-scoring"),
        (r"/form-integrations/(v1)(/.*)", "/form-integrations"),
        (r"/email/public/(v1)(/events.*)", "/email"),
        (r"/events/(v3)/events(/.*)?", "/events/event-occurrences"),
        (rf"/events/event-occurrences/({_DATE})(/.*)?", "/events/event-occurrences"),
        (r"/crm/(v3)/lists(/.*)", "/lists"),
        (rf"/crm/lists/({_DATE})(/.*)", "/lists"),
        (r"/crm/(v3)/schemas(/.*)", "/schemas"),
        (rf"/crm-object-schemas/(v3|{_DATE})/schemas(/.*)", "/schemas"),
        (rf"/scheduler/(v3|{_DATE})(/meetings/.*)", "/scheduler"),
        *(
            (pattern, f"/marketing/{name}")
            for name in ("campaigns", "emails", "marketing-events")
            for pattern in (rf"/marketing/(v3)/{name}(/.*)?", rf"/marketing/{name}/({_DATE})(/.*)?")
        ),
    )
)


def canonical(path: str) -> tuple[str, str] | None:
    """(route, version) of a path; None when no such API exists in that version."""
    bare = path.rstrip("/")
    if match := _DATED.fullmatch(bare):
        area, version, rest = match.groups()
        return (f"/{area}{rest or ''}", version) if version in DATES else None
    if match := _NUMBERED.fullmatch(bare):
        version, area, rest = match.groups()
        return _numbered(version, area, rest or "")
    if match := _OTHER.fullmatch(bare):
        area, version, rest = match.groups()
        known = version in DATES or version in ({"v3"} if area == "account-info" else {"v1", "v3"})
        return (f"/{area}{rest}", version) if known else None
    for pattern, route in _ELSEWHERE:
        if match := pattern.fullmatch(bare):
            return f"{route}{match[2] or ''}", match[1]
    return None


def _numbered(version: str, area: str, rest: str) -> tuple[str, str] | None:
    if version == "v3":
        return (f"/associations-v3{rest}" if area == "associations" else f"/{area}{rest}", version)
    if area == "associations" or (area == "objects" and "/associations/" in rest):
        return f"/{area}{rest}", version
    return None
