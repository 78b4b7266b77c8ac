package backends

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
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"github.com/imagify-api/imagify/adapters/redisstate"
	"github.com/imagify-api/imagify/domain"
	"github.com/imagify-api/imagify/ports"
)

// instruments tell of the backends' calls: how often each is made, how long it takes and how
// often it fails, as series; and each call as a span.
type instruments struct {
	duration *prometheus.HistogramVec // nil: no series
	failures *prometheus.CounterVec
	tracer   trace.Tracer // nil: no spans
}

// newInstruments returns nil where nobody wants to be told.
func newInstruments(reg prometheus.Registerer, traces trace.TracerProvider) (*instruments, error) {
	if reg == nil && traces == nil {
		return nil, nil
	}
	in := &instruments{}
	if traces != nil {
		in.tracer = traces.Tracer("github.com/imagify-api/imagify/adapters/backends")
	}
	if reg == nil {
		return in, nil
	}
	in.duration = prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "imagify_backend_call_duration_seconds", Help: "Time of a backend's calls: a statement, the beginning of a blob's answer, a command.",
		Buckets: []float64{.0005, .002, .01, .05, .25, 1, 5, 30},
	}, []string{"backend", "call"})
	in.failures = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "imagify_backend_failures_total", Help: "Calls that a backend did not answer, or answered with a fault of its own.",
	}, []string{"backend", "call"})
	return in, errors.Join(reg.Register(in.duration), reg.Register(in.failures))
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

// call is a call of a backend that is under way.
type call struct {
	in            *instruments
	backend, name string
	began         time.Time
	span          trace.Span // nil: none
}

// begin notes that a call begins.
func (in *instruments) begin(ctx context.Context, backend, name string) (context.Context, call) {
	c := call{in: in, backend: backend, name: name, began: time.Now()}
	if in.tracer != nil {
		ctx, c.span = in.tracer.Start(ctx, backend+" "+name, trace.WithSpanKind(trace.SpanKindClient),
			trace.WithAttributes(attribute.String("imagify.backend", backend), attribute.String("imagify.call", name)))
	}
	return ctx, c
}

// end notes that a call has ended, and whether the backend is to blame for how.
func (c call) end(failed bool) {
	if c.span != nil {
		if failed { // without the error's text, which may name a key or a host
			c.span.SetStatus(codes.Error, c.backend+" failed")
		}
		c.span.End()
	}
	if c.in.duration == nil {
		return
	}
	c.in.duration.WithLabelValues(c.backend, c.name).Observe(time.Since(c.began).Seconds())
	if failed {
		c.in.failures.WithLabelValues(c.backend, c.name).Inc()
	}
}

// done is end for a call of a port; it is deferred.
func (c call) done(err *error) { c.end(faulty(*err)) }

// faulty reports that an error of a port is the backend's own fault.
func faulty(err error) bool {
	if err == nil || errors.Is(err, context.Canceled) {
		return false
	}
	code := domain.CodeOf(err)
	return code == domain.Unavailable || code == domain.Internal
}

// statements instruments each statement; unavailable tells which errors are the database's own.
type statements struct {
	in          *instruments
	unavailable func(error) bool
}

// BeforeQuery implements bun.QueryHook.
func (s statements) BeforeQuery(ctx context.Context, e *bun.QueryEvent) context.Context {
	if s.in.tracer != nil {
		ctx, _ = s.in.begin(ctx, "database", strings.ToLower(e.Operation()))
	}
	return ctx
}

// AfterQuery implements bun.QueryHook.
func (s statements) AfterQuery(ctx context.Context, e *bun.QueryEvent) {
	c := call{in: s.in, backend: "database", name: strings.ToLower(e.Operation()), began: e.StartTime}
	if s.in.tracer != nil {
		c.span = trace.SpanFromContext(ctx) // BeforeQuery's
	}
	c.end(e.Err != nil && s.unavailable(e.Err))
}

// instrumentedBlobs is a store whose calls are instrumented. An Open lasts until the
// answer begins.
type instrumentedBlobs struct {
	ports.Blobs
	in *instruments
}

func (b instrumentedBlobs) Put(ctx context.Context, key string, r io.ReadSeeker, o ports.PutOptions) (err error) {
	ctx, c := b.in.begin(ctx, "storage", "put")
	defer c.done(&err)
	return b.Blobs.Put(ctx, key, r, o)
}

func (b instrumentedBlobs) Open(ctx context.Context, key string) (_ ports.Blob, err error) {
	ctx, c := b.in.begin(ctx, "storage", "open")
	defer c.done(&err)
	return b.Blobs.Open(ctx, key)
}

func (b instrumentedBlobs) Delete(ctx context.Context, keys ...string) (err error) {
	ctx, c := b.in.begin(ctx, "storage", "delete")
	defer c.done(&err)
	return b.Blobs.Delete(ctx, keys...)
}

func (b instrumentedBlobs) List(ctx context.Context, prefix, after string, limit int) (_ []ports.BlobInfo, err error) {
	ctx, c := b.in.begin(ctx, "storage", "list")
	defer c.done(&err)
	return b.Blobs.List(ctx, prefix, after, limit)
}

func (b instrumentedBlobs) Move(ctx context.Context, from, to string) (err error) {
	ctx, c := b.in.begin(ctx, "storage", "move")
	defer c.done(&err)
	return b.Blobs.Move(ctx, from, to)
}

func (b instrumentedBlobs) Copy(ctx context.Context, from, to string) (err error) {
	ctx, c := b.in.begin(ctx, "storage", "copy")
	defer c.done(&err)
	return b.Blobs.Copy(ctx, from, to)
}

// Walk implements ports.BlobWalker: by the store's own way where it has one, else page
// by page. It takes as long as its caller does, and is not instrumented.
func (b instrumentedBlobs) Walk(ctx context.Context, prefix, after string, foreign func(string)) iter.Seq2[ports.BlobInfo, error] {
	return ports.WalkBlobs(ctx, b.Blobs, prefix, after, foreign)
}

// Ping implements ports.Pinger, for stores that do not too.
func (b instrumentedBlobs) Ping(ctx context.Context) error {
	if p, ok := b.Blobs.(ports.Pinger); ok {
		return p.Ping(ctx)
	}
	_, err := b.Blobs.List(ctx, "", "", 1)
	return err
}

// SweepPartial implements ports.BlobSweeper; a store that leaves nothing half-written has nothing to sweep.
func (b instrumentedBlobs) SweepPartial(ctx context.Context, before time.Time, dryRun bool) (int, error) {
	if s, ok := b.Blobs.(ports.BlobSweeper); ok {
		return s.SweepPartial(ctx, before, dryRun)
	}
	return 0, nil
}

// instrumentedState is Redis's state whose calls are instrumented.
type instrumentedState struct {
	*redisstate.State
	in *instruments
}

func (s instrumentedState) Get(ctx context.Context, token domain.SecretHash) (_ ports.LinkStatus, err error) {
	ctx, c := s.in.begin(ctx, "redis", "link_check")
	defer c.done(&err)
	return s.State.Get(ctx, token)
}

func (s instrumentedState) Put(ctx context.Context, token domain.SecretHash, ttl time.Duration) (err error) {
	ctx, c := s.in.begin(ctx, "redis", "link_keep")
	defer c.done(&err)
	return s.State.Put(ctx, token, ttl)
}

func (s instrumentedState) MarkDead(ctx context.Context, token domain.SecretHash, ttl time.Duration) (err error) {
	ctx, c := s.in.begin(ctx, "redis", "link_bury")
	defer c.done(&err)
	return s.State.MarkDead(ctx, token, ttl)
}

func (s instrumentedState) Allow(ctx context.Context, key string, r ports.Rate) (_ ports.RateState, err error) {
	ctx, c := s.in.begin(ctx, "redis", "rate_allow")
	defer c.done(&err)
	return s.State.Allow(ctx, key, r)
}

func (s instrumentedState) Peek(ctx context.Context, key string, r ports.Rate) (_ ports.RateState, err error) {
	ctx, c := s.in.begin(ctx, "redis", "rate_peek")
	defer c.done(&err)
	return s.State.Peek(ctx, key, r)
}

func (s instrumentedState) Reset(ctx context.Context, key string) (err error) {
	ctx, c := s.in.begin(ctx, "redis", "rate_reset")
	defer c.done(&err)
	return s.State.Reset(ctx, key)
}

func (s instrumentedState) Publish(ctx context.Context) (err error) {
	ctx, c := s.in.begin(ctx, "redis", "publish")
	defer c.done(&err)
	return s.State.Publish(ctx)
}
