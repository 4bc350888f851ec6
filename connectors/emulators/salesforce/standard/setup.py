"""The stock objects that describe the org itself: users, queues, record types, permissions, statuses."""

from connectors.emulators.salesforce.schema import AUDIT, VIEWED, Abilities, ObjectType, stock_object
from connectors.emulators.salesforce.standard.people import address

_USER = f"""
Username | Username | string(80) required idlookup
LastName | Last Name | string(80) required part=Name extra=personname
FirstName | First Name | string(40) system part=Name extra=personname
Name | Full Name | string(121) readonly notnull namefield extra=personname
CompanyName | Company Name | string(80)
Division | Division | string(80)
Department | Department | string(80)
Title | Title | string(80)
{address("", "")}
Email | Email | email(128) required idlookup
SenderEmail | Email Sender Address | email
SenderName | Email Sender Name | string(80)
Phone | Phone | phone
Fax | Fax | phone
MobilePhone | Cell | phone
Alias | Alias | string(8) required
CommunityNickname | Nickname | string(40) defaulted
IsActive | Active | boolean system
TimeZoneSidKey | Time Zone | picklist(40) defaulted
UserRoleId | Role ID | reference(UserRole) rel=UserRole
LocaleSidKey | Locale | picklist(40) defaulted
EmailEncodingKey | Email Encoding | picklist(40) defaulted
ProfileId | Profile ID | reference(Profile) defaulted rel=Profile kids=Users
UserType | User Type | picklist(40) readonly restricted values=user_type
LanguageLocaleKey | Language | picklist(40) defaulted
EmployeeNumber | Employee Number | string(20)
ManagerId | Manager ID | reference(User) rel=Manager kids=ManagedUsers
LastLoginDate | Last Login | datetime readonly
{AUDIT}
ForecastEnabled | Allow Forecasting | boolean
ContactId | Contact ID | reference(Contact) createonly rel=Contact kids=Users
AccountId | Account ID | reference(Account) readonly rel=Account kids=Users
FederationIdentifier | SAML Federation ID | string(512) idlookup unique
AboutMe | About Me | string(1000)
FullPhotoUrl | Url for full-sized Photo | url(1024) readonly
SmallPhotoUrl | Photo | url(1024) readonly
{VIEWED}
"""
_GROUP = f"""
Name | Name | string(40) required namefield
DeveloperName | Developer Name | string(80)
RelatedId | Related ID | reference(User, UserRole) readonly rel=Related
Type | Type | picklist(40) createonly restricted values=group_type
Email | Queue Email | email(255)
OwnerId | Owner ID | reference(Organization, User) readonly rel=Owner
DoesSendEmailToMembers | Send Email to Members | boolean
DoesIncludeBosses | Include Bosses | boolean
{AUDIT}
"""
_GROUP_MEMBER = """
GroupId | Group ID | reference(Group) required createonly rel=Group kids=GroupMembers cascade
UserOrGroupId | User/Group ID | reference(Group, User) required createonly
SystemModstamp | System Modstamp | datetime readonly defaulted
"""
_QUEUE_OBJECT = """
QueueId | Group ID | reference(Group) required createonly rel=Queue kids=QueueSobjects
SobjectType | Entity Type | picklist(40) required createonly
CreatedById | Created By ID | reference(User) readonly rel=CreatedBy
SystemModstamp | System Modstamp | datetime readonly defaulted
"""
_STATUS = (
    """
MasterLabel | Master Label | string(255) readonly namefield
ApiName | API Name | string(255) readonly
SortOrder | Sort Order | int(9) readonly
IsDefault | Is Default | boolean readonly
{flag} | {label} | boolean readonly
"""
    + AUDIT
)
_RECORD_TYPE = f"""
Name | Name | string(80) required namefield
DeveloperName | Record Type Name | string(80) required
NamespacePrefix | Namespace Prefix | string(15) readonly
Description | Description | string(255)
BusinessProcessId | Business Process ID | reference(BusinessProcess)
SobjectType | Sobject Type Name | picklist(40) required createonly
IsActive | Active | boolean
IsPersonType | Is Person Type | boolean readonly
{AUDIT}
"""
_ORGANIZATION = f"""
Name | Name | string(80) required namefield
Division | Division | string(80)
{address("", "")}
Phone | Phone | phone
Fax | Fax | phone
PrimaryContact | Primary Contact | string(80)
DefaultLocaleSidKey | Locale | picklist(40) defaulted
TimeZoneSidKey | Time Zone | picklist(40) defaulted
LanguageLocaleKey | Language | picklist(40) defaulted
FiscalYearStartMonth | Fiscal Year Starts In | int(2) readonly
UsesStartDateAsFiscalYearName | Fiscal Year Name by Start | boolean readonly
OrganizationType | Edition | picklist(40) readonly values=organization_type
NamespacePrefix | Namespace Prefix | string(15) readonly
InstanceName | Instance Name | string(5) readonly
IsSandbox | Is Sandbox | boolean readonly
IsReadOnly | Is Read Only | boolean readonly
TrialExpirationDate | Trial Expiration Date | datetime readonly
{AUDIT}
"""
_PERMISSION_SET = f"""
Name | Permission Set Name | string(80) required namefield
Label | Permission Set Label | string(80) required
LicenseId | License ID | reference(PermissionSetLicense, UserLicense) createonly
ProfileId | Profile ID | reference(Profile) readonly rel=Profile kids=PermissionSets
IsOwnedByProfile | Is Owned By Profile | boolean readonly
IsCustom | Is Custom | boolean readonly
PermissionsApiEnabled | API Enabled | boolean system
PermissionsViewAllData | View All Data | boolean system
PermissionsModifyAllData | Modify All Data | boolean system
PermissionsViewSetup | View Setup and Configuration | boolean system
PermissionsCustomizeApplication | Customize Application | boolean system
Description | Description | string(255)
{AUDIT}
NamespacePrefix | Namespace Prefix | string(15) readonly
Type | Permission Set Type | picklist(40) readonly
"""
_FIELD_PERMISSIONS = """
ParentId | Parent ID | reference(PermissionSet) required createonly rel=Parent kids=FieldPerms cascade
SobjectType | Sobject Type Name | picklist(40) required createonly
Field | Field Name | picklist(4000) required createonly
PermissionsEdit | Edit Field | boolean system
PermissionsRead | Read Field | boolean system
SystemModstamp | System Modstamp | datetime readonly defaulted
"""
_OBJECT_PERMISSIONS = """
ParentId | Parent ID | reference(PermissionSet) required createonly rel=Parent kids=ObjectPerms cascade
SobjectType | Sobject Type Name | picklist(40) required createonly
PermissionsCreate | Create Records | boolean system
PermissionsRead | Read Records | boolean system
PermissionsEdit | Edit Records | boolean system
PermissionsDelete | Delete Records | boolean system
PermissionsViewAllRecords | Read All Records | boolean system
PermissionsModifyAllRecords | Edit All Records | boolean system
SystemModstamp | System Modstamp | datetime readonly defaulted
"""
_ASSIGNMENT = """
PermissionSetId | Permission Set ID | reference(PermissionSet) createonly rel=PermissionSet kids=Assignments cascade
AssigneeId | Assignee ID | reference(User) required createonly rel=Assignee kids=PermissionSetAssignments cascade
SystemModstamp | System Modstamp | datetime readonly defaulted
"""
_PROFILE = f"""
Name | Name | string(255) required namefield
UserType | User Type | picklist(40) readonly
Description | Description | string(255)
{AUDIT}
"""
_ROLE = """
Name | Name | string(80) required namefield
DeveloperName | Developer Name | string(80) defaulted
ParentRoleId | Parent Role ID | reference(UserRole)
SystemModstamp | System Modstamp | datetime readonly defaulted
LastModifiedDate | Last Modified Date | datetime readonly defaulted
"""
_INDIVIDUAL = f"""
OwnerId | Owner ID | reference(User) defaulted rel=Owner
LastName | Last Name | string(80) required part=Name extra=personname
FirstName | First Name | string(40) system part=Name extra=personname
Name | Name | string(121) readonly notnull namefield extra=personname
ShouldForget | Forget this Individual | boolean
HasOptedOutTracking | Don't Track | boolean
HasOptedOutProcessing | Don't Process | boolean
{AUDIT}
"""
_GROUP_CAN = Abilities(undeletable=False, searchable=False, triggerable=False)
_KEPT = Abilities(undeletable=False, deletable=False, searchable=False)  # cannot be deleted, but replicated
_PLAIN = Abilities(undeletable=False, replicateable=False, searchable=False, layoutable=False, triggerable=False)
_FIXED = Abilities(
    replicateable=False, createable=False, updateable=False, deletable=False, undeletable=False, searchable=False,
    layoutable=False, triggerable=False,
)  # fmt: skip


def setup() -> list[ObjectType]:
    """User, Group and the rest of what Setup shows."""
    heads = (
        ("User | User | Users", "005", _USER, _KEPT),
        ("Group | Group | Groups", "00G", _GROUP, _GROUP_CAN),
        ("GroupMember | Group Member | Group Members", "011", _GROUP_MEMBER, _PLAIN),
        ("QueueSobject | Queue Sobject | Queue Sobjects", "03g", _QUEUE_OBJECT, _PLAIN),
        ("LeadStatus | Lead Status Value | Lead Status Value", "01J", _status("IsConverted", "Converted"), _FIXED),
        ("TaskStatus | Task Status Value | Task Status Value", "01T", _status("IsClosed", "Closed"), _FIXED),
        ("TaskPriority | Task Priority Value | Task Priority Value", "01X", _status("IsHighPriority", "High"), _FIXED),
        ("RecordType | Record Type | Record Types", "012", _RECORD_TYPE, _PLAIN),
        ("Organization | Organization | Organizations", "00D", _ORGANIZATION, _FIXED),
        ("PermissionSet | Permission Set | Permission Sets", "0PS", _PERMISSION_SET, _PLAIN),
        ("FieldPermissions | Field Permissions | Field Permissions", "01k", _FIELD_PERMISSIONS, _PLAIN),
        ("ObjectPermissions | Object Permissions | Object Permissions", "110", _OBJECT_PERMISSIONS, _PLAIN),
        (
            "PermissionSetAssignment | Permission Set Assignment | Permission Set Assignments",
            "0Pa",
            _ASSIGNMENT,
            _PLAIN,
        ),
        ("Profile | Profile | Profile", "00e", _PROFILE, _PLAIN),
        ("UserRole | Role | Role", "00E", _ROLE, _PLAIN),
        ("Individual | Individual | Individuals", "0PK", _INDIVIDUAL, Abilities(mergeable=True)),
    )
    return [stock_object(head, prefix, notation, can) for head, prefix, notation, can in heads]


def _status(flag: str, label: str) -> str:
    return _STATUS.format(flag=flag, label=label)
