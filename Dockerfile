# syntax=docker/dockerfile:1
# Bound to a patch release: what is built today is built tomorrow. Raise it with the security releases of Python.
FROM python:3.11.14-slim-bookworm AS build
WORKDIR /src
COPY pyproject.toml README.md LICENSE constraints.txt ./
COPY syncer syncer
COPY connectors connectors
COPY config config
# No cache of downloads is kept, neither in the image nor by the builder.
RUN --mount=type=tmpfs,target=/root/.cache/pip \
    python -m venv /opt/syncer \
 && /opt/syncer/bin/pip install --no-cache-dir --constraint constraints.txt ".[cluster]"

FROM python:3.11.14-slim-bookworm
LABEL org.opencontainers.image.title="syncer" \
      org.opencontainers.image.description="Scores the leads living in a team's CRM and hands the ready ones to sales" \
      org.opencontainers.image.licenses="Apache-2.0"
# TMPDIR: the one folder beside /data that must be writable where the file system is read-only (a tmpfs will do).
ENV PATH=/opt/syncer/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    MALLOC_ARENA_MAX=2 \
    TMPDIR=/scratch \
    SYNCER_CONFIG=/config/syncer.yml \
    SYNCER_DATABASE_URL=sqlite:////data/syncer.db \
    SYNCER_LOG_STYLE=json
RUN groupadd --system --gid 10001 syncer \
 && useradd --no-log-init --system --uid 10001 --gid syncer --home-dir /data --no-create-home syncer \
 && install --directory --owner=syncer --group=syncer /data /config /scratch
COPY --from=build /opt/syncer /opt/syncer
USER 10001:10001
WORKDIR /data
VOLUME ["/data"]
EXPOSE 8321
STOPSIGNAL SIGTERM
# Of the daemon; a worker's is its /readyz (config/deploy/compose.yml), for one worker is not to blame for a late run.
HEALTHCHECK --interval=60s --timeout=10s --start-period=120s --retries=3 \
    CMD ["syncer", "status", "--quiet", "--max-age", "1h"]
ENTRYPOINT ["syncer"]
CMD ["daemon"]
