"""The values of the stock picklists; a star marks the default."""

_GEOCODE = (
    "Address", "NearAddress", "Block", "Street", "ExtendedZip", "Zip",
    "Neighborhood", "City", "County", "State", "Unknown",
)  # fmt: skip
_INDUSTRY = (
    "Agriculture", "Apparel", "Banking", "Biotechnology", "Chemicals", "Communications", "Construction", "Consulting",
    "Education", "Electronics", "Energy", "Engineering", "Entertainment", "Environmental", "Finance",
    "Food & Beverage", "Government", "Healthcare", "Hospitality", "Insurance", "Machinery", "Manufacturing", "Media",
    "Not For Profit", "Recreation", "Retail", "Shipping", "Technology", "Telecommunications", "Transportation",
    "Utilities", "Other",
)  # fmt: skip

PICKLISTS: dict[str, tuple[str, ...]] = {
    "salutation": ("Mr.", "Ms.", "Mrs.", "Dr.", "Prof.", "Mx."),
    "geocode": _GEOCODE,
    "source": ("Web", "Phone Inquiry", "Partner Referral", "Purchased List", "Other"),
    "lead_status": ("Open - Not Contacted*", "Working - Contacted", "Closed - Converted", "Closed - Not Converted"),
    "industry": _INDUSTRY,
    "rating": ("Hot", "Warm", "Cold"),
    "clean": ("Matched", "Different", "Acknowledged", "NotFound", "Inactive", "Pending", "SelectMatch", "Skipped"),
    "account_type": (
        "Prospect", "Customer - Direct", "Customer - Channel", "Channel Partner / Reseller", "Installation Partner",
        "Technology Partner", "Other",
    ),
    "ownership": ("Public", "Private", "Subsidiary", "Other"),
    "task_status": ("Not Started*", "In Progress", "Completed", "Waiting on someone else", "Deferred"),
    "task_priority": ("High", "Normal*", "Low"),
    "task_subtype": ("Task*", "Email", "ListEmail", "Cadence", "Call", "LinkedIn"),
    "task_subject": ("Call", "Send Letter", "Send Quote", "Other"),
    "call_type": ("Internal", "Inbound", "Outbound"),
    "event_subject": ("Call", "Email", "Meeting", "Send Letter/Quote", "Other"),
    "show_as": ("Busy*", "OutOfOffice", "Free"),
    "group_event": ("0", "1", "2", "3"),
    "event_subtype": ("Event*",),
    "invitee_status": ("New*", "Declined", "Accepted", "Uninvited", "Maybe"),
    "email_status": ("0*", "1", "2", "3", "4", "5"),
    "email_relation": ("ToAddress", "CcAddress", "BccAddress", "FromAddress", "OtherAddress", "EngageCampaign"),
    "campaign_type": (
        "Conference", "Webinar", "Trade Show", "Public Relations", "Partners", "Referral Program", "Advertisement",
        "Banner Ads", "Direct Mail", "Email", "Telemarketing", "Other",
    ),
    "campaign_status": ("Planned*", "In Progress", "Completed", "Aborted"),
    "member_status": ("Sent*", "Responded"),
    "stage": (
        "Prospecting", "Qualification", "Needs Analysis", "Value Proposition", "Id. Decision Makers",
        "Perception Analysis", "Proposal/Price Quote", "Negotiation/Review", "Closed Won", "Closed Lost",
    ),
    "opportunity_type": (
        "Existing Customer - Upgrade", "Existing Customer - Replacement", "Existing Customer - Downgrade",
        "New Customer",
    ),
    "forecast": ("Omitted", "Pipeline", "BestCase", "MostLikely", "Forecast", "Closed"),
    "group_type": (
        "Regular", "Role", "RoleAndSubordinates", "RoleAndSubordinatesInternal", "Organization", "Case", "Queue",
        "Manager",
    ),
    "user_type": ("Standard*", "PowerPartner", "CSPLitePortal", "Guest", "AutomatedProcess"),
    "organization_type": ("Developer Edition*", "Professional Edition", "Enterprise Edition", "Unlimited Edition"),
}  # fmt: skip
