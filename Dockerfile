FROM python:3.13.1-slim AS build
WORKDIR /build
COPY pyproject.toml README.md LICENSE stack/constraints.txt ./
COPY src src
COPY docs/runbooks docs/runbooks
RUN ["python", "-m", "venv", "/opt/evmon"]
RUN ["/opt/evmon/bin/python", "-m", "pip", "install", "--no-cache-dir", "--no-compile", "--constraint", "constraints.txt", "."]

FROM python:3.13.1-slim
COPY --from=build /opt/evmon /opt/evmon
ENV PATH=/opt/evmon/bin:$PATH PYTHONUNBUFFERED=1
USER 10001:10001
EXPOSE 9464
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s CMD ["python", "-c", "import urllib.request as r; r.build_opener(r.ProxyHandler({})).open('http://127.0.0.1:9464/livez', timeout=2)"]
ENTRYPOINT ["evmon"]
CMD ["demo"]
