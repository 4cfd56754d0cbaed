FROM scratch
COPY root /
RUN ["/usr/bin/entrypoint", "kafka", "archive"]
VOLUME /var/lib/kafka/data
ENTRYPOINT ["/usr/bin/entrypoint", "kafka"]
