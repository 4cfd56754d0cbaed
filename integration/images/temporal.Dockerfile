FROM scratch
COPY root /
ENV USER=temporal
WORKDIR /tmp
ENTRYPOINT ["/usr/bin/entrypoint", "temporal"]
