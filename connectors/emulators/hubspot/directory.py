"""The people and the pipelines of a portal."""

from collections.abc import Iterable
from dataclasses import dataclass

from connectors.emulators.hubspot.answers import Json
from connectors.emulators.hubspot.clock import iso
from connectors.emulators.hubspot.defaults import DEAL_STAGES


@dataclass(frozen=True, slots=True)
class Owner:
    """Someone whom records can be assigned to. `id` is written to `hubspot_owner_id`; `user_id` is another number."""

    id: int
    email: str
    first_name: str
    last_name: str
    user_id: int
    archived: bool = False
    created_ms: int = 1_593_532_657_000
    team: str | None = None

    def shown(self) -> Json:
        body: Json = {
            "id": str(self.id),
            "email": self.email,
            "type": "PERSON",
            "firstName": self.first_name,
            "lastName": self.last_name,
            "userId": None if self.archived else self.user_id,
            "userIdIncludingInactive": self.user_id,
            "createdAt": iso(self.created_ms),
            "updatedAt": iso(self.created_ms),
            "archived": self.archived,
        }
        if self.team is not None:
            body["teams"] = [{"id": "1", "name": self.team, "primary": True}]
        return body


DEFAULT_OWNERS = (
    Owner(41629779, "anna.berg@example.com", "Anna", "Berg", 9586504, team="Sales"),
    Owner(41629780, "ben.okoro@example.com", "Ben", "Okoro", 9586505, team="Sales"),
    Owner(41629781, "chris.gone@example.com", "Chris", "Gone", 9586506, archived=True),
)


def _stage(stage_id: str, label: str, order: int, metadata: Json) -> Json:
    return {
        "label": label,
        "displayOrder": order,
        "metadata": metadata,
        "id": stage_id,
        "createdAt": iso(0),
        "updatedAt": iso(0),
        "writePermissions": "CRM_PERMISSIONS_ENFORCEMENT",
        "archived": False,
    }


def _pipeline(pipeline_id: str, label: str, stages: Iterable[Json]) -> Json:
    return {
        "label": label,
        "displayOrder": 0,
        "id": pipeline_id,
        "stages": list(stages),
        "createdAt": iso(0),
        "updatedAt": iso(0),
        "archived": False,
    }


def lifecycle_pipeline(stages: tuple[tuple[str, str], ...]) -> Json:
    """The contacts' lifecycle as a pipeline; only `other` counts as closed."""
    shown = []
    for order, (stage_id, label) in enumerate(stages):
        closed = stage_id == "other"
        metadata = {"isClosed": str(closed).lower(), "state": "CLOSED" if closed else "OPEN"}
        shown.append(_stage(stage_id, label, order, metadata))
    return _pipeline("contacts-lifecycle-pipeline", "Lifecycle Stage Pipeline", shown)


def deal_pipeline() -> Json:
    """The one pipeline a fresh portal has for deals."""
    return _pipeline(
        "default",
        "Sales Pipeline",
        (
            _stage(
                stage_id,
                label,
                order,
                {"isClosed": str(probability in ("0.0", "1.0")).lower(), "probability": probability},
            )
            for order, (stage_id, label, probability) in enumerate(DEAL_STAGES)
        ),
    )
