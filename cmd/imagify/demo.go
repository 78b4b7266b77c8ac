package main

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"text/tabwriter"

	"github.com/imagify-api/imagify/app"
	"github.com/imagify-api/imagify/domain"
)

type demoCmd struct {
	Addr string `help:"Listen address; port 0 picks one." placeholder:"127.0.0.1:8080"`
}

func (demoCmd) Help() string {
	return `The folder is removed when the demo ends. The program draws the sample pictures itself.

Example:
  imagify demo --addr 127.0.0.1:0`
}

// demoUsers are one user a tier, the last with the most.
var demoUsers = []struct{ name, tier string }{
	{"basic", domain.BasicTier}, {"premium", domain.PremiumTier}, {"enterprise", domain.EnterpriseTier},
}

func (c demoCmd) Run(p *program) (err error) {
	dir, err := os.MkdirTemp("", "imagify-demo-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	// Whatever the environment names, a demonstration touches nothing but its own folder.
	cfg, err := p.loadConfig(map[string]string{
		"IMAGIFY_ADDR": c.Addr, "IMAGIFY_DATA": dir,
		"IMAGIFY_DATABASE_URL": "sqlite:", "IMAGIFY_STORAGE_URL": "file:", "IMAGIFY_RESIZER_URL": "local:",
	})
	if err != nil {
		return err
	}
	cfg.Redis, cfg.SecretKeys = "", nil
	log := slog.New(slog.NewTextHandler(p.err, &slog.HandlerOptions{Level: slog.LevelWarn}))
	return p.serve(cfg, log, func(svc *app.Service, address string) error {
		return p.fillDemo(svc, address)
	})
}

// fillDemo makes the users and their pictures, and says how to try them.
func (p *program) fillDemo(svc *app.Service, address string) error {
	password := app.GeneratePassword()[:10]
	if _, err := svc.Bootstrap(p.ctx, password); err != nil {
		return err
	}
	fmt.Fprintln(p.err, "drawing the sample pictures…")
	pictures, err := drawPictures(1)
	if err != nil {
		return err
	}
	tokens := map[string]string{}
	var first domain.Image
	for _, u := range demoUsers {
		_, err := svc.CreateUser(p.ctx, operator, u.name, app.UserChange{Password: &password, Tiers: &[]string{u.tier}})
		if err != nil {
			return err
		}
		actor, err := svc.ByPassword(p.ctx, u.name, password, "demo")
		if err != nil {
			return err
		}
		if _, tokens[u.name], err = svc.CreateToken(p.ctx, actor, "demo", 0); err != nil {
			return err
		}
		var wg sync.WaitGroup
		errs := make([]error, len(pictures))
		for i, pic := range pictures {
			wg.Go(func() {
				defer recovered(&errs[i])
				var img domain.Image
				img, errs[i] = svc.Upload(p.ctx, actor, app.UploadInput{Body: bytes.NewReader(pic.data), Size: int64(len(pic.data)), Filename: pic.name})
				if i == 0 {
					first = img
				}
			})
		}
		wg.Wait()
		if err := errors.Join(errs...); err != nil {
			return err
		}
	}
	p.printDemo(address, password, tokens, first, len(pictures))
	return nil
}

func (p *program) printDemo(address, password string, tokens map[string]string, first domain.Image, pictures int) {
	fmt.Fprintf(p.out, "imagify demo on a temporary folder: %d sample pictures for each user.\n\n", pictures)
	t := tabwriter.NewWriter(p.out, 0, 4, 2, ' ', 0)
	fmt.Fprintln(t, "  USER\tPASSWORD\tTIER\tTOKEN")
	for _, u := range demoUsers {
		fmt.Fprintf(t, "  %s\t%s\t%s\t%s\n", u.name, password, u.tier, tokens[u.name])
	}
	fmt.Fprintf(t, "  admin\t%s\t(admin)\t\n", password)
	_ = t.Flush()
	last := demoUsers[len(demoUsers)-1].name
	fmt.Fprintf(p.out, `
In a browser: %[1]s/ for each user's gallery, %[1]s/admin/ for the admin, %[1]s/docs for the API.

Try (each tier gets different URLs):
  curl -u basic:%[2]s '%[1]s/v1/images?limit=1'
  curl -u %[3]s:%[2]s -F file=@photo.jpg %[1]s/v1/images
  curl -u %[3]s:%[2]s -H 'Content-Type: application/json' -d '{"expires_in": 300}' %[1]s/v1/images/%[4]s/links

`, address, password, last, first.ID)
}

// samplePicture is a picture that the program drew.
type samplePicture struct {
	name string
	data []byte
}

// baseName is a file name without its folder and extension.
func baseName(path string) string {
	b := filepath.Base(path)
	return strings.TrimSuffix(b, filepath.Ext(b))
}
