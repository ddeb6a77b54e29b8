# Tidegate in a container. compose.yaml runs it with a PostgreSQL; docs/how-to/containers.md says how.
FROM python:3.11-slim-bookworm AS build

# Indexes to install from. From PyPI, PyTorch for x86-64 comes with CUDA, some gigabytes; name an index of CPU builds here to leave it out.
ARG PIP_INDEX_URL=
ARG PIP_EXTRA_INDEX_URL=
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1

RUN python -m venv /opt/tidegate
ENV PATH=/opt/tidegate/bin:$PATH
WORKDIR /src

# The libraries first: their layer stays while only Tidegate's own code changes.
COPY pyproject.toml constraints.txt ./
RUN python -c "import tomllib; project = tomllib.load(open('pyproject.toml', 'rb'))['project']; \
print(*project['dependencies'], *project['optional-dependencies']['fast'], sep='\n')" > requirements.txt \
    && pip install --requirement requirements.txt --constraint constraints.txt

COPY README.md LICENSE ./
COPY alembic alembic
COPY store store
COPY monitor monitor
COPY reports reports
COPY serving serving
COPY tidegate tidegate
RUN pip install --no-deps .

FROM python:3.11-slim-bookworm

RUN useradd --uid 10001 --create-home --home-dir /var/lib/tidegate --shell /usr/sbin/nologin tidegate \
    && install --directory --owner=tidegate --group=tidegate /models
COPY --from=build /opt/tidegate /opt/tidegate

# Every setting of `tidegate settings` may be given as such a variable.
ENV PATH=/opt/tidegate/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    TIDEGATE_SERVING__HOST=0.0.0.0 \
    TIDEGATE_SERVING__PORT=8000 \
    TIDEGATE_STORE__DATABASE=sqlite:////var/lib/tidegate/tidegate.db \
    TIDEGATE_STORE__SPOOL=/var/lib/tidegate/spool

USER 10001
WORKDIR /var/lib/tidegate
VOLUME ["/var/lib/tidegate"]
EXPOSE 8000

# The first start measures which backend is the fastest, which may take a minute.
HEALTHCHECK --interval=10s --timeout=5s --start-period=180s --retries=3 \
    CMD ["python", "-c", "import os, urllib.request; urllib.request.urlopen(f\"http://127.0.0.1:{os.environ['TIDEGATE_SERVING__PORT']}/health/ready\", timeout=4)"]

ENTRYPOINT ["tidegate"]
CMD ["serve", "/models/model.pkl"]
