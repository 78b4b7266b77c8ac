# imagify as one static binary in an image without a shell, run by an unprivileged user.
#
#   docker build -t imagify .
#   docker run -p 8080:8080 -v imagify:/data imagify
FROM golang:1.26 AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
ARG VERSION=docker
RUN CGO_ENABLED=0 go build -trimpath -tags nomsgpack -ldflags "-s -w -X main.version=$VERSION" -o /out/imagify ./cmd/imagify \
 && mkdir /out/data

# With certificate authorities, for TLS to databases and stores, and the user 65532.
FROM gcr.io/distroless/static-debian12:nonroot
COPY --from=build /out/imagify /imagify
COPY --from=build --chown=65532:65532 /out/data /data
ENV IMAGIFY_ADDR=0.0.0.0:8080 IMAGIFY_DATA=/data
WORKDIR /data
VOLUME /data
EXPOSE 8080
USER 65532:65532
HEALTHCHECK --interval=10s --timeout=6s --start-period=30s CMD ["/imagify", "ready"]
ENTRYPOINT ["/imagify"]
CMD ["serve"]
