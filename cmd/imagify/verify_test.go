package main

import (
	"database/sql"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	_ "modernc.org/sqlite"
)

// verify names every image whose original is missing, damaged or short, every blob without a
// record and every wrong usage, and sets the last right if it is told to.
func TestVerify(t *testing.T) {
	s := newSite(t)
	anna, ben := s.user("anna", "--tier", "EnterpriseTierUsers"), s.user("ben", "--tier", "EnterpriseTierUsers")
	srv := s.serve()
	var ids []string
	for i := range 6 {
		status, img := srv.upload(anna, photo(i, 100, 100))
		require.Equal(t, 201, status)
		ids = append(ids, img.ID)
	}
	status, _ := srv.upload(ben, photo(7, 100, 100))
	require.Equal(t, 201, status)
	assert.Contains(t, s.must("verify"), "7 originals read")
	assert.Contains(t, s.must("verify", "--rate", "0", "--user", "ben"), "1 originals read")
	assert.Contains(t, s.must("verify", "--user", "anna", "--before", ids[2]), "2 originals read", "going on where a run stopped")
	srv.stop()

	path := func(id string) string {
		found, err := filepath.Glob(filepath.Join(s.data, "blobs", "images+", "*", id+"+", "original"))
		require.NoError(t, err)
		require.Len(t, found, 1)
		return found[0]
	}
	b, err := os.ReadFile(path(ids[0]))
	require.NoError(t, err)
	b[len(b)/2] ^= 1
	require.NoError(t, os.WriteFile(path(ids[0]), b, 0o600))
	require.NoError(t, os.Truncate(path(ids[1]), 10))
	require.NoError(t, os.Remove(path(ids[2])))
	rel, err := filepath.Rel(filepath.Join(s.data, "blobs"), path(ids[3]))
	require.NoError(t, err)
	trash := filepath.Join(s.data, "blobs", "trash+", rel)
	require.NoError(t, os.MkdirAll(filepath.Dir(trash), 0o700))
	require.NoError(t, os.Rename(path(ids[3]), trash))
	db, err := sql.Open("sqlite", filepath.Join(s.data, "imagify.db"))
	require.NoError(t, err)
	defer db.Close()
	for _, q := range []string{
		"UPDATE usages SET images = images + 3, bytes = bytes - 1 WHERE images = 6",
		"DELETE FROM images WHERE size = (SELECT size FROM images ORDER BY id DESC LIMIT 1) AND id = (SELECT id FROM images ORDER BY id DESC LIMIT 1)", // ben's
	} {
		_, err := db.ExecContext(t.Context(), q)
		require.NoError(t, err)
	}

	code, out, errs := s.run("", "verify")
	assert.Equal(t, 1, code)
	assert.Contains(t, errs, "does not match its records")
	lines := strings.Split(strings.TrimSpace(out), "\n")
	require.Len(t, lines, 8, out)
	for _, says := range []string{
		"damaged  image " + ids[0], "damaged  image " + ids[1], "missing  image " + ids[2], "missing  image " + ids[3],
		"SHA-256", "has 10 bytes where", "is not in the storage", "is in the trash", "orphan   image ", "usage    user ",
		"9 images of", "6 originals read", "7 problems found",
	} {
		assert.Contains(t, out, says)
	}
	var report struct {
		Images, Found int
		Findings      []struct {
			Kind, Image string
			Repaired    bool
		}
	}
	code, out, _ = s.run("", "verify", "--json", "--repair-usage")
	assert.Equal(t, 1, code, "the rest cannot be repaired")
	require.NoError(t, json.Unmarshal([]byte(out), &report))
	assert.Equal(t, []int{6, 5}, []int{report.Images, report.Found})
	kinds := map[string]int{}
	for _, f := range report.Findings {
		kinds[f.Kind]++
		assert.Equal(t, f.Kind == "usage", f.Repaired)
	}
	assert.Equal(t, map[string]int{"damaged": 2, "missing": 2, "orphan": 1, "usage": 2}, kinds)
	code, out, _ = s.run("", "verify")
	assert.Equal(t, 1, code)
	assert.NotContains(t, out, "usage", "they are right now")
	code, out, _ = s.run("", "verify", "--user", "ben")
	assert.Equal(t, 1, code)
	assert.Contains(t, out, "orphan", "of one user alone")

	for _, args := range [][]string{{"--before", "x"}, {"--rate", "-1"}} {
		code, _, errs := s.run("", append([]string{"verify"}, args...)...)
		assert.Equal(t, 2, code, errs)
	}
	code, _, errs = s.run("", "verify", "--user", "nobody")
	assert.Equal(t, 1, code)
	assert.Contains(t, errs, "no such user")
}
