# syntax=docker/dockerfile:1
# docs/operations/deploying.md says how to build and run it. A release sets PYTHON_IMAGE to a digest.
ARG PYTHON_IMAGE=python:3.11-slim-bookworm

FROM ${PYTHON_IMAGE} AS build
# More than one where optional parts are wanted: "requirements.lock requirements-registry.lock".
ARG REQUIREMENTS=requirements.lock
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
WORKDIR /opt/greenwave
COPY requirements.lock requirements-auth.lock requirements-confluent.lock requirements-otel.lock requirements-registry.lock ./
# Bytecode that names no times of files makes equal images of equal sources, and needs no writes at run time.
RUN python -m venv --without-pip venv \
    && for lock in ${REQUIREMENTS}; do set -- "$@" -r "$lock"; done \
    && python -m pip --python venv install --no-compile --only-binary :all: --require-hashes "$@"
COPY app.py wsgi.py gunicorn.conf.py ./app/
COPY cli ./app/cli
COPY consumer ./app/consumer
COPY demo ./app/demo
COPY static ./app/static
COPY templates ./app/templates
COPY web ./app/web
RUN venv/bin/python -m compileall -q --invalidation-mode unchecked-hash venv/lib app \
    && rm requirements*.lock

FROM ${PYTHON_IMAGE}
ARG VERSION=0.1.0
LABEL org.opencontainers.image.title="Greenwave" \
    org.opencontainers.image.description="Live predictions from a Kafka topic to every browser that asks for them" \
    org.opencontainers.image.licenses="MIT" \
    org.opencontainers.image.version="${VERSION}"
COPY --from=build /opt/greenwave /opt/greenwave
ENV PATH=/opt/greenwave/venv/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    LOG_FORMAT=json
# The root file system can be read-only: gunicorn's heartbeat files are in memory. Only certificates given as text and
# Protobuf schemas need a tmpfs at /tmp.
ENV GUNICORN_CMD_ARGS="--worker-tmp-dir /dev/shm"
WORKDIR /opt/greenwave/app
USER 10001:10001
EXPOSE 8000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=3s --start-period=30s --retries=3 CMD ["python", "-m", "web.probe"]
CMD ["gunicorn", "wsgi:app"]
