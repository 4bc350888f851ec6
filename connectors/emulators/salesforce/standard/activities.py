"""The stock objects of what people did: tasks, events, e-mails, campaigns, opportunities."""

from connectors.emulators.salesforce.schema import AUDIT, VIEWED, Abilities, ObjectType, stock_object

_WHO = "WhoId | Name ID | reference(Contact, Lead) system rel=Who kids={kids} cascade"
_WHAT = "WhatId | Related To ID | reference(Account, Campaign, Opportunity) system rel=What kids={kids} cascade"
_RECURRENCE = """
IsRecurrence | Create Recurring Series | boolean createonly
RecurrenceInterval | Recurrence Interval | int(9) system
RecurrenceDayOfWeekMask | Recurrence Day of Week Mask | int(9) system
RecurrenceDayOfMonth | Recurrence Day of Month | int(2) system
RecurrenceType | Recurrence Type | picklist(40) system restricted
RecurrenceInstance | Recurrence Instance | picklist(40) system restricted
RecurrenceMonthOfYear | Recurrence Month of Year | picklist(40) system restricted
RecurrenceTimeZoneSidKey | Recurrence Time Zone | picklist(40) system restricted
RecurrenceEndDateOnly | Recurrence End | date system
ReminderDateTime | Reminder Date/Time | datetime system
IsReminderSet | Reminder Set | boolean system
"""
_TASK = f"""
{_WHO.format(kids="Tasks")}
{_WHAT.format(kids="Tasks")}
Subject | Subject | combobox(255) system namefield nogroup values=task_subject
ActivityDate | Due Date Only | date system
Status | Status | picklist defaulted values=task_status
Priority | Priority | picklist defaulted values=task_priority
IsHighPriority | High Priority | boolean readonly
OwnerId | Assigned To ID | reference(Group, User) defaulted rel=Owner
Description | Description | textarea(32000) extra=plaintextarea
AccountId | Account ID | reference(Account) readonly rel=Account
IsClosed | Closed | boolean readonly
{AUDIT}
IsArchived | Archived | boolean readonly
CallDurationInSeconds | Call Duration | int(8) system
CallType | Call Type | picklist(40) system values=call_type
CallDisposition | Call Result | string(255) system
CallObject | Call Object Identifier | string(255) system
RecurrenceActivityId | Recurrence Activity ID | reference(Task) readonly kids=RecurringTasks
RecurrenceStartDateOnly | Recurrence Start | date system
RecurrenceRegeneratedType | Repeat This Task | picklist(40) system restricted
{_RECURRENCE}
TaskSubtype | Task Subtype | picklist(40) createonly restricted values=task_subtype
CompletedDateTime | Completed Date | datetime readonly
"""
_EVENT = f"""
{_WHO.format(kids="Events")}
{_WHAT.format(kids="Events")}
Subject | Subject | combobox(255) system namefield nogroup values=event_subject
Location | Location | string(255)
IsAllDayEvent | All-Day Event | boolean
ActivityDateTime | Due Date Time | datetime system
ActivityDate | Due Date Only | date system
DurationInMinutes | Duration | int(8) system
StartDateTime | Start Date Time | datetime system
EndDateTime | End Date Time | datetime system
EndDate | End Date | date readonly
Description | Description | textarea(32000) extra=plaintextarea
AccountId | Account ID | reference(Account) readonly rel=Account
OwnerId | Assigned To ID | reference(Calendar, User) defaulted rel=Owner
IsPrivate | Private | boolean system
ShowAs | Show Time As | picklist(40) system restricted values=show_as
IsChild | Is Child | boolean readonly
IsGroupEvent | Is Group Event | boolean readonly
GroupEventType | Group Event Type | picklist(40) readonly restricted values=group_event
{AUDIT}
IsArchived | Archived | boolean readonly
RecurrenceActivityId | Recurrence Activity ID | reference(Event) readonly kids=RecurringEvents
RecurrenceStartDateTime | Recurrence Start | datetime system
{_RECURRENCE}
EventSubtype | Event Subtype | picklist(40) createonly restricted values=event_subtype
"""
_EVENT_RELATION = f"""
RelationId | Relation ID | reference(Calendar, Contact, Lead, User) required createonly rel=Relation kids=EventRelations cascade
EventId | Event ID | reference(Event) required createonly rel=Event kids=EventRelations cascade
Status | Status | picklist(40) defaulted restricted values=invitee_status
RespondedDate | Response Date | datetime system
Response | Comment | string(255) system
{AUDIT}
"""  # noqa: E501
_EMAIL = f"""
ParentId | Case ID | reference(Case) createonly
ActivityId | Activity ID | reference(Task) rel=Activity
{AUDIT}
TextBody | Text Body | textarea(32000) extra=plaintextarea
HtmlBody | HTML Body | textarea(32000) extra=richtextarea
Headers | Headers | textarea(32000) extra=plaintextarea
Subject | Subject | string(3000) namefield
FromName | From Name | string(1000)
FromAddress | From Address | email(1000)
ValidatedFromAddress | From | picklist(1333)
ToAddress | To Address | string(4000)
CcAddress | CC Address | string(4000)
BccAddress | BCC Address | string(4000)
Incoming | Is Incoming | boolean
HasAttachment | Has Attachment | boolean readonly
Status | Status | picklist(40) defaulted restricted values=email_status
MessageDate | Message Date | datetime
ReplyToEmailMessageId | Email Message ID | reference(EmailMessage) createonly rel=ReplyToEmailMessage
IsPrivateDraft | Is Private Draft | boolean readonly
IsExternallyVisible | Is Externally Visible | boolean
MessageIdentifier | Message ID | string(765)
ThreadIdentifier | Thread ID | string(765)
IsClientManaged | Is Client Managed | boolean
IsTracked | Is Tracked | boolean
FirstOpenedDate | First Opened | datetime readonly
LastOpenedDate | Last Opened | datetime readonly
IsOpened | Opened? | boolean readonly
IsBounced | Is Bounced? | boolean readonly
RelatedToId | Related To ID | reference(Account, Campaign, Opportunity) rel=RelatedTo kids=Emails
"""
_EMAIL_RELATION = """
EmailMessageId | Email Message ID | reference(EmailMessage) required createonly rel=EmailMessage kids=EmailMessageRelations cascade
RelationId | Relation ID | reference(Contact, Lead, User) createonly rel=Relation kids=EmailMessageRelations cascade
RelationType | Relation Type | picklist(40) required createonly restricted values=email_relation
RelationAddress | Relation Address | string(4000) createonly
RelationObjectType | Relation Object Type | string(255) readonly
CreatedDate | Created Date | datetime readonly defaulted
CreatedById | Created By ID | reference(User) readonly defaulted rel=CreatedBy
SystemModstamp | System Modstamp | datetime readonly defaulted
"""  # noqa: E501
_CAMPAIGN = f"""
Name | Name | string(80) required namefield
ParentId | Parent Campaign ID | reference(Campaign) rel=Parent kids=ChildCampaigns
Type | Type | picklist values=campaign_type
Status | Status | picklist values=campaign_status
StartDate | Start Date | date
EndDate | End Date | date
ExpectedRevenue | Expected Revenue | currency(18,0)
BudgetedCost | Budgeted Cost | currency(18,0)
ActualCost | Actual Cost | currency(18,0)
ExpectedResponse | Expected Response (%) | percent(10,2)
NumberSent | Num Sent | double(18,0)
IsActive | Active | boolean
Description | Description | textarea(32000) extra=plaintextarea
NumberOfLeads | Leads in Campaign | int(9) readonly notnull
NumberOfConvertedLeads | Converted Leads in Campaign | int(9) readonly notnull
NumberOfContacts | Contacts in Campaign | int(9) readonly notnull
NumberOfResponses | Responses in Campaign | int(9) readonly notnull
NumberOfOpportunities | Opportunities in Campaign | int(9) readonly notnull
NumberOfWonOpportunities | Won Opportunities in Campaign | int(9) readonly notnull
AmountAllOpportunities | Value Opportunities in Campaign | currency(18,0) readonly notnull
AmountWonOpportunities | Value Won Opportunities in Campaign | currency(18,0) readonly notnull
OwnerId | Owner ID | reference(User) defaulted rel=Owner
{AUDIT}
LastActivityDate | Last Activity | date readonly
{VIEWED}
CampaignMemberRecordTypeId | Record Type ID | reference(RecordType) rel=CampaignMemberRecordType
"""
_MEMBER = f"""
CampaignId | Campaign ID | reference(Campaign) required createonly rel=Campaign kids=CampaignMembers cascade
LeadId | Lead ID | reference(Lead) createonly rel=Lead kids=CampaignMembers cascade
ContactId | Contact ID | reference(Contact) createonly rel=Contact kids=CampaignMembers cascade
Status | Status | picklist(40) system
HasResponded | Responded | boolean readonly
{AUDIT}
FirstRespondedDate | First Responded Date | date readonly
Salutation | Salutation | picklist(40) readonly values=salutation
Name | Name | string(121) readonly
FirstName | First Name | string(40) readonly
LastName | Last Name | string(80) readonly
Title | Title | string(128) readonly
Street | Street | textarea(255) readonly
City | City | string(40) readonly
State | State/Province | string(80) readonly
PostalCode | Zip/Postal Code | string(20) readonly
Country | Country | string(80) readonly
Email | Email | email readonly
Phone | Phone | phone readonly
Fax | Fax | phone readonly
MobilePhone | Mobile | phone readonly
Description | Description | textarea(32000) readonly
DoNotCall | Do Not Call | boolean readonly
HasOptedOutOfEmail | Email Opt Out | boolean readonly
HasOptedOutOfFax | Fax Opt Out | boolean readonly
LeadSource | Lead Source | picklist readonly values=source
CompanyOrAccount | Company (Account) | string(255) readonly
Type | Type | string(40) readonly
LeadOrContactId | Related Record ID | reference(Contact, Lead) readonly rel=LeadOrContact
LeadOrContactOwnerId | Related Record Owner ID | reference(Group, User) readonly rel=LeadOrContactOwner
"""
_MEMBER_STATUS = f"""
CampaignId | Campaign ID | reference(Campaign) required createonly rel=Campaign kids=CampaignMemberStatuses cascade
Label | Label | string(765) required namefield
SortOrder | Sort Order | int(9) system
IsDefault | Is Default | boolean system
HasResponded | Responded | boolean system
{AUDIT}
"""
_OPPORTUNITY = f"""
AccountId | Account ID | reference(Account) rel=Account kids=Opportunities cascade
IsPrivate | Private | boolean
Name | Name | string(120) required namefield
Description | Description | textarea(32000) extra=plaintextarea
StageName | Stage | picklist required values=stage
Amount | Amount | currency(18,2)
Probability | Probability (%) | percent(3,0)
ExpectedRevenue | Expected Amount | currency(18,2) readonly
TotalOpportunityQuantity | Quantity | double(18,2)
CloseDate | Close Date | date required
Type | Opportunity Type | picklist values=opportunity_type
NextStep | Next Step | string(255)
LeadSource | Lead Source | picklist values=source
IsClosed | Closed | boolean readonly
IsWon | Won | boolean readonly
ForecastCategory | Forecast Category | picklist(40) readonly restricted values=forecast
ForecastCategoryName | Forecast Category | picklist system values=forecast
CampaignId | Campaign ID | reference(Campaign) rel=Campaign kids=Opportunities
HasOpportunityLineItem | Has Line Item | boolean readonly
OwnerId | Owner ID | reference(User) defaulted rel=Owner
{AUDIT}
LastActivityDate | Last Activity | date readonly
{VIEWED}
ContactId | Contact ID | reference(Contact) createonly rel=Contact kids=Opportunities
"""
_HISTORY = """
{parent}Id | {parent} ID | reference({parent}) readonly rel={parent} kids=Histories cascade
CreatedById | Created By ID | reference(User) readonly rel=CreatedBy
CreatedDate | Created Date | datetime readonly
Field | Changed Field | picklist(255) readonly restricted
DataType | Datatype | picklist(40) readonly restricted
OldValue | Old Value | anyType(765) readonly
NewValue | New Value | anyType(765) readonly
"""
_VIEW_ONLY = (
    """
WhoId | Name ID | reference(Contact, Lead) readonly rel=Who kids={kids} cascade
WhatId | Related To ID | reference(Account, Campaign, Opportunity) readonly rel=What kids={kids} cascade
Subject | Subject | string(255) readonly namefield
IsTask | Task | boolean readonly
ActivityDate | Date | date readonly
OwnerId | Assigned To ID | reference(Group, User) readonly rel=Owner
Status | Status | picklist(40) readonly
Priority | Priority | picklist(40) readonly
ActivityType | Type | picklist(40) readonly
ActivitySubtype | Activity Subtype | picklist(40) readonly
IsClosed | Closed | boolean readonly
AccountId | Account ID | reference(Account) readonly rel=Account
Description | Description | textarea(32000) readonly
"""
    + AUDIT
)
_UNQUERYABLE = Abilities(
    queryable=False, replicateable=False, createable=False, updateable=False, deletable=False, undeletable=False
)
_RELATION = Abilities(undeletable=False, searchable=False, layoutable=False)
HISTORY = Abilities(createable=False, updateable=False, undeletable=False, searchable=False, layoutable=False)


def activities() -> list[ObjectType]:
    """Task, Event, EmailMessage with their relations, Opportunity, and the two views that cannot be queried."""
    return [
        stock_object("Task | Task | Tasks", "00T", _TASK),
        stock_object("Event | Event | Events", "00U", _EVENT),
        stock_object("EventRelation | Event Relation | Event Relations", "0RE", _EVENT_RELATION, _RELATION),
        stock_object("EmailMessage | Email Message | Email Messages", "02s", _EMAIL),
        stock_object(
            "EmailMessageRelation | Email Message Relation | Email Message Relations", "0CZ", _EMAIL_RELATION, _RELATION
        ),
        stock_object("Opportunity | Opportunity | Opportunities", "006", _OPPORTUNITY),
        _view("ActivityHistory | Activity History | Activity Histories", "ActivityHistories"),
        _view("OpenActivity | Open Activity | Open Activities", "OpenActivities"),
    ]


def campaigns() -> list[ObjectType]:
    """Campaign, its members and their statuses: absent from an org without the marketing feature."""
    can = Abilities(undeletable=False, layoutable=False)
    return [
        stock_object("Campaign | Campaign | Campaigns", "701", _CAMPAIGN),
        stock_object("CampaignMember | Campaign Member | Campaign Members", "00v", _MEMBER, _RELATION),
        stock_object(
            "CampaignMemberStatus | Campaign Member Status | Campaign Member Statuses", "01Y", _MEMBER_STATUS, can
        ),
    ]


def history(parent: str, prefix: str) -> ObjectType:
    """The field history of an object."""
    head = f"{parent}History | {parent} History | {parent} History"
    return stock_object(head, prefix, _HISTORY.format(parent=parent), HISTORY)


def _view(head: str, kids: str) -> ObjectType:
    return stock_object(head, "", _VIEW_ONLY.format(kids=kids), _UNQUERYABLE)
