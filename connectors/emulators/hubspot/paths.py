"""HubSpot's several addresses for one endpoint, reduced to one.

| asked for | route | version |
|---|---|---|
| /crm/v3/objects/contacts/1/ | /objects/contacts/1 | v3 |
| /crm/objects/2026-09/contacts/1 | /objects/contacts/1 | 2026-09 |
| /crm/v4/associations/0-1/0-48/batch/read | /associations/0-1/0-48/batch/read | v4 |
| /crm/v3/associations/contact/call/batch/read | /associations-v3/contact/call/batch/read | v3 |
"""

import re

DATES = frozenset({"2025-09", "2026-03", "2026-09"})
_AREAS = "objects|properties|owners|pipelines|associations|limits"
_NUMBERED = re.compile(rf"/crm/(v3|v4)/({_AREAS})(/.*)?")
_DATED = re.compile(rf"/crm/({_AREAS})/(\d{{4}}-\d\d)(/.*)?")
_OTHER = re.compile(r"/(account-info|oauth)/(v1|v3|\d{4}-\d\d)(/.*)")


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
    return None


def _numbered(version: str, area: str, rest: str) -> tuple[str, str] | None:
    if version == "v3":
        return (f"/associations-v3{rest}" if area == "associations" else f"/{area}{rest}", version)
    if area == "associations" or (area == "objects" and "/associations/" in rest):
        return f"/{area}{rest}", version
    return None
