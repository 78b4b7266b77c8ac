package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"golang.org/x/term"

	"github.com/imagify-api/imagify/app"
)

type sweepCmd struct {
	DryRun     bool     `help:"Count, and change nothing."`
	MinAge     span     `help:"Ignore leftovers younger than this." default:"15m"`
	AllowMany  bool     `help:"Continue even if more than 1 % and more than 100 blobs have no record."`
	ListTrash  bool     `help:"List what is in the trash, and until when."`
	Restore    []string `help:"Copy these keys back from the trash, which keeps its own copies until their time is over; a key that ends in / restores everything under it, 'all' everything." placeholder:"KEY" sep:","`
	EmptyTrash bool     `help:"Permanently delete what is in the trash; what a record needs is restored."`
	Yes        bool     `help:"Do not ask for confirmation."`
	JSON       bool     `name:"json" help:"Print JSON."`
	installation
}

func (sweepCmd) Help() string {
	return `Moves blobs that no record refers to into a trash in the same store, where they stay
for IMAGIFY_TRASH_DAYS; finishes interrupted deletions; removes expired records. An
original that a record needs is restored from the trash automatically. The sweep stops
if the database and the storage do not belong together, or if it would move more than
1 % of the blobs and more than 100.

What is restored is still listed in the trash until IMAGIFY_TRASH_DAYS are over. A blob
that no record refers to goes back there with the next sweep that finds it old enough:
copy it to somewhere else, or restore the database that knows it, before then.

Examples:
  imagify sweep --dry-run
  imagify sweep --list-trash
  imagify sweep --restore all`
}

func (c sweepCmd) Run(p *program) error {
	modes := 0
	for _, on := range []bool{c.ListTrash, len(c.Restore) > 0, c.EmptyTrash, c.DryRun || c.AllowMany} {
		if on {
			modes++
		}
	}
	if modes > 1 {
		return usagef("--list-trash, --restore and --empty-trash cannot be combined with each other or other flags")
	}
	return c.service(p, func(svc *app.Service) error {
		switch {
		case c.ListTrash:
			return c.list(p, svc)
		case len(c.Restore) > 0:
			return c.restore(p, svc)
		case c.EmptyTrash:
			return c.empty(p, svc)
		}
		return c.sweep(p, svc)
	})
}

func (c sweepCmd) list(p *program, svc *app.Service) error {
	type entry struct {
		Key   string    `json:"key"`
		Size  int64     `json:"size"`
		Since time.Time `json:"since"`
		Until time.Time `json:"until"`
	}
	entries, bytes := []entry{}, int64(0)
	n := 0
	// Without --json it is printed as it comes: there may be many.
	err := svc.Trash(p.ctx, operator, func(e app.TrashEntry) error {
		n++
		bytes += e.Size
		if c.JSON {
			entries = append(entries, entry{e.Key, e.Size, e.Since, e.Until})
			return nil
		}
		_, err := fmt.Fprintf(p.out, "%s  %10d bytes  since %s  until %s\n", e.Key, e.Size, e.Since.Format(time.DateTime), e.Until.Format(time.DateTime))
		return err
	})
	if err != nil {
		return err
	}
	if c.JSON {
		return printJSON(p.out, entries)
	}
	_, err = fmt.Fprintf(p.out, "%d blobs in the trash, %d bytes\n", n, bytes)
	return err
}

func (c sweepCmd) restore(p *program, svc *app.Service) error {
	keys := c.Restore
	if len(keys) == 1 && keys[0] == "all" {
		keys = nil
	}
	n, err := svc.RestoreTrash(p.ctx, operator, keys...)
	if err != nil {
		return err
	}
	if c.JSON {
		return printJSON(p.out, map[string]any{"restored": n})
	}
	_, err = fmt.Fprintf(p.out, "restored %d blobs\n", n)
	return err
}

func (c sweepCmd) empty(p *program, svc *app.Service) error {
	n, bytes := 0, int64(0)
	if err := svc.Trash(p.ctx, operator, func(e app.TrashEntry) error { n++; bytes += e.Size; return nil }); err != nil {
		return err
	}
	if n > 0 && !c.Yes {
		if err := p.confirm(fmt.Sprintf("Permanently delete %d blobs (%d bytes)", n, bytes)); err != nil {
			return err
		}
	}
	r, err := patiently(p.ctx, func() (app.SweepReport, error) { return svc.EmptyTrash(p.ctx, operator) })
	if err != nil {
		return err
	}
	if c.JSON {
		return printJSON(p.out, map[string]any{"purged": r.Purged, "restored": r.Restored, "busy": r.AlreadyBusy})
	}
	if r.AlreadyBusy {
		_, err = fmt.Fprintln(p.out, busy)
		return err
	}
	_, err = fmt.Fprintf(p.out, "permanently deleted %d blobs, restored %d that a record needs\n", r.Purged, r.Restored)
	return err
}

// confirm asks on a terminal whether to go on; elsewhere --yes is the answer.
func (p *program) confirm(what string) error {
	in, ok := p.in.(*os.File)
	if !ok || !term.IsTerminal(int(in.Fd())) {
		return usagef("%s? There is no terminal to ask on: confirm with --yes", what)
	}
	fmt.Fprintf(p.err, "%s? [y/N] ", what)
	answer, _ := bufio.NewReader(in).ReadString('\n') // an end without an answer is a no
	if a := strings.ToLower(strings.TrimSpace(answer)); a != "y" && a != "yes" {
		return errors.New("nothing was done")
	}
	return nil
}

const busy = "another process is sweeping: nothing was done"

func (c sweepCmd) sweep(p *program, svc *app.Service) error {
	r, err := patiently(p.ctx, func() (app.SweepReport, error) {
		return svc.Sweep(p.ctx, operator, app.SweepOptions{DryRun: c.DryRun, MinAge: time.Duration(c.MinAge), AllowMany: c.AllowMany})
	})
	if err != nil && r.Refused == 0 {
		return err
	}
	if c.JSON {
		return errors.Join(err, printJSON(p.out, map[string]any{
			"dry_run": c.DryRun, "images": r.Images, "users": r.Users, "ownerless": r.Ownerless, "seen": r.Seen, "blobs": r.Blobs,
			"restored": r.Restored, "purged": r.Purged, "trash_blobs": r.TrashBlobs, "trash_bytes": r.TrashBytes, "foreign": r.Foreign,
			"partial": r.Partial, "links": r.Links, "sessions": r.Sessions, "missing_originals": r.Missing,
			"images_checked": r.ImagesChecked, "refused": r.Refused, "busy": r.AlreadyBusy,
		}))
	}
	if r.AlreadyBusy {
		fmt.Fprintln(p.out, busy)
		return nil
	}
	removed, moved, back := "removed", "moved to the trash", "restored"
	if c.DryRun {
		removed, moved, back = "would remove", "would move to the trash", "would restore"
	}
	fmt.Fprintf(p.out, "%s: %d images, %d users, %d partial writes, %d old links, %d sessions; %d images checked\n",
		removed, r.Images, r.Users, r.Partial, r.Links, r.Sessions, r.ImagesChecked)
	fmt.Fprintf(p.out, "%s: %d blobs without a record, %d images without an owner; %s %d; %s permanently %d\n",
		moved, r.Blobs, r.Ownerless, back, r.Restored, removed, r.Purged)
	fmt.Fprintf(p.out, "in the trash: %d blobs, %d bytes\n", r.TrashBlobs, r.TrashBytes)
	if r.Foreign > 0 {
		fmt.Fprintf(p.out, "%d objects in the store are not imagify's; they are left alone\n", r.Foreign)
	}
	switch {
	case err != nil:
		return err
	case r.Refused > 0:
		return fmt.Errorf("a sweep would stop: %d blobs without a record are more than 1 %% and more than 100; if this database is the right one and up to date, continue with --allow-many", r.Refused)
	case r.Missing > 0:
		return fmt.Errorf("%d images have lost their original: restore the store from a backup", r.Missing)
	}
	return nil
}

// sweepPatience is how long to wait for another process's sweep, which may have died in it.
const sweepPatience = 30 * time.Second

func patiently(ctx context.Context, try func() (app.SweepReport, error)) (app.SweepReport, error) {
	deadline := time.Now().Add(sweepPatience)
	for {
		r, err := try()
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
