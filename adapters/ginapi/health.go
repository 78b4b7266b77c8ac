package ginapi

import (
	"context"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/imagify-api/imagify/adapters/ginapi/internal/request"
	"github.com/imagify-api/imagify/adapters/ginapi/response"
	"github.com/imagify-api/imagify/domain"
)

func getHealth(q *request.Request) error { return q.JSON(http.StatusOK, response.Status{Status: "ok"}) }

const (
	// readyKept is how long an answer of /readyz counts, so that probes cost the backends little.
	readyKept    = time.Second
	readyTimeout = 5 * time.Second
)

func (s *Server) getReady(q *request.Request) error {
	away, err := s.awayBackends(q.Context())
	if err != nil {
		return err
	}
	if len(away) == 0 {
		return q.JSON(http.StatusOK, response.Status{Status: "ready"})
	}
	return domain.Errorf(domain.Unavailable, "not ready: %s", strings.Join(away, "; "))
}

// readiness remembers what /readyz found for a moment, so that a flood of probes does not
// reach the backends, and lets one caller at a time ask them.
type readiness struct {
	mu     sync.Mutex
	at     time.Time // of the last answer; zero: none yet
	away   []string
	asking chan struct{} // closed when the one who asks has the answer; nil: nobody asks
}

// awayBackends names the backends that do not answer, by generic names. While one caller
// waits for a silent backend the others get the answer before, or, where there is none yet,
// wait with it: never longer than readyTimeout.
func (s *Server) awayBackends(ctx context.Context) ([]string, error) {
	r := &s.ready
	r.mu.Lock()
	if known := !r.at.IsZero(); known && (r.asking != nil || time.Since(r.at) < readyKept) {
		defer r.mu.Unlock()
		return r.away, nil
	}
	if asking := r.asking; asking != nil {
		r.mu.Unlock()
		select {
		case <-asking:
			r.mu.Lock()
			defer r.mu.Unlock()
			return r.away, nil
		case <-ctx.Done():
			return nil, domain.Wrap(domain.Unavailable, ctx.Err(), "not ready: the backends are being asked")
		}
	}
	done := make(chan struct{})
	r.asking = done
	r.mu.Unlock()
	var away []string
	defer func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.away, r.at, r.asking = away, time.Now(), nil
		close(done)
	}()
	// Not the caller's context: what is found counts for others too.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), readyTimeout)
	defer cancel()
	found := s.svc.Ready(ctx)
	for _, name := range slices.Sorted(maps.Keys(found)) {
		s.log.Warn("not ready", "backend", name, "error", found[name])
		reason := name + ": no answer"
		if name == "uploads" {
			reason = domain.AsError(found[name]).Msg
		}
		away = append(away, reason)
	}
	return away, nil
}

func (s *Server) getMetrics(q *request.Request) error {
	q.Set("Cache-Control", request.NoStore)
	return q.Serve(s.metrics.Handler())
}

func (s *Server) getOpenAPI(q *request.Request) error {
	q.Set("Content-Type", request.JSONType)
	q.Set("Cache-Control", "no-cache")
	q.Write(http.StatusOK, s.document)
	return nil
}
