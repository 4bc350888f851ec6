"""The only SQL: what was seen of the CRMs (mirror), what was decided, what goes out, who works, what happened.

The database is the truth. One module per concept, functions over a transaction (`tx`), frozen values in and out.
"""

from syncer.store.database import Store, open_store
from syncer.store.leases import Lease

__all__ = ["Lease", "Store", "open_store"]
