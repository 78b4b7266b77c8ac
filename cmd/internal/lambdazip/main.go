// Command lambdazip builds the Lambda function for arm64 and amd64 and packs each
// binary as Lambda wants it: a zip file with one executable named bootstrap. The same
// source, version and Go give the same bytes. `make lambda` runs it.
package main

import (
	"archive/zip"
	"bytes"
	"compress/flate"
	"context"
	"crypto/sha256"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"time"
)

// epoch is the time that every file carries: zip knows none before.
var epoch = time.Date(1980, 1, 1, 0, 0, 0, 0, time.UTC)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, os.Args[1:], os.Stdout)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "lambdazip:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, out io.Writer) error {
	flags := flag.NewFlagSet("lambdazip", flag.ContinueOnError)
	dir := flags.String("o", "dist", "folder for the zip files")
	version := flags.String("version", "dev", "version that the function tells")
	tags := flags.String("tags", "nomsgpack", "build tags beside lambda.norpc")
	pkg := flags.String("package", "github.com/imagify-api/imagify/cmd/imagify-lambda", "what to build")
	arch := flags.String("arch", "arm64,amd64", "what to build for")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if err := os.MkdirAll(*dir, 0o755); err != nil {
		return err
	}
	for _, a := range strings.Split(*arch, ",") {
		binary, err := build(ctx, *pkg, a, *tags, *version)
		if err != nil {
			return err
		}
		packed, err := pack(binary)
		if err != nil {
			return err
		}
		path := filepath.Join(*dir, "imagify-lambda-"+a+".zip")
		if err := os.WriteFile(path, packed, 0o644); err != nil {
			return err
		}
		fmt.Fprintf(out, "%s  %.1f MB (the binary in it %.1f MB), sha256 %x\n", path, float64(len(packed))/1e6, float64(len(binary))/1e6, sha256.Sum256(packed))
	}
	return nil
}

// build returns the binary for an architecture. No path, time or state of the
// repository gets into it.
func build(ctx context.Context, pkg, arch, tags, version string) ([]byte, error) {
	dir, err := os.MkdirTemp("", "lambdazip-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "bootstrap")
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-buildvcs=false", "-tags", "lambda.norpc,"+tags,
		"-ldflags", "-s -w -buildid= -X main.version="+version, "-o", path, pkg)
	cmd.Env = append(os.Environ(), "GOOS=linux", "GOARCH="+arch, "CGO_ENABLED=0", "GOAMD64=v1", "GOARM64=v8.0", "GOFLAGS=")
	cmd.Stderr = os.Stderr
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("go build for %s: %w", arch, err)
	}
	return os.ReadFile(path)
}

// pack makes the zip file.
func pack(binary []byte) ([]byte, error) {
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	z.RegisterCompressor(zip.Deflate, func(w io.Writer) (io.WriteCloser, error) { return flate.NewWriter(w, flate.BestCompression) })
	h := &zip.FileHeader{Name: "bootstrap", Method: zip.Deflate, Modified: epoch}
	h.SetMode(0o755)
	w, err := z.CreateHeader(h)
	if err != nil {
		return nil, err
	}
	if _, err := w.Write(binary); err != nil {
		return nil, err
	}
	if err := z.Close(); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}
