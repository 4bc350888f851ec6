"""SOQL: its grammar, what its names mean in an org, and how a statement is carried out."""
