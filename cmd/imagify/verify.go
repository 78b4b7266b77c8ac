package main

import (
	"errors"
	"fmt"

	"github.com/imagify-api/imagify/app"
	"github.com/imagify-api/imagify/domain"
)

type verifyCmd struct {
	User        string `help:"Verify only this user's images." placeholder:"NAME"`
	RepairUsage bool   `help:"Correct recorded usage that does not match the user's images."`
	Rate        int    `help:"Maximum read rate, in MiB of originals per second; 0: no limit." default:"64"`
	Before      string `help:"Resume an interrupted run from the image id that it printed." placeholder:"ID"`
	JSON        bool   `name:"json" help:"Print JSON."`
	installation
}

func (verifyCmd) Help() string {
	return `Reads every original again and compares its size and SHA-256 with the record; looks for
images without their original, for blobs without a record, and for recorded usage that
does not match the user's images. Prints a line for each problem, and exits 1 if there
is one. Changes nothing but, with --repair-usage, recorded usage. A server may be running.

Examples:
  imagify verify
  imagify verify --user anna --rate 0
  imagify verify --repair-usage --json`
}

func (c verifyCmd) Run(p *program) error {
	if c.Rate < 0 {
		return usagef("--rate must not be negative")
	}
	o := app.VerifyOptions{Username: c.User, Rate: int64(c.Rate) << 20, RepairUsage: c.RepairUsage}
	if c.Before != "" {
		var err error
		if o.Before, err = domain.ParseID(c.Before); err != nil {
			return usagef("--before %s: not an image's id", c.Before)
		}
	}
	progress := p.progress()
	o.Progress = func(r app.VerifyReport) {
		progress.tell(func() string { return fmt.Sprintf("%d originals, %s", r.Images, bytesText(r.Bytes)) })
	}
	type finding struct {
		Kind     string `json:"kind"`
		Owner    string `json:"owner"`
		Image    string `json:"image,omitempty"`
		Detail   string `json:"detail"`
		Repaired bool   `json:"repaired"`
	}
	findings := []finding{}
	return c.service(p, func(svc *app.Service) error {
		r, err := svc.Verify(p.ctx, operator, o, func(f app.Finding) error {
			row := finding{Kind: string(f.Kind), Owner: f.Owner.String(), Detail: f.Detail, Repaired: f.Repaired}
			if !f.Image.IsZero() {
				row.Image = f.Image.String()
			}
			if c.JSON {
				findings = append(findings, row)
				return nil
			}
			whose, repaired := "image "+row.Image+" of user "+row.Owner, ""
			if row.Image == "" {
				whose = "user " + row.Owner
			}
			if f.Repaired {
				repaired = "; repaired"
			}
			_, err := fmt.Fprintf(p.out, "%-8s %s: %s%s\n", f.Kind, whose, f.Detail, repaired)
			return err
		})
		if err != nil {
			if !r.Last.IsZero() {
				err = fmt.Errorf("%w; continue with 'imagify verify --before %s'", err, r.Last)
			}
			return err
		}
		if c.JSON {
			err = printJSON(p.out, map[string]any{"images": r.Images, "bytes": r.Bytes, "found": r.Found, "findings": findings})
		} else {
			_, err = fmt.Fprintf(p.out, "%d originals read (%s), %d problems found\n", r.Images, bytesText(r.Bytes), r.Found)
		}
		if err == nil && r.Found > 0 {
			err = errors.New("the installation does not match its records (see above)")
		}
		return err
	})
}
