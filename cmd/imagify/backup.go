package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/vbauerster/mpb/v8/decor"
	"golang.org/x/term"

	"github.com/imagify-api/imagify/adapters/backends"
	"github.com/imagify-api/imagify/adapters/sqliterepo"
	"github.com/imagify-api/imagify/app"
	"github.com/imagify-api/imagify/cmd/internal/archive"
	"github.com/imagify-api/imagify/cmd/internal/settings"
	"github.com/imagify-api/imagify/ports"
)

type backupCmd struct {
	Dest          string `arg:"" name:"dest" help:"A new folder, a new file that ends in .tar, or - for standard output."`
	Update        bool   `help:"Update the folder of an earlier backup: copy what is new, then remove what was deleted."`
	WithoutSecret bool   `help:"Omit the secret key. A server restored without it does not accept earlier URLs."`
	installation
}

func (backupCmd) Help() string {
	return `Copies the database (as of a single moment) and every original while the server runs
and users upload and delete. Thumbnails are not copied: they are made again when needed.

The backup holds password hashes and, unless --without-secret is set, the key that
signs URLs: keep it as private as the data folder. It is complete once it has a
manifest.json, which is written last; 'sha256sum -c records/*/SHA256SUMS' checks it.

Originals that are already missing or damaged are listed, and the exit code is 1;
everything else is in the backup.

Examples:
  imagify backup /mnt/backup/imagify --update
  imagify backup imagify.tar
  imagify backup - | gzip > imagify.tar.gz`
}

func (c backupCmd) Run(p *program) error {
	if err := c.check(p); err != nil {
		return err
	}
	cfg, err := c.config(p)
	if err != nil {
		return err
	}
	if err := embedded(cfg); err != nil {
		return err
	}
	if err := outside(c.Dest, cfg); err != nil {
		return err
	}
	return c.opened(p, func(cfg settings.Config, b *backends.Backends) error {
		svc, err := app.New(b.Config)
		if err != nil {
			return err
		}
		return errors.Join(c.backup(p, cfg, b, svc), svc.Close())
	})
}

// check refuses a DEST that cannot be one, before anything is opened.
func (c backupCmd) check(p *program) error {
	switch ext := strings.ToLower(filepath.Ext(c.Dest)); {
	case c.Dest == "-":
		if out, ok := p.out.(*os.File); ok && term.IsTerminal(int(out.Fd())) {
			return usagef("-: standard output is a terminal; pipe the backup somewhere, or name a folder or a .tar file")
		}
	case slices.Contains([]string{".gz", ".tgz", ".zst", ".xz", ".bz2", ".zip"}, ext):
		return usagef("%s: pipe the backup through a compressor: imagify backup - | gzip > FILE", c.Dest)
	}
	if c.Update && (c.Dest == "-" || c.isTar()) {
		return usagef("--update is for a folder: a tar is written as a whole")
	}
	return nil
}

func (c backupCmd) isTar() bool { return strings.EqualFold(filepath.Ext(c.Dest), ".tar") }

// embedded refuses an installation whose backends have their own means of being backed up.
func embedded(cfg settings.Config) error {
	var instead []string
	switch backends.Scheme(cfg.Database) {
	case "mysql":
		instead = append(instead, "the mysql: database by 'mysqldump --single-transaction' or its provider's backups")
	case "mem":
		instead = append(instead, "a mem: database is gone with its process")
	}
	switch backends.Scheme(cfg.Storage) {
	case "s3":
		instead = append(instead, "the s3: storage by the bucket's versioning or replication")
	case "mem":
		instead = append(instead, "a mem: storage is gone with its process")
	}
	if len(instead) == 0 {
		return nil
	}
	return usagef("backup works only for sqlite: and file:. Back up the database first, then the storage: %s", strings.Join(instead, "; "))
}

// outside refuses a DEST in the installation itself.
func outside(dest string, cfg settings.Config) error {
	if dest == "-" {
		return nil
	}
	for _, dir := range []string{cfg.Data, cfg.BlobsFolder()} {
		inside, err := within(dest, dir)
		if err != nil {
			return err
		}
		if inside {
			return usagef("%s is inside the installation (%s): choose a place outside it, preferably on another disk", dest, dir)
		}
	}
	return nil
}

// within reports whether path is dir or in it, symbolic links followed.
func within(path, dir string) (bool, error) {
	path, err := realPath(path)
	if err != nil {
		return false, err
	}
	if dir, err = realPath(dir); err != nil {
		return false, err
	}
	rel, err := filepath.Rel(dir, path)
	return err == nil && rel != ".." && !strings.HasPrefix(rel, ".."+string(filepath.Separator)), nil
}

// realPath is the path without symbolic links, of what need not exist.
func realPath(path string) (string, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	there, err := filepath.EvalSymlinks(path)
	if err == nil {
		return there, nil
	}
	if !errors.Is(err, fs.ErrNotExist) || filepath.Dir(path) == path {
		return "", fmt.Errorf("%s: %w", path, fileError(err))
	}
	parent, err := realPath(filepath.Dir(path))
	return filepath.Join(parent, filepath.Base(path)), err
}

// backup makes the backup of an installation that is open.
func (c backupCmd) backup(p *program, cfg settings.Config, b *backends.Backends, svc *app.Service) (err error) {
	db, ok := b.Database.(*sqliterepo.DB)
	if !ok {
		return fmt.Errorf("the database is %T, not SQLite's", b.Database)
	}
	status, err := db.MigrationStatus(p.ctx)
	if err != nil {
		return err
	}
	if slices.ContainsFunc(status, func(m sqliterepo.Migration) bool { return m.AppliedAt.IsZero() }) {
		return errors.New("the database's schema is older than this program: back up with the program that made it, or run 'imagify migrate up' first")
	}
	// A reader of the pipe that goes away is an error here, not the end of the process:
	// the copy of the database in the temporary folder is to be removed.
	if c.Dest == "-" {
		signal.Ignore(syscall.SIGPIPE)
		defer signal.Reset(syscall.SIGPIPE)
	}
	j := &backupJob{backupCmd: c, cfg: cfg, db: db, progress: p.progress()}
	defer func() { err = errors.Join(err, j.abort()) }()
	r, err := c.patiently(p, func() (app.BackupReport, error) {
		return svc.Backup(p.ctx, operator, app.BackupTarget{Copy: j.copy(p), Has: j.has, Put: j.put, Progress: j.tell, Commit: j.commit})
	})
	if err != nil {
		return err
	}
	if r.Busy {
		return errors.New("another backup of this installation is running: nothing was done")
	}
	out := p.out
	if c.Dest == "-" {
		out = p.err
	}
	fmt.Fprintf(out, "backed up %d images (%s) to %s; copied %d, removed from the copy %d that were deleted meanwhile\n",
		r.Images, bytesText(r.Bytes), c.Dest, r.New, r.Deleted)
	if !j.secret && !c.WithoutSecret {
		fmt.Fprintln(p.err, "the secret key is not in the backup, because it is not in the data folder. Keep a copy of IMAGIFY_SECRET_KEY elsewhere.")
	}
	if n := len(r.Missing); n > 0 {
		return fmt.Errorf("the backup is complete except for %d images whose originals are missing or damaged in the storage (see above)", n)
	}
	return nil
}

// backupPatience is longer than the lease of a backup whose process died.
const backupPatience = 70 * time.Second

// patiently waits for another backup to end.
func (c backupCmd) patiently(p *program, try func() (app.BackupReport, error)) (app.BackupReport, error) {
	deadline, told := time.Now().Add(backupPatience), false
	for {
		r, err := try()
		if err != nil || !r.Busy || time.Now().After(deadline) {
			return r, err
		}
		if !told {
			told = true
			fmt.Fprintln(p.err, "waiting for another backup of this installation to finish")
		}
		select {
		case <-p.ctx.Done():
			return r, p.ctx.Err()
		case <-time.After(500 * time.Millisecond):
		}
	}
}

// backupJob is the target of one backup.
type backupJob struct {
	backupCmd
	cfg      settings.Config
	db       *sqliterepo.DB
	progress progress
	w        *archive.Writer // nil: not begun, or complete
	copied   *sqliterepo.DB  // nil: not open
	secret   bool            // the secret key is in it
}

// copy begins the backup, and copies the database.
func (j *backupJob) copy(p *program) func(context.Context) (ports.Records, error) {
	return func(ctx context.Context) (ports.Records, error) {
		record, err := j.db.Records().Installation.Load(ctx)
		if err != nil {
			return ports.Records{}, err
		}
		id := record.ID.String()
		switch {
		case j.Dest == "-":
			j.w, err = archive.NewPipe(p.out)
		case j.isTar():
			j.w, err = archive.NewTar(j.Dest, id)
		default:
			j.w, err = archive.NewFolder(j.Dest, id, j.Update)
		}
		if err != nil {
			return ports.Records{}, err
		}
		path := j.w.Scratch(archive.DatabaseName)
		if err := j.db.CopyTo(ctx, path); err != nil {
			return ports.Records{}, err
		}
		if j.copied, err = sqliterepo.Open(ctx, path, sqliterepo.Options{Rollback: true}); err != nil {
			return ports.Records{}, err
		}
		return j.copied.Records(), nil
	}
}

func (j *backupJob) has(key string, size int64, sum [32]byte) (bool, error) {
	return j.w.Has(key, size, sum)
}

func (j *backupJob) put(key string, size int64, sum [32]byte, body io.ReadSeeker) error {
	return j.w.Put(key, size, sum, body)
}

func (j *backupJob) tell(r app.BackupReport) {
	j.progress.tell(func() string {
		return fmt.Sprintf("%d of %d images, %s of %s", r.Images+r.Deleted+len(r.Missing), r.Of, bytesText(r.Bytes), bytesText(r.OfBytes))
	})
}

func (j *backupJob) commit(ctx context.Context, r app.BackupReport) error {
	if err := j.copied.QuickCheck(ctx); err != nil {
		return err
	}
	err := j.copied.Close()
	j.copied = nil
	if err != nil {
		return err
	}
	files := []string{archive.DatabaseName}
	if !j.WithoutSecret && len(j.cfg.SecretKeys) == 0 {
		key, err := os.ReadFile(j.cfg.SecretFile())
		if err == nil {
			j.secret = true
			files = append(files, archive.SecretName)
			_, err = archive.WriteNew(j.w.Scratch(archive.SecretName), bytes.NewReader(key))
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("the secret key cannot be copied: %w", err)
		}
	}
	m := archive.Manifest{Program: version, Installation: r.Installation.String(), SecretKey: j.secret, Images: r.Images, Bytes: r.Bytes}
	for _, id := range r.Missing {
		m.Missing = append(m.Missing, id.String())
	}
	if err := j.w.Commit(m, files...); err != nil {
		return err
	}
	j.w = nil
	return nil
}

// abort removes what a backup that did not come to its end has made.
func (j *backupJob) abort() error {
	var err error
	if j.copied != nil {
		err = j.copied.Close()
	}
	if j.w != nil {
		err = errors.Join(err, j.w.Abort())
	}
	return err
}

// bytesText writes a number of bytes for people.
func bytesText(n int64) string { return fmt.Sprintf("%.1f", decor.SizeB1024(n)) }

// progress tells on standard error how far something is, from time to time.
type progress struct {
	to    io.Writer
	every time.Duration
	last  *time.Time
}

func (p *program) progress() progress {
	every := 10 * time.Second
	if f, ok := p.err.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		every = 2 * time.Second
	}
	began := time.Now()
	return progress{to: p.err, every: every, last: &began}
}

func (pr progress) tell(line func() string) {
	if time.Since(*pr.last) >= pr.every {
		*pr.last = time.Now()
		fmt.Fprintln(pr.to, line())
	}
}
