package wiring

import (
	"context"
	"database/sql"
	"errors"
	"io"
	"iter"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/uptrace/bun"

	"github.com/imagify-api/imagify/adapters/redisstate"
	"github.com/imagify-api/imagify/domain"
	"github.com/imagify-api/imagify/ports"
)

// measures are the series of the backends: how often each is called, how long it
// takes, and how often it fails.
type measures struct {
	duration *prometheus.HistogramVec
	failures *prometheus.CounterVec
}

func newMeasures(reg prometheus.Registerer) (*measures, error) {
	m := &measures{
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "imagify_backend_call_duration_seconds", Help: "Time of a backend's calls: a statement, the beginning of a blob's answer, a command.",
			Buckets: []float64{.0005, .002, .01, .05, .25, 1, 5, 30},
		}, []string{"backend", "call"}),
		failures: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "imagify_backend_failures_total", Help: "Calls that a backend did not answer, or answered with a fault of its own.",
		}, []string{"backend", "call"}),
	}
	return m, errors.Join(reg.Register(m.duration), reg.Register(m.failures))
}

// watchPool adds the series of a database's connections.
func watchPool(reg prometheus.Registerer, stats func() sql.DBStats) error {
	gauge := func(state string, value func(sql.DBStats) int) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "imagify_database_connections", Help: "Connections to the database, by what they do.", ConstLabels: prometheus.Labels{"state": state},
		}, func() float64 { return float64(value(stats())) })
	}
	return errors.Join(
		reg.Register(gauge("in_use", func(s sql.DBStats) int { return s.InUse })),
		reg.Register(gauge("idle", func(s sql.DBStats) int { return s.Idle })),
		reg.Register(prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name: "imagify_database_wait_seconds_total", Help: "Time that statements waited for a connection.",
		}, func() float64 { return stats().WaitDuration.Seconds() })),
	)
}

// observe notes a call that began at a time and ended now.
func (m *measures) observe(backend, call string, began time.Time, failed bool) {
	m.duration.WithLabelValues(backend, call).Observe(time.Since(began).Seconds())
	if failed {
		m.failures.WithLabelValues(backend, call).Inc()
	}
}

// faulty reports that an error of a port is the backend's own fault.
func faulty(err error) bool {
	if err == nil || errors.Is(err, context.Canceled) {
		return false
	}
	code := domain.CodeOf(err)
	return code == domain.Unavailable || code == domain.Internal
}

// statements measures each statement; away tells which errors are the database's own.
type statements struct {
	m    *measures
	away func(error) bool
}

func (statements) BeforeQuery(ctx context.Context, _ *bun.QueryEvent) context.Context { return ctx }

func (s statements) AfterQuery(_ context.Context, e *bun.QueryEvent) {
	s.m.observe("database", strings.ToLower(e.Operation()), e.StartTime, e.Err != nil && s.away(e.Err))
}

// measuredBlobs is a store whose calls are measured. An Open is measured until the
// answer begins.
type measuredBlobs struct {
	ports.Blobs
	m *measures
}

func (b measuredBlobs) Put(ctx context.Context, key string, r io.Reader, o ports.PutOptions) (err error) {
	defer b.observe("put", time.Now(), &err)
	return b.Blobs.Put(ctx, key, r, o)
}

func (b measuredBlobs) Open(ctx context.Context, key string) (_ ports.Blob, err error) {
	defer b.observe("open", time.Now(), &err)
	return b.Blobs.Open(ctx, key)
}

func (b measuredBlobs) Delete(ctx context.Context, keys ...string) (err error) {
	defer b.observe("delete", time.Now(), &err)
	return b.Blobs.Delete(ctx, keys...)
}

func (b measuredBlobs) List(ctx context.Context, prefix, after string, limit int) (_ []ports.BlobInfo, err error) {
	defer b.observe("list", time.Now(), &err)
	return b.Blobs.List(ctx, prefix, after, limit)
}

func (b measuredBlobs) Move(ctx context.Context, from, to string) (err error) {
	defer b.observe("move", time.Now(), &err)
	return b.Blobs.Move(ctx, from, to)
}

func (b measuredBlobs) Copy(ctx context.Context, from, to string) (err error) {
	defer b.observe("copy", time.Now(), &err)
	return b.Blobs.Copy(ctx, from, to)
}

// Walk implements ports.BlobWalker: by the store's own way where it has one, else page
// by page. It takes as long as its caller does, and is not measured.
func (b measuredBlobs) Walk(ctx context.Context, prefix, after string, foreign func(string)) iter.Seq2[ports.BlobInfo, error] {
	return ports.WalkBlobs(ctx, b.Blobs, prefix, after, foreign)
}

func (b measuredBlobs) observe(call string, began time.Time, err *error) {
	b.m.observe("storage", call, began, faulty(*err))
}

// Ping implements ports.Pinger, for stores that do not too.
func (b measuredBlobs) Ping(ctx context.Context) error {
	if p, ok := b.Blobs.(ports.Pinger); ok {
		return p.Ping(ctx)
	}
	_, err := b.Blobs.List(ctx, "", "", 1)
	return err
}

// SweepPartial implements ports.BlobSweeper; a store that leaves nothing half-written has nothing to sweep.
func (b measuredBlobs) SweepPartial(ctx context.Context, before time.Time, dryRun bool) (int, error) {
	if s, ok := b.Blobs.(ports.BlobSweeper); ok {
		return s.SweepPartial(ctx, before, dryRun)
	}
	return 0, nil
}

// measuredState is Redis's state whose calls are measured.
type measuredState struct {
	*redisstate.State
	m *measures
}

func (s measuredState) Check(ctx context.Context, token domain.SecretHash) (_ ports.Life, err error) {
	defer s.observe("link_check", time.Now(), &err)
	return s.State.Check(ctx, token)
}

func (s measuredState) Keep(ctx context.Context, token domain.SecretHash, ttl time.Duration) (err error) {
	defer s.observe("link_keep", time.Now(), &err)
	return s.State.Keep(ctx, token, ttl)
}

func (s measuredState) Bury(ctx context.Context, token domain.SecretHash, ttl time.Duration) (err error) {
	defer s.observe("link_bury", time.Now(), &err)
	return s.State.Bury(ctx, token, ttl)
}

func (s measuredState) Allow(ctx context.Context, key string, r ports.Rate) (_ ports.RateState, err error) {
	defer s.observe("rate_allow", time.Now(), &err)
	return s.State.Allow(ctx, key, r)
}

func (s measuredState) Peek(ctx context.Context, key string, r ports.Rate) (_ ports.RateState, err error) {
	defer s.observe("rate_peek", time.Now(), &err)
	return s.State.Peek(ctx, key, r)
}

func (s measuredState) Reset(ctx context.Context, key string) (err error) {
	defer s.observe("rate_reset", time.Now(), &err)
	return s.State.Reset(ctx, key)
}

func (s measuredState) Publish(ctx context.Context) (err error) {
	defer s.observe("publish", time.Now(), &err)
	return s.State.Publish(ctx)
}

func (s measuredState) observe(call string, began time.Time, err *error) {
	s.m.observe("redis", call, began, faulty(*err))
}
