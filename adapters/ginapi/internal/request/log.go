package request

import (
	"context"
	"log/slog"
	"net/http"
	"strings"
	"time"
)

// What a client can write into the log with a request, in bytes: its path, its method, and an
// error's words, in which what was sent may stand.
const (
	maxLoggedPath   = 256
	maxLoggedMethod = 32
	maxLoggedError  = 2 << 10
)

func (q *Request) logLine(took time.Duration, stack []byte) {
	level := slog.LevelInfo
	if q.status >= http.StatusInternalServerError || stack != nil {
		level = slog.LevelError
		if q.status == http.StatusServiceUnavailable {
			level = slog.LevelWarn
		}
	}
	// The log line outlives the request's deadline.
	ctx := context.Background()
	if !q.server.Log.Enabled(ctx, level) {
		return
	}
	path := q.HTTP.URL.Path
	if strings.HasPrefix(path, "/l/") {
		path = "/l/…" // the token is the secret
	}
	attrs := [12]slog.Attr{
		slog.String("request_id", q.id), slog.String("method", Clip(q.HTTP.Method, maxLoggedMethod)), slog.String("route", q.Route.Path),
		slog.String("path", Clip(path, maxLoggedPath)), slog.Int("status", q.status), slog.Int64("bytes", q.sent),
		slog.Duration("duration", took), slog.String("address", q.address),
	}
	n := 8
	if q.Actor.Via != "" {
		attrs[n] = slog.String("user", q.Actor.User.Username)
		n++
	}
	if q.err != nil {
		attrs[n] = slog.String("error", Clip(q.err.Error(), maxLoggedError))
		n++
	}
	if stack != nil {
		attrs[n] = slog.String("stack", string(stack))
		n++
	}
	q.server.Log.LogAttrs(ctx, level, "request", attrs[:n]...)
}
