# Serves a model repository; holds no torch. The GPU variant takes onnxruntime's CUDA build and its CUDA 13 libraries:
#   docker build -t headrace .
#   docker build -t headrace:gpu --build-arg EXTRA=gpu .
FROM python:3.11-slim AS build
ARG EXTRA=cpu
RUN python -m venv /opt/headrace
ENV PATH=/opt/headrace/bin:$PATH PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /src
COPY pyproject.toml README.md LICENSE ./
COPY app app
# Versions are pinned in pyproject.toml; test suites inside the libraries and pip itself are of no use to a server.
# The import leaves compiled what serving imports, and that alone: the file system is read-only when it runs, so every
# start would compile it anew, which takes 3 s of 4.
# hadolint ignore=DL3013
RUN pip install ".[${EXTRA}]" \
    && find /opt/headrace -type d \( -name tests -o -name __pycache__ \) -prune -exec rm -rf {} + \
    && rm -rf /opt/headrace/lib/python3.11/site-packages/pip /opt/headrace/lib/python3.11/site-packages/setuptools \
    && python -P -c "import app.__main__, app.main, app.protocols.media"

FROM python:3.11-slim
COPY --from=build /opt/headrace /opt/headrace
COPY models /models
ENV PATH=/opt/headrace/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    ORT_DISABLE_TELEMETRY=1 \
    HEADRACE_HOST=0.0.0.0 \
    HEADRACE_MODELS=/models \
    HEADRACE_LOG_FORMAT=json
USER 10001:10001
WORKDIR /tmp
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=3s --start-period=60s --retries=3 \
    CMD ["python", "-c", "import os, urllib.request as web; web.urlopen(f'http://127.0.0.1:{os.environ.get(\"HEADRACE_PORT\", 8000)}/health/live', timeout=2)"]
ENTRYPOINT ["python", "-m", "app", "serve"]
