FROM scratch
COPY root /
RUN ["/usr/bin/entrypoint", "kafka", "archive"]
VOLUME /var/lib/kafka/data
EXPOSE 9092
ENTRYPOINT ["/usr/bin/entrypoint", "kafka"]
