"""The notifiers of the project file, ready to send."""

from __future__ import annotations

from collections.abc import Mapping

from syncer.connector import HandoffTarget
from syncer.handoff.crm_task import CrmTaskChannel
from syncer.handoff.delivery import Channel
from syncer.handoff.mail import EmailChannel, MailServer
from syncer.handoff.messages import Audience
from syncer.handoff.slack import SlackChannel
from syncer.handoff.webhook import WebhookChannel
from syncer.settings import Apprise, CrmTask, Email, HandoffSettings, Slack, Webhook


def open_channels(
    settings: HandoffSettings, audience: Audience, target: HandoffTarget | None = None
) -> Mapping[str, Channel]:
    """Every notifier by its name, also one that `notify` no longer lists: what was queued for it still goes out.
    `target` creates the tasks in the CRM of the leads that are handed over."""
    return {name: _channel(notifier, settings, audience, target) for name, notifier in settings.notifiers.items()}


def _channel(
    notifier: Slack | Email | Webhook | CrmTask | Apprise,
    settings: HandoffSettings,
    audience: Audience,
    target: HandoffTarget | None,
) -> Channel:
    if isinstance(notifier, Slack):
        return SlackChannel(notifier.url.get_secret_value(), audience, settings.slack_repeats, notifier.timeout_s)
    if isinstance(notifier, Webhook):
        secret = notifier.secret.get_secret_value() if notifier.secret else None
        return WebhookChannel(notifier.url, secret, notifier.timeout_s)
    if isinstance(notifier, CrmTask):
        return CrmTaskChannel(target, notifier.due_in, audience, settings)
    if isinstance(notifier, Apprise):
        return _through_apprise(notifier, audience, settings)
    return EmailChannel(_server(notifier), notifier.sender, audience, settings.email_repeats)


def _through_apprise(notifier: Apprise, audience: Audience, settings: HandoffSettings) -> Channel:
    from syncer.handoff.apprise import AppriseChannel  # noqa: PLC0415  # what it brings takes 0.1 s to import

    return AppriseChannel(notifier.url.get_secret_value(), audience, settings.apprise_repeats, notifier.timeout_s)


def _server(notifier: Email) -> MailServer:
    return MailServer(
        host=notifier.host,
        port=notifier.port,
        security=notifier.security,
        user=notifier.user,
        password=notifier.password.get_secret_value() if notifier.password else None,
        timeout_s=notifier.timeout_s,
    )
