package mysqlrepo

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/uptrace/bun"

	"github.com/imagify-api/imagify/domain"
	"github.com/imagify-api/imagify/ports"
)

// othersOf is how many times as many images as the user's are in the table.
const othersOf = 10

// BenchmarkImageList reads pages of 30 at the front, in the middle and at the back of
// one user's images, in turn, on both servers, and reports the time of the first, the
// others' ratios to it, and the rows that the server read for each by its own count. The table holds ten times as many
// images as the user has. IMAGIFY_BENCH_ROWS is how many the user has, by default 10,000.
func BenchmarkImageList(b *testing.B) {
	n := 10_000
	if s := os.Getenv("IMAGIFY_BENCH_ROWS"); s != "" {
		var err error
		n, err = strconv.Atoi(s)
		require.NoError(b, err)
	}
	require.Greater(b, n, 60)
	for name, start := range starters {
		b.Run(name, func(b *testing.B) { benchmarkImageList(b, newServer(b, start(b)), n) })
	}
}

func benchmarkImageList(b *testing.B, s *server, n int) {
	seen := &lastQuery{}
	db := s.fresh(b, seen)
	db.db.SetMaxOpenConns(1) // so that the session's counters are those of the page
	owner := fillImages(b, db, n)
	ctx := b.Context()
	var version string
	require.NoError(b, db.db.NewRaw("SELECT version()").Scan(ctx, &version))
	b.Logf("%s: %d images, %d of them the user's", version, count(b, db, ""), count(b, db, fmt.Sprintf("WHERE owner_id = X'%x'", owner[:])))

	list := db.Records().Images.List
	pages := []struct {
		where string
		ports.Page
	}{
		{"front", ports.Page{Limit: 30}},
		{"middle", ports.Page{Limit: 30, Before: imageID(n / 2)}},
		{"back", ports.Page{Limit: 30, Before: imageID(31)}},
	}
	read, unforced := make([]int64, len(pages)), make([]int64, len(pages))
	for i, p := range pages {
		for range 2 { // the second time warm
			before := rowsRead(b, db)
			imgs, err := list(ctx, owner, p.Page)
			require.NoError(b, err)
			require.Len(b, imgs, 30)
			read[i] = rowsRead(b, db) - before
		}
		b.Logf("%s: %d rows read; %s", p.where, read[i], explain(b, db, seen.text))
		// The same page as the planner would have it.
		plain := strings.Replace(seen.text, " FORCE INDEX (`PRIMARY`)", "", 1)
		require.NotEqual(b, seen.text, plain)
		before := rowsRead(b, db)
		drain(b, db, plain)
		unforced[i] = rowsRead(b, db) - before
		b.Logf("%s, without FORCE INDEX: %d rows read; %s", p.where, unforced[i], explain(b, db, plain))
	}

	times := make([][]time.Duration, len(pages))
	b.ResetTimer()
	for b.Loop() {
		for i, p := range pages {
			start := time.Now()
			_, err := list(ctx, owner, p.Page)
			times[i] = append(times[i], time.Since(start))
			require.NoError(b, err)
		}
	}
	front := median(times[0])
	b.ReportMetric(float64(front.Nanoseconds()), "front-ns/op")
	for i, p := range pages[1:] {
		b.ReportMetric(float64(median(times[i+1]))/float64(front), p.where+"/front")
	}
	for i, p := range pages {
		b.ReportMetric(float64(read[i]), p.where+"-rows")
	}
}

func median(all []time.Duration) time.Duration {
	slices.Sort(all)
	return all[len(all)/2]
}

// lastQuery keeps the last statement.
type lastQuery struct{ text string }

func (*lastQuery) BeforeQuery(ctx context.Context, _ *bun.QueryEvent) context.Context { return ctx }
func (q *lastQuery) AfterQuery(_ context.Context, e *bun.QueryEvent)                  { q.text = e.Query }

func count(b *testing.B, db *DB, where string) (n int64) {
	b.Helper()
	require.NoError(b, db.db.QueryRowContext(b.Context(), "SELECT COUNT(*) FROM images "+where).Scan(&n))
	return n
}

// rowsRead is how many rows the connection's statements have read so far.
func rowsRead(b *testing.B, db *DB) (sum int64) {
	b.Helper()
	rows, err := db.db.DB.QueryContext(b.Context(), "SHOW SESSION STATUS LIKE 'Handler_read%'")
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

func drain(b *testing.B, db *DB, query string) {
	b.Helper()
	rows, err := db.db.DB.QueryContext(b.Context(), query)
	require.NoError(b, err)
	for rows.Next() { // only how many the server reads is wanted
	}
	require.NoError(b, rows.Err())
	require.NoError(b, rows.Close())
}

// explain is the server's plan of a statement, in a line.
func explain(b *testing.B, db *DB, query string) string {
	b.Helper()
	steps := planOf(b, db, query)
	require.Len(b, steps, 1)
	s := steps[0]
	return fmt.Sprintf("type %s, key %s, key_len %s, rows %s, %s", s["type"], s["key"], s["key_len"], s["rows"], s["Extra"])
}

// imageID is the id of the image number n of any user.
func imageID(n int) (id domain.ID) {
	id, _ = domain.ParseID(fmt.Sprintf("01900000-0000-7000-8000-%012x", n))
	return id
}

// fillImages gives one user n images, numbered from 1, the oldest, among those of
// others: others before, and others behind. It returns the user.
func fillImages(b *testing.B, db *DB, n int) domain.ID {
	b.Helper()
	const (
		digits = "(SELECT 0 d UNION ALL SELECT 1 UNION ALL SELECT 2 UNION ALL SELECT 3 UNION ALL SELECT 4" +
			" UNION ALL SELECT 5 UNION ALL SELECT 6 UNION ALL SELECT 7 UNION ALL SELECT 8 UNION ALL SELECT 9)"
		part = 10_000
	)
	// add gives n images to each owner from first on, in the order of the primary key.
	add := func(first, owners, n int) {
		for o := first; o < first+owners; o++ {
			for from := 1; from <= n; from += part {
				_, err := db.db.DB.ExecContext(b.Context(), "INSERT INTO images"+
					" (owner_id, id, filename, size, sha256, format, width, height, frames, alpha, placeholder, uploaded_at)"+
					" SELECT ?, UNHEX(CONCAT('0190000000007000', LPAD(HEX(0x8000000000000000 + i), 16, '0'))), CONCAT('picture ', i, '.jpg'),"+
					" 2000000 + i, UNHEX(SHA2(i, 256)), 'jpeg', 4032, 3024, 1, 0, UNHEX(LEFT(SHA2(-i, 256), 50)), 1700000000000000 + i"+
					" FROM (SELECT ? + a.d + 10 * b.d + 100 * c.d + 1000 * e.d AS i FROM "+digits+" a, "+digits+" b, "+digits+" c, "+digits+" e) n"+
					" WHERE i <= ?", ownerNumber(o), from, n)
				require.NoError(b, err)
			}
		}
	}
	const before = 500
	each := min(n, part)
	owners := (othersOf - 1) * n / each
	add(0, min(before, owners), each)
	add(before, 1, n)
	if owners > before {
		add(before+1, owners-before, each)
	}
	analyzed, err := db.db.DB.QueryContext(b.Context(), "ANALYZE TABLE images")
	require.NoError(b, err)
	require.NoError(b, analyzed.Close())
	return domain.ID(ownerNumber(before))
}

func ownerNumber(n int) []byte { return []byte(fmt.Sprintf("owner%011d", n)) }
