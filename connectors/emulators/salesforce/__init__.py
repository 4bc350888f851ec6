"""A Salesforce org in memory, over HTTP: the CRM's advocate, written from Salesforce's documents and recorded answers.

    with serve(Instance()) as url:   # http://127.0.0.1:PORT, to be used with the token "emulator-token"
        ...

It speaks REST (query, queryAll, describes, records, collections, composite, batch, graph, tree, limits), Bulk API 2.0,
the part of Tooling that makes fields, the token endpoint of OAuth, and SOAP's login. The records and SOQL are those of
`Org`; `Instance` puts sessions, allowances, cursors and jobs around one. `Manners` holds the switches for what the API
does, `Org.behave` those for what records do, `Limits` the allowances (None: off); `Fault` is trouble on demand,
`chaos(0.1, seed=7)` a tenth of all requests in trouble of every kind. `Clock(start, frozen=True)` moves only by
`advance`, so that a test drives a whole day through.

The control plane is no part of Salesforce and needs no token; all are POST with a JSON body, but for the first three:

| path | body -> answer |
|---|---|
| GET /_emulator/calls | {"total", "read", "write", "query", "bulk", "login", "peak_per_second", "errors", \
"faulted", "routes"} |
| GET /_emulator/log | {"calls": [{"at", "method", "url", "status"}]} |
| GET /_emulator/writes | {"writes": [{"at", "verb", "object", "id", "values", "auto_assign", "success", "code"}]} \
what the API wrote or tried to |
| /_emulator/reset-calls | {} |
| /_emulator/load | {"objects"?, "fields"?, "records"?: {object: [row]}} -> {"ids"} |
| /_emulator/edit | {"verb"?, "object", "id"?, "values"?, "commit_after_s"?, "started_s_ago"?, "transaction"?} a \
person writes in the app, also so that it is seen late |
| /_emulator/begin | {"started_s_ago"?, "commit_after_s"?} -> {"transaction"} |
| /_emulator/end | {"commit": transaction} or {"roll_back": transaction} |
| /_emulator/merge | {"object", "winner", "losers", "values"?} |
| /_emulator/convert | {"lead", "options"?} |
| /_emulator/purge | {"ids"?, "recycle_bin"?} -> {"gone"} past the recycle bin |
| /_emulator/touch | {"object", "ids"?} -> {"touched"} the platform bumps SystemModstamp |
| /_emulator/lock | {"ids", "seconds"?}, {"unlock": [id] or null} |
| /_emulator/clock | {"advance_s"?, "frozen"?} -> {"now", "now_ms"} |
| /_emulator/switches | {fields of Switches}; /_emulator/manners {fields of Manners}; /_emulator/limits {fields of \
Limits, "used"?, "off"?} |
| /_emulator/access | {"object", "field", "access": "hidden", "read" or "edit"}, {"object", "remove": field} |
| /_emulator/schema | {"picklist": "Lead.Status", "values", "restricted"?}, {"remove": object} |
| /_emulator/sharing | {"hide": [id]}, {"share": [id] or null} records that the caller may not see |
| /_emulator/faults | {"faults": [fields of Fault]}; an empty list switches all off, a mix as well |
| /_emulator/chaos | {"share", "seed"?, "kinds"?: [name] or {name: weight}, "path"?, "hang_s"?, "most_in_a_row"?} |
| /_emulator/tokens | {"add"}, {"revoke"}, {"expire": true}, {"app": {...}}, {"password": {...}}, {"refuse": {...}} |
| /_emulator/cursors | -> {"forgotten"} every query locator dies |
| /_emulator/dump | {"object", "all_rows"?, "fields"?} -> {"results"} |
| /_emulator/org | {"org_id"?} -> {"org_id", "admin_id", "username"}; another id is a refreshed sandbox |

`routes` is a list of {"method", "route", "status", "count"}; a route stands without version and ids, as
`/sobjects/Lead/{id}`; status 0 is a dropped connection. `faulted` counts faults by kind, `errors` the answers of 400
and more that no fault made.
"""

from connectors.emulators.salesforce.clock import Clock
from connectors.emulators.salesforce.http.app import create_app
from connectors.emulators.salesforce.http.faults import Chaos, Fault, Faults, chaos
from connectors.emulators.salesforce.http.instance import Access, Instance, Manners
from connectors.emulators.salesforce.http.limits import Limits
from connectors.emulators.salesforce.http.oauth import ConnectedApp
from connectors.emulators.salesforce.http.server import serve
from connectors.emulators.salesforce.org import Org

__all__ = [
    "Access",
    "Chaos",
    "Clock",
    "ConnectedApp",
    "Fault",
    "Faults",
    "Instance",
    "Limits",
    "Manners",
    "Org",
    "chaos",
    "create_app",
    "serve",
]
