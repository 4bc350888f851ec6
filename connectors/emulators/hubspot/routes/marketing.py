"""Forms and their submissions, the log of marketing e-mails, and the portal's own lead scores."""

from connectors.emulators.hubspot.answers import Answer, Json, invalid, not_found
from connectors.emulators.hubspot.cursors import opened, opened_position, sealed, sealed_position
from connectors.emulators.hubspot.forms import FORM_TYPES, Form
from connectors.emulators.hubspot.mailings import EVENT_TYPES, Wanted
from connectors.emulators.hubspot.operations import Call, Operation, record_id
from connectors.emulators.hubspot.timeline import END_OF_TIME, page

MAX_FORMS, MAX_SUBMISSIONS, MAX_EVENTS, MAX_SCORES = 100, 50, 1000, 100
_TYPES_WITH_SUBMISSIONS = FORM_TYPES - {"blog_comment"}
_SHOWN_IN_LIST = ("id", "name", "createdAt", "publishedAt", "scoreStatus", "scoreType")


def _forms_scope(call: Call) -> tuple[str, ...]:
    return ("forms",)


def _submissions_scope(call: Call) -> tuple[str, ...]:
    return ("forms", "forms-uploaded-files")


def _content_scope(call: Call) -> tuple[str, ...]:
    return ("content",)


def _scores_scope(call: Call) -> tuple[str, ...]:
    return ("mh-lead-scoring-view", "mh-lead-scoring-edit")


def _paging(call: Call, limit: int, cursor: str) -> Json:
    link = f"{call.base_url}?limit={limit}&after={cursor}"
    return {"next": {"after": cursor, "link": link}}


def _list_forms(call: Call) -> Answer:
    """Without `formTypes` only forms of the type hubspot are shown."""
    kinds = set(call.words("formTypes") or ("hubspot",))
    if not kinds <= FORM_TYPES | {"all"}:
        raise invalid(f"formTypes must be among {sorted(FORM_TYPES)} or all")
    start, limit = _offset(call), call.number("limit", 20, MAX_FORMS)
    archived = call.flag("archived")
    chosen = [
        each
        for each in call.portal.forms.values()
        if each.archived is archived and ("all" in kinds or each.form_type in kinds)
    ]
    return _slice(call, [each.shown() for each in chosen[start : start + limit]], start + limit < len(chosen), limit)


def _offset(call: Call) -> int:
    """Forms and lead scores are paged by a counted offset, hidden in the cursor."""
    text = opened(call.word("after")) if call.word("after") else "0"
    if not text.isdigit():
        raise invalid("after is not a valid paging cursor")
    return int(text)


def _slice(call: Call, shown: list[Json], more: bool, limit: int) -> Answer:
    body: Json = {"results": shown}
    if more:
        body["paging"] = _paging(call, limit, sealed(str(_offset(call) + limit)))
    return Answer(200, body)


def _form(call: Call) -> Form:
    found = call.portal.forms.get(call.path["formId"])
    if found is None:
        raise not_found(f"No form with ID {call.path['formId']} exists")
    return found


def _read_form(call: Call) -> Answer:
    found = _form(call)
    if found.archived is not call.flag("archived"):
        raise not_found(f"No form with ID {found.id} exists")
    return Answer(200, found.shown())


def _list_submissions(call: Call) -> Answer:
    form, limit = _form(call), call.number("limit", 20, MAX_SUBMISSIONS)
    if form.form_type not in _TYPES_WITH_SUBMISSIONS:
        message = f"Submissions of forms of the type {form.form_type} cannot be read"
        raise invalid(message, errors=[{"message": message, "errorType": "FORM_TYPE_NOT_ALLOWED"}])
    below = opened_position(call.word("after"))
    shown, last = page(form.submissions.newest_first(0, END_OF_TIME - 1, below), limit)
    body: Json = {"results": [each.shown() for each in shown]}
    if last is not None:
        body["paging"] = _paging(call, limit, sealed_position(last))
    return Answer(200, body)


def _list_email_events(call: Call) -> Answer:
    """Newest first. The offset is opaque and belongs to its question; `hasMore` says whether to use it."""
    limit = call.number("limit", 10, MAX_EVENTS)
    wanted = Wanted(
        first_ms=_whole(call, "startTimestamp") or 0,
        last_ms=_whole(call, "endTimestamp") or END_OF_TIME - 1,
        recipient=call.word("recipient") or None,
        kind=call.word("eventType") or None,
        campaign_id=_whole(call, "campaignId"),
        app_id=_whole(call, "appId"),
        with_filtered=not call.flag("excludeFilteredEvents"),
    )
    if wanted.kind not in {None, *EVENT_TYPES}:
        raise invalid(f"{wanted.kind} is not an event type")
    below = opened_position(call.word("offset"))
    shown, last = page(call.portal.mailings.newest_first(wanted, below), limit)
    offset = sealed_position(last) if last else call.word("offset")
    return Answer(200, {"hasMore": last is not None, "offset": offset, "events": shown})


def _whole(call: Call, name: str) -> int | None:
    raw = call.word(name)
    if raw and not raw.isdigit():
        raise invalid(f"{name} must be a whole number, was {raw}")
    return int(raw) if raw else None


def _read_email_event(call: Call) -> Answer:
    at_ms = record_id(call.path["created"])
    if at_ms is None:
        raise not_found()
    for _, event in call.portal.mailings.newest_first(Wanted(first_ms=at_ms, last_ms=at_ms)):
        if event["id"] == call.path["id"]:
            return Answer(200, event)
    raise not_found()


def _list_scores(call: Call) -> Answer:
    start, limit = _offset(call), call.number("limit", 10, MAX_SCORES)
    scores = list(call.portal.lead_scores.values())
    return _slice(call, [_fragment(each) for each in scores[start : start + limit]], start + limit < len(scores), limit)


def _fragment(score: Json) -> Json:
    changed = score.get("lastConfigurationChangeTimestamp") or score.get("updatedAt")
    shown = {name: score[name] for name in _SHOWN_IN_LIST if name in score}
    return shown | {"scoredObjectTypeId": score["objectTypeId"], "lastConfigurationChangeTimestamp": changed}


def _read_score(call: Call) -> Answer:
    found = call.portal.lead_scores.get(call.path["scoreId"])
    if found is None:
        raise not_found(f"No score with ID {call.path['scoreId']} exists")
    return Answer(200, found)


OPERATIONS = (
    Operation("GET", "/marketing/forms", _list_forms, "read", _forms_scope),
    Operation("GET", "/marketing/forms/{formId}", _read_form, "read", _forms_scope),
    Operation("GET", "/form-integrations/submissions/forms/{formId}", _list_submissions, "read", _submissions_scope),
    Operation("GET", "/email/events", _list_email_events, "read", _content_scope),
    Operation("GET", "/email/events/{created}/{id}", _read_email_event, "read", _content_scope),
    Operation("GET", "/marketing/lead-scoring/scores", _list_scores, "read", _scores_scope),
    Operation("GET", "/marketing/lead-scoring/scores/{scoreId}", _read_score, "read", _scores_scope),
)
