package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/imagify-api/imagify/app"
	"github.com/imagify-api/imagify/cmd/internal/wiring"
	"github.com/imagify-api/imagify/domain"
	"github.com/imagify-api/imagify/ports"
)

type migrateCmd struct {
	Up     migrateUpCmd     `cmd:"" help:"Bring the schema up to date."`
	Down   migrateDownCmd   `cmd:"" help:"Take back the newest step. Stop every server first."`
	Status migrateStatusCmd `cmd:"" help:"Show each step and whether it is applied."`
}

type (
	migrateUpCmd     struct{}
	migrateDownCmd   struct{}
	migrateStatusCmd struct{ records }
)

// schema runs fn on the configured database if it has a schema.
func (p *program) schema(fn func(wiring.Database) error) (err error) {
	c, err := p.loadConfig(nil)
	if err != nil {
		return err
	}
	b, err := c.Open(p.ctx, slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.Close()) }()
	if b.Database == nil {
		return usagef("IMAGIFY_DATABASE_URL: a %s: database has no schema", wiring.Scheme(c.Database))
	}
	return fn(b.Database)
}

func (migrateUpCmd) Run(p *program) error {
	return p.schema(func(db wiring.Database) error {
		done, err := db.MigrateUp(p.ctx)
		for _, m := range done {
			fmt.Fprintf(p.out, "applied %d %s\n", m.Version, m.Name)
		}
		if err == nil && len(done) == 0 {
			fmt.Fprintln(p.out, "the schema is up to date")
		}
		return err
	})
}

func (migrateDownCmd) Run(p *program) error {
	return p.schema(func(db wiring.Database) error {
		all, err := db.MigrationStatus(p.ctx)
		if err != nil {
			return err
		}
		target, found := int64(0), false
		for i := len(all) - 1; i >= 0; i-- {
			if all[i].AppliedAt.IsZero() {
				continue
			}
			if found {
				target = all[i].Version
				break
			}
			found = true
		}
		if !found {
			fmt.Fprintln(p.out, "no step is applied")
			return nil
		}
		done, err := db.MigrateDown(p.ctx, target)
		for _, m := range done {
			fmt.Fprintf(p.out, "took back %d %s\n", m.Version, m.Name)
		}
		return err
	})
}

func (c migrateStatusCmd) Run(p *program) error {
	return p.schema(func(db wiring.Database) error {
		all, err := db.MigrationStatus(p.ctx)
		if err != nil {
			return err
		}
		type view struct {
			Version int64      `json:"version"`
			Name    string     `json:"name"`
			Applied *time.Time `json:"applied_at"`
		}
		views := make([]view, len(all))
		for i, m := range all {
			views[i] = view{Version: m.Version, Name: m.Name}
			if !m.AppliedAt.IsZero() {
				at := m.AppliedAt.UTC()
				views[i].Applied = &at
			}
		}
		return c.print(p, views, "VERSION\tNAME\tAPPLIED", func(row func(...string)) {
			for _, v := range views {
				at := "no"
				if v.Applied != nil {
					at = v.Applied.Format(time.RFC3339)
				}
				row(fmt.Sprint(v.Version), v.Name, at)
			}
		})
	})
}

type explainCmd struct {
	User   string `required:"" help:"Who asks."`
	Image  string `required:"" help:"The image's id."`
	Action string `arg:"" help:"thumbnail:HEIGHT, original or link."`
	JSON   bool   `name:"json" help:"Print JSON."`
}

func (explainCmd) Help() string {
	return "Example:\n  imagify explain --user anna --image 0190c7a2-… thumbnail:400"
}

func (c explainCmd) Run(p *program) error {
	action, err := domain.ParseAction(c.Action)
	if err != nil {
		return usageError{errors.New(message(err))}
	}
	id, err := domain.ParseID(c.Image)
	if err != nil {
		return usagef("--image %s: not an image's id", c.Image)
	}
	return p.service(func(svc *app.Service) error {
		row, err := svc.Explain(p.ctx, operator, c.User, id, action)
		if err != nil {
			return err
		}
		if c.JSON {
			return printJSON(p.out, map[string]any{
				"user": c.User, "image": c.Image, "action": action.String(), "allowed": row.Decision.Allowed,
				"reason": string(row.Decision.Reason), "source": row.Decision.Source, "smallest_tier": row.SmallestTier,
			})
		}
		fmt.Fprintf(p.out, "%s %s: %s\n", c.User, action, row.Decision)
		switch {
		case row.Decision.Allowed:
		case row.SmallestTier != "":
			fmt.Fprintf(p.out, "the tier with the fewest permissions that has %s is %s\n", action.Permission(), row.SmallestTier)
		default:
			fmt.Fprintf(p.out, "no tier has %s\n", action.Permission())
		}
		return nil
	})
}

type sweepCmd struct {
	DryRun bool          `help:"Count, and remove nothing."`
	MinAge time.Duration `help:"Leave younger leftovers alone." default:"15m"`
	JSON   bool          `name:"json" help:"Print JSON."`
}

func (c sweepCmd) Run(p *program) error {
	if c.MinAge < 0 {
		return usagef("--min-age must not be negative")
	}
	return p.service(func(svc *app.Service) error {
		r, err := c.sweep(p.ctx, svc)
		if err != nil {
			return err
		}
		if c.JSON {
			return printJSON(p.out, map[string]any{
				"dry_run": c.DryRun, "images": r.Images, "users": r.Users, "blobs": r.Blobs, "partial": r.Partial, "links": r.Links,
				"sessions": r.Sessions, "missing_originals": r.Missing, "images_checked": r.ImagesChecked, "busy": r.AlreadyBusy,
			})
		}
		if r.AlreadyBusy {
			fmt.Fprintln(p.out, "another process is sweeping: nothing was done")
			return nil
		}
		verb := "removed"
		if c.DryRun {
			verb = "would remove"
		}
		fmt.Fprintf(p.out, "%s: %d images, %d users, %d blobs without a record, %d partial writes, %d old links, %d sessions; %d images checked\n",
			verb, r.Images, r.Users, r.Blobs, r.Partial, r.Links, r.Sessions, r.ImagesChecked)
		if r.Missing > 0 {
			return fmt.Errorf("%d images have lost their original: restore the store from a backup", r.Missing)
		}
		return nil
	})
}

// sweepPatience is how long to wait for another process's sweep, which may have died in it.
const sweepPatience = 30 * time.Second

func (c sweepCmd) sweep(ctx context.Context, svc *app.Service) (app.SweepReport, error) {
	deadline := time.Now().Add(sweepPatience)
	for {
		r, err := svc.Sweep(ctx, operator, app.SweepOptions{DryRun: c.DryRun, MinAge: c.MinAge})
		if err != nil || !r.AlreadyBusy || time.Now().After(deadline) {
			return r, err
		}
		select {
		case <-ctx.Done():
			return r, ctx.Err()
		case <-time.After(500 * time.Millisecond):
		}
	}
}

type doctorCmd struct{}

// Run checks one thing after the other; a line each.
func (doctorCmd) Run(p *program) (err error) {
	failed := 0
	check := func(what string, err error, good string) {
		if err != nil {
			failed++
			fmt.Fprintf(p.out, "FAIL  %-14s %s\n", what, message(err))
			return
		}
		fmt.Fprintf(p.out, "ok    %-14s %s\n", what, good)
	}
	c, err := p.loadConfig(nil)
	if err != nil {
		return err
	}
	check("configuration", nil, fmt.Sprintf("database %s:, storage %s:, data folder %s", wiring.Scheme(c.Database), wiring.Scheme(c.Storage), c.Data))
	b, err := c.Open(p.ctx, slog.New(slog.DiscardHandler))
	if err != nil {
		check("backends", err, "")
		return fmt.Errorf("%d checks failed", failed)
	}
	defer func() { err = errors.Join(err, b.Close()) }()
	check("secret key", nil, fmt.Sprintf("%d in use", len(b.SecretKeys)))
	check("database", p.checkDatabase(b), "answers, and the schema is up to date")
	check("storage", checkStorage(p.ctx, b.Blobs), "keeps, gives back and removes a blob")
	if b.State != nil {
		check("Redis", b.State.Doctor(p.ctx), "keeps a key and runs a script")
	}
	check("resizer", checkResizer(p.ctx, b.Resizer), "makes a thumbnail ("+b.Resizer.Pipeline()+")")
	if failed > 0 {
		return fmt.Errorf("%d checks failed", failed)
	}
	return nil
}

func (p *program) checkDatabase(b *wiring.Backends) error {
	if b.Database != nil {
		all, err := b.Database.MigrationStatus(p.ctx)
		if err != nil {
			return err
		}
		for _, m := range all {
			if m.AppliedAt.IsZero() {
				return errors.New("the schema is not up to date: run 'imagify migrate up', or start the server, which does it")
			}
		}
	}
	feed, err := b.Records.Changes.Since(p.ctx, 0)
	if err != nil {
		return err
	}
	if off := time.Since(feed.Now).Abs(); off > 30*time.Second {
		return fmt.Errorf("its clock differs from this machine's by %v: set up time synchronisation", off.Round(time.Second))
	}
	return nil
}

func checkStorage(ctx context.Context, blobs ports.Blobs) error {
	if d, ok := blobs.(interface {
		Doctor(ctx context.Context) error
	}); ok {
		return d.Doctor(ctx)
	}
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
		return errors.Join(errors.New("reads other bytes than were written"), err)
	}
	return blobs.Delete(ctx, key)
}

func checkResizer(ctx context.Context, r ports.Resizer) error {
	data, err := asJPEG(draw(64, 64, sunset))
	if err != nil {
		return err
	}
	got, err := r.Resize(ctx, bytes.NewReader(data), []int{16})
	if err == nil && (len(got) != 1 || got[0].Width != 16 || got[0].Height != 16) {
		err = errors.New("makes thumbnails of a wrong size")
	}
	return err
}

// writeFile writes a file whole or not at all.
func writeFile(path string, data []byte) (err error) {
	f, err := os.CreateTemp(filepath.Dir(path), ".imagify-*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = os.Remove(f.Name())
		}
	}()
	_, err = f.Write(data)
	if err = errors.Join(err, f.Chmod(0o644), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}
