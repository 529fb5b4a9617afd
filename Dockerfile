# Serves a model repository; holds no torch. The GPU variant takes onnxruntime's CUDA build and its CUDA 13 libraries:
#   docker build -t headrace .
#   docker build -t headrace:gpu --build-arg EXTRA=gpu .
FROM python:3.11-slim AS build
ARG EXTRA=cpu
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /src
# Everything is pinned by its hash, by `make lock`. Wheels alone: to build from source would fetch tools without hashes.
# The build's own tools, and pip, are in this stage's Python; the image takes /opt/headrace, which holds none of them.
COPY deploy/requirements-build.txt deploy/requirements-${EXTRA}.txt deploy/
RUN pip install --require-hashes --only-binary :all: -r deploy/requirements-build.txt \
    && python -m venv --without-pip /opt/headrace \
    && pip --python /opt/headrace/bin/python install --require-hashes --only-binary :all: \
        -r "deploy/requirements-${EXTRA}.txt"
COPY pyproject.toml README.md LICENSE ./
COPY app app
# Of no use to a server: test suites inside the libraries, onnxruntime's tools, and its library for C, which Python's holds.
# The import leaves compiled what serving imports, and that alone: the file system is read-only when it runs, so every
# start would compile it anew, which takes 3 s of 4.
RUN pip wheel --no-deps --no-build-isolation --wheel-dir dist . \
    && pip --python /opt/headrace/bin/python install --no-deps --no-index dist/*.whl \
    && cyclonedx-py environment --pyproject pyproject.toml --output-reproducible \
        --output-file /opt/headrace/sbom.cdx.json /opt/headrace/bin/python \
    && find /opt/headrace \( -type d -name tests -o -name __pycache__ -o -name "libonnxruntime.so.*" \
        -o -path "*/onnxruntime/tools" -o -path "*/onnxruntime/transformers" -o -path "*/onnxruntime/quantization" \) \
        -prune -exec rm -rf {} + \
    && /opt/headrace/bin/python -P -c "import app.__main__, app.main, app.protocols.media, app.tracing"

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
