package sqliterepo

import (
	"context"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/uptrace/bun"

	"github.com/imagify-api/imagify/ports"
	"github.com/imagify-api/imagify/ports/porttest"
)

// statements collects every statement, one of each shape.
type statements struct {
	mu  sync.Mutex
	all map[string]string // by shape
}

func (s *statements) BeforeQuery(ctx context.Context, _ *bun.QueryEvent) context.Context { return ctx }

func (s *statements) AfterQuery(_ context.Context, e *bun.QueryEvent) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all[shape(e.Query)] = e.Query
}

var (
	literal = regexp.MustCompile(`X'[0-9A-Fa-f]*'|'(?:[^']|'')*'|\b(?:\d+|NULL|TRUE|FALSE)\b`)
	lists   = regexp.MustCompile(`\(\?(?:, \?)*\)(?:, \(\?(?:, \?)*\))*`)
)

// shape is a statement without its values.
func shape(query string) string {
	return lists.ReplaceAllString(literal.ReplaceAllString(query, "?"), "(?)")
}

// sharded are the tables that are split over many databases, with what they are split by.
var sharded = map[string]string{
	"images": "owner_id", "usages": "owner_id", "idempotency": "owner_id", "owner_links": "owner_id", "links": "token_hash",
}

// wholeTables may be read from end to end, and why.
var wholeTables = map[string]string{
	"tiers":         "a handful of rows, and all are wanted",
	"sqlite_schema": "SQLite's own list of tables, which has no index",
}

// wholeOwners may read all rows of one owner, and why.
var wholeOwners = map[string]string{
	"DELETE FROM idempotency WHERE owner_id = ?":                             "the owner is being removed, and all are meant",
	"SELECT COUNT(*), COALESCE(SUM(size), ?) FROM images WHERE owner_id = ?": "they are counted again because the count was wrong",
}

// allOfAnOwner is the step of a plan that walks all of an owner's rows.
var allOfAnOwner = regexp.MustCompile(`^SEARCH (images|owner_links|idempotency) .*\(owner_id=\?\)$`)

var forbidden = regexp.MustCompile(`(?i)\b(FOREIGN|REFERENCES|TRIGGER|PROCEDURE|CALL|JSON_\w+|OFFSET|RETURNING|REPLACE|ON CONFLICT|ON DUPLICATE|OR IGNORE|WITH)\b`)

// Every statement that the whole suite of the ports makes finds its rows by an
// index, stays on one shard and keeps to the common SQL.
func TestStatements(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds: run it without -short")
	}
	t.Parallel()
	seen := &statements{all: map[string]string{}}
	porttest.Records(t, func(t *testing.T) ports.Records { return fresh(t, seen).Records() })
	db := fresh(t)
	written := map[string]bool{}
	var shapes []string
	for s := range seen.all {
		shapes = append(shapes, s)
	}
	slices.Sort(shapes)
	require.Greater(t, len(shapes), 60, "the collector sees the statements")
	for _, s := range shapes {
		switch strings.ToUpper(strings.Fields(s)[0]) {
		case "BEGIN", "COMMIT", "ROLLBACK":
			continue
		}
		for part := range strings.SplitSeq(s, "UNION ALL") {
			checkShards(t, part, written)
		}
		assert.NotRegexp(t, forbidden, s)
		checkPlan(t, db, s, seen.all[s])
	}
	for table := range sharded {
		assert.Truef(t, written[table], "no statement on %s was seen", table)
	}
}

func checkShards(t *testing.T, s string, seen map[string]bool) {
	t.Helper()
	for table, key := range sharded {
		if !regexp.MustCompile(`(?i)\b(FROM|UPDATE|INTO|JOIN) "?` + table + `\b`).MatchString(s) {
			continue
		}
		seen[table] = true
		if strings.HasPrefix(s, "INSERT") {
			assert.Containsf(t, s, key, "an INSERT without its shard key: %s", s)
			continue
		}
		_, where, _ := strings.Cut(s, " WHERE ")
		assert.Regexpf(t, `\b`+key+`"? (= \?|IN \()`, where, "a statement on %s that is not on one shard: %s", table, s)
		// Under an OR the key would bind only one side of it.
		assert.NotRegexpf(t, `(?i)[^)(]* OR [^)(]*`+key, where, "%s", s)
	}
}

func checkPlan(t *testing.T, db *DB, s, query string) {
	t.Helper()
	rows, err := db.write.DB.QueryContext(t.Context(), "EXPLAIN QUERY PLAN "+query)
	require.NoError(t, err, query)
	defer rows.Close()
	for rows.Next() {
		var id, parent, unused int
		var step string
		require.NoError(t, rows.Scan(&id, &parent, &unused, &step))
		assert.NotContainsf(t, step, "TEMP B-TREE", "%s: sorts", s)
		if allOfAnOwner.MatchString(step) && !strings.Contains(s, " LIMIT ") {
			assert.Containsf(t, wholeOwners, s, "%s: walks all of an owner's rows", step)
		}
		table, scans := strings.CutPrefix(step, "SCAN ")
		if !scans || strings.Contains(table, "CONSTANT ROW") {
			continue
		}
		table, _, _ = strings.Cut(table, " ")
		if _, ok := wholeTables[table]; ok {
			continue
		}
		// The first page of a list walks an index in its order and stops at the limit;
		// a condition would make it skip any number of rows on the way.
		assert.Truef(t, strings.Contains(s, " LIMIT ") && !strings.Contains(s, " WHERE "), "%s: %s", s, step)
	}
	require.NoError(t, rows.Err())
}
