package mysqlrepo

import (
	"context"
	"database/sql"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/pingcap/tidb/pkg/parser"
	"github.com/pingcap/tidb/pkg/parser/ast"
	"github.com/pingcap/tidb/pkg/parser/opcode"
	_ "github.com/pingcap/tidb/pkg/parser/test_driver" // the values in a parsed statement
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
	literal = regexp.MustCompile(`X'[0-9A-Fa-f]*'|'(?:[^'\\]|''|\\.)*'|\b(?:\d+|NULL|TRUE|FALSE)\b`)
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

// forbidden is what Vitess, or one of the three databases, does not take.
var forbidden = regexp.MustCompile(`(?i)\b(FOREIGN|REFERENCES|TRIGGER|PROCEDURE|FUNCTION|CALL|JSON_\w+|OFFSET|RETURNING|REPLACE|ON DUPLICATE|GET_LOCK|LOCK TABLES|LATERAL|WITH)\b|->`)

// Every statement that the whole suite of the ports makes finds its rows by an
// index, stays on one shard and keeps to the common SQL.
func TestStatements(t *testing.T) {
	servers(t, func(t *testing.T, s *server) {
		seen := &statements{all: map[string]string{}}
		// The suite's tests run to their end within this one.
		t.Run("collect", func(t *testing.T) {
			porttest.Records(t, func(t *testing.T) ports.Records { return s.fresh(t, seen).Records() })
		})
		db := s.fresh(t)
		fill(t, db, 2000)
		sharding := map[string]bool{}
		p := parser.New()
		// What a transaction sends last is several statements in one text.
		single := map[string]string{} // by shape
		for _, text := range seen.all {
			all, _, err := p.Parse(text, "", "")
			require.NoError(t, err, text)
			for _, one := range all {
				query := strings.Trim(one.Text(), "; ")
				single[shape(query)] = query
			}
		}
		shapes := slices.Sorted(maps.Keys(single))
		require.Greater(t, len(shapes), 60, "the collector sees the statements")
		for _, s := range shapes {
			switch verb, _, _ := strings.Cut(s, " "); verb {
			case "BEGIN", "START", "COMMIT", "ROLLBACK", "SET":
				continue
			}
			assert.NotRegexp(t, forbidden, s)
			tree, err := p.ParseOneStmt(single[s], "", "")
			require.NoError(t, err, s)
			for table, ok := range shardsOf(tree) {
				sharding[table] = true
				assert.Truef(t, ok, "a statement on %s that is not on one shard: %s", table, s)
			}
			checkPlan(t, db, s, single[s])
		}
		for table := range sharded {
			assert.Truef(t, sharding[table], "no statement on %s was seen", table)
		}
	})
}

// The check on shards finds what it is there for.
func TestShardsOf(t *testing.T) {
	t.Parallel()
	for query, want := range map[string]map[string]bool{
		"SELECT id FROM images WHERE owner_id = X'01' AND id < X'02'":                                            {"images": true},
		"SELECT id FROM images WHERE id = X'01'":                                                                 {"images": false},
		"SELECT id FROM images":                                                                                  {"images": false},
		"SELECT id FROM images WHERE owner_id = X'01' OR id = X'02'":                                             {"images": false},
		"SELECT id FROM images WHERE owner_id > X'01'":                                                           {"images": false},
		"SELECT id FROM images WHERE owner_id = id":                                                              {"images": false},
		"UPDATE links SET views = 1 WHERE token_hash IN (X'01', X'02')":                                          {"links": true},
		"UPDATE links SET views = 1 WHERE token_hash NOT IN (X'01')":                                             {"links": false},
		"DELETE FROM links WHERE id = X'01'":                                                                     {"links": false},
		"INSERT INTO links (id) VALUES (X'01')":                                                                  {"links": false},
		"INSERT INTO links (id, token_hash) VALUES (X'01', X'02')":                                               {"links": true},
		"SELECT state FROM unfinished WHERE id = 1 UNION ALL SELECT 1 FROM images WHERE owner_id = 1 AND id = 1": {"images": true},
		"SELECT state FROM unfinished WHERE id = 1 UNION ALL SELECT 1 FROM images WHERE id = 1":                  {"images": false},
	} {
		tree, err := parser.New().ParseOneStmt(query, "", "")
		require.NoError(t, err, query)
		assert.Equal(t, want, shardsOf(tree), query)
	}
}

// shardsOf tells for each sharded table of a statement whether the statement is bound to one shard.
func shardsOf(tree ast.StmtNode) map[string]bool {
	v := shardVisitor{}
	tree.Accept(v)
	return v
}

type shardVisitor map[string]bool

func (v shardVisitor) Enter(n ast.Node) (ast.Node, bool) {
	switch n := n.(type) {
	case *ast.SelectStmt:
		if n.From != nil {
			v.note(n.From, boundColumns(n.Where))
		}
	case *ast.UpdateStmt:
		v.note(n.TableRefs, boundColumns(n.Where))
	case *ast.DeleteStmt:
		v.note(n.TableRefs, boundColumns(n.Where))
	case *ast.InsertStmt:
		columns := map[string]bool{}
		for _, c := range n.Columns {
			columns[c.Name.L] = true
		}
		v.note(n.Table, columns)
	}
	return n, false
}

func (v shardVisitor) Leave(n ast.Node) (ast.Node, bool) { return n, true }

func (v shardVisitor) note(refs *ast.TableRefsClause, columns map[string]bool) {
	tables := tableNames{}
	refs.Accept(tables)
	for table := range tables {
		if key, ok := sharded[table]; ok {
			before, seen := v[table]
			v[table] = columns[key] && (before || !seen)
		}
	}
}

type tableNames map[string]bool

func (v tableNames) Enter(n ast.Node) (ast.Node, bool) {
	if table, ok := n.(*ast.TableName); ok {
		v[table.Name.L] = true
	}
	return n, false
}

func (v tableNames) Leave(n ast.Node) (ast.Node, bool) { return n, true }

// boundColumns are the columns that a condition binds to values, whatever else it says.
func boundColumns(e ast.ExprNode) map[string]bool {
	out := map[string]bool{}
	bind := func(column ast.ExprNode, values ...ast.ExprNode) {
		c, ok := column.(*ast.ColumnNameExpr)
		for _, value := range values {
			if _, literal := value.(ast.ValueExpr); !literal {
				ok = false
			}
		}
		if ok {
			out[c.Name.Name.L] = true
		}
	}
	switch e := e.(type) {
	case *ast.ParenthesesExpr:
		return boundColumns(e.Expr)
	case *ast.BinaryOperationExpr:
		switch e.Op {
		case opcode.LogicAnd:
			for _, side := range []ast.ExprNode{e.L, e.R} {
				for c := range boundColumns(side) {
					out[c] = true
				}
			}
		case opcode.EQ:
			bind(e.L, e.R)
		}
	case *ast.PatternInExpr:
		if !e.Not && e.Sel == nil {
			bind(e.Expr, e.List...)
		}
	}
	return out
}

// fill gives every table n rows, so that the planner has something to choose by.
func fill(t *testing.T, db *DB, n int) {
	t.Helper()
	ctx, pool := t.Context(), db.db.DB
	rows, err := pool.QueryContext(ctx, "SELECT table_name, column_name, column_type FROM information_schema.columns"+
		" WHERE table_schema = DATABASE() AND table_name NOT LIKE 'goose%' AND table_name <> 'migration_lease' ORDER BY table_name, ordinal_position")
	require.NoError(t, err)
	defer rows.Close()
	columns, values := map[string][]string{}, map[string][]string{}
	for rows.Next() {
		var table, column, kind string
		require.NoError(t, rows.Scan(&table, &column, &kind))
		value := "CONCAT('" + column + "', i)"
		switch {
		case kind == "binary(16)":
			value = "UNHEX(LEFT(SHA2(CONCAT(i, '" + column + "'), 256), 32))"
		case kind == "binary(32)":
			value = "UNHEX(SHA2(CONCAT(i, '" + column + "'), 256))"
		case kind == "tinyint(1)":
			value = "i % 50 = 0"
		case strings.HasPrefix(kind, "bigint"):
			value = "9000000000000000000 + i" // later than any time: what looks for old rows finds few
		case strings.Contains(kind, "int"):
			value = "i"
		}
		columns[table], values[table] = append(columns[table], "`"+column+"`"), append(values[table], value)
	}
	require.NoError(t, rows.Err())
	require.Contains(t, columns, "images")
	const digits = "(SELECT 0 d UNION ALL SELECT 1 UNION ALL SELECT 2 UNION ALL SELECT 3 UNION ALL SELECT 4" +
		" UNION ALL SELECT 5 UNION ALL SELECT 6 UNION ALL SELECT 7 UNION ALL SELECT 8 UNION ALL SELECT 9)"
	for table := range columns {
		_, err := pool.ExecContext(ctx, fmt.Sprintf("INSERT IGNORE INTO %s (%s) SELECT %s FROM"+
			" (SELECT 1 + a.d + 10 * b.d + 100 * c.d + 1000 * e.d AS i FROM %s a, %s b, %s c, %s e) n WHERE i <= %d",
			table, strings.Join(columns[table], ", "), strings.Join(values[table], ", "), digits, digits, digits, digits, n))
		require.NoError(t, err, table)
		analyzed, err := pool.QueryContext(ctx, "ANALYZE TABLE "+table)
		require.NoError(t, err)
		require.NoError(t, analyzed.Close())
	}
}

// checkPlan has the server explain a statement.
func checkPlan(t *testing.T, db *DB, s, query string) {
	t.Helper()
	if strings.HasPrefix(s, "INSERT") {
		return // looks nothing up
	}
	for _, step := range planOf(t, db, query) {
		if step["table"] == "tiers" {
			continue // a handful of rows, and all are wanted
		}
		assert.NotEqualf(t, "ALL", step["type"], "%s: reads all of a table: %v", s, step)
		assert.NotContainsf(t, step["Extra"], "Using filesort", "%s: sorts: %v", s, step)
		if step["type"] == "index" {
			// The first page of a list walks an index in its order and stops at the limit;
			// a condition would make it skip any number of rows on the way.
			assert.Truef(t, strings.Contains(s, " LIMIT ") && !strings.Contains(s, " WHERE "), "%s: %v", s, step)
		}
	}
}

// planOf is the server's plan of a statement: for each step its columns by name.
func planOf(t testing.TB, db *DB, query string) (steps []map[string]string) {
	t.Helper()
	rows, err := db.db.DB.QueryContext(t.Context(), "EXPLAIN FORMAT=TRADITIONAL "+query)
	require.NoError(t, err, query)
	defer rows.Close()
	names, err := rows.Columns()
	require.NoError(t, err)
	for rows.Next() {
		values := make([]sql.NullString, len(names))
		targets := make([]any, len(names))
		for i := range values {
			targets[i] = &values[i]
		}
		require.NoError(t, rows.Scan(targets...))
		step := map[string]string{}
		for i, name := range names {
			step[name] = values[i].String
		}
		// Newer servers explain as a tree unless told otherwise, and then this finds nothing.
		require.Contains(t, step, "type", query)
		steps = append(steps, step)
	}
	require.NoError(t, rows.Err())
	return steps
}

// The steps of the schema keep to the common rules too.
func TestMigrationsFollowTheRules(t *testing.T) {
	t.Parallel()
	all, err := migrations.ReadDir("migrations")
	require.NoError(t, err)
	for _, file := range all {
		up, down := statementsOf(t, file.Name())
		for _, statement := range []string{up, down} {
			assert.NotRegexp(t, forbidden, statement, file.Name())
			assert.Equal(t, 1, strings.Count(statement, ";"), "%s: one statement a direction", file.Name())
			_, err := parser.New().ParseOneStmt(statement, "", "")
			assert.NoError(t, err, file.Name())
		}
	}
}
