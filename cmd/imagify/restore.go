package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"golang.org/x/term"

	"github.com/imagify-api/imagify/adapters/backends"
	"github.com/imagify-api/imagify/adapters/fileblob"
	"github.com/imagify-api/imagify/adapters/sqliterepo"
	"github.com/imagify-api/imagify/cmd/internal/archive"
	"github.com/imagify-api/imagify/ports"
)

type restoreCmd struct {
	Src  string `arg:"" name:"src" help:"The backup: a folder, a .tar file, or - for a tar on standard input."`
	Data string `help:"Folder for the installation: new or empty." placeholder:"./data" type:"path"`
}

func (restoreCmd) Help() string {
	return `Creates an installation on SQLite and files, with the same id, users, links, tokens and
images as the one that was backed up. Every file is compared with its SHA-256. Nothing
is overwritten: if the folder holds an installation or anything else, restore stops.

No server starts on the folder until everything in it has been checked. If a restore is
interrupted, run it again. Stop the old server before you start one on the restored folder.

Examples:
  imagify restore /mnt/backup/imagify --data /var/lib/imagify
  gzip -dc imagify.tar.gz | imagify restore - --data /var/lib/imagify`
}

func (c restoreCmd) Run(p *program) (err error) {
	set, err := p.loadConfig(map[string]string{"IMAGIFY_DATA": c.Data})
	if err != nil {
		return err
	}
	r, err := c.open(p)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	j := &restoreJob{cfg: set.Embedded(), p: p, progress: p.progress()}
	if err := j.begin(); err != nil {
		return err
	}
	m, err := j.fill(r)
	if err == nil {
		err = j.finish()
	}
	if err != nil {
		return errors.Join(fmt.Errorf("nothing was restored: %w", err), j.undo())
	}
	fmt.Fprintf(p.out, "restored %d images (%s), as they were at %s, to %s\n", m.Images, bytesText(m.Bytes), m.CreatedAt.UTC().Format("2006-01-02 15:04:05 UTC"), j.cfg.Data)
	if n := len(m.Missing); n > 0 {
		fmt.Fprintf(p.err, "%d images were lost before the backup, and have no original: 'imagify verify' names them\n", n)
	}
	if !m.SecretKey {
		fmt.Fprintln(p.err, "the backup has no secret key: set IMAGIFY_SECRET_KEY to the old one, or earlier URLs end")
	}
	if set.DatabaseFile() != j.cfg.DatabaseFile() || backends.Scheme(set.Database) != "sqlite" {
		fmt.Fprintln(p.err, "IMAGIFY_DATABASE_URL names another database: unset it to serve this installation")
	}
	if set.BlobsFolder() != j.cfg.BlobsFolder() || backends.Scheme(set.Storage) != "file" {
		fmt.Fprintln(p.err, "IMAGIFY_STORAGE_URL names another storage: unset it to serve this installation")
	}
	return nil
}

func (c restoreCmd) open(p *program) (*archive.Reader, error) {
	if c.Src != "-" {
		return archive.Open(c.Src)
	}
	if in, ok := p.in.(*os.File); ok && term.IsTerminal(int(in.Fd())) {
		return nil, usagef("-: standard input is a terminal; pipe a backup into it, or name one")
	}
	return archive.NewReader(p.in), nil
}

// restoreJob is a restore under way. The folder that cfg.Restoring names is there from its
// beginning to its end: with it there, what else is in the data folder is only half of something.
type restoreJob struct {
	cfg      backends.Config
	p        *program
	progress progress
	made     bool   // the data folder was made
	scratch  string // a folder of this restore's own
	store    *fileblob.Store
	files    int
	bytes    int64
}

// begin makes sure that nothing is written over.
func (j *restoreJob) begin() error {
	dir := j.cfg.Data
	entries, err := os.ReadDir(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return err
		}
		j.made = true
	case err != nil:
		return err
	}
	names := []string{"lost+found"} // a new file system has one
	if _, err := os.Lstat(j.cfg.Restoring()); err == nil {
		names = append(names, filepath.Base(j.cfg.Restoring()))
		for _, own := range j.own() {
			names = append(names, filepath.Base(own))
		}
	}
	for _, e := range entries {
		if slices.Contains(names, e.Name()) {
			continue
		}
		if _, err := os.Lstat(j.cfg.DatabaseFile()); err == nil {
			return fmt.Errorf("%s holds an installation already, and restore never overwrites anything: choose a new folder with --data", dir)
		}
		return fmt.Errorf("%s is not empty (%s), and restore never overwrites anything: choose a new folder with --data", dir, e.Name())
	}
	if len(names) > 1 {
		fmt.Fprintln(j.p.err, "a restore into this folder was interrupted: starting again")
		if err := j.clear(); err != nil {
			return err
		}
	}
	if err := os.Mkdir(j.cfg.Restoring(), 0o700); err != nil {
		return err
	}
	if j.scratch, err = os.MkdirTemp(j.cfg.Restoring(), "*"); err == nil {
		err = archive.SyncFolder(dir)
	}
	if err == nil {
		j.store, err = fileblob.New(j.cfg.BlobsFolder())
	}
	if err != nil {
		return errors.Join(err, j.undo())
	}
	return nil
}

// own is what a restore makes besides the folder that says that it is under way.
func (j *restoreJob) own() []string {
	db := j.cfg.DatabaseFile()
	return []string{db, db + "-journal", db + "-wal", db + "-shm", j.cfg.BlobsFolder(), j.cfg.SecretFile()}
}

// clear removes what an interrupted restore has made, the sign of it last.
func (j *restoreJob) clear() error {
	var err error
	for _, path := range append(j.own(), j.cfg.Restoring()) {
		if err == nil {
			err = os.RemoveAll(path)
		}
	}
	return err
}

// undo leaves the folder as it was.
func (j *restoreJob) undo() error {
	var err error
	if j.store != nil {
		err = j.store.Close()
	}
	err = errors.Join(err, j.clear())
	if j.made {
		err = errors.Join(err, os.Remove(j.cfg.Data))
	}
	return err
}

// fill takes everything out of the backup.
func (j *restoreJob) fill(r *archive.Reader) (archive.Manifest, error) {
	return r.Read(j.scratch, func(name string, size int64, body io.Reader) error {
		if err := j.p.ctx.Err(); err != nil {
			return err
		}
		j.progress.tell(func() string { return fmt.Sprintf("%d files, %s", j.files, bytesText(j.bytes)) })
		j.files++
		j.bytes += size
		if file, ok := archive.RecordsFile(name); ok {
			return j.copy(filepath.Join(j.scratch, file), size, body)
		}
		key, _ := archive.BlobKey(name)
		return j.blob(key, size, body)
	})
}

// copy writes a new file of this size.
func (j *restoreJob) copy(path string, size int64, body io.Reader) error {
	n, err := archive.WriteNew(path, contextReader{j.p, body})
	if err == nil && n != size {
		err = fmt.Errorf("%d bytes instead of the announced %d", n, size)
	}
	return err
}

// contextReader stops where the program is told to.
type contextReader struct {
	p *program
	io.Reader
}

func (r contextReader) Read(b []byte) (int, error) {
	if err := r.p.ctx.Err(); err != nil {
		return 0, err
	}
	return r.Reader.Read(b)
}

// blob stores a blob: it is written beside the store, which then takes its file over.
func (j *restoreJob) blob(key string, size int64, body io.Reader) error {
	path := filepath.Join(j.scratch, "blob")
	err := j.copy(path, size, body)
	if err == nil {
		err = j.put(key, size, path)
	}
	if err != nil {
		return errors.Join(err, os.RemoveAll(path))
	}
	return nil
}

func (j *restoreJob) put(key string, size int64, path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	return j.store.Put(j.p.ctx, key, syncedFile{f}, ports.PutOptions{Size: size, IfAbsent: true})
}

// syncedFile is a ports.Movable.
type syncedFile struct{ *os.File }

func (f syncedFile) Path() string { return f.Name() }
func (syncedFile) Synced() bool   { return true }

// finish checks the database, and turns what was taken out into an installation.
func (j *restoreJob) finish() error {
	path := filepath.Join(j.scratch, archive.DatabaseName)
	if _, err := os.Lstat(path); errors.Is(err, fs.ErrNotExist) {
		return errors.New("the backup has no database")
	}
	db, err := sqliterepo.Open(j.p.ctx, path, sqliterepo.Options{Rollback: true})
	if err != nil {
		return fmt.Errorf("the backup's database: %w", err)
	}
	if err := errors.Join(db.QuickCheck(j.p.ctx), db.Close()); err != nil {
		return fmt.Errorf("the backup's database: %w", err)
	}
	err = j.store.Close()
	j.store = nil
	if err != nil {
		return err
	}
	secret := filepath.Join(j.scratch, archive.SecretName)
	if err := os.Rename(secret, j.cfg.SecretFile()); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := os.Rename(path, j.cfg.DatabaseFile()); err != nil {
		return err
	}
	if err := archive.SyncFolder(j.cfg.Data); err != nil {
		return err
	}
	if err := os.RemoveAll(j.cfg.Restoring()); err != nil {
		return err
	}
	return archive.SyncFolder(j.cfg.Data)
}
