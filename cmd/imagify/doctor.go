package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/imagify-api/imagify/adapters/backends"
	"github.com/imagify-api/imagify/app"
	"github.com/imagify-api/imagify/ports"
)

type doctorCmd struct{ installation }

func (doctorCmd) Help() string {
	return "Reports for each backend whether it works, and what to do if it does not. Writes a\nsmall object to the storage and removes it again."
}

// Run checks one thing after the other; a line each.
func (c doctorCmd) Run(p *program) (err error) {
	failed := 0
	check := func(what string, good string, err error) {
		word := "ok  "
		if err != nil {
			failed++
			word, good = "FAIL", message(err)
		}
		fmt.Fprintf(p.out, "%s  %-14s %s\n", word, what, strings.ReplaceAll(good, "\n", "; "))
	}
	cfg, err := c.config(p)
	if err != nil {
		return err
	}
	b := &backends.Backends{Config: app.Config{Logger: slog.New(slog.DiscardHandler)}}
	defer func() { err = errors.Join(err, b.Close()) }()
	check("configuration", fmt.Sprintf("database %s:, storage %s:, data folder %s", backends.Scheme(cfg.Database), backends.Scheme(cfg.Storage), cfg.Data), nil)
	for _, u := range p.unknown {
		fmt.Fprintf(p.out, "WARN  %-14s %s\n", "configuration", u)
	}
	checks := map[string]func(context.Context, *backends.Backends) (good string, err error){
		backends.PartRedis: checkRedis, backends.PartResizer: checkResizers, backends.PartDatabase: checkDatabase,
		backends.PartStorage: checkStorage, backends.PartSecretKey: checkKeys, backends.PartSpool: checkSpool,
	}
	for _, part := range cfg.Parts() {
		err, good := absent(part.Open(p.ctx, b)), ""
		if err == nil {
			good, err = checks[part.Name](p.ctx, b)
		}
		check(part.Name, good, err)
	}
	if b.Blobs != nil && b.Records.Installation != nil {
		good, err := checkInstallation(p.ctx, b)
		check("installation", good, err)
	}
	switch failed {
	case 0:
		return nil
	case 1:
		return errors.New("1 check failed")
	}
	return fmt.Errorf("%d checks failed", failed)
}

func checkSpool(_ context.Context, b *backends.Backends) (string, error) {
	if parent := filepath.Dir(b.SpoolDir); b.SpoolDir != "" {
		if _, err := os.Stat(parent); errors.Is(err, fs.ErrNotExist) {
			return parent + " will be created when 'imagify serve' starts", nil // a look makes no folder
		}
	}
	return "can be written, and there is room", app.CheckSpool(b.Config)
}

// checkInstallation tells whether the database and the storage belong together.
func checkInstallation(ctx context.Context, b *backends.Backends) (string, error) {
	id, err := app.InspectInstallation(ctx, b.Records, b.Blobs)
	switch {
	case err != nil:
		return "", err
	case id.IsZero():
		return "the database and the storage are not paired yet: the first start or sweep pairs them", nil
	}
	return "the database and the storage belong together (" + id.String() + ")", nil
}

func checkKeys(_ context.Context, b *backends.Backends) (string, error) {
	return fmt.Sprintf("%d in use", len(b.SecretKeys)), nil
}

func checkRedis(ctx context.Context, b *backends.Backends) (string, error) {
	if b.State == nil {
		return "not configured: rate limits are per process, and other nodes learn of changes by polling", nil
	}
	return "stores a key and runs a script", b.State.Doctor(ctx)
}

func checkDatabase(ctx context.Context, b *backends.Backends) (string, error) {
	good := "answers, and the schema is up to date"
	if b.Database != nil {
		all, err := b.Database.MigrationStatus(ctx)
		if err != nil {
			return "", err
		}
		for _, m := range all {
			if m.AppliedAt.IsZero() {
				return "", errors.New("the schema is not up to date: run 'imagify migrate up', or start the server, which migrates it")
			}
		}
		if newest := all[len(all)-1]; newest.Newer {
			good = fmt.Sprintf("answers; the schema (version %d) was made by a newer program and is compatible with this one", newest.Version)
		}
	}
	feed, err := b.Records.Changes.Since(ctx, "")
	if err != nil {
		return "", err
	}
	if off := time.Since(feed.Now).Abs(); off > 30*time.Second {
		return "", fmt.Errorf("its clock differs from this machine's by %v: set up time synchronisation", off.Round(time.Second))
	}
	return good, nil
}

func checkStorage(ctx context.Context, b *backends.Backends) (string, error) {
	if d, ok := b.Blobs.(interface {
		Doctor(ctx context.Context) error
	}); ok {
		return "stores, returns and removes a blob, and exposes it to nobody else", d.Doctor(ctx)
	}
	return "stores, returns and removes a blob", tryBlob(ctx, b.Blobs)
}

func tryBlob(ctx context.Context, blobs ports.Blobs) error {
	key := "doctor/" + fmt.Sprint(os.Getpid(), "-", time.Now().UnixNano())
	want := []byte("imagify doctor")
	if err := blobs.Put(ctx, key, bytes.NewReader(want), ports.PutOptions{Size: int64(len(want)), IfAbsent: true}); err != nil {
		return fmt.Errorf("cannot write: %w", err)
	}
	b, err := blobs.Open(ctx, key)
	if err != nil {
		return fmt.Errorf("cannot read what was written: %w", err)
	}
	got, err := io.ReadAll(b.Body)
	b.Body.Close()
	if err != nil || !bytes.Equal(got, want) {
		return errors.Join(errors.New("reads back different bytes than were written"), err)
	}
	return blobs.Delete(ctx, key)
}

func checkResizers(ctx context.Context, b *backends.Backends) (string, error) {
	data, err := asJPEG(draw(64, 64, sunset))
	if err != nil {
		return "", err
	}
	got, err := b.Resizer.Resize(ctx, bytes.NewReader(data), ports.ResizeRequest{Heights: []int{16}})
	if err == nil && (len(got) != 1 || got[0].Width != 16 || got[0].Height != 16) {
		err = errors.New("makes thumbnails of the wrong size")
	}
	good := "makes a thumbnail (" + b.Resizer.Version() + ")"
	if there, ok := b.RemoteResizer.(ports.Pinger); ok && err == nil {
		good, err = good+", and the function answers", there.Ping(ctx)
	}
	return good, err
}
