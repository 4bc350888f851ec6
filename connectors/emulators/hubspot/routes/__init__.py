"""The endpoints, one file a concept."""
