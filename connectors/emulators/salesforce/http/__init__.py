"""The org over HTTP: REST, composite, Bulk 2.0, Tooling, the ways in, and everything that can go wrong on the way."""
