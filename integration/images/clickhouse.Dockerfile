FROM scratch
COPY root /
WORKDIR /var/lib/clickhouse
EXPOSE 8123 9000
ENTRYPOINT ["/usr/bin/entrypoint", "clickhouse"]
