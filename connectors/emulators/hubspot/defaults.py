"""The fields, groups and choices a fresh portal is born with: those a scoring client meets, not all 367.

One line a property: name | label | type/fieldType | group | marks. Marks: `calculated` (changes without touching the
record's modified time, cannot be written), `readonly`, `external` (choices live elsewhere), `hidden`, `unique`.
"""

from collections.abc import Iterator, Mapping

from connectors.emulators.hubspot.catalog import OBJECT_TYPES, ObjectType
from connectors.emulators.hubspot.definitions import Group, Option, Property

STAGES: tuple[tuple[str, str], ...] = (
    ("subscriber", "Subscriber"), ("lead", "Lead"), ("marketingqualifiedlead", "Marketing Qualified Lead"),
    ("salesqualifiedlead", "Sales Qualified Lead"), ("opportunity", "Opportunity"), ("customer", "Customer"),
    ("evangelist", "Evangelist"), ("other", "Other"),
)  # fmt: skip
DEAL_STAGES: tuple[tuple[str, str, str], ...] = (
    ("appointmentscheduled", "Appointment Scheduled", "0.2"), ("qualifiedtobuy", "Qualified To Buy", "0.4"),
    ("presentationscheduled", "Presentation Scheduled", "0.6"),
    ("decisionmakerboughtin", "Decision Maker Bought-In", "0.8"),
    ("contractsent", "Contract Sent", "0.9"), ("closedwon", "Closed Won", "1.0"), ("closedlost", "Closed Lost", "0.0"),
)  # fmt: skip

_CONTACTS = """
email | Email | string/text | contactinformation |
firstname | First Name | string/text | contactinformation |
lastname | Last Name | string/text | contactinformation |
salutation | Salutation | string/text | contactinformation |
jobtitle | Job Title | string/text | contactinformation |
job_function | Job function | string/text | contactinformation |
seniority | Seniority | string/text | contactinformation |
hs_seniority | Employment Seniority | enumeration/select | contactinformation |
hs_role | Employment Role | enumeration/select | contactinformation |
company | Company Name | string/text | contactinformation |
company_size | Company size | string/text | contactinformation |
numemployees | Number of Employees | enumeration/select | contactinformation |
annualrevenue | Annual Revenue | string/text | contactinformation |
industry | Industry | string/text | contactinformation |
phone | Phone Number | string/phonenumber | contactinformation |
mobilephone | Mobile Phone Number | string/phonenumber | contactinformation |
fax | Fax Number | string/phonenumber | contactinformation |
website | Website URL | string/text | contactinformation |
address | Street Address | string/text | contactinformation |
city | City | string/text | contactinformation |
state | State/Region | string/text | contactinformation |
zip | Postal Code | string/text | contactinformation |
country | Country/Region | string/text | contactinformation |
date_of_birth | Date of birth | string/text | contactinformation |
message | Message | string/textarea | contactinformation |
lifecyclestage | Lifecycle Stage | enumeration/radio | contactinformation |
hs_lead_status | Lead Status | enumeration/radio | sales_properties |
hubspot_owner_id | Contact owner | enumeration/select | sales_properties | external
hubspot_owner_assigneddate | Owner assigned date | datetime/date | sales_properties | readonly
hubspot_team_id | HubSpot Team | enumeration/select | sales_properties | external readonly
hubspotscore | HubSpot Score | number/calculation_score | sales_properties | readonly
hs_predictivecontactscore_v2 | Likelihood to close | number/number | contact_activity | readonly
hs_persona | Persona | enumeration/select | contactinformation |
hs_additional_emails | Additional email addresses | enumeration/checkbox | contactinformation | external
hs_email_domain | Email Domain | string/text | contactinformation | readonly
hs_full_name_or_email | Full name or email | string/calculation_equation | contactinformation | readonly hidden
hs_is_contact | Is a contact | bool/calculation_equation | contactinformation | readonly hidden
hs_is_unworked | Contact unworked | bool/calculation_equation | contactinformation | readonly hidden
hs_pipeline | Pipeline | enumeration/select | contactinformation | external hidden
hs_object_id | Record ID | number/number | contactinformation | readonly
hs_object_source | Record source detail 1 | string/text | contactinformation | readonly hidden
hs_object_source_id | Record source ID | string/text | contactinformation | readonly hidden
hs_object_source_label | Record source | enumeration/select | contactinformation | external readonly
hs_created_by_user_id | Created by user ID | number/number | contactinformation | readonly
hs_updated_by_user_id | Updated by user ID | number/number | contactinformation | readonly
createdate | Create Date | datetime/date | contactinformation |
lastmodifieddate | Last Modified Date | datetime/date | contactinformation | readonly
hs_createdate | Object create date/time | datetime/date | contactinformation | readonly hidden
hs_lastmodifieddate | Object last modified date/time | datetime/date | contactinformation | readonly hidden
closedate | Close Date | datetime/date | contactinformation |
hs_all_contact_vids | All vids | enumeration/checkbox | contactinformation | external readonly
hs_merged_object_ids | Merged Contact IDs | enumeration/checkbox | contactinformation | external readonly
hs_calculated_merged_vids | Merged vids and times | enumeration/checkbox | contactinformation | external calculated
hs_was_imported | Was Imported | bool/booleancheckbox | contactinformation | readonly
hs_marketable_status | Marketing contact status | enumeration/booleancheckbox | contactinformation | readonly
hs_associated_target_accounts | Target Accounts | number/calculation_rollup | contactinformation | readonly hidden
associatedcompanyid | Primary Associated Company ID | number/number | contactinformation | external hidden
num_associated_deals | Number of Associated Deals | number/number | contactinformation | readonly
recent_deal_amount | Recent Deal Amount | number/number | contactinformation | readonly
hs_email_optout | Unsubscribed from all email | enumeration/booleancheckbox | emailinformation | readonly
hs_email_delivered | Marketing emails delivered | number/number | emailinformation | readonly
hs_email_open | Marketing emails opened | number/number | emailinformation | readonly
hs_email_click | Marketing emails clicked | number/number | emailinformation | readonly
hs_email_replied | Marketing emails replied | number/number | emailinformation | readonly
hs_email_bounce | Marketing emails bounced | number/number | emailinformation | readonly
hs_email_first_send_date | First marketing email send date | datetime/date | emailinformation | readonly
hs_email_first_open_date | First marketing email open date | datetime/date | emailinformation | readonly
hs_email_first_click_date | First marketing email click date | datetime/date | emailinformation | readonly
hs_email_last_send_date | Last marketing email send date | datetime/date | emailinformation | readonly
hs_email_last_open_date | Last marketing email open date | datetime/date | emailinformation | readonly
hs_email_last_click_date | Last marketing email click date | datetime/date | emailinformation | readonly
hs_email_last_reply_date | Last marketing email reply date | datetime/date | emailinformation | readonly
hs_email_last_email_name | Last marketing email name | string/text | emailinformation | readonly
hs_sales_email_last_opened | Recent Sales Email Opened Date | datetime/date | sales_properties | readonly
hs_sales_email_last_clicked | Recent Sales Email Clicked Date | datetime/date | sales_properties | readonly
hs_sales_email_last_replied | Recent Sales Email Replied Date | datetime/date | sales_properties | readonly
notes_last_contacted | Last Contacted | datetime/date | sales_properties | readonly
notes_last_updated | Last Activity Date | datetime/date | sales_properties | readonly
notes_next_activity_date | Next Activity Date | datetime/date | sales_properties | readonly
num_contacted_notes | Number of times contacted | number/number | sales_properties | readonly
num_notes | Number of Sales Activities | number/number | sales_properties | readonly
hs_last_sales_activity_timestamp | Last Engagement Date | datetime/date | sales_properties | readonly
hs_last_sales_activity_date | Last Engagement Date (old) | datetime/date | sales_properties | readonly hidden
hs_latest_meeting_activity | Latest meeting activity | datetime/date | sales_properties | readonly
hs_sequences_actively_enrolled_count | Sequences actively enrolled | number/number | sales_properties | readonly hidden
hs_sequences_enrolled_count | Number of sequences enrolled | number/number | sales_properties | readonly
hs_sequences_is_enrolled | Currently in Sequence | bool/booleancheckbox | sales_properties | readonly
num_conversion_events | Number of Form Submissions | number/number | conversioninformation | calculated
num_unique_conversion_events | Number of Unique Forms Submitted | number/number | conversioninformation | calculated
recent_conversion_date | Recent Conversion Date | datetime/date | conversioninformation | calculated
recent_conversion_event_name | Recent Conversion | string/text | conversioninformation | calculated
first_conversion_date | First Conversion Date | datetime/date | conversioninformation | calculated
first_conversion_event_name | First Conversion | string/text | conversioninformation | calculated
hs_calculated_form_submissions | Form submissions | enumeration/checkbox | conversioninformation | external calculated
hs_analytics_source | Original Traffic Source | enumeration/select | analyticsinformation |
hs_analytics_source_data_1 | Original Traffic Source Drill-Down 1 | string/text | analyticsinformation | readonly
hs_analytics_source_data_2 | Original Traffic Source Drill-Down 2 | string/text | analyticsinformation | readonly
hs_latest_source | Latest Traffic Source | enumeration/select | analyticsinformation | readonly
hs_latest_source_timestamp | Latest Traffic Source Date | datetime/date | analyticsinformation | readonly
hs_analytics_num_visits | Number of Sessions | number/number | analyticsinformation | readonly
hs_analytics_num_page_views | Number of Pageviews | number/number | analyticsinformation | readonly
hs_analytics_average_page_views | Average Pageviews | number/number | analyticsinformation | readonly
hs_analytics_num_event_completions | Number of event completions | number/number | analyticsinformation | readonly
hs_analytics_first_timestamp | Time First Seen | datetime/date | analyticsinformation | readonly
hs_analytics_last_timestamp | Time Last Seen | datetime/date | analyticsinformation | readonly
hs_analytics_first_visit_timestamp | Time of First Session | datetime/date | analyticsinformation | readonly
hs_analytics_last_visit_timestamp | Time of Last Session | datetime/date | analyticsinformation | readonly
hs_analytics_first_url | First Page Seen | string/text | analyticsinformation | readonly
hs_analytics_last_url | Last Page Seen | string/text | analyticsinformation | readonly
hs_analytics_revenue | Event Revenue | number/number | analyticsinformation | readonly
hs_social_last_engagement | Most Recent Social Click | datetime/date | socialmediainformation | readonly
"""
_COMPANIES = """
name | Company name | string/text | companyinformation |
domain | Company Domain Name | string/text | companyinformation |
website | Website URL | string/text | companyinformation |
phone | Phone Number | string/phonenumber | companyinformation |
industry | Industry | string/text | companyinformation |
city | City | string/text | companyinformation |
state | State/Region | string/text | companyinformation |
country | Country/Region | string/text | companyinformation |
numberofemployees | Number of Employees | number/number | companyinformation |
annualrevenue | Annual Revenue | number/number | companyinformation |
description | Description | string/textarea | companyinformation |
lifecyclestage | Lifecycle Stage | enumeration/radio | companyinformation |
hs_is_target_account | Target Account | enumeration/booleancheckbox | companyinformation |
hs_merged_object_ids | Merged Company IDs | enumeration/checkbox | companyinformation | external readonly
hubspot_owner_id | Company owner | enumeration/select | companyinformation | external
createdate | Create Date | datetime/date | companyinformation |
hs_lastmodifieddate | Last Modified Date | datetime/date | companyinformation | readonly
hs_object_id | Record ID | number/number | companyinformation | readonly
"""
_DEALS = """
dealname | Deal Name | string/text | dealinformation |
amount | Amount | number/number | dealinformation |
closedate | Close Date | datetime/date | dealinformation |
dealstage | Deal Stage | enumeration/radio | deal_activity | external
pipeline | Pipeline | enumeration/select | deal_activity | external
description | Deal Description | string/textarea | dealinformation |
hubspot_owner_id | Deal owner | enumeration/select | dealinformation | external
hs_is_closed_won | Is Closed Won | bool/calculation_equation | dealinformation | calculated
hs_merged_object_ids | Merged Deal IDs | enumeration/checkbox | dealinformation | external readonly
createdate | Create Date | datetime/date | dealinformation |
hs_lastmodifieddate | Last Modified Date | datetime/date | dealinformation | readonly
hs_object_id | Record ID | number/number | dealinformation | readonly
"""
_ACTIVITY = """
hs_timestamp | Activity date | datetime/date | engagement |
hs_createdate | Create date | datetime/date | engagement | readonly
hs_lastmodifieddate | Last modified date | datetime/date | engagement | readonly
hs_object_id | Record ID | number/number | engagement | readonly
hs_activity_type | Activity type | string/text | engagement |
hs_engagement_source | Engagement source | string/text | engagement | readonly
hs_engagement_source_id | Engagement source ID | string/text | engagement | readonly
hs_attachment_ids | Attached file IDs | string/text | engagement |
hs_created_by | Activity created by | number/number | engagement | readonly
hs_created_by_user_id | Created by user ID | number/number | engagement | readonly
hs_object_source | Record source detail 1 | string/text | engagement | readonly hidden
hs_object_source_id | Record source ID | string/text | engagement | readonly hidden
hs_object_source_label | Record source | enumeration/select | engagement | external readonly
hs_merged_object_ids | Merged IDs | enumeration/checkbox | engagement | external readonly
hubspot_owner_id | Activity assigned to | enumeration/select | engagement | external
hs_body_preview | Body preview | string/text | engagement | readonly
"""
_CALLS = """
hs_call_title | Call title | string/text | call |
hs_call_body | Call notes | string/html | call |
hs_call_direction | Call direction | enumeration/select | call |
hs_call_disposition | Call outcome | enumeration/select | call | external
hs_call_status | Call status | enumeration/select | call |
hs_call_duration | Call duration | number/number | call |
hs_call_from_number | From number | string/text | call |
hs_call_to_number | To number | string/text | call |
hs_call_recording_url | Recording URL | string/text | call |
hs_call_source | Call source | string/text | call |
hs_call_callee_object_id | Callee object ID | number/number | call |
"""
_EMAILS = """
hs_email_subject | Email subject | string/text | email |
hs_email_text | Email body (plain) | string/textarea | email |
hs_email_html | Email body (HTML) | string/html | email |
hs_email_direction | Email direction | enumeration/select | email |
hs_email_status | Email send status | enumeration/select | email |
hs_email_headers | Email headers | string/textarea | email |
hs_email_from_email | Email from address | string/text | email | readonly
hs_email_from_firstname | Email from first name | string/text | email | readonly
hs_email_to_email | Email to address | string/text | email | readonly
hs_email_open_count | Number of email opens | number/number | email | readonly
hs_email_click_count | Number of email clicks | number/number | email | readonly
hs_email_reply_count | Number of email replies | number/number | email | readonly
hs_email_thread_id | Email thread ID | string/text | email | readonly
"""
_MEETINGS = """
hs_meeting_title | Meeting name | string/text | meeting |
hs_meeting_body | Meeting description | string/html | meeting |
hs_internal_meeting_notes | Internal meeting notes | string/html | meeting |
hs_meeting_external_url | External URL | string/text | meeting |
hs_meeting_location | Meeting location | string/text | meeting |
hs_meeting_start_time | Meeting start time | datetime/date | meeting |
hs_meeting_end_time | Meeting end time | datetime/date | meeting |
hs_meeting_outcome | Meeting outcome | enumeration/select | meeting |
hs_meeting_source | Meeting source | string/text | meeting | readonly
"""
_NOTES = """
hs_note_body | Note body | string/html | note |
"""
_TASKS = """
hs_task_subject | Task title | string/text | task |
hs_task_body | Task notes | string/html | task |
hs_task_status | Task status | enumeration/select | task |
hs_task_priority | Priority | enumeration/select | task |
hs_task_type | Task type | enumeration/select | task |
hs_task_reminders | Reminders | string/text | task |
hs_task_completion_date | Completed at | datetime/date | task | readonly
hs_task_is_completed | Is completed | number/number | task | calculated
hs_queue_membership_ids | Queue | enumeration/checkbox | task | external
"""
_COMMUNICATIONS = """
hs_communication_channel_type | Channel type | enumeration/select | communication |
hs_communication_logged_from | Logged from | enumeration/select | communication |
hs_communication_body | Communication body | string/html | communication |
"""
_TABLES: Mapping[str, str] = {
    "contacts": _CONTACTS,
    "companies": _COMPANIES,
    "deals": _DEALS,
    "calls": _ACTIVITY + _CALLS,
    "emails": _ACTIVITY + _EMAILS,
    "meetings": _ACTIVITY + _MEETINGS,
    "notes": _ACTIVITY + _NOTES,
    "tasks": _ACTIVITY + _TASKS,
    "communications": _ACTIVITY + _COMMUNICATIONS,
}
_SOURCES = (
    "ORGANIC_SEARCH PAID_SEARCH EMAIL_MARKETING SOCIAL_MEDIA REFERRALS OTHER_CAMPAIGNS DIRECT_TRAFFIC OFFLINE "
    "PAID_SOCIAL AI_REFERRALS"
)
_CHOICES: Mapping[str, str] = {
    "hs_lead_status": "NEW OPEN IN_PROGRESS OPEN_DEAL UNQUALIFIED ATTEMPTED_TO_CONTACT CONNECTED BAD_TIMING",
    "hs_seniority": "vp director manager senior employee entry executive owner partner",
    "hs_role": "accounting administrative engineering finance information_technology marketing operations sales",
    "hs_persona": "persona_1 persona_2",
    "numemployees": "1-5 5-25 25-50 50-100 100-500 500-1000 1000+",
    "hs_email_optout": "true false",
    "hs_marketable_status": "true false",
    "hs_is_target_account": "true false",
    "hs_analytics_source": _SOURCES,
    "hs_latest_source": _SOURCES,
    "hs_call_direction": "INBOUND OUTBOUND",
    "hs_call_status": "BUSY CALLING_CRM_USER CANCELED COMPLETED FAILED IN_PROGRESS MISSED NO_ANSWER QUEUED RINGING",
    "hs_email_direction": "EMAIL INCOMING_EMAIL FORWARDED_EMAIL DRAFT_EMAIL",
    "hs_email_status": "BOUNCED FAILED SCHEDULED SENDING SENT",
    "hs_meeting_outcome": "SCHEDULED COMPLETED RESCHEDULED NO_SHOW CANCELED",
    "hs_task_status": "NOT_STARTED COMPLETED WAITING IN_PROGRESS DEFERRED",
    "hs_task_priority": "NONE LOW MEDIUM HIGH",
    "hs_task_type": "TODO CALL EMAIL LINKED_IN LINKED_IN_CONNECT LINKED_IN_MESSAGE MEETING",
    "hs_communication_channel_type": "SMS WHATS_APP LINKEDIN_MESSAGE",
    "hs_communication_logged_from": "CRM",
}


def _options(name: str) -> tuple[Option, ...]:
    words = _CHOICES.get(name, "").split()
    return tuple(Option(word, word.replace("_", " ").capitalize(), order) for order, word in enumerate(words))


def _property(line: str) -> Property:
    name, label, types, group, marks = (part.strip() for part in line.split("|"))
    kind, field = types.split("/")
    return Property(
        name=name, label=label, type=kind, field_type=field, group=group, options=_options(name),
        calculated="calculated" in marks, read_only_value="calculated" in marks or "readonly" in marks,
        hubspot_defined=True, external_options="external" in marks, hidden="hidden" in marks,
        form_field=group == "contactinformation" and not marks,
    )  # fmt: skip


def _lines(kind: ObjectType) -> list[str]:
    return [line for line in _TABLES[kind.plural].splitlines() if line]


def stage_options(stages: tuple[tuple[str, str], ...]) -> tuple[Option, ...]:
    """The choices of `lifecyclestage`, in the portal's order."""
    return tuple(Option(value, label, order) for order, (value, label) in enumerate(stages))


def stage_date_names(stage: str) -> tuple[str, str]:
    """The two properties in which HubSpot notes when a contact entered a stage."""
    return (f"hs_lifecyclestage_{stage}_date", f"hs_v2_date_entered_{stage}")


def _stage_dates(stages: tuple[tuple[str, str], ...]) -> Iterator[Property]:
    for stage, label in stages:
        for name in stage_date_names(stage):
            title = f"Date entered '{label} (Lifecycle Stage Pipeline)'"
            yield Property(name, title, "datetime", "calculation_read_time", "contactlcs", read_only_value=True,
                           hubspot_defined=True, hidden=True, form_field=False)  # fmt: skip


def default_properties(kind: ObjectType, stages: tuple[tuple[str, str], ...]) -> dict[str, Property]:
    """The HubSpot-defined fields of one kind, by name."""
    found = {each.name: each for each in map(_property, _lines(kind))}
    if kind.plural == "contacts":
        found |= {each.name: each for each in _stage_dates(stages)}
    return found


def default_groups(kind: ObjectType) -> dict[str, Group]:
    """The groups which the kind's default fields stand in, by name."""
    names = dict.fromkeys(line.split("|")[3].strip() for line in _lines(kind))
    if kind.plural == "contacts":
        names["contactlcs"] = None
    return {name: Group(name, name.replace("_", " ").capitalize(), order) for order, name in enumerate(names)}


assert {kind.plural for kind in OBJECT_TYPES} == set(_TABLES), "every kind of object needs its table of properties"
