"""syncer scores the leads living in a team's CRM and hands the ready ones to sales."""

__version__ = "0.1.0"
