"""The control plane, continued: what visitors and recipients do, which HubSpot notes on their contacts."""

from collections.abc import Callable, Iterable, Mapping

from connectors.emulators.hubspot import writing
from connectors.emulators.hubspot.answers import Json, invalid, not_found
from connectors.emulators.hubspot.catalog import CONTACTS
from connectors.emulators.hubspot.checking import checked
from connectors.emulators.hubspot.clock import iso, parse_ms
from connectors.emulators.hubspot.forms import Form, Submission, parse_form
from connectors.emulators.hubspot.mailings import COUNTERS, Wanted, parse_event
from connectors.emulators.hubspot.occurrences import Occurrence
from connectors.emulators.hubspot.operations import record_id
from connectors.emulators.hubspot.portal import Portal, known_type
from connectors.emulators.hubspot.records import Record, Source


def load_conduct(portal: Portal, body: Json) -> None:
    """{"forms"?, "emailEvents"?, "events"?, "leadScores"?} of a load: nothing is counted on any contact."""
    now_ms = portal.clock.now_ms()
    try:
        for each in body.get("forms", ()):
            portal.forms[str(each["id"])] = parse_form(each, now_ms)
        for each in body.get("emailEvents", ()):
            portal.mailings.add(parse_event(each, portal.manners.portal_id, now_ms, next(portal.serial)))
    except (KeyError, TypeError, ValueError) as error:
        raise invalid(str(error)) from error
    for each in body.get("events", ()):
        _note_event(portal, each)
    for each in body.get("leadScores", ()):
        portal.lead_scores[str(each["id"])] = dict(each)


def _submit(portal: Portal, body: Json) -> Json:
    """{"form", "values": {"email", ...}, "at_ms"?, "pageUrl"?}: a visitor fills in a form; answers {"id", "contact"}.

    The contact is found by its e-mail address or made. Fields the portal does not have, or that do not take the value,
    stay in the submission alone.
    """
    form = portal.forms.get(str(body.get("form")))
    values = {str(name): str(value) for name, value in body.get("values", {}).items()}
    if form is None or not values.get("email"):
        raise invalid(f"no form {body.get('form')}, or no email among its values")
    at_ms = int(body.get("at_ms") or portal.clock.now_ms())
    before = portal.shelf(CONTACTS).find_by("email", values["email"].strip().lower())
    contact = _written(portal, form, before, values)
    made = Submission(
        f"{next(portal.serial):08x}-f0f0-4000-8000-{contact.id:012x}"[:36], at_ms, tuple(values.items()),
        str(body.get("pageUrl", "https://example.com/")), contact.id,
    )  # fmt: skip
    form.submissions.add(at_ms, made)
    contact = writing.recalculate(portal, CONTACTS, contact, _converted(contact, form, at_ms))
    if before is not None and portal.manners.form_touches_contact:
        writing.touch(portal, CONTACTS, contact)
    return {"id": made.id, "contact": str(contact.id)}


def _written(portal: Portal, form: Form, contact: Record | None, values: Mapping[str, str]) -> Record:
    clean, _ = checked(portal, CONTACTS, values)
    source = Source("FORM", form.id, form.name)
    if contact is None:
        return writing.create(portal, CONTACTS, clean, source)
    return writing.update(portal, CONTACTS, contact, clean, source)


def _converted(contact: Record, form: Form, at_ms: int) -> dict[str, str]:
    """The calculated counters of form submissions after one more."""
    values, at = contact.values, iso(at_ms)
    submitted = [each for each in values.get("hs_calculated_form_submissions", "").split(";") if each]
    submitted.append(f"{form.id}::{at_ms}")
    found = {
        "num_conversion_events": str(int(values.get("num_conversion_events", "0")) + 1),
        "num_unique_conversion_events": str(len({each.partition("::")[0] for each in submitted})),
        "hs_calculated_form_submissions": ";".join(submitted),
    }
    if at_ms >= _ms(values.get("recent_conversion_date"), at_ms):
        found |= {"recent_conversion_date": at, "recent_conversion_event_name": form.name}
    if at_ms <= _ms(values.get("first_conversion_date"), at_ms):
        found |= {"first_conversion_date": at, "first_conversion_event_name": form.name}
    return found


def _ms(value: str | None, default: int) -> int:
    return default if value is None else parse_ms(value)


def _email_event(portal: Portal, body: Json) -> Json:
    """{"recipient", "type", "at_ms"?, "campaign"?, more keys of the log}: something became of a marketing e-mail.

    Answers the event. The contact's counters and dates move, if it is known; they are not calculated ones.
    """
    try:
        event = parse_event(body, portal.manners.portal_id, portal.clock.now_ms(), next(portal.serial))
    except (TypeError, ValueError) as error:
        raise invalid(str(error)) from error
    event |= _sent_by(portal, event) if "sentBy" not in event else {}
    portal.mailings.add(event)
    contact = portal.shelf(CONTACTS).find_by("email", event["recipient"])
    counted = _counted(contact, event) if contact is not None else {}
    if contact is not None and counted:
        writing.recalculate(portal, CONTACTS, contact, counted)
    return event


def _sent_by(portal: Portal, event: Json) -> Json:
    """Which SENT event this one follows upon; {} when it is one, or when none is known."""
    asked = Wanted(last_ms=event["created"], recipient=event["recipient"], kind="SENT",
                   campaign_id=event["emailCampaignId"])  # fmt: skip
    sent = next(portal.mailings.newest_first(asked), None)
    if sent is None or event["type"] == "SENT":
        return {}
    return {"sentBy": {"id": sent[1]["id"], "created": sent[1]["created"]}}


def _counted(contact: Record, event: Json) -> dict[str, str]:
    if event["type"] == "STATUSCHANGE":
        gone = event.get("portalSubscriptionStatus") == "UNSUBSCRIBED"
        return {"hs_email_optout": str(gone).lower()}
    counter, date = COUNTERS.get(event["type"], (None, None))
    found = {counter: str(int(contact.values.get(counter, "0")) + 1)} if counter else {}
    if date is not None:
        first, last = f"hs_email_first_{date}_date", f"hs_email_last_{date}_date"
        found[first] = iso(min(event["created"], _ms(contact.values.get(first), event["created"])))
        found[last] = iso(max(event["created"], _ms(contact.values.get(last), event["created"])))
    return found


def _event(portal: Portal, body: Json) -> Json:
    """{"eventType", "objectType"?, "objectId" or "email", "at_ms"?, "properties"?, "id"?}: a record does something."""
    return {"id": _note_event(portal, body).id}


def _note_event(portal: Portal, body: Json) -> Occurrence:
    kind, email = known_type(str(body.get("objectType", "contacts"))), str(body.get("email", "")).lower()
    shelf = portal.shelf(kind)
    found = shelf.find_by("email", email) if email else shelf.find(record_id(body.get("objectId")) or -1)
    if found is None or not body.get("eventType"):
        raise not_found(f"an event needs an eventType and a {kind.singular} that exists")
    at_ms = int(body.get("at_ms") or portal.clock.now_ms())
    name = str(body.get("id") or f"{portal.manners.portal_id}-{found.id}-{at_ms}-{next(portal.serial)}")
    properties = {str(key): str(value) for key, value in body.get("properties", {}).items()}
    event = Occurrence(name, (kind.plural, found.id), str(body["eventType"]), at_ms, properties)
    portal.occurrences.add(event)
    return event


CONTROLS: Iterable[tuple[str, Callable[[Portal, Json], Json]]] = (
    ("submit", _submit), ("email-event", _email_event), ("event", _event),
)  # fmt: skip
