package app

import (
	"encoding/binary"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"github.com/imagify-api/imagify/domain"
	"github.com/imagify-api/imagify/ports"
)

const (
	// clockStep is by how much the database's clock may be off what is expected of it
	// without being taken for a step of that clock.
	clockStep = time.Second
	// A step forward is believed after so many polls that agree on it, over so long.
	believeAfterPolls = 10
	believeAfter      = 5 * time.Second
	// raiseEvery is how far time is ahead of its mark before a node moves the mark on.
	raiseEvery = 5 * time.Second
)

// clock is the time by which expiry is judged: the database's, so that all nodes judge
// alike, carried on between polls by this machine's. It never runs back, because what has
// expired must not live again; and it does not follow a step forward at once, because one
// that is taken back a second later would have killed what is alive. The mark, kept in the
// database, holds it over restarts and between nodes.
type clock struct {
	local func() time.Time

	at atomic.Pointer[reading]

	mu sync.Mutex
	// believed says that the time was confirmed by several polls since the start. Before,
	// only the mark holds it.
	believed bool
	agreed   int       // polls that agree with the first, or with a step
	since    time.Time // local: the first of them
	step     time.Duration
	wall     time.Time // local wall clock at the last poll
	last     time.Time // the database's clock at the last poll
	behind   time.Duration
	mark     time.Time
}

// reading is that it was time when the local clock showed local.
type reading struct{ time, local time.Time }

func newClock(local func() time.Time) *clock {
	c := &clock{local: local}
	now := local()
	c.at.Store(&reading{now.Round(0), now})
	return c
}

// now is in microseconds, as records keep it: what is answered at once and what is read later agree.
func (c *clock) now() time.Time {
	r := c.at.Load()
	return r.time.Add(c.local().Sub(r.local)).UTC().Truncate(time.Microsecond)
}

// observe takes in an answer of the feed.
func (c *clock) observe(f ports.Feed) {
	c.mu.Lock()
	defer c.mu.Unlock()
	local := c.local()
	wall := local.Round(0)
	first := c.last.IsZero()
	slept := !first && f.Shared && near(f.Now.Sub(c.last), wall.Sub(c.wall))
	c.wall, c.last, c.mark = wall, f.Now, f.Mark
	if first {
		start := f.Now
		if start.Before(f.Mark.Add(-clockStep)) {
			// The clock was set back while nobody was here to see it. Time may have been
			// as late as the next mark would have been.
			start = f.Mark.Add(raiseEvery)
		}
		c.set(start, local)
		c.agreed, c.since = 1, local
		return
	}
	expected := c.at.Load().time.Add(local.Sub(c.at.Load().local))
	off := f.Now.Sub(expected)
	c.behind = max(0, -off)
	switch {
	case f.Mark.After(expected):
		// Another node has believed a later time.
		c.set(f.Mark, local)
		c.believed, c.agreed = true, 0
	case off > clockStep && slept:
		// Two clocks agree, of different machines: the one that stood still is this machine's monotonic one.
		c.set(f.Now, local)
		c.agreed = 0
	case off > clockStep:
		if c.agreed == 0 || !near(off, c.step) {
			c.agreed, c.since, c.step = 0, local, off
		}
		if c.agreed++; c.agreed >= believeAfterPolls && local.Sub(c.since) >= believeAfter {
			c.set(f.Now, local)
			c.believed, c.agreed = true, 0
		}
	case off < -clockStep && !c.believed && !f.Now.Before(f.Mark) && f.Now.Sub(f.Mark) < 2*raiseEvery && expected.Sub(f.Mark) > 2*raiseEvery:
		// At the start the clock was ahead for a moment: other nodes' mark says so.
		c.set(f.Now, local)
		c.agreed, c.since, c.step = 1, local, 0
	default:
		if !near(c.step, 0) { // a step that was taken back
			c.agreed, c.since, c.step = 0, local, 0
		}
		if off > 0 {
			c.set(f.Now, local)
		}
		if !c.believed {
			if c.agreed++; c.agreed >= believeAfterPolls && local.Sub(c.since) >= believeAfter {
				c.believed, c.agreed = true, 0
			}
		}
	}
}

func near(a, b time.Duration) bool { return (a - b).Abs() <= raiseEvery/2 }

func (c *clock) set(t, local time.Time) { c.at.Store(&reading{t, local}) }

// due is the time that the mark has to be moved to; zero while it is not.
func (c *clock) due() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	if now := c.now(); c.believed && now.Sub(c.mark) >= raiseEvery {
		return now
	}
	return time.Time{}
}

// ahead is by how much time is ahead of the database's clock, which was set back.
func (c *clock) ahead() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.behind <= clockStep {
		return 0
	}
	return c.behind
}

// ids makes UUIDs of version 7 (RFC 9562, section 5.7, method 3) that grow, by a clock of its own.
type ids struct{ last atomic.Uint64 }

// next returns an id of a time. Of one process each is greater than the one before.
func (g *ids) next(t time.Time) domain.ID {
	// 48 bits of milliseconds, and 12 of what is left of one.
	micros := uint64(max(t.UnixMicro(), 0))
	stamp := micros/1000<<12 | micros%1000<<12/1000
	for {
		last := g.last.Load()
		stamp = max(stamp, last+1)
		if g.last.CompareAndSwap(last, stamp) {
			break
		}
	}
	id := domain.ID(uuid.New()) // version 4: all that is not overwritten is random
	var b [8]byte
	binary.BigEndian.PutUint64(b[:], stamp<<4)
	copy(id[:6], b[:6])
	binary.BigEndian.PutUint16(id[6:], 0x7000|uint16(stamp&0xfff))
	return id
}
