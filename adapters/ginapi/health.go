package ginapi

import (
	"context"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/imagify-api/imagify/domain"
)

type statusView struct {
	Status string `json:"status"`
}

func getHealth(q *request) error { return q.json(http.StatusOK, statusView{"ok"}) }

const (
	// readyKept is how long an answer of /readyz counts, so that probes cost the backends little.
	readyKept    = time.Second
	readyTimeout = 5 * time.Second
)

func getReady(q *request) error {
	away := q.s.awayBackends(q.ctx())
	if len(away) == 0 {
		return q.json(http.StatusOK, statusView{"ready"})
	}
	return domain.Errorf(domain.Unavailable, "not ready: %s", strings.Join(away, "; "))
}

// awayBackends names the backends that do not answer, by generic names.
func (s *Server) awayBackends(ctx context.Context) []string {
	s.ready.mu.Lock()
	defer s.ready.mu.Unlock()
	if !s.ready.at.IsZero() && time.Since(s.ready.at) < readyKept {
		return s.ready.away
	}
	// Not the caller's context: what is found counts for others too.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), readyTimeout)
	defer cancel()
	found := s.svc.Ready(ctx)
	s.ready.away = nil
	for _, name := range slices.Sorted(maps.Keys(found)) {
		s.log.Warn("not ready", "backend", name, "error", found[name])
		reason := name + ": no answer"
		if name == "uploads" {
			reason = domain.AsError(found[name]).Msg
		}
		s.ready.away = append(s.ready.away, reason)
	}
	s.ready.at = time.Now()
	return s.ready.away
}

func getMetrics(q *request) error {
	q.writeDeadline()
	q.w.Header()["Cache-Control"] = noStore
	q.s.metrics.page.ServeHTTP(q.c.Writer, q.r)
	q.c.Writer.WriteHeaderNow()
	q.status, q.sent = q.c.Writer.Status(), int64(max(q.c.Writer.Size(), 0))
	return nil
}

func getOpenAPI(q *request) error {
	q.w.Header()["Content-Type"] = jsonType
	q.set("Cache-Control", "no-cache")
	q.write(http.StatusOK, q.s.openapi)
	return nil
}
