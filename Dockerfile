# finetune serve: docker build -t finetune-serve . (docs/serving.md)
FROM python:3.11-slim-bookworm

# What OpenCV loads, in the version of the base image.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends libgl1 libglib2.0-0 \
    && rm -rf /var/lib/apt/lists/*

COPY . /source
RUN pip install --no-cache-dir "/source[serve]" && rm -rf /source

RUN useradd --create-home --uid 1000 finetune
USER 1000
WORKDIR /home/finetune

# The container's own network: who reaches the port, docker run --publish decides. FINETUNE_SERVE_TOKEN has to be set.
ENV FINETUNE_OFFLINE=1
EXPOSE 8000
HEALTHCHECK --interval=30s --timeout=5s --start-period=10s \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://localhost:8000/healthz')"]
ENTRYPOINT ["finetune", "serve", "--host", "0.0.0.0"]
CMD ["starter"]
