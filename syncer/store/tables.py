"""Every table, in one place. A change here needs a migration: a test compares the two.

Times are milliseconds since 1970 (`Instant`). A record belongs to one connection, a lead to its home: the connection
whose runs decide it. They differ only where an e-mail address joins records of several connections (`people`).
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Computed,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    false,
    text,
    true,
)

from syncer.store.columns import CleanText, Instant, Json, PlainText, Told

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

# SQLite numbers rows only in a column whose type is exactly INTEGER.
Serial = BigInteger().with_variant(Integer, "sqlite")

connections = Table(
    "connections",
    metadata,
    Column("name", CleanText, primary_key=True),
    Column("account", CleanText),  # which portal or org the state belongs to
    Column("baseline_at", Instant),
    Column("due_at", Instant),
    Column("models", CleanText),  # rules.rules_version of the rules that scored it last
    Column("parked_until", Instant),  # its CRM has asked for patience, or the day's share of requests is used up
    Column("parked_reason", Told),
    Column("settings", CleanText),  # the fingerprint of its settings as they were run with last
    Column("failures", Integer, nullable=False, server_default=text("0")),  # full runs in a row
    Column("failing", Json),  # kind of run -> the code of its outage that was told; NULL: none
    Column("told_at", Instant),  # when a person was told that only a person can mend it; NULL: nobody was
    Column("rung_at", BigInteger),  # by the database's clock: when a worker put it into the queue last
    Column("retention_cursor", CleanText),  # how far the walk that drops what is too old has come
    Column("retained_at", Instant),  # when that walk came to its end last
    Column("approved", Json),  # a person's word on the plan that waits at the fuse: see runs.Approval; NULL: none
)

installations = Table(
    "installations",
    metadata,
    Column("id", CleanText, primary_key=True),  # one row: names this database in keys that leave the house
)

leases = Table(
    "leases",
    metadata,
    Column("connection", CleanText, primary_key=True),
    Column("holder", CleanText, nullable=False),
    Column("epoch", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False),  # by the database's clock; 0: given back
)

cursors = Table(
    "cursors",
    metadata,
    Column("connection", CleanText, primary_key=True),
    Column("stream", CleanText, primary_key=True),
    Column("cursor", CleanText),  # NULL: at the beginning
    Column("at", Instant),
    Column("history", Boolean, nullable=False, server_default=true()),  # its first whole pull is not over yet
    Column("wanted", Json),  # the names that were asked for when it began
    Column("sweep", BigInteger, nullable=False, server_default=text("0")),  # number of the latest reconcile sweep
    Column("sweep_cursor", CleanText),  # where that stands
    Column("sweep_began_at", Instant),  # NULL: none is under way
    Column("swept_at", Instant),  # when the last one ended; the first whole pull counts as one
)

# How fast a portal may be asked by all processes together.
rates = Table(
    "rates",
    metadata,
    Column("name", CleanText, primary_key=True),
    Column("next_us", BigInteger, nullable=False),  # microseconds by the database's clock: see rates.take
)

workers = Table(
    "workers",
    metadata,
    Column("holder", CleanText, primary_key=True),  # as in `leases`
    Column("started_at", Instant, nullable=False),
    Column("seen_at", Instant, nullable=False),
    Column("version", CleanText, nullable=False),
    Column("places", Integer, nullable=False),  # how many connections it works on at once
    Column("busy", Integer, nullable=False, server_default=text("0")),
)

# A run's leads to be scored, cut into ranges of their numbers so that other workers can help.
score_ranges = Table(
    "score_ranges",
    metadata,
    Column("run_id", BigInteger, primary_key=True, autoincrement=False),
    Column("first_lead", BigInteger, primary_key=True, autoincrement=False),
    Column("last_lead", BigInteger, nullable=False),  # included
    Column("connection", CleanText, nullable=False),
    Column("rules", CleanText, nullable=False),  # what a helper's own rules must be named by
    Column("policy", Json, nullable=False),  # what a helper cannot know of itself
    Column("taken_by", CleanText),
    Column("taken_until", BigInteger, nullable=False, server_default=text("0")),  # by the database's clock
    Column("done", Boolean, nullable=False, server_default=false()),
    Column("counts", Json),
)

# Records that the CRM has spoken of: to be read again now.
hints = Table(
    "hints",
    metadata,
    Column("connection", CleanText, primary_key=True),
    Column("object", CleanText, primary_key=True),
    Column("id", CleanText, primary_key=True),
    Column("at", Instant, nullable=False),
)

DUE_AT = (
    "CASE WHEN NOT live THEN NULL"
    " WHEN touched <> 0 OR stage IS NULL THEN 0"
    " WHEN next_look IS NULL THEN override_until"
    " WHEN override_until IS NULL OR next_look < override_until THEN next_look"
    " ELSE override_until END"
)
"""When a lead must be looked at: 0 is now, NULL is never. One column, so that one index finds every reason."""

leads = Table(
    "leads",
    metadata,
    Column("id", Serial, primary_key=True),
    Column("connection", CleanText, nullable=False),  # its home
    Column("revision", BigInteger, nullable=False, server_default=text("1")),
    Column("touched", Integer, nullable=False, server_default=text("0")),  # bits: see touching.BITS
    Column("live", Boolean, nullable=False, server_default=true()),  # has a record that is neither deleted nor absorbed
    Column("stage", CleanText),  # NULL: never decided
    Column("automatic", CleanText),
    Column("since", Instant),
    Column("episode", Integer, nullable=False, server_default=text("0")),
    Column("held_by", CleanText),
    Column("cause", CleanText),
    Column("total", BigInteger),  # hundredths
    Column("dimensions", Json),
    Column("model", CleanText),
    Column("scored_at", Instant),
    Column("next_look", Instant),
    Column("override_until", Instant),  # when the override that the last decision obeyed ends
    Column("veto", CleanText),
    Column("due_at", BigInteger, Computed(DUE_AT, persisted=True)),
    Index("ix_leads_due", "connection", "due_at", "id"),
    Index("ix_leads_live", "connection", "live", "id"),
    # A first load need not keep these two.
    Index(
        "ix_leads_stage_total",
        "connection",
        "live",
        "stage",
        "total",
        "id",
        sqlite_where=text("stage IS NOT NULL"),
        postgresql_where=text("stage IS NOT NULL"),
    ),
    Index(
        "ix_leads_stage_since",
        "connection",
        "live",
        "stage",
        "since",
        "id",
        sqlite_where=text("stage IS NOT NULL"),
        postgresql_where=text("stage IS NOT NULL"),
    ),
    sqlite_autoincrement=True,  # an id is never used again: plans and hand-offs name it
)

records = Table(
    "records",
    metadata,
    Column("connection", CleanText, primary_key=True),
    Column("object", CleanText, primary_key=True),
    Column("id", CleanText, primary_key=True),
    Column("lead_id", BigInteger, ForeignKey("leads.id"), nullable=False, index=True),
    Column("modified_at", Instant, nullable=False),
    Column("email", CleanText),
    Column("email_key", CleanText),  # casefolded, to be found by
    Column("fields", Json, nullable=False),
    Column("stage", CleanText),
    Column("stage_by", CleanText),
    Column("lifecycle", CleanText),
    Column("lifecycle_stage", CleanText),
    Column("protected", Boolean, nullable=False, server_default=false()),
    Column("owner", CleanText),
    Column("name", CleanText),
    Column("url", CleanText),
    Column("deleted", Boolean, nullable=False, server_default=false()),
    Column("merged_into", CleanText),
    Column("merged_object", CleanText),  # the object of the record that absorbed it
    Column("since", Instant, nullable=False),  # its fields as they were first known, known since
    Column("joined_at", Instant),  # when a merge made it a record of its lead; NULL: it always was
    Column("erased", Boolean, nullable=False, server_default=false()),
    Column("swept", BigInteger, nullable=False, server_default=text("0")),  # the latest sweep that has seen it
    Column("manual", Json),  # a Manual; of an absorbed record the last one it showed
    Index("ix_records_email_key", "email_key"),
    Index(
        "ix_records_merged_into",
        "connection",
        "merged_object",
        "merged_into",
        sqlite_where=text("merged_into IS NOT NULL"),
        postgresql_where=text("merged_into IS NOT NULL"),
    ),
)

RECORD_KEY = (records.c.connection, records.c.object, records.c.id)
LIVE = records.c.deleted.is_(False) & records.c.merged_into.is_(None)

activities = Table(
    "activities",
    metadata,
    Column("connection", CleanText, primary_key=True),
    Column("id", CleanText, primary_key=True),
    Column("kind", CleanText, nullable=False),
    Column("at", Instant, nullable=False),
    Column("fields", Json),  # NULL: none
    Column("seen_at", Instant, nullable=False),  # when it was stored as it is now
    Column("modified_at", Instant),  # by the CRM's clock; NULL: it does not tell
    Column("swept", BigInteger, nullable=False, server_default=text("0")),  # the latest sweep that has seen it
)

# What was known before: one row for each change, with what it replaced. Replays read them; and the scoring of leads of
# several live records, because of each field the value that changed last counts.
past_versions = Table(
    "past_versions",
    metadata,
    Column("connection", CleanText, primary_key=True),
    Column("object", CleanText, primary_key=True),
    Column("record_id", CleanText, primary_key=True),
    Column("until", Instant, primary_key=True),
    Column("fields", Json, nullable=False),  # the fields that changed then, as they were before; null: not set
    Column("live", Boolean, nullable=False),  # before: see history.Version
    Column("counts", Boolean, nullable=False),
)

# With `same_person` a record may leave its lead again.
past_members = Table(
    "past_members",
    metadata,
    Column("connection", CleanText, primary_key=True),
    Column("object", CleanText, primary_key=True),
    Column("record_id", CleanText, primary_key=True),
    Column("until", Instant, primary_key=True),
    Column("lead_id", BigInteger, nullable=False, index=True),  # whose it was
    Column("joined_at", Instant),
)

past_activities = Table(
    "past_activities",
    metadata,
    Column("connection", CleanText, primary_key=True),
    Column("object", CleanText, primary_key=True),
    Column("record_id", CleanText, primary_key=True),
    Column("activity_id", CleanText, primary_key=True),
    Column("until", Instant, primary_key=True),
    Column("kind", CleanText, nullable=False),
    Column("at", Instant, nullable=False),
    Column("fields", Json),
    Column("seen_at", Instant, nullable=False),
)

rules_in_force = Table(
    "rules_in_force",
    metadata,
    Column("connection", CleanText, primary_key=True),
    Column("since", Instant, primary_key=True),
    Column("segments", CleanText, nullable=False),  # rules.segments_text
)

# Derived from the mirror and the rules, so droppable: what each lead's facts meet, to be evaluated at any time.
lead_states = Table(
    "lead_states",
    metadata,
    Column("lead_id", BigInteger, primary_key=True, autoincrement=False),
    Column("revision", BigInteger, nullable=False),  # the lead's when it was matched; another one now: stale
    Column("rules", CleanText, nullable=False),  # the fingerprint of all segments
    Column("model", CleanText, nullable=False),  # the version of the one that scores this lead
    Column("bits", LargeBinary, nullable=False),
    Column("hits", LargeBinary, nullable=False),
)

# Derived from the mirror, so droppable: by what people look for a lead in a list.
lead_cards = Table(
    "lead_cards",
    metadata,
    Column("lead_id", BigInteger, primary_key=True, autoincrement=False),
    Column("name", CleanText),
    Column("name_key", PlainText, nullable=False),  # the name, else the address, casefolded: to be sorted by
    Column("email", CleanText),
    Column("owner", CleanText),
    Column("source", CleanText),  # what the field `web.source` says
    Column("words", CleanText, nullable=False),  # those of `lead_words`, separated by blanks
    Index("ix_lead_cards_name", "name_key", "lead_id"),
    Index("ix_lead_cards_owner", "owner", "lead_id", sqlite_where=text("owner IS NOT NULL"),
          postgresql_where=text("owner IS NOT NULL")),
    Index("ix_lead_cards_source", "source", "lead_id", sqlite_where=text("source IS NOT NULL"),
          postgresql_where=text("source IS NOT NULL")),
)  # fmt: skip

# The words of names and addresses, casefolded and without accents: found by how they begin. A lead's own stand in its
# card, so there is no second index for them.
lead_words = Table(
    "lead_words",
    metadata,
    Column("word", PlainText, primary_key=True),
    Column("lead_id", BigInteger, primary_key=True, autoincrement=False),
    sqlite_with_rowid=False,
)

# Links and readings name their record by key, not by foreign key: they may come before it and then wait.
activity_links = Table(
    "activity_links",
    metadata,
    Column("connection", CleanText, primary_key=True),
    Column("object", CleanText, primary_key=True),
    Column("record_id", CleanText, primary_key=True),
    Column("activity_id", CleanText, primary_key=True),
    Index("ix_activity_links_activity", "connection", "activity_id"),
)

readings = Table(
    "readings",
    metadata,
    Column("connection", CleanText, primary_key=True),
    Column("object", CleanText, primary_key=True),
    Column("record_id", CleanText, primary_key=True),
    Column("kind", CleanText, primary_key=True),
    Column("seen_at", Instant, primary_key=True),
    Column("value", BigInteger, nullable=False),
    Column("last_at", Instant),
)

rejected = Table(
    "rejected",
    metadata,
    Column("connection", CleanText, primary_key=True),
    Column("stream", CleanText, primary_key=True),
    Column("id", CleanText, primary_key=True),
    Column("reason", Told, nullable=False),
    Column("retry", Boolean, nullable=False, server_default=false()),
    Column("first_seen", Instant, nullable=False),
    Column("last_seen", Instant, nullable=False),
    Column("count", Integer, nullable=False, server_default=text("1")),
    Column("arrived", Boolean, nullable=False, server_default=false()),  # all but a part of it, which makes no sense
)

overrides = Table(
    "overrides",
    metadata,
    Column("id", Serial, primary_key=True),
    Column("lead_id", BigInteger, ForeignKey("leads.id"), nullable=False, index=True),
    Column("stage", CleanText, nullable=False),
    Column("author", CleanText, nullable=False),
    Column("reason", Told, nullable=False),
    Column("source", CleanText, nullable=False),
    Column("since", Instant, nullable=False),
    Column("until", Instant),  # when it ends, or has ended
    Column("record", CleanText),  # "connection/object/id" of the record in whose field it was said; NULL: elsewhere
    Column("planned_until", Instant),  # until when it was to hold when it was said; NULL: for good, or not known
)

runs = Table(
    "runs",
    metadata,
    Column("id", Serial, primary_key=True),
    Column("connection", CleanText, nullable=False),
    Column("started_at", Instant, nullable=False),
    Column("finished_at", Instant),
    Column("outcome", CleanText, nullable=False, server_default=text("'running'")),
    Column("counts", Json, nullable=False),
    Column("error", Told),
    Column("kind", CleanText, nullable=False, server_default=text("'full'")),  # quick: only what was hinted at
    Column("project", CleanText),  # the fingerprint of the settings it ran with
    Column("moves", Json),  # [before or null, after, leads] of what it has planned; NULL: nothing
    Index("ix_runs_connection", "connection", "id"),
    Index("ix_runs_kind", "connection", "kind", "started_at"),
    sqlite_autoincrement=True,
)

decisions = Table(
    "decisions",
    metadata,
    Column("run_id", BigInteger, primary_key=True),
    Column("lead_id", BigInteger, primary_key=True, index=True),
    Column("revision", BigInteger, nullable=False),
    Column("before_stage", CleanText),  # what the plan stands on, so that SQL can tell a stale one
    Column("before_since", Instant),
    Column("payload", CleanText, nullable=False),  # the LeadPlan as JSON
    Column("move", PlainText),  # "mql>sql", ">sql" for a first stage; NULL: it neither moves nor is handed over
    Index("ix_decisions_move", "run_id", "move", "lead_id", sqlite_where=text("move IS NOT NULL"),
          postgresql_where=text("move IS NOT NULL")),
)  # fmt: skip

transitions = Table(
    "transitions",
    metadata,
    Column("id", Serial, primary_key=True),
    Column("lead_id", BigInteger, ForeignKey("leads.id"), nullable=False, index=True),
    Column("at", Instant, nullable=False),
    Column("before", CleanText),
    Column("after", CleanText, nullable=False),
    Column("cause", CleanText, nullable=False),
    Column("total", BigInteger, nullable=False),
    Column("model", CleanText, nullable=False),
    Column("episode", Integer, nullable=False),
    Column("run", BigInteger),
    Index("ix_transitions_at", "at"),
)

write_backs = Table(
    "write_backs",
    metadata,
    Column("connection", CleanText, primary_key=True),
    Column("object", CleanText, primary_key=True),
    Column("id", CleanText, primary_key=True),
    Column("seen", Boolean, nullable=False, server_default=false()),
    Column("confirmed", CleanText, nullable=False),  # a Standing as JSON
    Column("confirmed_modified_at", Instant),
    Column("written_at", Instant),
    Column("pending", CleanText),  # a Standing as JSON
    Column("pending_stage", CleanText),
    Column("cause", CleanText),
    Column("attempts", Integer, nullable=False, server_default=text("0")),
    Column("next_at", Instant),
    Column("given_up", Boolean, nullable=False, server_default=false()),
    Column("reason", Told),  # why the last attempt was put off, given up or not taken
    Index(
        "ix_write_backs_pending",
        "connection",
        "pending_stage",
        "object",
        "id",
        sqlite_where=text("pending IS NOT NULL"),
        postgresql_where=text("pending IS NOT NULL"),
    ),
    Index(
        "ix_write_backs_reason",
        "connection",
        "object",
        "id",
        sqlite_where=text("reason IS NOT NULL"),
        postgresql_where=text("reason IS NOT NULL"),
    ),
)

handoffs = Table(
    "handoffs",
    metadata,
    Column("key", CleanText, primary_key=True),
    Column("lead_id", BigInteger, ForeignKey("leads.id"), nullable=False, index=True),
    Column("connection", CleanText, nullable=False),
    Column("object", CleanText, nullable=False),
    Column("record_id", CleanText, nullable=False),
    Column("stage", CleanText, nullable=False),
    Column("at", Instant, nullable=False),
    Column("closed_at", Instant),  # when the lead left the stage
    Column("payload", CleanText, nullable=False),  # the Handoff as JSON
    Column("told_at", Instant),  # when the first message of it was sent; NULL: nobody knows of it yet
    Column("due_at", Instant),  # until when sales shall have acted
    Column("look_at", Instant),  # when to remind or to escalate next; NULL: nothing is to come
    Column("reminded_at", Instant),
    Column("escalated_at", Instant),
    Column("touched_at", Instant),  # when sales acted first
    Column("touched_by", CleanText),  # the kind of activity, or "stage": a person or another team has moved the lead
    Column("system_ms", BigInteger),  # from the activity that made the lead ready until it was told
    Column("human_ms", BigInteger),  # from then until sales acted
    Column("human_work_ms", BigInteger),  # the same, of working time
    Column("assigned_to", CleanText),  # the e-mail address of who shall act, in lower case; NULL: nobody in particular
    Column("assigned_at", Instant),
    Column("for_whom", CleanText),  # model.Handoff.for_whom
    Index("ix_handoffs_assigned", "assigned_to", "assigned_at"),
    Index("ix_handoffs_at", "connection", "at", "key", "for_whom"),
    Index(
        "ix_handoffs_open",
        "connection",
        "due_at",
        "at",
        "key",
        "for_whom",
        sqlite_where=text("closed_at IS NULL AND touched_at IS NULL"),
        postgresql_where=text("closed_at IS NULL AND touched_at IS NULL"),
    ),
    Index("ix_handoffs_record", "connection", "object", "record_id"),
    Index(
        "ix_handoffs_look",
        "connection",
        "look_at",
        sqlite_where=text("look_at IS NOT NULL AND closed_at IS NULL"),
        postgresql_where=text("look_at IS NOT NULL AND closed_at IS NULL"),
    ),
)

turns = Table(
    "turns",
    metadata,
    Column("team", CleanText, primary_key=True),
    Column("standing", Json, nullable=False),  # member -> [weight, credit]
)

notices = Table(
    "notices",
    metadata,
    Column("key", CleanText, primary_key=True),
    Column("handoff_key", CleanText, ForeignKey("handoffs.key"), nullable=False, index=True),
    Column("connection", CleanText, nullable=False),
    Column("channel", CleanText, nullable=False),
    Column("recipient", CleanText, nullable=False),
    Column("state", CleanText, nullable=False),
    Column("attempts", Integer, nullable=False, server_default=text("0")),
    Column("not_before", Instant),
    Column("error", Told),
    Column("sent_at", Instant),
    Column("kind", CleanText, nullable=False, server_default=text("'handoff'")),
    Column("unsure", Boolean, nullable=False, server_default=false()),  # an earlier attempt may have arrived
    Column("digest", CleanText),  # names those that go, or went, out together in one message; NULL: by itself
    Index("ix_notices_state", "connection", "state", "not_before"),
    Index(
        "ix_notices_sent",
        "connection",
        "channel",
        "sent_at",
        sqlite_where=text("sent_at IS NOT NULL"),
        postgresql_where=text("sent_at IS NOT NULL"),
    ),
)

answers = Table(
    "answers",
    metadata,
    Column("id", Serial, primary_key=True),
    Column("handoff_key", CleanText, ForeignKey("handoffs.key"), nullable=False, index=True),
    Column("accepted", Boolean, nullable=False),
    Column("reason", Told, nullable=False),
    Column("author", CleanText, nullable=False),
    Column("source", CleanText, nullable=False),
    Column("at", Instant, nullable=False),
)

# Who may sign in to the pages by a password, or has done so through an identity provider.
users = Table(
    "users",
    metadata,
    Column("name", CleanText, primary_key=True),
    Column("role", CleanText, nullable=False),  # viewer, operator, admin
    Column("password", CleanText),  # argon2; NULL: signs in elsewhere
    Column("created_at", Instant, nullable=False),
    Column("changed_at", Instant, nullable=False),  # password or role; sessions from before have ended
)

sessions = Table(
    "sessions",
    metadata,
    Column("digest", CleanText, primary_key=True),  # SHA-256 of what the browser holds
    Column("user", CleanText, nullable=False, index=True),
    Column("role", CleanText, nullable=False),
    Column("source", CleanText, nullable=False),  # password, oidc
    Column("created_at", Instant, nullable=False),
    Column("seen_at", Instant, nullable=False),
    Column("expires_at", Instant, nullable=False),
)

api_tokens = Table(
    "api_tokens",
    metadata,
    Column("id", Serial, primary_key=True),
    Column("digest", CleanText, nullable=False, unique=True),  # SHA-256 of the token
    Column("name", CleanText, nullable=False),
    Column("role", CleanText, nullable=False),
    Column("created_by", CleanText, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("expires_at", Instant),
    Column("used_at", Instant),
    Column("revoked_at", Instant),
)

# Who changed what on the pages, and who tried to sign in: added to, never changed.
audit = Table(
    "audit",
    metadata,
    Column("id", Serial, primary_key=True),
    Column("at", Instant, nullable=False),
    Column("who", CleanText, nullable=False),  # a user's or a token's name; "daemon" for what nobody did
    Column("act", CleanText, nullable=False),  # as "override", "sign_in_failed", "config_reloaded"
    Column("about", CleanText, nullable=False),  # a record's key, a run, a user's name
    Column("address", CleanText),  # where the request came from
    Column("details", Json, nullable=False),  # nothing personal of a lead
    Index("ix_audit_at", "at"),
    Index("ix_audit_act", "act", "at"),
)
