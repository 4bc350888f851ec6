"""The door: one small HTTP server in a thread of the daemon.

It takes what a CRM says of its records by itself (`POST /hooks/CONNECTION`), takes what sales answers to a hand-off
(`/answers/TOKEN`, `POST /slack/NOTIFIER`), and tells a supervisor whether the process lives (`GET /livez`), can work
(`GET /readyz`) and how it is (`GET /metrics`). None of these needs a sign-in: a hook and a button prove themselves by a
signature, an answer by the signed token of a link that one message had and that shows no more than the message did; the
others tell their status, and numbers of connections, never of a person. So any address may be listened at; what shows
leads, the pages and the API, asks first who is there (`access`).
"""

from syncer.web.server import serve

__all__ = ["serve"]
