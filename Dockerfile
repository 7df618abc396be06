# The page and the service of mmviz in a container; docs/serving.md has the lines that run it.
# It runs as a user without rights, writes nothing but a temporary file system, and connects to nothing by itself.

FROM python:3.11-slim AS build
RUN python -m pip install --no-cache-dir uv
WORKDIR /build
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY assets assets
COPY mmviz mmviz
# uv knows where PyTorch keeps its builds: cpu, or such as cu128 for a machine with a GPU.
ARG TORCH_BACKEND=cpu
RUN uv venv /srv/mmviz \
    && uv pip install --no-cache --compile-bytecode --python /srv/mmviz --torch-backend "$TORCH_BACKEND" \
        --constraint constraints.txt '.[app,serve]'

FROM python:3.11-slim
COPY --from=build /srv/mmviz /srv/mmviz
ENV PATH=/srv/mmviz/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    HOME=/tmp \
    MPLCONFIGDIR=/tmp/matplotlib \
    XDG_CACHE_HOME=/tmp/cache \
    HF_HUB_OFFLINE=1 \
    STREAMLIT_BROWSER_GATHER_USAGE_STATS=false \
    STREAMLIT_SERVER_FILE_WATCHER_TYPE=none \
    HEALTH_URL=http://127.0.0.1:8501/_stcore/health
WORKDIR /tmp
# The user of a Hugging Face Space.
USER 1000:1000
EXPOSE 8501 8600
# For `serve` and for HTTPS, HEALTH_URL is another. A certificate names the host that visitors use, not this loopback.
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s CMD ["python", "-c", "import os, ssl, urllib.request as web; web.urlopen(os.environ['HEALTH_URL'], timeout=4, context=ssl._create_unverified_context())"]
ENTRYPOINT ["mmviz"]
CMD ["app", "--host", "0.0.0.0", "--headless"]
