package bunrepo

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"strings"
	"time"

	"github.com/pressly/goose/v3"
)

// Migration is one step of a database's schema.
type Migration struct {
	Version int64
	Name    string // the file's; empty where Newer
	// AppliedAt is when it was applied; zero while it is pending.
	AppliedAt time.Time
	// Newer says that a newer program applied it and this one does not know it.
	Newer bool
}

// SchemaOptions is how a database takes the steps of its schema.
type SchemaOptions struct {
	Dialect goose.Dialect
	// Files are the steps: files named VERSION_name.sql, numbered from 1 without a gap,
	// each with one statement up and one down, as goose marks them.
	Files fs.FS
	// HasTable is a query for how many tables have the name that is its argument.
	HasTable string
	// Done reports that an error of a step's statement means that the step was done
	// already, by a process that died before it could note so; nil where a statement and
	// its note are one transaction.
	Done func(error) bool
}

// Schema brings a database's schema from one version to another.
//
// Two versions of the program run on one schema while nodes are replaced: a change is
// made in steps that the program before can live with. It expands (adds a table, a
// column with a default, an index); a release later, when no node of the one before is
// left, it may contract. A step that contracts comes after one that raises
// schema_support.oldest to the version that a program must know to live without what
// goes. So a program accepts a schema that is newer than itself unless that row says
// otherwise.
type Schema struct {
	db    *sql.DB
	o     SchemaOptions
	steps []schemaStep
}

type schemaStep struct {
	Migration
	up, down string
}

const supportTable = "schema_support"

// NewSchema reads the steps. Nothing is asked of the database.
func NewSchema(db *sql.DB, o SchemaOptions) (*Schema, error) {
	s := &Schema{db: db, o: o}
	files, err := fs.ReadDir(o.Files, ".")
	if err != nil {
		return nil, err
	}
	for i, f := range files {
		text, err := fs.ReadFile(o.Files, f.Name())
		if err != nil {
			return nil, err
		}
		number, _, _ := strings.Cut(f.Name(), "_")
		version, err := strconv.ParseInt(number, 10, 64)
		up, down, found := strings.Cut(strings.TrimPrefix(string(text), "-- +goose Up\n"), "\n-- +goose Down\n")
		if err != nil || !found || version != int64(i+1) {
			return nil, fmt.Errorf("the step %s is not number %d, or has no way down", f.Name(), i+1)
		}
		s.steps = append(s.steps, schemaStep{Migration{Version: version, Name: f.Name()}, up, down})
	}
	return s, nil
}

// newest is the newest version that this program knows.
func (s *Schema) newest() int64 { return int64(len(s.steps)) }

// Up applies what is missing and returns it.
func (s *Schema) Up(ctx context.Context) ([]Migration, error) {
	p, err := s.provider()
	if err != nil {
		return nil, err
	}
	results, err := p.Up(ctx)
	return s.named(results), err
}

// Down takes back the steps above a version, newest first, and returns them. Steps that
// a newer program made are that program's to take back.
func (s *Schema) Down(ctx context.Context, version int64) ([]Migration, error) {
	have, err := s.version(ctx)
	if err != nil {
		return nil, err
	}
	if have > s.newest() {
		return nil, fmt.Errorf("it has schema version %d, and this program knows the steps up to %d only: take the newer ones back with the program that made them, or a newer one", have, s.newest())
	}
	p, err := s.provider()
	if err != nil {
		return nil, err
	}
	results, err := p.DownTo(ctx, version)
	return s.named(results), err
}

// Status returns every step, oldest first, those of a newer program at the end.
func (s *Schema) Status(ctx context.Context) ([]Migration, error) {
	out := make([]Migration, len(s.steps))
	for i, step := range s.steps {
		out[i] = step.Migration
	}
	if there, err := s.has(ctx, goose.DefaultTablename); err != nil || !there {
		return out, err
	}
	rows, err := s.db.QueryContext(ctx, "SELECT version_id, tstamp FROM "+goose.DefaultTablename+
		" WHERE is_applied AND version_id > 0 ORDER BY version_id")
	if err != nil {
		return nil, err
	}
	defer rows.Close() //nolint:errcheck // rows.Err has told
	for rows.Next() {
		var version int64
		var at time.Time
		if err := rows.Scan(&version, &at); err != nil {
			return nil, err
		}
		if version > s.newest() {
			out = append(out, Migration{Version: version, Newer: true, AppliedAt: at.UTC()})
		} else {
			out[version-1].AppliedAt = at.UTC()
		}
	}
	return out, rows.Err()
}

// Check refuses a schema that this program cannot live with. One that is older than
// the program, or not there yet, is Up's business.
func (s *Schema) Check(ctx context.Context) error {
	have, err := s.version(ctx)
	if err != nil || have <= s.newest() {
		return err
	}
	oldest := have // unless it says otherwise
	if there, err := s.has(ctx, supportTable); err != nil {
		return err
	} else if there {
		err := s.db.QueryRowContext(ctx, "SELECT oldest FROM "+supportTable+" WHERE id = 1").Scan(&oldest)
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			return err
		}
	}
	if oldest > s.newest() {
		return fmt.Errorf("it has schema version %d, which needs a program that knows version %d, and this one knows versions up to %d only: use the program that made it, or a newer one",
			have, oldest, s.newest())
	}
	return nil
}

// version is the schema's newest version; 0 where there is none yet.
func (s *Schema) version(ctx context.Context) (int64, error) {
	if there, err := s.has(ctx, goose.DefaultTablename); err != nil || !there {
		return 0, err
	}
	var have sql.NullInt64
	err := s.db.QueryRowContext(ctx, "SELECT MAX(version_id) FROM "+goose.DefaultTablename+" WHERE is_applied").Scan(&have)
	return have.Int64, err
}

func (s *Schema) has(ctx context.Context, table string) (bool, error) {
	var n int
	err := s.db.QueryRowContext(ctx, s.o.HasTable, table).Scan(&n)
	return n > 0, err
}

func (s *Schema) provider() (*goose.Provider, error) {
	gos := make([]*goose.Migration, len(s.steps))
	for i, step := range s.steps {
		gos[i] = goose.NewGoMigration(step.Version, s.apply(step.up), s.apply(step.down))
	}
	return goose.NewProvider(s.o.Dialect, s.db, nil, goose.WithDisableGlobalRegistry(true), goose.WithGoMigrations(gos...))
}

func (s *Schema) apply(statement string) *goose.GoFunc {
	if s.o.Done == nil {
		return &goose.GoFunc{RunTx: func(ctx context.Context, tx *sql.Tx) error {
			_, err := tx.ExecContext(ctx, statement)
			return err
		}}
	}
	return &goose.GoFunc{RunDB: func(ctx context.Context, db *sql.DB) error {
		_, err := db.ExecContext(ctx, statement)
		if err != nil && s.o.Done(err) {
			return nil
		}
		return err
	}}
}

func (s *Schema) named(results []*goose.MigrationResult) []Migration {
	out := make([]Migration, len(results))
	for i, r := range results {
		out[i] = Migration{Version: r.Source.Version, Name: s.steps[r.Source.Version-1].Name}
	}
	return out
}
