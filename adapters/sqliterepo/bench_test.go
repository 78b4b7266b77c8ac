package sqliterepo

import (
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/imagify-api/imagify/domain"
	"github.com/imagify-api/imagify/ports"
)

// BenchmarkImageList reads pages of 30 at the front and at the back of one user's
// images, in turn, and reports the ratio of their times. IMAGIFY_BENCH_ROWS is the
// number of images, by default 1,000,000.
func BenchmarkImageList(b *testing.B) {
	rows := 1_000_000
	if s := os.Getenv("IMAGIFY_BENCH_ROWS"); s != "" {
		var err error
		rows, err = strconv.Atoi(s)
		require.NoError(b, err)
	}
	require.Greater(b, rows, 60)
	db := fresh(b)
	owner := domain.ID{0x01, 0x90}
	fill(b, db, owner, rows)
	ctx := b.Context()
	list := db.Records().Images.List
	oldest := idOfRow(b, 31)

	for _, where := range []string{"", " AND id < X'" + hexID(oldest) + "'"} {
		plan, err := db.read.DB.QueryContext(ctx, "EXPLAIN QUERY PLAN SELECT * FROM images WHERE owner_id = X'"+hexID(owner)+"'"+where+" ORDER BY id DESC LIMIT 30")
		require.NoError(b, err)
		for plan.Next() {
			var id, parent, unused int
			var step string
			require.NoError(b, plan.Scan(&id, &parent, &unused, &step))
			b.Log(step)
		}
		require.NoError(b, plan.Err())
		require.NoError(b, plan.Close())
	}
	for name, before := range map[string]domain.ID{"first": {}, "last": oldest} { // warm, and right
		imgs, err := list(ctx, owner, ports.Page{Before: before, Limit: 30})
		require.NoError(b, err)
		require.Len(b, imgs, 30, name)
	}

	var first, last time.Duration
	b.ResetTimer()
	for b.Loop() {
		start := time.Now()
		_, err := list(ctx, owner, ports.Page{Limit: 30})
		first += time.Since(start)
		require.NoError(b, err)
		start = time.Now()
		_, err = list(ctx, owner, ports.Page{Before: oldest, Limit: 30})
		last += time.Since(start)
		require.NoError(b, err)
	}
	b.ReportMetric(float64(first.Nanoseconds())/float64(b.N), "first-ns/op")
	b.ReportMetric(float64(last.Nanoseconds())/float64(b.N), "last-ns/op")
	b.ReportMetric(float64(last)/float64(first), "last/first")
}

func hexID(id domain.ID) string {
	const digits = "0123456789abcdef"
	out := make([]byte, 0, 32)
	for _, c := range id {
		out = append(out, digits[c>>4], digits[c&15])
	}
	return string(out)
}

// idOfRow is the id that fill gives the n-th image, 1 the oldest.
func idOfRow(b *testing.B, n int) domain.ID {
	b.Helper()
	id, err := domain.ParseID("01900000-0000-7000-8000-" + leftPad(strconv.FormatInt(int64(n), 16), 12))
	require.NoError(b, err)
	return id
}

func leftPad(s string, n int) string {
	for len(s) < n {
		s = "0" + s
	}
	return s
}

// fill gives the owner n images, and another owner as many as a hundredth.
func fill(b *testing.B, db *DB, owner domain.ID, n int) {
	b.Helper()
	for _, o := range []struct {
		owner domain.ID
		n     int
	}{{owner, n}, {domain.ID{0x01, 0x91}, n / 100}} {
		_, err := db.write.DB.ExecContext(b.Context(), `
			INSERT INTO images (owner_id, id, filename, size, sha256, format, width, height, frames, alpha, placeholder, uploaded_at)
			WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?)
			SELECT ?, unhex(printf('0190000000007000%016x', (1 << 63) + i)), 'picture ' || i || '.jpg', 2000000 + i, randomblob(32), 'jpeg',
				4032, 3024, 1, 0, randomblob(25), 1700000000000000 + i FROM n`, o.n, o.owner[:])
		require.NoError(b, err)
	}
}
