# The one image of docker-compose.yml: every service of the project, as a user that is not root.
# BASE: another image with Python and pip, or the same one by its digest (docs/production.md).
ARG BASE=python:3.12-slim
FROM ${BASE}

RUN apt-get update \
    && apt-get install --yes --no-install-recommends libgomp1 \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --uid 10001 --create-home equipoise \
    && install --directory --owner equipoise /var/lib/equipoise

WORKDIR /opt/equipoise
ENV PYTHONPATH=/opt/equipoise PIP_DISABLE_PIP_VERSION_CHECK=1 PYTHONDONTWRITEBYTECODE=1

# What the extra `production` needs, in the versions and with the digests of the lock.
COPY pyproject.toml requirements.lock ./
RUN --mount=type=cache,target=/root/.cache \
    pip install uv==0.13.9 \
    && uv pip install --system --link-mode copy --compile-bytecode --require-hashes \
       --constraint requirements.lock --requirement pyproject.toml --extra production

COPY tasks tasks
COPY dags dags
COPY deploy deploy
COPY surfaces surfaces
COPY expectations expectations
COPY mlflow_projects mlflow_projects

USER equipoise
CMD ["python", "-m", "tasks.cli", "--help"]
