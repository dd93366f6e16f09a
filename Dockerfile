# What it builds, why it looks like this, and what of it was tried: docs/containers.md.
# Without a Docker engine at hand no digest could be looked up: both images stand by their exact tag. Pin them before you
# build for others: FROM name:tag@sha256:…

FROM rust:1.95.0-slim-trixie AS build
WORKDIR /src
COPY Cargo.toml Cargo.lock build.rs ./
COPY migrations migrations
COPY proto proto
COPY src src
# Dependencies are compiled once for all builds of this machine: they are kept in the caches, by the lock file's checksums.
# Ours is not: cargo goes by the time of a file, and an older commit's may be older than what is in the cache.
RUN --mount=type=cache,id=portcullis-cargo,target=/usr/local/cargo/registry,sharing=locked \
    --mount=type=cache,id=portcullis-target-trixie,target=/src/target,sharing=locked \
    touch build.rs src/lib.rs src/main.rs migrations/src/lib.rs \
    && cargo build --locked --release --bin portcullis \
    && install -D target/release/portcullis /out/portcullis \
    && install -d /out/data

# The builder's Debian, so its glibc; with libgcc, the system's certificate authorities and a user, and without a shell.
FROM gcr.io/distroless/cc-debian13:nonroot
ARG REVISION=unknown
LABEL org.opencontainers.image.title="portcullis" \
      org.opencontainers.image.description="An API-key control plane over gRPC whose revocations take effect before the call returns" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="0.1.0" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.base.name="gcr.io/distroless/cc-debian13:nonroot"
COPY LICENSE /usr/share/doc/portcullis/LICENSE
COPY --from=build /out/portcullis /usr/local/bin/portcullis
# For the volume with the SQLite database: a new one takes over the owner of what it hides.
COPY --from=build --chown=65532:65532 /out/data /var/lib/portcullis
# The chart's user, by its number: Kubernetes cannot know that a name is not root's.
USER 65532:65532
EXPOSE 50051
ENTRYPOINT ["portcullis"]
CMD ["--help"]
