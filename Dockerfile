# syntax=docker/dockerfile:1
FROM python:3.11-slim AS build
WORKDIR /src
COPY pyproject.toml README.md LICENSE constraints.txt ./
COPY syncer syncer
COPY connectors connectors
COPY config config
RUN python -m venv /opt/syncer \
 && /opt/syncer/bin/pip install --no-cache-dir --constraint constraints.txt .

FROM python:3.11-slim
ENV PATH=/opt/syncer/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    SYNCER_CONFIG=/config/syncer.yml \
    SYNCER_DATABASE_URL=sqlite:////data/syncer.db \
    SYNCER_LOG_STYLE=json
RUN groupadd --system --gid 10001 syncer \
 && useradd --system --uid 10001 --gid syncer --home-dir /data --no-create-home syncer \
 && install --directory --owner=syncer --group=syncer /data /config
COPY --from=build /opt/syncer /opt/syncer
USER 10001:10001
WORKDIR /data
VOLUME ["/data"]
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=60s --timeout=10s --start-period=120s --retries=3 \
    CMD ["syncer", "status", "--quiet", "--max-age", "1h"]
ENTRYPOINT ["syncer"]
CMD ["daemon"]
