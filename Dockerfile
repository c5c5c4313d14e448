# SEKE in a container. CPU by default; for a GPU machine choose a CUDA base, and start it with `docker run --gpus all`:
#   docker build -t seke .
#   docker build -t seke --build-arg BASE=nvidia/cuda:12.8.1-runtime-ubuntu24.04 .
#   docker run --rm -it -v "$PWD/outputs:/app/outputs" -v /data:/app/data:ro -e OPENAI_API_KEY seke prepare --help
ARG BASE=debian:bookworm-slim
FROM ${BASE}

# On Debian and Ubuntu alike, with Python 3.11 or newer: Debian 12, Ubuntu 24.04.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends python3 python3-venv gcc libc6-dev \
    && rm -rf /var/lib/apt/lists/*
RUN useradd --create-home --uid 10001 seke && mkdir -p /app/outputs && chown -R seke /app

# The packages first: they change less often than the program. torch's wheel for Linux holds its CUDA libraries; for
# another build, such as the small one for CPUs, give the index that pytorch.org names: --build-arg TORCH_INDEX=<address>.
ARG TORCH_INDEX=""
WORKDIR /opt/seke
COPY pyproject.toml requirements.lock README.md LICENSE ./
RUN python3 -m venv /opt/venv \
    && /opt/venv/bin/pip install --no-cache-dir --require-hashes --no-deps -r requirements.lock \
    && PIP_EXTRA_INDEX_URL="${TORCH_INDEX}" /opt/venv/bin/pip install --no-cache-dir "$(grep -o 'torch==[0-9.]*' pyproject.toml)"
COPY conf conf
COPY src src
COPY ./*.py ./
RUN /opt/venv/bin/pip install --no-cache-dir .

ENV PATH="/opt/venv/bin:${PATH}"
USER 10001
WORKDIR /app
ENTRYPOINT ["seke"]
CMD ["--help"]
