package app_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/imagify-api/imagify/adapters/fileblob"
	"github.com/imagify-api/imagify/adapters/memory"
	"github.com/imagify-api/imagify/adapters/nativeresizer"
	"github.com/imagify-api/imagify/app"
	"github.com/imagify-api/imagify/domain"
	"github.com/imagify-api/imagify/ports"
)

// BenchmarkSweepFiles sweeps a folder of files that holds the originals of one owner.
// The time for each blob must not grow with their number. IMAGIFY_FULL=1 takes a million.
func BenchmarkSweepFiles(b *testing.B) {
	sizes := []int{10_000, 100_000}
	if os.Getenv("IMAGIFY_FULL") == "1" {
		sizes = append(sizes, 1_000_000)
	}
	for _, n := range sizes {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			dir, ctx := b.TempDir(), context.Background()
			files, err := fileblob.New(dir)
			require.NoError(b, err)
			defer files.Close()
			resizer, err := nativeresizer.New(nativeresizer.Options{})
			require.NoError(b, err)
			records := memory.NewRecords(memory.Options{})
			svc, err := app.New(app.Config{
				Records: records, Blobs: files, Resizer: resizer, RateLimits: memory.NewRateLimits(memory.Options{}),
				SecretKeys: [][]byte{[]byte("a secret key of the benchmarks")}, Argon2: cheapHash, SweepEvery: -1,
				Logger: slog.New(slog.DiscardHandler),
			})
			require.NoError(b, err)
			defer svc.Close()
			root := domain.SystemActor("benchmark")
			_, err = svc.Bootstrap(ctx, "a password")
			require.NoError(b, err)
			u, err := svc.CreateUser(ctx, root, "anna", app.UserChange{})
			require.NoError(b, err)
			quota := ports.Quota{MaxImages: domain.NoLimit, MaxBytes: domain.NoLimit}
			for i := range n {
				up := ports.Upload{ImageID: nthID(i), OwnerID: u.ID}
				_, err := records.Images.BeginUpload(ctx, up, up.UploadedAt)
				require.NoError(b, err)
				require.NoError(b, records.Images.CommitUpload(ctx, up, domain.Image{Size: 1}, quota))
				// As fileblob lays it out, without its syncs.
				folder := filepath.Join(dir, "images+", u.ID.String()+"+", up.ImageID.String()+"+")
				require.NoError(b, os.MkdirAll(folder, 0o700))
				require.NoError(b, os.WriteFile(filepath.Join(folder, "original"), []byte("x"), 0o600))
			}
			b.ResetTimer()
			for range b.N {
				r, err := svc.Sweep(ctx, root, app.SweepOptions{})
				require.NoError(b, err)
				require.Equal(b, n, r.Seen)
				require.Zero(b, r.Blobs)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(n), "ns/blob")
		})
	}
}
