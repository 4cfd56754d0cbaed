FROM scratch
COPY root /
WORKDIR /var/lib/clickhouse
ENTRYPOINT ["/usr/bin/entrypoint", "clickhouse"]
