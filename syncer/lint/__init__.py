"""What is wrong with rules that are written correctly: found by thinking about a model, or by looking at real leads.

Pure. `findings` looks at a model alone; `count` and `seen_findings` at what the leads of a base meet in it. Whatever
is said to be impossible is so for every lead there could ever be; what is not seen to be impossible is passed over.
"""

from syncer.lint.findings import Finding, findings
from syncer.lint.seen import FEWEST, Seen, count, count_read, seen_findings, unread_findings

__all__ = ["FEWEST", "Finding", "Seen", "count", "count_read", "findings", "seen_findings", "unread_findings"]
