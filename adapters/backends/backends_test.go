package backends_test

import (
	"cmp"
	"context"
	"errors"
	"go/parser"
	"go/token"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/embedded"
	"go.opentelemetry.io/otel/trace/noop"

	"github.com/imagify-api/imagify/adapters/backends"
	"github.com/imagify-api/imagify/app"
	"github.com/imagify-api/imagify/domain"
	"github.com/imagify-api/imagify/ports"
)

func quiet(c backends.Config) backends.Config {
	c.Logger = slog.New(slog.DiscardHandler)
	return c
}

// The zero Config is SQLite and a folder in ./data, and what was put in is there the next time, under the same key.
func TestZeroConfig(t *testing.T) {
	t.Chdir(t.TempDir())
	var keys [][]byte
	for start := range 2 {
		b, err := backends.Open(t.Context(), quiet(backends.Config{}))
		require.NoError(t, err)
		svc, err := app.New(b.Config)
		require.NoError(t, err)
		generated, err := svc.Bootstrap(t.Context(), "")
		require.NoError(t, err)
		assert.Equal(t, start == 0, generated != "", "the admin is made once")
		if start == 1 {
			assert.Equal(t, keys, b.SecretKeys)
		}
		keys = b.SecretKeys
		require.NoError(t, svc.Close())
		require.NoError(t, b.Close())
		require.NoError(t, b.Close(), "a second Close does nothing")
	}
	for _, name := range []string{"imagify.db", "blobs", "secret.key"} {
		_, err := os.Stat(filepath.Join("data", name))
		assert.NoError(t, err)
	}
}

// An error names the field, says what to do, and shows no password.
func TestErrorsNameTheField(t *testing.T) {
	t.Parallel()
	key := [][]byte{[]byte("sixteen characters and more")}
	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, []byte("x"), 0o600))
	for name, c := range map[string]struct {
		config backends.Config
		field  string
		says   string
		code   domain.Code
	}{
		"a database of an unknown kind": {backends.Config{Database: "postgres://me:SECRET@host/db"}, "Database", "use mysql://, sqlite: or mem:", domain.Invalid},
		"a database without a scheme":   {backends.Config{Database: "SECRET"}, "Database", `"sqlite:"`, domain.Invalid},
		"a bad address of a database":   {backends.Config{Database: "mysql://me:SECRET@host", SecretKeys: key}, "Database", "mysql", ""},
		"a storage of an unknown kind":  {backends.Config{Storage: "ftp://me:SECRET@host"}, "Storage", "use file:, s3://bucket or mem:", domain.Invalid},
		"a bucket without a name":       {backends.Config{Storage: "s3://"}, "Storage", "bucket", domain.Invalid},
		"Redis of an unknown kind":      {backends.Config{Redis: "http://:SECRET@host"}, "Redis", "use redis, rediss", domain.Invalid},
		"a resizer of an unknown kind":  {backends.Config{Resizer: "http://SECRET"}, "Resizer", "local: or lambda:function-name", domain.Invalid},
		"no key with MySQL":             {backends.Config{Database: "mysql://me:SECRET@host/db"}, "SecretKeys", "required", domain.Invalid},
		"a short key":                   {backends.Config{SecretKeys: [][]byte{[]byte("SECRET")}}, "SecretKeys", "16", domain.Invalid},
		"little memory":                 {backends.Config{Memory: 1 << 20}, "Memory", "32 MiB", domain.Invalid},
		"a negative bound":              {backends.Config{MaxUpload: -1}, "MaxUpload", "negative", domain.Invalid},
		"a negative number of pixels":   {backends.Config{MaxPixels: -1}, "MaxPixels", "negative", domain.Invalid},
		"a negative number of conns":    {backends.Config{MaxConns: -1}, "MaxConns", "negative", domain.Invalid},
		"a negative time in the trash":  {backends.Config{TrashFor: -1}, "TrashFor", "negative", domain.Invalid},
		"no installation":               {backends.Config{Existing: true}, "Database", "imagify.db does not exist", domain.NotFound},
		"no folder of pictures":         {backends.Config{Database: "mem:", Existing: true}, "Storage", "blobs does not exist", domain.NotFound},
		"a data folder that is a file":  {backends.Config{Data: file}, "Database", "choose a folder", ""},
		"pictures in a file":            {backends.Config{Database: "mem:", Storage: "file:" + file}, "Storage", "choose one that can be written", ""},
		"no place for the key":          {backends.Config{Database: "mem:", Storage: "file:" + filepath.Join(t.TempDir(), "b"), Data: file}, "SecretKeys", "set a key", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c.config.Data = cmp.Or(c.config.Data, filepath.Join(t.TempDir(), "none"))
			_, err := backends.Open(t.Context(), quiet(c.config))
			var field *backends.Error
			require.ErrorAs(t, err, &field)
			assert.Equal(t, c.field, field.Field)
			assert.True(t, strings.HasPrefix(field.Error(), "backends: Config."+c.field+": "), field.Error())
			assert.Contains(t, field.Error(), c.says)
			assert.NotContains(t, err.Error(), "SECRET")
			if c.code != "" {
				assert.ErrorIs(t, err, c.code)
			}
			if c.config.Existing {
				assert.NoDirExists(t, c.config.Data, "nothing is made")
			}
		})
	}
}

// Existing leaves the schema as it is, and tells that an empty database is no installation.
func TestExisting(t *testing.T) {
	t.Parallel()
	c := quiet(backends.Config{Data: t.TempDir()})
	require.NoError(t, os.WriteFile(c.DatabaseFile(), nil, 0o600))
	require.NoError(t, os.Mkdir(c.BlobsFolder(), 0o700))
	c.Existing = true
	b, err := backends.Open(t.Context(), c)
	require.NoError(t, err)
	defer b.Close()
	err = b.Installed(t.Context())
	require.ErrorIs(t, err, domain.NotFound)
	assert.Contains(t, err.Error(), "Config.Database")
	assert.NoFileExists(t, c.SecretFile(), "a program that looks leaves no key behind")
	require.NoError(t, b.Migrate(t.Context()))
	assert.NoError(t, b.Installed(t.Context()))
}

// The part that a process needs beside a function has no database and makes no key.
func TestOpenStored(t *testing.T) {
	t.Parallel()
	c := quiet(backends.Config{Data: t.TempDir()})
	b, err := backends.OpenStored(t.Context(), c)
	require.NoError(t, err)
	assert.NotNil(t, b.Resizer)
	require.NoError(t, b.Blobs.Put(t.Context(), "a/b", strings.NewReader("x"), ports.PutOptions{Size: 1}))
	require.NoError(t, b.Close())
	assert.NoFileExists(t, c.DatabaseFile())
	assert.NoFileExists(t, c.SecretFile())
	_, err = backends.OpenStored(t.Context(), backends.Config{Storage: "nfs://x"})
	require.ErrorIs(t, err, domain.Invalid)
	_, err = backends.OpenStored(t.Context(), backends.Config{Memory: -1})
	require.ErrorIs(t, err, domain.Invalid)
}

// recorder is a tracer provider that notes which spans were made, and which of them failed.
type recorder struct {
	embedded.TracerProvider
	mu    sync.Mutex
	ended map[string]int
	bad   map[string]int
}

type span struct {
	noop.Span
	r    *recorder
	name string
}

func (r *recorder) Tracer(string, ...trace.TracerOption) trace.Tracer { return starter{r: r} }

type starter struct {
	embedded.Tracer
	r *recorder
}

func (s starter) Start(ctx context.Context, name string, _ ...trace.SpanStartOption) (context.Context, trace.Span) {
	sp := &span{r: s.r, name: name}
	return trace.ContextWithSpan(ctx, sp), sp
}

func (s *span) SetStatus(c codes.Code, _ string) {
	if c == codes.Error {
		s.r.mu.Lock()
		defer s.r.mu.Unlock()
		s.r.bad[s.name]++
	}
}

func (s *span) End(...trace.SpanEndOption) {
	s.r.mu.Lock()
	defer s.r.mu.Unlock()
	s.r.ended[s.name]++
}

// Series and spans tell of the calls, and a missing blob is not the store's fault.
func TestInstruments(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]backends.Config{
		"both":    {Metrics: prometheus.NewRegistry(), Traces: &recorder{ended: map[string]int{}, bad: map[string]int{}}},
		"metrics": {Metrics: prometheus.NewRegistry()}, "traces": {Traces: &recorder{ended: map[string]int{}, bad: map[string]int{}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c.Data = t.TempDir()
			b, err := backends.Open(t.Context(), quiet(c))
			require.NoError(t, err)
			defer b.Close()
			require.NoError(t, b.Blobs.Put(t.Context(), "a/b", strings.NewReader("x"), ports.PutOptions{Size: 1}))
			_, err = b.Blobs.Open(t.Context(), "a/none")
			require.ErrorIs(t, err, domain.NotFound)
			_, err = b.Records.Changes.Since(t.Context(), "")
			require.NoError(t, err)
			require.NoError(t, os.RemoveAll(c.BlobsFolder()))
			require.Error(t, b.Blobs.Put(t.Context(), "a/c", strings.NewReader("x"), ports.PutOptions{Size: 1}))
			if r, ok := c.Traces.(*recorder); ok {
				r.mu.Lock()
				defer r.mu.Unlock()
				assert.Equal(t, 2, r.ended["storage put"])
				assert.Equal(t, 1, r.ended["storage open"])
				assert.Positive(t, r.ended["database select"])
				assert.Equal(t, map[string]int{"storage put": 1}, r.bad)
			}
			if reg, ok := c.Metrics.(*prometheus.Registry); ok {
				families, err := reg.Gather()
				require.NoError(t, err)
				got := map[string]float64{}
				for _, f := range families {
					for _, m := range f.GetMetric() {
						id := f.GetName()
						for _, l := range m.GetLabel() {
							id += " " + l.GetValue()
						}
						got[id] = m.GetCounter().GetValue() + float64(m.GetHistogram().GetSampleCount())
					}
				}
				assert.EqualValues(t, 2, got["imagify_backend_call_duration_seconds storage put"])
				assert.EqualValues(t, 1, got["imagify_backend_call_duration_seconds storage open"])
				assert.Positive(t, got["imagify_backend_call_duration_seconds database select"])
				assert.EqualValues(t, 1, got["imagify_backend_failures_total storage put"])
				assert.NotContains(t, got, "imagify_backend_failures_total storage open")
				assert.Contains(t, got, "imagify_database_connections in_use")
				c.Traces = nil
				_, err = backends.Open(t.Context(), quiet(c))
				var field *backends.Error
				require.ErrorAs(t, err, &field)
				assert.Equal(t, "Metrics", field.Field, "the same registry cannot take two")
			}
		})
	}
}

// serve, which the README shows, closes what it has opened.
func TestServeEnds(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, l.Close())
	folder := t.TempDir()
	assert.ErrorIs(t, serve(t.Context(), l, folder, "a password of the test"), net.ErrClosed)
	b, err := backends.Open(t.Context(), quiet(backends.Config{Data: folder, Existing: true}))
	require.NoError(t, err)
	assert.NoError(t, errors.Join(b.Installed(t.Context()), b.Close()))
}

// TestAdaptersImport holds the layers among the adapters: none imports a sibling, and none but the front end and this
// package imports the app. This package may import all of them, and none may import it.
func TestAdaptersImport(t *testing.T) {
	t.Parallel()
	const module = "github.com/imagify-api/imagify/"
	seen := 0
	require.NoError(t, filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		rel, err := filepath.Rel("..", path)
		require.NoError(t, err)
		own, _, _ := strings.Cut(filepath.ToSlash(rel), "/")
		parsed, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
		require.NoError(t, err)
		for _, i := range parsed.Imports {
			name, err := strconv.Unquote(i.Path.Value)
			require.NoError(t, err)
			within, ours := strings.CutPrefix(name, module)
			if !ours {
				continue
			}
			seen++
			layer, rest, _ := strings.Cut(within, "/")
			sibling, _, _ := strings.Cut(rest, "/")
			switch layer {
			case "domain", "ports":
			case "app":
				assert.Contains(t, []string{"ginapi", "backends"}, own, "%s imports the app", rel)
			case "adapters":
				codec := own == "internal" && strings.HasPrefix(rest, "nativeresizer/") // its codecs are everybody's
				if own == "backends" || sibling == "internal" || codec {
					continue
				}
				assert.Equal(t, own, sibling, "%s imports a sibling", rel)
			default:
				t.Errorf("%s imports %s", rel, name)
			}
		}
		return nil
	}))
	assert.Positive(t, seen, "the test looks at the wrong folder")
}
