# syntax=docker/dockerfile:1
# Two stages: uv fills /venv from the lock file, then only /venv and the app are kept. All
# dependencies are wheels, so there is no compiler in either.
ARG BASE=docker.io/library/python:3.13-slim

FROM ${BASE} AS build
# The same version as in scripts/setup.
ARG UV_VERSION=0.13.9
# Behind a proxy that inspects TLS: its certificates, as a path inside the build.
ARG SSL_CERT_FILE
ARG PIP_CERT
# Where the base has no pip of its own to use (Debian's python3): python3 -m venv makes one.
RUN python3 -m venv /uv && /uv/bin/pip install --no-cache-dir --disable-pip-version-check "uv==${UV_VERSION}"
WORKDIR /src
COPY pyproject.toml uv.lock ./
ENV UV_PROJECT_ENVIRONMENT=/venv UV_PYTHON_DOWNLOADS=never UV_LINK_MODE=copy UV_COMPILE_BYTECODE=1
RUN /uv/bin/uv sync --frozen --no-dev --no-cache --python "$(command -v python3)"

FROM ${BASE}
LABEL org.opencontainers.image.title="Patchline" \
      org.opencontainers.image.licenses="MIT"
COPY --from=build /venv /venv
COPY app /srv/patchline/app
COPY LICENSE /srv/patchline/
# The server writes ./data: it works in / and owns nothing but /data.
RUN PYTHONPATH=/srv/patchline /venv/bin/python -m compileall -q /srv/patchline/app \
    && install -d -m 700 -o 10001 -g 10001 /data
ENV PATH=/venv/bin:$PATH PYTHONPATH=/srv/patchline PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 PYTHONSAFEPATH=1
USER 10001:10001
WORKDIR /
VOLUME /data
EXPOSE 5050
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s CMD ["python", "-c", "import os, urllib.request; urllib.request.urlopen(f\"http://127.0.0.1:{os.environ.get('PORT') or 5050}/health\", timeout=2)"]
# Another command in its place: migrate, jobs.
ENTRYPOINT ["python", "-m", "app"]
CMD ["serve"]
