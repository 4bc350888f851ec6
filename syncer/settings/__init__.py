"""YAML files and the environment -> settings: checked once, whole, and then just values."""

from syncer.settings.columns import Columns, load_columns
from syncer.settings.loading import load_project
from syncer.settings.models import load_model
from syncer.settings.problems import Problem, SettingsError, did_you_mean
from syncer.settings.process import ProcessSettings, process_settings
from syncer.settings.project import (
    Alerts,
    Answers,
    Clock,
    Connection,
    Digest,
    HandoffSettings,
    OnReject,
    Outcome,
    Person,
    Project,
    Quiet,
    Route,
    Sync,
    Team,
    digest,
    fingerprint,
)
from syncer.settings.proposals import rules_at, rules_set, rules_with
from syncer.settings.schema import cases_schema, json_schema, model_schema
from syncer.settings.shapes import OWNER, Apprise, CrmTask, Email, Notifier, Slack, Web, Webhook
from syncer.settings.showing import show
from syncer.settings.values import duration

__all__ = [
    "OWNER",
    "Alerts",
    "Answers",
    "Apprise",
    "Clock",
    "Columns",
    "Connection",
    "CrmTask",
    "Digest",
    "Email",
    "HandoffSettings",
    "Notifier",
    "OnReject",
    "Outcome",
    "Person",
    "Problem",
    "ProcessSettings",
    "Project",
    "Quiet",
    "Route",
    "SettingsError",
    "Slack",
    "Sync",
    "Team",
    "Web",
    "Webhook",
    "cases_schema",
    "did_you_mean",
    "digest",
    "duration",
    "fingerprint",
    "json_schema",
    "load_columns",
    "load_model",
    "load_project",
    "model_schema",
    "process_settings",
    "rules_at",
    "rules_set",
    "rules_with",
    "show",
]
