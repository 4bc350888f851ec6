"""What a call says apart from its values, and what became of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from connectors.emulators.salesforce.errors import Refusal

Values = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls, and what the headers of the call say. `transaction`: write inside this open one (see `Org.begin`)."""

    user_id: str = ""  # "" means the org's admin
    auto_assign: bool = True  # Sforce-Auto-Assign
    allow_duplicates: bool = False  # Sforce-Duplicate-Rule-Header: allowSave=true
    transaction: str | None = None


ADMIN = Caller()


@dataclass(frozen=True, slots=True)
class Write:
    """One DML step. `verb`: create, update, upsert, delete, hard_delete or undelete.

    `values` hold the fields; update, delete and undelete take `id`; upsert takes `key` (an external id field's name or
    Id) and finds its value in `values`.
    """

    verb: str
    object: str
    id: str = ""
    values: Values = field(default_factory=dict)
    key: str = ""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a Write. `id` is None where Salesforce gives none; `refusals` is empty on success."""

    success: bool
    id: str | None = None
    created: bool = False
    refusals: tuple[Refusal, ...] = ()
