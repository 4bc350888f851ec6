"""The notifiers of the project file, ready to send."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from syncer.connector import Assigner, HandoffTarget
from syncer.handoff.crm_task import CrmTaskChannel
from syncer.handoff.delivery import Channel
from syncer.handoff.mail import EmailChannel, MailServer
from syncer.handoff.messages import Audience
from syncer.handoff.owner import OwnerChannel
from syncer.handoff.routing import OWNER_CHANNEL
from syncer.handoff.slack import SlackChannel
from syncer.handoff.webhook import WebhookChannel
from syncer.settings import Apprise, CrmTask, Email, HandoffSettings, Slack, Webhook


def open_channels(
    settings: HandoffSettings,
    audience: Audience,
    target: HandoffTarget | None = None,
    assigner: Assigner | None = None,
) -> Mapping[str, Channel]:
    """Every notifier by its name, also one that `notify` no longer lists: what was queued for it still goes out.
    `target` creates the tasks in the CRM of the leads that are handed over, `assigner` gives their records away."""
    named = {name: _channel(notifier, settings, audience, target) for name, notifier in settings.notifiers.items()}
    return {**named, OWNER_CHANNEL: OwnerChannel(assigner)}


def _channel(
    notifier: Slack | Email | Webhook | CrmTask | Apprise,
    settings: HandoffSettings,
    audience: Audience,
    target: HandoffTarget | None,
) -> Channel:
    if isinstance(notifier, Slack):
        readers, url = _readers(notifier, settings, audience), notifier.url.get_secret_value()
        return SlackChannel(url, readers, settings.slack_repeats, notifier.timeout_s, notifier.private_addresses)
    if isinstance(notifier, Webhook):
        secret = notifier.secret.get_secret_value() if notifier.secret else None
        told, private = notifier.personal_data, notifier.private_addresses
        return WebhookChannel(notifier.url, secret, notifier.timeout_s, told, private)
    if isinstance(notifier, CrmTask):
        return CrmTaskChannel(target, notifier.due_in, audience, settings)
    if isinstance(notifier, Apprise):
        return _through_apprise(notifier, audience, settings)
    readers = _readers(notifier, settings, audience)
    return EmailChannel(_server(notifier), notifier.sender, readers, settings.email_repeats)


def _through_apprise(notifier: Apprise, audience: Audience, settings: HandoffSettings) -> Channel:
    from syncer.handoff.apprise import AppriseChannel  # noqa: PLC0415  # what it brings takes 0.1 s to import

    readers, url = _readers(notifier, settings, audience), notifier.url.get_secret_value()
    return AppriseChannel(url, readers, settings.apprise_repeats, notifier.timeout_s, notifier.private_addresses)


def _readers(notifier: Slack | Email | Apprise, settings: HandoffSettings, audience: Audience) -> Audience:
    """Those who read this notifier's messages. Where Slack can tell us of buttons, they stand in for the links."""
    told = replace(audience, personal_data=notifier.personal_data)
    has_buttons = isinstance(notifier, Slack) and notifier.signing_secret is not None
    return replace(told, links=None, reasons=settings.answers.reasons) if has_buttons else told


def _server(notifier: Email) -> MailServer:
    return MailServer(
        host=notifier.host,
        port=notifier.port,
        security=notifier.security,
        user=notifier.user,
        password=notifier.password.get_secret_value() if notifier.password else None,
        timeout_s=notifier.timeout_s,
    )
