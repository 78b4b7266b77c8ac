package app_test

import (
	"crypto/sha256"
	"database/sql"
	"errors"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/imagify-api/imagify/adapters/fileblob"
	"github.com/imagify-api/imagify/adapters/memory"
	"github.com/imagify-api/imagify/adapters/s3blob"
	"github.com/imagify-api/imagify/adapters/sqliterepo"
	"github.com/imagify-api/imagify/app"
	"github.com/imagify-api/imagify/domain"
	"github.com/imagify-api/imagify/ports"
	"github.com/imagify-api/imagify/ports/porttest/realserver"
)

// A wrong, older, empty or foreign database, started on a full store, swept and run for
// an hour, destroys nothing; and the right one finds everything again.
func TestPromiseWrongDatabase(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds: run it without -short")
	}
	t.Run("X11", func(t *testing.T) {
		t.Run("files", func(t *testing.T) {
			wrongDatabases(t, func(t *testing.T) ports.Blobs {
				b, err := fileblob.New(t.TempDir())
				require.NoError(t, err)
				t.Cleanup(func() { assert.NoError(t, b.Close()) })
				return b
			})
		})
		t.Run("S3", func(t *testing.T) {
			fresh := buckets(t)
			wrongDatabases(t, func(t *testing.T) ports.Blobs { return fresh(t) })
		})
	})
}

// buckets starts an S3 service, and returns what opens a new bucket of it.
func buckets(t *testing.T) func(t *testing.T) *s3blob.Store {
	t.Helper()
	s := realserver.S3(t)
	t.Setenv("AWS_ACCESS_KEY_ID", s.AccessKey)
	t.Setenv("AWS_SECRET_ACCESS_KEY", s.SecretKey)
	t.Setenv("AWS_CONFIG_FILE", os.DevNull)
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", os.DevNull)
	client := s3.New(s3.Options{
		Region: "us-east-1", BaseEndpoint: &s.URL, UsePathStyle: true, Credentials: credentials.NewStaticCredentialsProvider(s.AccessKey, s.SecretKey, ""),
	})
	n := 0
	return func(t *testing.T) *s3blob.Store {
		t.Helper()
		n++
		name := "pictures" + strings.Repeat("x", n)
		_, err := client.CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: aws.String(name)})
		require.NoError(t, err)
		b, err := s3blob.Open(t.Context(), "s3://"+name+"?path_style=true&file_keys=true&timeout=60s&endpoint="+url.QueryEscape(s.URL))
		require.NoError(t, err)
		return b
	}
}

// database opens an SQLite file, with its schema.
func (w *world) database(t *testing.T, path string) ports.Records {
	t.Helper()
	db, err := sqliterepo.Open(t.Context(), path, sqliterepo.Options{Now: w.clock.now})
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, db.Close()) })
	_, err = db.MigrateUp(t.Context())
	require.NoError(t, err)
	return db.Records()
}

// backup is a copy of a database as it is now, as a restored backup is one.
func backup(t *testing.T, path string) string {
	t.Helper()
	copied := filepath.Join(t.TempDir(), "copy.db")
	db, err := sql.Open("sqlite", "file:"+path)
	require.NoError(t, err)
	_, err = db.ExecContext(t.Context(), "VACUUM INTO ?", copied)
	require.NoError(t, errors.Join(err, db.Close()))
	return copied
}

// content is every blob of an image, live or in the trash, by the key that it has or
// had. A blob that is there twice is lost in neither place.
func content(t *testing.T, b ports.Blobs) map[string]int64 {
	t.Helper()
	out := map[string]int64{}
	for info, err := range ports.WalkBlobs(t.Context(), b, "", "", nil) {
		require.NoError(t, err)
		if key := strings.TrimPrefix(info.Key, "trash/"); strings.HasPrefix(key, "images/") {
			out[key] = info.Size
		}
	}
	return out
}

func wrongDatabases(t *testing.T, store func(t *testing.T) ports.Blobs) {
	sweeps := 4
	many := 120
	if os.Getenv("IMAGIFY_FULL") == "1" {
		sweeps, many = 40, 1500
	}
	for name, c := range map[string]struct {
		// newer is how many images the wrong database does not know; refused says that
		// it may not even start.
		newer   int
		refused bool
		wrong   func(t *testing.T, w *world, older string) ports.Records
	}{
		"older by few":  {5, false, func(t *testing.T, w *world, older string) ports.Records { return w.database(t, older) }},
		"older by many": {many, false, func(t *testing.T, w *world, older string) ports.Records { return w.database(t, older) }},
		"empty": {5, true, func(t *testing.T, w *world, _ string) ports.Records {
			return w.database(t, filepath.Join(t.TempDir(), "empty.db"))
		}},
		"in memory": {5, true, func(_ *testing.T, w *world, _ string) ports.Records {
			return memory.NewRecords(memory.Options{Now: w.clock.now})
		}},
		"foreign": {5, true, func(t *testing.T, w *world, _ string) ports.Records {
			cfg := w.cfg
			cfg.Records, cfg.Blobs = w.database(t, filepath.Join(t.TempDir(), "foreign.db")), memory.NewBlobs(memory.Options{Now: w.clock.now})
			svc, err := app.New(cfg)
			require.NoError(t, err)
			_, err = svc.Bootstrap(ctx, "another password")
			require.NoError(t, err)
			return cfg.Records
		}},
		"a first start that was interrupted": {5, true, func(t *testing.T, w *world, _ string) ports.Records {
			r := w.database(t, filepath.Join(t.TempDir(), "claimed.db"))
			_, err := r.Installation.Ensure(ctx, domain.ID{9})
			require.NoError(t, err)
			return r
		}},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "imagify.db")
			w := newWorld(t, func(cfg *app.Config) { cfg.Blobs = store(t) })
			right := *w
			right.cfg.Records = w.database(t, path)
			right.svc = right.node()
			_, err := right.svc.Bootstrap(ctx, "admin password")
			require.ErrorIs(t, err, domain.Conflict, "the memory world has this store")
			adopted, err := right.svc.AdoptStorage(ctx, w.root)
			require.NoError(t, err)
			require.True(t, adopted)
			_, err = right.svc.Bootstrap(ctx, "admin password")
			require.NoError(t, err)
			anna := right.user("anna", domain.EnterpriseTier)
			images := []domain.Image{right.upload(anna), right.upload(anna)}
			doomed := right.upload(anna)
			_, err = read(right.svc.Open(ctx, anna, images[0].ID, thumbnail(200)))
			require.NoError(t, err)
			older := backup(t, path)
			for range c.newer {
				images = append(images, right.upload(anna))
			}
			require.NoError(t, right.svc.DeleteImage(ctx, anna, doomed.ID)) // the older copy knows it still
			right.clock.advance(30 * time.Minute)
			before := content(t, right.blobs)
			require.Len(t, before, len(images)+1)

			wrong := right
			wrong.cfg.Records = c.wrong(t, &right, older)
			wrong.cfg.SweepEvery = 10 * time.Millisecond // in the background, too
			node := wrong.node()
			_, err = node.Bootstrap(ctx, "another password")
			if c.refused {
				require.ErrorIs(t, err, domain.Conflict)
				require.ErrorContains(t, err, "--adopt-storage")
				_, err = node.EmptyTrash(ctx, w.root)
				require.ErrorIs(t, err, domain.Conflict)
			} else {
				require.NoError(t, err)
			}
			for range sweeps {
				r, err := node.Sweep(ctx, w.root, app.SweepOptions{})
				for err == nil && r.AlreadyBusy { // with the background's
					time.Sleep(5 * time.Millisecond)
					r, err = node.Sweep(ctx, w.root, app.SweepOptions{})
				}
				if c.refused || c.newer > 100 {
					require.ErrorIs(t, err, domain.Conflict)
					require.Zero(t, r.Blobs)
				} else {
					require.NoError(t, err)
				}
				wrong.clock.advance(time.Hour / time.Duration(sweeps))
				time.Sleep(30 * time.Millisecond)
				require.Equal(t, before, content(t, w.blobs), "a blob is gone")
			}
			if !c.refused && c.newer <= 100 {
				require.Equal(t, c.newer, w.trashed())
			}

			// The right one finds all: each as it is asked for, and all of them by its sweep.
			again := right.node()
			_, err = again.Bootstrap(ctx, "another password")
			require.NoError(t, err)
			for i, img := range images {
				if i%2 == 1 {
					continue
				}
				data, err := read(again.Open(ctx, anna, img.ID, domain.Variant{}))
				require.NoError(t, err)
				require.Equal(t, img.SHA256, sha256.Sum256(data))
			}
			r, err := again.Sweep(ctx, w.root, app.SweepOptions{})
			require.NoError(t, err)
			require.Zero(t, r.Missing)
			require.Equal(t, before, content(t, w.blobs))
			right.clock.advance(2 * time.Hour)
			_, err = again.Sweep(ctx, w.root, app.SweepOptions{})
			require.NoError(t, err)
			require.Zero(t, w.trashed(), "what is back leaves the trash an hour later")
			require.Equal(t, before, content(t, w.blobs))
			for _, img := range images {
				data, err := read(again.Open(ctx, anna, img.ID, domain.Variant{}))
				require.NoError(t, err)
				require.Equal(t, img.SHA256, sha256.Sum256(data))
			}
		})
	}
}
