# Build with `docker build -t keyward .`
#
# The image does not contain PostgreSQL, so DATABASE_URL must be set. The signing key and the server secret are
# generated in the volume /var/lib/keyward: keep it, or set KEYWARD_SIGNING_KEYS and KEYWARD_SECRET_FILE to mounted
# secrets.

# The same version as in rust-toolchain.toml. That file is not copied, because rustup would download the components it
# lists.
ARG RUST_VERSION=1.95.0

FROM rust:${RUST_VERSION}-slim-bookworm AS build
# The base image has the C compiler that aws-lc needs. make builds jemalloc.
RUN apt-get update \
    && apt-get install -y --no-install-recommends libpq-dev make pkg-config \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /build

# The dependencies are built in a separate layer, which is rebuilt only if a manifest or the lock file changes. The
# sections of tests, benches and examples are removed from the manifest, because cargo requires their source files.
COPY .cargo .cargo
COPY Cargo.toml Cargo.lock ./
COPY crates/embedded-postgres/Cargo.toml crates/embedded-postgres/
RUN cp Cargo.toml Cargo.toml.full \
    && awk '/^\[/ { skip = ($0 ~ /^\[\[(test|bench|example)\]\]/) } !skip' Cargo.toml.full > Cargo.toml \
    && mkdir src crates/embedded-postgres/src \
    && echo 'fn main() {}' > src/main.rs \
    && touch src/lib.rs crates/embedded-postgres/src/lib.rs \
    && cargo build --release --locked --bin keyward \
    && rm -rf src crates Cargo.toml.full

COPY . .
# The copied files may be older than the placeholders; touch makes cargo rebuild them.
RUN touch src/main.rs src/lib.rs crates/embedded-postgres/src/lib.rs \
    && cargo build --release --locked --bin keyward \
    && strip target/release/keyward

FROM debian:bookworm-slim
LABEL org.opencontainers.image.title="Keyward" \
    org.opencontainers.image.description="A self-hosted account service: people, organisations and API keys." \
    org.opencontainers.image.licenses="MIT OR Apache-2.0"
# ca-certificates: for TLS to PostgreSQL and the mail server.
RUN apt-get update \
    && apt-get install -y --no-install-recommends libpq5 ca-certificates \
    && rm -rf /var/lib/apt/lists/* \
    && groupadd --gid 10001 keyward \
    && useradd --uid 10001 --gid keyward --no-create-home --home-dir /var/lib/keyward --shell /usr/sbin/nologin keyward \
    && install -d -o keyward -g keyward -m 0700 /var/lib/keyward
COPY LICENSE-MIT LICENSE-APACHE /usr/share/doc/keyward/
COPY --from=build /build/target/release/keyward /usr/local/bin/keyward

# Numeric, so that orchestrators can check that it is not root.
USER 10001:10001
WORKDIR /var/lib/keyward
ENV KEYWARD_BIND=0.0.0.0:8080 \
    KEYWARD_DATA_DIR=/var/lib/keyward
VOLUME /var/lib/keyward
EXPOSE 8080

# bash sends the request, so that the image needs no curl. /livez does not depend on the database: an orchestrator must
# not restart Keyward because PostgreSQL is down.
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s --retries=3 \
    CMD ["/bin/bash", "-c", "exec 3<>/dev/tcp/127.0.0.1/${KEYWARD_BIND##*:} && printf 'GET /livez HTTP/1.1\\r\\nHost: localhost\\r\\nConnection: close\\r\\n\\r\\n' >&3 && read -r -t 2 _ status _ <&3 && [[ $status == 200 ]]"]

ENTRYPOINT ["/usr/local/bin/keyward"]
CMD ["serve"]
