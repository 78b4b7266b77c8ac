package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/imagify-api/imagify/adapters/sqliterepo"
	"github.com/imagify-api/imagify/cmd/internal/archive"
	"github.com/imagify-api/imagify/domain"
	"github.com/imagify-api/imagify/ports"
)

// originals reads every original that the database of a site that does not serve names,
// compares it with its record, and returns the images' ids.
func (s site) originals() (ids []string) {
	s.t.Helper()
	p := &program{ctx: s.t.Context(), stdio: stdio{err: &bytes.Buffer{}}, getenv: s.env, environ: os.Environ}
	c, err := installation{}.config(p)
	require.NoError(s.t, err)
	b, err := c.Open(p.ctx, slog.New(slog.DiscardHandler))
	require.NoError(s.t, err)
	defer b.Close()
	require.NoError(s.t, b.Database.(*sqliterepo.DB).QuickCheck(p.ctx))
	usage := map[domain.ID]domain.Usage{}
	page := ports.Page{Limit: 100}
	for more := true; more; {
		imgs, next, err := b.Records.Images.ListAll(p.ctx, ports.TimeRange{}, page)
		require.NoError(s.t, err)
		for _, img := range imgs {
			blob, err := b.Blobs.Open(p.ctx, fmt.Sprintf("images/%s/%s/original", img.OwnerID, img.ID))
			require.NoError(s.t, err, "a record without its blob")
			data, err := io.ReadAll(blob.Body)
			require.NoError(s.t, errors.Join(err, blob.Body.Close()))
			require.Equal(s.t, img.SHA256, sha256.Sum256(data), "a record with another's bytes")
			u := usage[img.OwnerID]
			usage[img.OwnerID] = domain.Usage{Images: u.Images + 1, Bytes: u.Bytes + img.Size}
			ids = append(ids, img.ID.String())
		}
		page.Before, more = next, !next.IsZero()
	}
	for owner, want := range usage {
		got, err := b.Records.Images.Usage(p.ctx, owner)
		require.NoError(s.t, err)
		assert.Equal(s.t, want, got)
	}
	return ids
}

// restored restores a backup into a new site.
func restored(t *testing.T, src string) site {
	t.Helper()
	s := emptySite(t)
	s.must("restore", src, "--data", s.data)
	return s
}

// A restored installation is the one that was backed up: the same id, URLs, links, tokens and
// bytes, whichever form the backup has.
func TestBackupAndRestore(t *testing.T) {
	s := newSite(t)
	anna := s.user("anna", "--tier", "EnterpriseTierUsers")
	srv := s.serve()
	type kept struct {
		img  imageView
		data []byte
	}
	var images []kept
	for i := range 3 {
		data := photo(i, 300, 300)
		status, img := srv.upload(anna, data)
		require.Equal(t, 201, status)
		images = append(images, kept{img, data})
	}
	var link struct{ URL string }
	require.Equal(t, 201, srv.json(http.MethodPost, "/v1/images/"+images[0].img.ID+"/links", anna, map[string]any{"expires_in": 3000}, &link))
	_, id, found := strings.Cut(s.must("doctor"), "belong together (")
	require.True(t, found)
	id, _, _ = strings.Cut(id, ")")

	dir := t.TempDir()
	assert.Contains(t, s.must("backup", filepath.Join(dir, "folder")), "backed up 3 images")
	assert.Contains(t, s.must("backup", filepath.Join(dir, "file.tar")), "backed up 3 images")
	code, piped, errs := s.program("backup", "-")
	require.Equal(t, 0, code, errs)
	assert.Contains(t, errs, "backed up 3 images", "the tar alone is on standard output")
	code, bare, errs := s.program("backup", "-", "--without-secret")
	require.Equal(t, 0, code, errs)
	assert.NotContains(t, bare, archive.SecretName)
	for _, path := range []string{"folder", "file.tar"} {
		info, err := os.Stat(filepath.Join(dir, path))
		require.NoError(t, err)
		assert.Zero(t, info.Mode().Perm()&0o077, "%s is its owner's alone", path)
	}
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	assert.Len(t, entries, 2, "nothing is left beside the tar")
	require.NoError(t, os.WriteFile(filepath.Join(dir, "piped.tar"), []byte(piped), 0o600))
	srv.kill()

	pipeTo := emptySite(t)
	cmdCode, _, errs := pipeTo.run(piped, "restore", "-", "--data", pipeTo.data)
	require.Equal(t, 0, cmdCode, errs)
	for name, to := range map[string]site{
		"folder": restored(t, filepath.Join(dir, "folder")), "tar": restored(t, filepath.Join(dir, "file.tar")), "pipe": pipeTo,
	} {
		t.Run(name, func(t *testing.T) {
			to := site{t, to.data}
			assert.Len(t, to.originals(), 3)
			assert.Contains(t, to.must("doctor"), id)
			info, err := os.Stat(filepath.Join(to.data, "secret.key"))
			require.NoError(t, err)
			assert.Equal(t, fs.FileMode(0o600), info.Mode().Perm())
			again := to.serve()
			get := func(url string) []byte {
				status, body, _, err := call(t.Context(), http.MethodGet, strings.Replace(url, srv.url, again.url, 1), "", nil, "")
				require.NoError(t, err)
				require.Equal(t, 200, status, "%s: %s", url, body)
				return body
			}
			for _, k := range images {
				assert.Equal(t, k.data, get(k.img.Original))
				get(k.img.Thumbnails["200"].URL)
			}
			assert.Equal(t, images[0].data, get(link.URL))
			status, _ := again.upload(anna, photo(9, 100, 100))
			assert.Equal(t, 201, status, "the old token, and a server that takes uploads")
			assert.NoDirExists(t, filepath.Join(to.data, ".restoring"))
		})
	}
	to := emptySite(t)
	code, _, errs = to.run(bare, "restore", "-", "--data", to.data)
	require.Equal(t, 0, code, errs)
	assert.Contains(t, errs, "has no secret key")
	assert.NoFileExists(t, filepath.Join(to.data, "secret.key"))
}

// An update copies what is new, removes what is gone, and leaves what it has; until it is whole, the earlier backup stands.
func TestBackupUpdate(t *testing.T) {
	s := newSite(t)
	anna := s.user("anna", "--tier", "EnterpriseTierUsers")
	srv := s.serve()
	_, stays := srv.upload(anna, photo(1, 100, 100))
	_, goes := srv.upload(anna, photo(2, 100, 100))
	dest := filepath.Join(t.TempDir(), "b")
	assert.Contains(t, s.must("backup", dest, "--update"), "copied 2", "the first update makes the folder")
	blob := func(id string) string {
		found, err := filepath.Glob(filepath.Join(dest, "blobs", "images", "*", id, "original"))
		require.NoError(t, err)
		if len(found) == 0 {
			return ""
		}
		return found[0]
	}
	before, err := os.Stat(blob(stays.ID))
	require.NoError(t, err)
	status, _, _, err := call(t.Context(), http.MethodDelete, srv.url+"/v1/images/"+goes.ID, anna, nil, "")
	require.NoError(t, err)
	require.Equal(t, 204, status)
	_, comes := srv.upload(anna, photo(3, 100, 100))
	// What an update that was killed has left: blobs and records that no manifest names.
	require.NoError(t, os.MkdirAll(filepath.Join(dest, "records", "20260101T000000Z-killed"), 0o700))
	assert.ElementsMatch(t, []string{stays.ID, goes.ID}, restored(t, dest).originals())

	assert.Contains(t, s.must("backup", dest, "--update"), "backed up 2 images")
	after, err := os.Stat(blob(stays.ID))
	require.NoError(t, err)
	assert.True(t, os.SameFile(before, after), "what was there is not copied again")
	assert.Empty(t, blob(goes.ID))
	assert.NotEmpty(t, blob(comes.ID))
	records, err := os.ReadDir(filepath.Join(dest, "records"))
	require.NoError(t, err)
	assert.Len(t, records, 1)
	assert.ElementsMatch(t, []string{stays.ID, comes.ID}, restored(t, dest).originals())

	// Of a damaged original the backup keeps the good copy, and names it once it has none.
	stored, err := filepath.Glob(filepath.Join(s.data, "blobs", "images+", "*", stays.ID+"+", "original"))
	require.NoError(t, err)
	require.Len(t, stored, 1)
	require.NoError(t, os.WriteFile(stored[0], photo(4, 100, 100), 0o600))
	s.must("backup", dest, "--update")
	assert.ElementsMatch(t, []string{stays.ID, comes.ID}, restored(t, dest).originals())
	for _, form := range []string{"new", "new.tar"} {
		code, out, errs := s.run("", "backup", filepath.Join(filepath.Dir(dest), form))
		assert.Equal(t, 1, code, out)
		assert.Contains(t, errs, stays.ID)
		assert.Contains(t, errs, "complete except for 1 images")
		to := restored(t, filepath.Join(filepath.Dir(dest), form))
		assert.Contains(t, to.must("sweep", "--dry-run"), "would remove", "the rest is a whole installation")
	}
}

// Backups and updates that are killed at random moments leave no backup, or a whole one, and the next goes on.
func TestBackupKilled(t *testing.T) {
	s := newSite(t)
	anna := s.user("anna", "--tier", "EnterpriseTierUsers")
	srv := s.serve()
	for i := range 30 {
		status, _ := srv.upload(anna, photo(i, 60, 60))
		require.Equal(t, 201, status)
	}
	dir := t.TempDir()
	dest, file := filepath.Join(dir, "b"), filepath.Join(dir, "b.tar")
	whole := 0
	for i := range scaled(4, 20) {
		status, _ := srv.upload(anna, photo(100+i, 60, 60))
		require.Equal(t, 201, status)
		for _, args := range [][]string{{"backup", dest, "--update"}, {"backup", file}} {
			_ = os.Remove(file)
			s.freeBackups()
			s.killed(time.Duration(rand.IntN(400))*time.Millisecond, args...)
			if _, err := os.Stat(filepath.Join(dest, "manifest.json")); args[1] == dest && err != nil {
				code, _, errs := emptySite(t).run("", "restore", dest)
				assert.Equal(t, 1, code, errs)
				continue
			} else if _, err := os.Stat(file); args[1] == file && err != nil {
				continue
			}
			assert.GreaterOrEqual(t, len(restored(t, args[1]).originals()), 30)
			whole++
		}
	}
	t.Logf("%d were whole", whole)
	_ = os.Remove(file)
	s.freeBackups()
	s.must("backup", dest, "--update")
	s.must("backup", file)
	assert.Len(t, restored(t, dest).originals(), 30+scaled(4, 20))
	left, err := filepath.Glob(filepath.Join(dir, ".imagify-backup-*"))
	require.NoError(t, err)
	assert.Empty(t, left, "what killed backups left is removed")
}

// freeBackups ends the lease of a backup that was killed, so that the next need not wait for it to lapse.
func (s site) freeBackups() {
	s.t.Helper()
	db, err := sqliterepo.Open(s.t.Context(), filepath.Join(s.data, "imagify.db"), sqliterepo.Options{})
	require.NoError(s.t, err)
	defer db.Close()
	later := time.Now().Add(time.Hour)
	ok, err := db.Records().Leases.Acquire(s.t.Context(), "backup", "test", later, later)
	require.NoError(s.t, err)
	require.True(s.t, ok)
	require.NoError(s.t, db.Records().Leases.Release(s.t.Context(), "backup", "test"))
}

// killed starts the real program and kills it after a time, unless it ends before.
func (s site) killed(after time.Duration, args ...string) {
	s.t.Helper()
	cmd := exec.CommandContext(s.t.Context(), os.Args[0], args...)
	cmd.Env = append(os.Environ(), "IMAGIFY_TEST_MAIN=1", "IMAGIFY_DATA="+s.data)
	require.NoError(s.t, cmd.Start())
	timer := time.AfterFunc(after, func() { _ = cmd.Process.Kill() })
	_ = cmd.Wait()
	timer.Stop()
}

// Backups beside clients that upload and delete all restore, with every record's blob.
func promiseD6(t *testing.T) {
	s := newSite(t)
	token := s.user("anna", "--tier", "EnterpriseTierUsers")
	other := s.user("ben", "--tier", "EnterpriseTierUsers")
	srv := s.serve()
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var (
		wg                sync.WaitGroup
		uploaded, deleted atomic.Int64
	)
	for client := range 8 {
		wg.Go(func() {
			token := []string{token, other}[client%2]
			var mine []string
			for i := 0; ctx.Err() == nil; i++ {
				status, answer, _, err := call(ctx, http.MethodPost, srv.url+"/v1/images", token, photo(client*1_000_000+i, 80, 60), "image/jpeg")
				var img imageView
				if err != nil || status != 201 || json.Unmarshal(answer, &img) != nil {
					continue
				}
				uploaded.Add(1)
				mine = append(mine, img.ID)
				if len(mine) > 4 {
					n := rand.IntN(len(mine))
					if status, _, _, err := call(ctx, http.MethodDelete, srv.url+"/v1/images/"+mine[n], token, nil, ""); err == nil && status == 204 {
						deleted.Add(1)
					}
					mine = append(mine[:n], mine[n+1:]...)
				}
			}
		})
	}
	require.Eventually(t, func() bool { return deleted.Load() > 8 }, time.Minute, 10*time.Millisecond)
	dir := t.TempDir()
	began, backups, meanwhile := time.Now(), 0, 0
	for ; backups < 3 || full && time.Since(began) < time.Minute; backups++ {
		dest := filepath.Join(dir, "updated")
		args := []string{"backup", dest, "--update"}
		if backups%2 == 1 {
			dest = filepath.Join(dir, fmt.Sprint(backups, ".tar"))
			args = []string{"backup", dest}
		}
		out := s.must(args...)
		_, text, _ := strings.Cut(out, "removed from the copy ")
		var n int
		_, err := fmt.Sscan(text, &n)
		require.NoError(t, err, out)
		meanwhile += n
		assert.NotEmpty(t, restored(t, dest).originals())
	}
	stop()
	wg.Wait()
	t.Logf("%d backups, %d uploads, %d deletions, of which %d between the copy of the database and the original's", backups, uploaded.Load(), deleted.Load(), meanwhile)
}

// What is no whole backup is refused with what is wrong, and nothing is left of it.
func TestRestoreRefusals(t *testing.T) {
	s := newSite(t)
	anna := s.user("anna", "--tier", "EnterpriseTierUsers")
	srv := s.serve()
	for i := range 3 {
		status, _ := srv.upload(anna, photo(i, 100, 100))
		require.Equal(t, 201, status)
	}
	dir := t.TempDir()
	file := filepath.Join(dir, "b.tar")
	s.must("backup", file)
	tarred, err := os.ReadFile(file)
	require.NoError(t, err)
	one := func(dest, pattern string) string {
		found, err := filepath.Glob(filepath.Join(dest, filepath.FromSlash(pattern)))
		require.NoError(t, err)
		require.NotEmpty(t, found, pattern)
		return found[0]
	}
	flip := func(path string, at int) {
		b, err := os.ReadFile(path)
		require.NoError(t, err)
		b[(at+len(b))%len(b)] ^= 1
		require.NoError(t, os.WriteFile(path, b, 0o600))
	}
	for name, c := range map[string]struct {
		spoil func(dest string)
		says  string
	}{
		"tampered blob":     {func(d string) { flip(one(d, "blobs/images/*/*/original"), 100) }, "these files in it are damaged: blobs/images/"},
		"shortened blob":    {func(d string) { require.NoError(t, os.Truncate(one(d, "blobs/images/*/*/original"), 10)) }, "damaged: blobs/images/"},
		"lost blob":         {func(d string) { require.NoError(t, os.Remove(one(d, "blobs/images/*/*/original"))) }, "original is missing from it"},
		"tampered database": {func(d string) { flip(one(d, "records/*/imagify.db"), 5000) }, "imagify.db"},
		"lost database":     {func(d string) { require.NoError(t, os.Remove(one(d, "records/*/imagify.db"))) }, "imagify.db is missing"},
		"tampered sums":     {func(d string) { flip(one(d, "records/*/SHA256SUMS"), 5) }, "damaged"},
		"sums without a line": {func(d string) {
			path := one(d, "records/*/SHA256SUMS")
			b, err := os.ReadFile(path)
			require.NoError(t, err)
			_, rest, _ := bytes.Cut(b, []byte("\n"))
			require.NoError(t, os.WriteFile(path, rest, 0o600))
		}, "SHA256SUMS is damaged, or of another backup"},
		"lost sums":         {func(d string) { require.NoError(t, os.Remove(one(d, "records/*/SHA256SUMS"))) }, "SHA256SUMS is missing"},
		"no manifest":       {func(d string) { require.NoError(t, os.Remove(one(d, "manifest.json"))) }, "there is no manifest.json"},
		"damaged manifest":  {func(d string) { require.NoError(t, os.Truncate(one(d, "manifest.json"), 20)) }, "manifest.json is damaged"},
		"newer form":        {func(d string) { rewrite(t, one(d, "manifest.json"), `"format": 1`, `"format": 2`) }, "a newer one"},
		"records elsewhere": {func(d string) { rewrite(t, one(d, "manifest.json"), `"records": "records/`, `"records": "records/../`) }, "manifest.json is damaged"},
		"a name that leads out": {func(d string) {
			rewrite(t, one(d, "records/*/SHA256SUMS"), "  blobs/installation", "  blobs/../../etc")
		}, "SHA256SUMS is damaged"},
	} {
		t.Run(name, func(t *testing.T) {
			s, to := site{t, s.data}, emptySite(t)
			dest := filepath.Join(t.TempDir(), "b")
			s.must("backup", dest)
			c.spoil(dest)
			code, out, errs := to.run("", "restore", dest)
			assert.Equal(t, 1, code, "%s%s", out, errs)
			assert.Contains(t, errs, c.says)
			assert.NoDirExists(t, to.data)
		})
	}
	t.Run("cut tar", func(t *testing.T) {
		for _, n := range []int{0, 100, 512, 700, len(tarred) / 3, len(tarred) / 2, len(tarred) - 2000, len(tarred) - 1600} {
			to := emptySite(t)
			code, out, errs := to.run(string(tarred[:n]), "restore", "-")
			assert.Equal(t, 1, code, "%d bytes of %d: %s%s", n, len(tarred), out, errs)
			assert.Contains(t, errs, "nothing was restored: not a whole backup", "%d bytes", n)
			assert.NoDirExists(t, to.data)
		}
	})
	t.Run("invalid tar", func(t *testing.T) {
		for _, text := range []string{strings.Repeat("no tar ", 1000), "\x1f\x8b\x08" + strings.Repeat("x", 5000)} {
			to := emptySite(t)
			code, _, errs := to.run(text, "restore", "-")
			assert.Equal(t, 1, code)
			assert.Contains(t, errs, "gzip -dc")
			assert.NoDirExists(t, to.data)
		}
	})
	t.Run("targets", func(t *testing.T) {
		to := site{t, t.TempDir()}
		stranger := filepath.Join(to.data, "letter.txt")
		require.NoError(t, os.WriteFile(stranger, []byte("mine"), 0o600))
		code, _, errs := to.run("", "restore", file)
		assert.Equal(t, 1, code)
		assert.Contains(t, errs, "is not empty (letter.txt)")
		left, err := os.ReadDir(to.data)
		require.NoError(t, err)
		assert.Len(t, left, 1)
		require.NoError(t, os.Remove(stranger))
		to.must("restore", file) // an empty folder is fine
		code, _, errs = to.run("", "restore", file)
		assert.Equal(t, 1, code)
		assert.Contains(t, errs, "holds an installation already")
		assert.Len(t, to.originals(), 3, "which is as it was")
	})
	t.Run("sources", func(t *testing.T) {
		for _, src := range []string{filepath.Join(dir, "nothing"), dir} {
			to := emptySite(t)
			code, _, errs := to.run("", "restore", src)
			assert.Equal(t, 1, code)
			assert.Contains(t, errs, src)
			assert.NoDirExists(t, to.data)
		}
	})
}

func rewrite(t *testing.T, path, from, to string) {
	t.Helper()
	b, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Contains(t, string(b), from)
	require.NoError(t, os.WriteFile(path, []byte(strings.Replace(string(b), from, to, 1)), 0o600))
}

// A DEST that cannot be one is refused before anything is written.
func TestBackupRefusals(t *testing.T) {
	s, other := newSite(t), newSite(t)
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	s.must("backup", at("mine"))
	other.must("backup", at("theirs"))
	require.NoError(t, os.MkdirAll(at("full/of"), 0o700))
	require.NoError(t, os.WriteFile(at("there.tar"), []byte("x"), 0o600))
	require.NoError(t, os.WriteFile(at("file"), []byte("x"), 0o600))
	require.NoError(t, os.Symlink(s.data, at("alias")))
	before, err := filepath.Glob(at("*"))
	require.NoError(t, err)
	for name, c := range map[string]struct {
		args []string
		code int
		says string
	}{
		"the data folder":           {[]string{s.data}, 2, "inside the installation"},
		"in the data folder":        {[]string{filepath.Join(s.data, "backups", "b")}, 2, "inside the installation"},
		"in it, by a symbolic link": {[]string{filepath.Join(at("alias"), "b.tar")}, 2, "inside the installation"},
		"a compressed file":         {[]string{at("b.tar.gz")}, 2, "backup - | gzip"},
		"update of a tar":           {[]string{at("b.tar"), "--update"}, 2, "--update is for a folder"},
		"update of a pipe":          {[]string{"-", "--update"}, 2, "--update is for a folder"},
		"a backup, without update":  {[]string{at("mine")}, 1, "holds a backup already"},
		"another's backup":          {[]string{at("theirs"), "--update"}, 1, "of another installation"},
		"a folder that is full":     {[]string{at("full")}, 1, "neither empty nor a backup"},
		"the same, with update":     {[]string{at("full"), "--update"}, 1, "neither empty nor a backup"},
		"a tar that is there":       {[]string{at("there.tar")}, 1, "exists"},
		"a file":                    {[]string{at("file")}, 1, "file"},
		"below a file":              {[]string{at("file/b")}, 1, "file"},
	} {
		t.Run(name, func(t *testing.T) {
			code, out, errs := site{t, s.data}.run("", append([]string{"backup"}, c.args...)...)
			assert.Equal(t, c.code, code, "%s%s", out, errs)
			assert.Contains(t, errs, c.says)
			assert.Empty(t, out)
		})
	}
	after, err := filepath.Glob(at("*"))
	require.NoError(t, err)
	assert.Equal(t, before, after)
	for variable, value := range map[string]string{
		"IMAGIFY_DATABASE_URL": "mysql://u:p@127.0.0.1:1/x", "IMAGIFY_STORAGE_URL": "s3://bucket?region=x",
	} {
		var errs bytes.Buffer
		code := run(t.Context(), []string{"backup", at("b")}, stdio{strings.NewReader(""), io.Discard, &errs}, func(name string) string {
			return map[string]string{variable: value, "IMAGIFY_SECRET_KEY": "0123456789abcdef", "IMAGIFY_DATA": s.data}[name]
		})
		assert.Equal(t, 2, code)
		assert.Contains(t, errs.String(), map[string]string{"IMAGIFY_DATABASE_URL": "mysqldump", "IMAGIFY_STORAGE_URL": "versioning"}[variable])
	}
}

// A restore that is killed at a random moment leaves nothing that a server takes for an
// installation, or a whole one; run again it restores everything.
func TestRestoreKilled(t *testing.T) {
	s := newSite(t)
	anna := s.user("anna", "--tier", "EnterpriseTierUsers")
	srv := s.serve()
	for i := range 20 {
		status, _ := srv.upload(anna, photo(i, 60, 60))
		require.Equal(t, 201, status)
	}
	dir := t.TempDir()
	s.must("backup", filepath.Join(dir, "b"))
	s.must("backup", filepath.Join(dir, "b.tar"))
	half := 0
	for i := range scaled(4, 10) {
		src := filepath.Join(dir, []string{"b", "b.tar"}[i%2])
		to := emptySite(t)
		to.killed(time.Duration(50+rand.IntN(300))*time.Millisecond, "restore", src)
		if _, err := os.Stat(filepath.Join(to.data, ".restoring")); err == nil {
			half++
			code, out, errs := to.program("serve", "--addr", "127.0.0.1:0")
			assert.Equal(t, 1, code)
			assert.Contains(t, errs, "has not finished", out)
			to.must("restore", src)
		} else if _, err := os.Stat(filepath.Join(to.data, "imagify.db")); err != nil {
			to.must("restore", src)
		}
		assert.Len(t, to.originals(), 20)
		assert.Contains(t, to.must("doctor"), "belong together")
	}
	t.Logf("%d were killed half-way", half)
}
