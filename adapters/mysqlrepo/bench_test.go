package mysqlrepo

import (
	"fmt"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/imagify-api/imagify/domain"
	"github.com/imagify-api/imagify/ports"
	"github.com/imagify-api/imagify/ports/porttest/realserver"
)

// BenchmarkImageList reads pages of 30 at the front and at the back of one user's
// images, in turn, on both servers, and reports the ratio of their times and the rows
// that the server read for a page. IMAGIFY_BENCH_ROWS is the number of images, by
// default 100,000.
func BenchmarkImageList(b *testing.B) {
	n := 100_000
	if s := os.Getenv("IMAGIFY_BENCH_ROWS"); s != "" {
		var err error
		n, err = strconv.Atoi(s)
		require.NoError(b, err)
	}
	require.Greater(b, n, 60)
	b.Run("MySQL", func(b *testing.B) { benchmarkImageList(b, newServer(b, realserver.StartMySQL(b)), n) })
	b.Run("MariaDB", func(b *testing.B) { benchmarkImageList(b, newServer(b, realserver.StartMariaDB(b)), n) })
}

func benchmarkImageList(b *testing.B, s *server, n int) {
	db := s.fresh(b)
	owner := domain.ID{0x01, 0x90}
	fillImages(b, db, owner, n)
	fillImages(b, db, domain.ID{0x01, 0x91}, n/100)
	ctx := b.Context()
	list := db.Records().Images.List
	oldest, err := domain.ParseID(fmt.Sprintf("01900000-0000-7000-8000-%012x", 31))
	require.NoError(b, err)
	for where, before := range map[string]domain.ID{"first": {}, "last": oldest} { // warm, and right
		imgs, err := list(ctx, owner, ports.Page{Before: before, Limit: 30})
		require.NoError(b, err)
		require.Len(b, imgs, 30, where)
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
	b.ReportMetric(float64(rowsRead(b, db, owner, oldest)), "rows-read/last")
}

// rowsRead is how many rows the server touches for the page at the back.
func rowsRead(b *testing.B, db *DB, owner, before domain.ID) int64 {
	b.Helper()
	conn, err := db.db.Conn(b.Context())
	require.NoError(b, err)
	defer conn.Close()
	total := func() (sum int64) {
		rows, err := conn.QueryContext(b.Context(), "SHOW SESSION STATUS LIKE 'Handler_read%'")
		require.NoError(b, err)
		defer rows.Close()
		for rows.Next() {
			var name string
			var n int64
			require.NoError(b, rows.Scan(&name, &n))
			if name != "Handler_read_rnd_next" { // the status's own rows
				sum += n
			}
		}
		require.NoError(b, rows.Err())
		return sum
	}
	start := total()
	rows, err := conn.QueryContext(b.Context(), "SELECT id FROM images FORCE INDEX (PRIMARY) WHERE owner_id = ? AND id < ? ORDER BY id DESC LIMIT 30",
		owner[:], before[:])
	require.NoError(b, err)
	for rows.Next() {
	}
	require.NoError(b, rows.Err())
	require.NoError(b, rows.Close())
	return total() - start
}

// fillImages gives the owner n images, numbered from 1, the oldest.
func fillImages(b *testing.B, db *DB, owner domain.ID, n int) {
	b.Helper()
	const (
		digits = "(SELECT 0 d UNION ALL SELECT 1 UNION ALL SELECT 2 UNION ALL SELECT 3 UNION ALL SELECT 4" +
			" UNION ALL SELECT 5 UNION ALL SELECT 6 UNION ALL SELECT 7 UNION ALL SELECT 8 UNION ALL SELECT 9)"
		part = 10_000
	)
	for from := 1; from <= n; from += part {
		_, err := db.db.DB.ExecContext(b.Context(), "INSERT INTO images"+
			" (owner_id, id, filename, size, sha256, format, width, height, frames, alpha, placeholder, uploaded_at)"+
			" SELECT ?, UNHEX(CONCAT('0190000000007000', LPAD(HEX(0x8000000000000000 + i), 16, '0'))), CONCAT('picture ', i, '.jpg'),"+
			" 2000000 + i, UNHEX(SHA2(i, 256)), 'jpeg', 4032, 3024, 1, 0, UNHEX(LEFT(SHA2(-i, 256), 50)), 1700000000000000 + i"+
			" FROM (SELECT ? + a.d + 10 * b.d + 100 * c.d + 1000 * e.d AS i FROM "+digits+" a, "+digits+" b, "+digits+" c, "+digits+" e) n"+
			" WHERE i <= ?", owner[:], from, n)
		require.NoError(b, err)
	}
}
