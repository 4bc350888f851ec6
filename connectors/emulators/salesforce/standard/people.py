"""The stock objects that hold people and firms: Lead, Contact, Account."""

from connectors.emulators.salesforce.fields import Field, stock_fields
from connectors.emulators.salesforce.schema import AUDIT, VIEWED, Abilities, ObjectType, stock_object

_MERGEABLE = Abilities(mergeable=True)


def address(prefix: str, label: str) -> str:
    """The nine fields of an address in the notation of `fields`."""
    whole = f"{prefix}Address"
    return f"""
{prefix}Street | {label}Street | textarea(255) part={whole} extra=plaintextarea
{prefix}City | {label}City | string(40) part={whole}
{prefix}State | {label}State/Province | string(80) part={whole}
{prefix}PostalCode | {label}Zip/Postal Code | string(20) part={whole}
{prefix}Country | {label}Country | string(80) part={whole}
{prefix}Latitude | {label}Latitude | double(18,15) part={whole}
{prefix}Longitude | {label}Longitude | double(18,15) part={whole}
{prefix}GeocodeAccuracy | {label}Geocode Accuracy | picklist(40) part={whole} restricted values=geocode
{whole} | {label}Address | address
"""


_NAME = """
LastName | Last Name | string(80) required part=Name extra=personname
FirstName | First Name | string(40) system part=Name extra=personname
Salutation | Salutation | picklist(40) system part=Name extra=personname values=salutation
Name | Full Name | string(121) readonly notnull namefield extra=personname
"""
_OPT_OUT = """
HasOptedOutOfEmail | Email Opt Out | boolean
HasOptedOutOfFax | Fax Opt Out | boolean
DoNotCall | Do Not Call | boolean
"""
_LEAD = f"""
MasterRecordId | Master Record ID | reference(Lead) readonly rel=MasterRecord
{_NAME}
Title | Title | string(128)
Company | Company | string(255) required
{address("", "")}
Phone | Phone | phone
MobilePhone | Mobile Phone | phone
Fax | Fax | phone
Email | Email | email idlookup
Website | Website | url
PhotoUrl | Photo URL | url readonly extra=imageurl
Description | Description | textarea(32000) extra=plaintextarea
LeadSource | Lead Source | picklist values=source
Status | Status | picklist defaulted values=lead_status
Industry | Industry | picklist values=industry
Rating | Rating | picklist values=rating
AnnualRevenue | Annual Revenue | currency(18,0)
NumberOfEmployees | Employees | int(8)
OwnerId | Owner ID | reference(Group, User) defaulted rel=Owner
{_OPT_OUT}
IsConverted | Converted | boolean createonly
ConvertedDate | Converted Date | date readonly
ConvertedAccountId | Converted Account ID | reference(Account) readonly rel=ConvertedAccount
ConvertedContactId | Converted Contact ID | reference(Contact) readonly rel=ConvertedContact
ConvertedOpportunityId | Converted Opportunity ID | reference(Opportunity) readonly rel=ConvertedOpportunity
IsUnreadByOwner | Unread By Owner | boolean system true
{AUDIT}
LastActivityDate | Last Activity | date readonly
{VIEWED}
Jigsaw | Data.com Key | string(20)
JigsawContactId | Jigsaw Contact ID | string(20) readonly
CleanStatus | Clean Status | picklist(40) restricted values=clean
CompanyDunsNumber | Company D-U-N-S Number | string(9)
EmailBouncedReason | Email Bounced Reason | string(255) updateonly
EmailBouncedDate | Email Bounced Date | datetime updateonly
IndividualId | Individual ID | reference(Individual) system rel=Individual
"""
_CONTACT = f"""
MasterRecordId | Master Record ID | reference(Contact) readonly rel=MasterRecord
AccountId | Account ID | reference(Account) rel=Account kids=Contacts cascade
{_NAME}
{address("Other", "Other ")}
{address("Mailing", "Mailing ")}
Phone | Business Phone | phone
Fax | Business Fax | phone
MobilePhone | Mobile Phone | phone
HomePhone | Home Phone | phone
OtherPhone | Other Phone | phone
AssistantPhone | Asst. Phone | phone
ReportsToId | Reports To ID | reference(Contact) rel=ReportsTo
Email | Email | email idlookup
Title | Title | string(128)
Department | Department | string(80)
AssistantName | Assistant's Name | string(40)
LeadSource | Lead Source | picklist values=source
Birthdate | Birthdate | date
Description | Contact Description | textarea(32000) extra=plaintextarea
OwnerId | Owner ID | reference(User) defaulted rel=Owner
{_OPT_OUT}
{AUDIT}
LastActivityDate | Last Activity | date readonly
LastCURequestDate | Last Stay-in-Touch Request Date | datetime readonly
LastCUUpdateDate | Last Stay-in-Touch Save Date | datetime readonly
{VIEWED}
EmailBouncedReason | Email Bounced Reason | string(255) system
EmailBouncedDate | Email Bounced Date | datetime system
IsEmailBounced | Is Email Bounced | boolean readonly
PhotoUrl | Photo URL | url readonly extra=imageurl
Jigsaw | Data.com Key | string(20)
JigsawContactId | Jigsaw Contact ID | string(20) readonly
CleanStatus | Clean Status | picklist(40) restricted values=clean
IndividualId | Individual ID | reference(Individual) system rel=Individual
"""
_ACCOUNT = f"""
MasterRecordId | Master Record ID | reference(Account) readonly rel=MasterRecord
Name | Account Name | string(255) required namefield
Type | Account Type | picklist values=account_type
ParentId | Parent Account ID | reference(Account) rel=Parent kids=ChildAccounts
{address("Billing", "Billing ")}
{address("Shipping", "Shipping ")}
Phone | Account Phone | phone
Fax | Account Fax | phone
AccountNumber | Account Number | string(40)
Website | Website | url
PhotoUrl | Photo URL | url readonly extra=imageurl
Sic | SIC Code | string(20)
Industry | Industry | picklist values=industry
AnnualRevenue | Annual Revenue | currency(18,0)
NumberOfEmployees | Employees | int(8)
Ownership | Ownership | picklist values=ownership
TickerSymbol | Ticker Symbol | string(20)
Description | Account Description | textarea(32000) extra=plaintextarea
Rating | Account Rating | picklist values=rating
Site | Account Site | string(80)
OwnerId | Owner ID | reference(User) defaulted rel=Owner
{AUDIT}
LastActivityDate | Last Activity | date readonly
{VIEWED}
Jigsaw | Data.com Key | string(20)
JigsawCompanyId | Jigsaw Company ID | string(20) readonly
CleanStatus | Clean Status | picklist(40) restricted values=clean
AccountSource | Account Source | picklist values=source
DunsNumber | D-U-N-S Number | string(9)
SicDesc | SIC Description | string(80)
"""
_PERSON = f"""
LastName | Last Name | string(80) system part=Name extra=switchablepersonname
FirstName | First Name | string(40) system part=Name extra=switchablepersonname
Salutation | Salutation | picklist(40) system part=Name extra=switchablepersonname values=salutation
RecordTypeId | Record Type ID | reference(RecordType) system rel=RecordType
PersonContactId | Contact ID | reference(Contact) readonly rel=PersonContact
IsPersonAccount | Is Person Account | boolean readonly
{address("PersonMailing", "Mailing ")}
{address("PersonOther", "Other ")}
PersonMobilePhone | Mobile | phone
PersonHomePhone | Home Phone | phone
PersonOtherPhone | Other Phone | phone
PersonAssistantPhone | Asst. Phone | phone
PersonEmail | Email | email
PersonTitle | Title | string(80)
PersonDepartment | Department | string(80)
PersonAssistantName | Assistant | string(40)
PersonLeadSource | Lead Source | picklist values=source
PersonBirthdate | Birthdate | date
PersonHasOptedOutOfEmail | Email Opt Out | boolean
PersonHasOptedOutOfFax | Fax Opt Out | boolean
PersonDoNotCall | Do Not Call | boolean
PersonEmailBouncedReason | Email Bounced Reason | string(255) system
PersonEmailBouncedDate | Email Bounced Date | datetime system
PersonIndividualId | Individual ID | reference(Individual) system rel=PersonIndividual
"""
_CONTACT_OF_PERSON = """
IsPersonAccount | Is Person Account | boolean readonly
"""


def people() -> list[ObjectType]:
    """Lead, Contact and Account of a business org."""
    return [
        stock_object("Lead | Lead | Leads", "00Q", _LEAD, _MERGEABLE),
        stock_object("Contact | Contact | Contacts", "003", _CONTACT, _MERGEABLE),
        stock_object("Account | Account | Accounts", "001", _ACCOUNT, _MERGEABLE),
    ]


def person_account_fields() -> tuple[Field, ...]:
    """What Account gains when the org has person accounts."""
    return stock_fields(_PERSON)


def person_contact_fields() -> tuple[Field, ...]:
    """What Contact gains then."""
    return stock_fields(_CONTACT_OF_PERSON)
