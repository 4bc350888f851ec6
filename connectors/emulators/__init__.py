"""CRM emulators over HTTP, for the demo, the tests and authors of connectors."""
