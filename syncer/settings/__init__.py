"""YAML files and the environment -> settings: checked once, whole, and then just values."""

from syncer.settings.loading import load_project
from syncer.settings.models import load_model
from syncer.settings.problems import Problem, SettingsError
from syncer.settings.process import ProcessSettings, process_settings
from syncer.settings.project import Connection, HandoffSettings, Project, Route, Sync, digest
from syncer.settings.schema import json_schema, model_schema
from syncer.settings.shapes import OWNER, Email, Notifier, Slack, Webhook
from syncer.settings.showing import show
from syncer.settings.values import duration

__all__ = [
    "OWNER",
    "Connection",
    "Email",
    "HandoffSettings",
    "Notifier",
    "Problem",
    "ProcessSettings",
    "Project",
    "Route",
    "SettingsError",
    "Slack",
    "Sync",
    "Webhook",
    "digest",
    "duration",
    "json_schema",
    "load_model",
    "load_project",
    "model_schema",
    "process_settings",
    "show",
]
