"""The objects, fields and values that every org is born with."""
