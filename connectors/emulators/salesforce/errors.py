"""What Salesforce refuses, apart from the shape in which one of its APIs says so."""

from collections.abc import Mapping

Json = dict[str, object]


class Refusal(Exception):
    """A refusal by the org: `code` is the `errorCode` of REST and the `statusCode` of a collection's row.

    `status` is the HTTP status of a call about one record. `extra` stands beside message and errorCode in the body
    (`duplicateResut`), or tells the HTTP layer more: `ids` of the 300 of an external id that several records hold.
    `more`: further refusals of the same record, to be listed after this one.
    """

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        fields: tuple[str, ...] | None = None,
        extra: Mapping[str, object] | None = None,
    ) -> None:
        super().__init__(f"{code}: {message}")
        self.status = status
        self.code = code
        self.message = message
        self.fields = fields
        self.extra: Json = dict(extra or {})
        self.more: tuple[Refusal, ...] = ()


def not_found(message: str = "The requested resource does not exist") -> Refusal:
    """404 of a path or record that is none."""
    return Refusal(404, "NOT_FOUND", message)


def several(refusals: tuple["Refusal", ...]) -> Refusal:
    """One refusal that stands for several of the same record; the others are in its `more`."""
    first = refusals[0]
    first.more = refusals[1:]
    return first
