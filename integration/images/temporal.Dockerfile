FROM scratch
COPY root /
ENV USER=temporal
WORKDIR /tmp
EXPOSE 7233 8233
ENTRYPOINT ["/usr/bin/entrypoint", "temporal"]
