# Feedgate in a container: non-root, a read-only root file system, one volume.
#
#   docker build -t feedgate .
#   docker run --read-only --cap-drop ALL -v feedgate:/var/lib/feedgate -e FEEDGATE__SOURCE__0__URL=… feedgate

FROM rust:1.95-bookworm AS build
WORKDIR /src
COPY Cargo.toml Cargo.lock ./
COPY .cargo .cargo
COPY src src
COPY tests tests
# The demo stays out: it is a server, and a container needs none.
RUN cargo build --release --locked --no-default-features --features vendored-openssl,parquet \
    && strip --strip-debug target/release/feedgate \
    && install -d -m 0700 -o 65532 -g 65532 /state

# C library and CA certificates, no shell. The user `nonroot` is 65532.
FROM gcr.io/distroless/cc-debian12:nonroot
COPY --from=build /src/target/release/feedgate /usr/local/bin/feedgate
COPY config/feedgate.toml config/example.toml /etc/feedgate/
# A new named volume takes owner and mode from here, so that the user may write to it.
COPY --from=build --chown=65532:65532 /state /var/lib/feedgate
USER 65532:65532
WORKDIR /
VOLUME /var/lib/feedgate
# SIGTERM, which ends the daemon within ten seconds, is what `docker stop` sends by itself.
HEALTHCHECK --interval=30s --timeout=5s --start-period=20s CMD ["feedgate", "status", "--health"]
ENTRYPOINT ["feedgate"]
CMD ["run"]
