"""A HubSpot portal in memory, over HTTP: the CRM's advocate, written from HubSpot's documents and recorded answers.

    with serve(Portal()) as url:   # http://127.0.0.1:PORT, to be used with the token "emulator-token"
        ...

It speaks v3, v4 (associations) and the date-based paths 2025-09, 2026-03 and 2026-09, and where the streams live
elsewhere, those: forms, submissions and e-mail events (v1), event occurrences, lead scores (`Manners.tier` says whether
the portal is an Enterprise one). It checks tokens and scopes, keeps the limits that shape a client, and its search
lags behind the truth. `Manners` holds the switches for what differs between portals or is reported both ways; `Limits`
the sizes of the rate windows (None: off); `Fault` trouble on demand, `chaos(0.1, seed=7)` a tenth of all requests in
trouble of every kind. `Clock(start, frozen=True)` moves only by `advance`, so that a test drives a whole day through.

The control plane is no part of HubSpot and needs no token; all are POST with a JSON body, except `calls`:

| path | body -> answer |
|---|---|
| GET /_emulator/calls | {"total", "read", "write", "search", "peak_per_second", "peak_search_per_second", "errors", \
"faulted", "refused", "peak_per_10_seconds", "routes"} |
| /_emulator/reset-calls | {} |
| /_emulator/edit | {"objectType", "id", "properties", "userId"?} a person edits in the app; any stage may be chosen |
| /_emulator/calculate | {"objectType", "id", "properties"} HubSpot itself sets properties, read-only ones too; or \
{"objectType", "records": {id: properties}} |
| /_emulator/clock | {"advance_s"?, "frozen"?} -> {"now_ms"} |
| /_emulator/load | {"properties"?, "owners"?, "objects"?, "associations"?, "forms"?, "emailEvents"?, "events"?, \
"leadScores"?, "library"?} -> {"ids"}; see control._load, visitors.load_conduct and Library.load |
| /_emulator/submit | {"form", "values": {"email", ...}, "at_ms"?, "pageUrl"?} -> {"id", "contact"} a form is sent |
| /_emulator/email-event | {"recipient", "type", "at_ms"?, "campaign"?, ...} what became of a marketing e-mail |
| /_emulator/event | {"eventType", "objectType"?, "objectId" or "email", "at_ms"?, "properties"?, "id"?} -> {"id"} |
| /_emulator/restore | {"objectType", "id"} out of the recycle bin |
| /_emulator/faults | {"faults": [fields of Fault]}; an empty list switches all off, a mix as well |
| /_emulator/chaos | {"share", "seed"?, "kinds"?: [name] or {name: weight}, "path"?, "hang_s"?, "most_in_a_row"?} |
| /_emulator/webhooks | {"url", "secret", "subscriptions", fields of Subscriber?}; a url of null ends it |
| /_emulator/webhooks-flush | waits -> {"events", "delivered", "given_up", "requests", "failed"} |
| /_emulator/manners | {fields of Manners} |
| /_emulator/tokens | {"add", "scopes"?}, {"revoke"}, {"expire": true} every OAuth token, {"closed": true} the account |
| /_emulator/dump | {"objectType"} -> {"results": every live record with every value} |

`routes` is a list of {"method", "route", "status", "count"}; a route stands without version, as
`/objects/contacts/batch/update`; status 0 is a dropped connection. `faulted` counts faults by kind, `refused` what the
limits refused by policy, `errors` the answers of 400 and more that no fault made. Setting calculated properties leaves
a record's lastmodifieddate alone. What is loaded is not judged, and is in search at once.
"""

from connectors.emulators.hubspot.app import create_app
from connectors.emulators.hubspot.clock import Clock
from connectors.emulators.hubspot.directory import Owner
from connectors.emulators.hubspot.faults import Chaos, Fault, Faults, chaos
from connectors.emulators.hubspot.limits import Limits
from connectors.emulators.hubspot.portal import Manners, Portal, Requirement
from connectors.emulators.hubspot.server import serve
from connectors.emulators.hubspot.tokens import OAuthApp, Token
from connectors.emulators.hubspot.webhooks import Subscriber

__all__ = [
    "Chaos",
    "Clock",
    "Fault",
    "Faults",
    "Limits",
    "Manners",
    "OAuthApp",
    "Owner",
    "Portal",
    "Requirement",
    "Subscriber",
    "Token",
    "chaos",
    "create_app",
    "serve",
]
