package app

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

// calmAfter is how long calls must succeed before a helper counts as back: of one that
// reads and cannot write, every request would be told otherwise.
const calmAfter = 5 * time.Second

// outage tells the log when something that requests can do without becomes unavailable,
// and when it is back: once each, not for each request.
type outage struct {
	what   string // such as "the link cache"
	so     string // what that means
	mu     sync.Mutex
	down   bool
	failed time.Time // the last time
}

// note takes in how a call ended.
func (o *outage) note(ctx context.Context, log *slog.Logger, err error) {
	if err != nil && ctx.Err() != nil {
		return // the caller's doing
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	switch {
	case err != nil:
		o.failed = time.Now()
		if !o.down {
			o.down = true
			log.WarnContext(ctx, o.what+" is unavailable: "+o.so, "error", err)
		}
	case o.down && time.Since(o.failed) >= calmAfter:
		o.down = false
		log.InfoContext(ctx, o.what+" is back")
	}
}

// outages are the helpers that may be unavailable.
type outages struct{ links, limits, notices outage }

func newOutages() *outages {
	return &outages{
		links:   outage{what: "the link cache", so: "links are read from the database"},
		limits:  outage{what: "the rate limiter", so: "requests pass, passwords are refused"},
		notices: outage{what: "the notice of changes", so: "nodes hear of each other's changes by their polls"},
	}
}
