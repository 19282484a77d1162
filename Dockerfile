# PaCX inference server.
#   docker build -t pacx .                     processor (default)
#   docker build -t pacx:gpu --target gpu .    CUDA
#   docker run --read-only --tmpfs /tmp -p 127.0.0.1:8000:8000 -e PACX_API_KEYS='[...]' pacx
# The server refuses to listen beyond loopback without keys or TLS; docs/operations.md says how to
# give it either, or how to say that it is meant.

FROM python:3.11-slim-bookworm AS wheel
WORKDIR /source
COPY . .
RUN python -m pip wheel --no-cache-dir --no-deps --wheel-dir /wheels .

FROM wheel AS cpu-environment
RUN python -m venv /opt/pacx \
    && set -- /wheels/pacx-*.whl \
    && /opt/pacx/bin/python -m pip install --no-cache-dir --constraint constraints.txt \
        "pacx[cpu,telemetry] @ file://$1"

FROM wheel AS gpu-environment
# CUDA and cuDNN come as wheels of the versions that onnxruntime-gpu asks for.
RUN python -m venv /opt/pacx \
    && set -- /wheels/pacx-*.whl \
    && /opt/pacx/bin/python -m pip install --no-cache-dir --constraint constraints.txt \
        "pacx[gpu,telemetry] @ file://$1" "onnxruntime-gpu[cuda,cudnn]"

FROM python:3.11-slim-bookworm AS runtime
LABEL org.opencontainers.image.title="PaCX" \
    org.opencontainers.image.description="Inference server for PaCX-MAE, a chest X-ray encoder. Not for clinical use." \
    org.opencontainers.image.licenses="Apache-2.0 AND CC-BY-NC-4.0"
RUN groupadd --system --gid 10001 pacx \
    && useradd --system --uid 10001 --gid pacx --no-create-home --home-dir /nonexistent \
        --shell /usr/sbin/nologin pacx
# Nothing is written outside /tmp, so the root file system may be read-only.
ENV PATH=/opt/pacx/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    PACX_HOST=0.0.0.0 \
    PACX_PORT=8000
WORKDIR /tmp
USER 10001:10001
EXPOSE 8000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s --retries=3 \
    CMD ["python", "-c", "import os, ssl, urllib.request as web; tls = 'PACX_TLS_CERTIFICATE' in os.environ; web.urlopen(f\"http{'s' * tls}://127.0.0.1:{os.environ['PACX_PORT']}/health/live\", timeout=4, context=ssl._create_unverified_context() if tls else None)"]
ENTRYPOINT ["pacx"]
CMD ["serve"]

FROM runtime AS gpu
COPY --from=gpu-environment /opt/pacx /opt/pacx
ENV LD_LIBRARY_PATH=/opt/pacx/lib/python3.11/site-packages/nvidia/cu13/lib:/opt/pacx/lib/python3.11/site-packages/nvidia/cudnn/lib \
    NVIDIA_VISIBLE_DEVICES=all \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility \
    PACX_ENGINE=onnxruntime \
    PACX_DEVICE=cuda

FROM runtime AS cpu
COPY --from=cpu-environment /opt/pacx /opt/pacx
