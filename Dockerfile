# The image of Keyward: `docker build -t keyward .`
#
# The image has no PostgreSQL of its own: DATABASE_URL has to be set. Keys and the server secret are generated under
# /var/lib/keyward, so keep that volume, or mount KEYWARD_SIGNING_KEYS and KEYWARD_SECRET_FILE as secrets.

# The version that rust-toolchain.toml pins. That file is not copied: rustup would fetch the linters it names.
ARG RUST_VERSION=1.95.0

FROM rust:${RUST_VERSION}-slim-bookworm AS build
# The image has a C compiler already, for aws-lc; jemalloc is built by make.
RUN apt-get update \
    && apt-get install -y --no-install-recommends libpq-dev make pkg-config \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /build

# The dependencies have a layer of their own: it is rebuilt only when a manifest or the lock file changes. Targets that
# the manifest names by hand are left out, because cargo insists that their files exist.
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
# Copied files may be older than what was built from the placeholders; touch makes cargo look at the real ones.
RUN touch src/main.rs src/lib.rs crates/embedded-postgres/src/lib.rs \
    && cargo build --release --locked --bin keyward \
    && strip target/release/keyward

FROM debian:bookworm-slim
LABEL org.opencontainers.image.title="Keyward" \
    org.opencontainers.image.description="A self-hosted account service: people, organisations and API keys." \
    org.opencontainers.image.licenses="MIT OR Apache-2.0"
# ca-certificates: to check the certificates of PostgreSQL and of the mail server.
RUN apt-get update \
    && apt-get install -y --no-install-recommends libpq5 ca-certificates \
    && rm -rf /var/lib/apt/lists/* \
    && groupadd --gid 10001 keyward \
    && useradd --uid 10001 --gid keyward --no-create-home --home-dir /var/lib/keyward --shell /usr/sbin/nologin keyward \
    && install -d -o keyward -g keyward -m 0700 /var/lib/keyward
COPY LICENSE-MIT LICENSE-APACHE /usr/share/doc/keyward/
COPY --from=build /build/target/release/keyward /usr/local/bin/keyward

# A number, so that orchestrators can see that it is not root.
USER 10001:10001
WORKDIR /var/lib/keyward
ENV KEYWARD_BIND=0.0.0.0:8080 \
    KEYWARD_DATA_DIR=/var/lib/keyward
VOLUME /var/lib/keyward
EXPOSE 8080

# bash speaks HTTP well enough, so there is no curl in the image. /livez says that the process serves, not that the
# database is there: an orchestrator must not restart Keyward because PostgreSQL is down.
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s --retries=3 \
    CMD ["/bin/bash", "-c", "exec 3<>/dev/tcp/127.0.0.1/${KEYWARD_BIND##*:} && printf 'GET /livez HTTP/1.1\\r\\nHost: localhost\\r\\nConnection: close\\r\\n\\r\\n' >&3 && read -r -t 2 _ status _ <&3 && [[ $status == 200 ]]"]

ENTRYPOINT ["/usr/local/bin/keyward"]
CMD ["serve"]
