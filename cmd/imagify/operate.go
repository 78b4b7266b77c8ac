package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/imagify-api/imagify/adapters/backends"
	"github.com/imagify-api/imagify/app"
	"github.com/imagify-api/imagify/domain"
)

type migrateCmd struct {
	Up     migrateUpCmd     `cmd:"" help:"Apply every pending migration."`
	Down   migrateDownCmd   `cmd:"" help:"Roll back the latest migration. Stop every server first."`
	Status migrateStatusCmd `cmd:"" help:"List the migrations and whether each is applied."`
}

type (
	migrateUpCmd     struct{ installation }
	migrateDownCmd   struct{ installation }
	migrateStatusCmd struct {
		records
		installation
	}
)

// schema runs fn on the configured database, if it is of a kind that has a schema.
func (i installation) schema(p *program, fn func(backends.Database) error) (err error) {
	c, err := i.config(p)
	if err != nil {
		return err
	}
	b, err := c.Open(p.ctx, slog.New(slog.DiscardHandler))
	if err != nil {
		return absent(err)
	}
	defer func() { err = errors.Join(err, b.Close()) }()
	if b.Database == nil {
		return usagef("IMAGIFY_DATABASE_URL: a %s: database has no schema", backends.Scheme(c.Database))
	}
	return fn(b.Database)
}

func (c migrateUpCmd) Run(p *program) error {
	return c.schema(p, func(db backends.Database) error {
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

func (c migrateDownCmd) Run(p *program) error {
	return c.schema(p, func(db backends.Database) error {
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
			fmt.Fprintln(p.out, "no migration is applied")
			return nil
		}
		done, err := db.MigrateDown(p.ctx, target)
		for _, m := range done {
			fmt.Fprintf(p.out, "rolled back %d %s\n", m.Version, m.Name)
		}
		return err
	})
}

func (c migrateStatusCmd) Run(p *program) error {
	return c.schema(p, func(db backends.Database) error {
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
			if m.Newer {
				views[i].Name = "(newer than this program)"
			}
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
	User   string `required:"" help:"User name."`
	Image  string `required:"" help:"The image's id."`
	Action string `arg:"" help:"thumbnail:HEIGHT, original or link."`
	JSON   bool   `name:"json" help:"Print JSON."`
	installation
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
	return c.service(p, func(svc *app.Service) error {
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

type readyCmd struct {
	Server string `help:"The server's address. Default: the address that this configuration listens on." placeholder:"http://127.0.0.1:8080"`
}

func (readyCmd) Help() string {
	return "Exits 0 if every backend of the server answers, 1 if not: the health check of a\ncontainer without a shell.\n\nExample:\n  imagify ready --server https://img.example.org"
}

// readyTimeout is a little more than the server's own bound on asking its backends.
const readyTimeout = 6 * time.Second

func (c readyCmd) Run(p *program) error {
	if c.Server == "" {
		cfg, err := p.loadConfig(nil)
		if err != nil {
			return err
		}
		host, port, err := net.SplitHostPort(cfg.Addr)
		if err != nil {
			return err
		}
		if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
			host = "127.0.0.1"
		}
		c.Server = "http://" + net.JoinHostPort(host, port)
	}
	ctx, cancel := context.WithTimeout(p.ctx, readyTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimRight(c.Server, "/")+"/readyz", nil)
	if err != nil {
		return usagef("--server %s: write it like https://img.example.org", c.Server)
	}
	req.Header.Set("Accept", "application/json")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return fmt.Errorf("the server does not answer: %w", err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		var problem struct{ Detail string }
		_ = json.NewDecoder(io.LimitReader(res.Body, 1<<16)).Decode(&problem) // a proxy may say something else
		return fmt.Errorf("%s says %s: %s", c.Server, res.Status, problem.Detail)
	}
	_, err = fmt.Fprintln(p.out, "ready")
	return err
}

// writeFile writes a file whole or not at all; over one that exists only with replace, else
// the error is fs.ErrExist.
func writeFile(path string, data []byte, replace bool) (err error) {
	if !replace {
		// The name is taken before the bytes are there, so that of two writers one is refused.
		taken, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL, 0o644)
		if err != nil {
			return err
		}
		_ = taken.Close()
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".imagify-*")
	if err == nil {
		_, err = f.Write(data)
		err = errors.Join(err, f.Chmod(0o644), f.Close())
		if err == nil {
			err = os.Rename(f.Name(), path)
		}
		if err != nil {
			_ = os.Remove(f.Name())
		}
	}
	if err != nil && !replace {
		_ = os.Remove(path)
	}
	return err
}
