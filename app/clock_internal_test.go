package app

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/imagify-api/imagify/ports"
)

// steps is a database's clock and a machine's, which a test moves and polls.
type steps struct {
	c     *clock
	truth time.Time
	local time.Duration // the machine's clock is off by this
	off   time.Duration // the database's clock is off by this
	mark  time.Time
	// sleeping stops the machine's monotonic clock only as far as a test can: by another local time.
	shared bool
}

func newSteps() *steps {
	s := &steps{truth: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)}
	s.restart()
	return s
}

func (s *steps) restart() {
	s.c = newClock(func() time.Time { return s.truth.Add(s.local) })
}

// poll lets time pass and asks, as a node does.
func (s *steps) poll(n int) {
	for range n {
		s.truth = s.truth.Add(pollEvery)
		s.c.observe(ports.Feed{Now: s.truth.Add(s.off), Mark: s.mark, Shared: s.shared})
		if mark := s.c.due(); !mark.IsZero() {
			s.mark = mark
		}
	}
}

// ahead is by how much time is ahead of the truth.
func (s *steps) ahead() time.Duration { return s.c.now().Sub(s.truth) }

func TestTimeIsTheDatabases(t *testing.T) {
	for _, local := range []time.Duration{0, -2 * time.Minute, 2 * time.Minute} {
		s := newSteps()
		s.local = local
		s.restart()
		s.poll(1)
		assert.Zero(t, s.ahead(), "by a local clock that is off by %v", local)
		s.truth = s.truth.Add(time.Second)
		assert.Zero(t, s.ahead(), "and goes on between polls")
	}
}

// Time never runs back, however the database's clock is set, and goes on at its pace.
func TestTimeNeverRunsBack(t *testing.T) {
	s := newSteps()
	s.poll(30)
	last := s.c.now()
	for _, off := range []time.Duration{-2 * time.Minute, -time.Hour, -time.Minute, 0, -2 * time.Hour} {
		s.off = off
		for range 40 {
			s.poll(1)
			assert.Equal(t, pollEvery, s.c.now().Sub(last))
			last = s.c.now()
		}
		assert.Zero(t, s.ahead())
		assert.Equal(t, -off, s.c.ahead(), "it is told by how much the clock is behind")
	}
}

// A step forward that is taken back kills nothing; one that lasts is believed.
func TestAStepForwardIsBelievedSlowly(t *testing.T) {
	s := newSteps()
	s.poll(30)
	s.off = time.Hour
	s.poll(2)
	assert.Zero(t, s.ahead())
	s.off = 0
	s.poll(2)
	s.off = time.Hour
	s.poll(believeAfterPolls - 1)
	assert.Zero(t, s.ahead(), "what agreed before does not count")
	s.off = 3 * time.Hour
	s.poll(believeAfterPolls - 1)
	assert.Zero(t, s.ahead(), "nor another step")
	s.poll(2)
	assert.Equal(t, 3*time.Hour, s.ahead())
	s.off = 0
	s.poll(50)
	assert.Equal(t, 3*time.Hour, s.ahead(), "what was believed is not taken back")
}

// A machine that slept is told by another's clock how late it is.
func TestAMachineThatSlept(t *testing.T) {
	for _, shared := range []bool{true, false} {
		s := newSteps()
		s.shared = shared
		s.poll(30)
		// Its monotonic clock stood still: what was read by it before seems to be of just now.
		r := *s.c.at.Load()
		r.local = r.local.Add(time.Hour)
		s.truth = s.truth.Add(time.Hour)
		s.c.at.Store(&r)
		s.poll(1)
		if shared {
			assert.Zero(t, s.ahead())
		} else { // its own wall clock alone could be a step
			assert.Equal(t, -time.Hour, s.ahead())
		}
	}
}

// The mark holds time over a restart with a clock that was set back meanwhile.
func TestTheMarkHoldsTimeOverARestart(t *testing.T) {
	s := newSteps()
	s.poll(60)
	require.False(t, s.mark.IsZero())
	dead := s.c.now() // something has expired at this moment
	s.off = -time.Hour
	s.restart()
	s.poll(1)
	assert.False(t, s.c.now().Before(dead), "what had expired stays dead")
	assert.LessOrEqual(t, s.ahead(), raiseEvery)
	last := s.c.now()
	s.poll(50)
	assert.Equal(t, 50*pollEvery, s.c.now().Sub(last))
	for range 20 { // and does not run ahead with each restart
		s.restart()
		s.off = 0
		s.poll(30)
	}
	assert.LessOrEqual(t, s.ahead(), raiseEvery)
}

// A node that starts while the clock is ahead for a moment neither carries others along nor stays ahead.
func TestANodeThatStartsInAStep(t *testing.T) {
	one, two := newSteps(), newSteps()
	one.poll(60)
	two.truth, two.mark = one.truth, one.mark
	two.off = time.Hour
	two.restart()
	two.poll(3)
	assert.Equal(t, one.mark, two.mark, "the mark is not moved by who has just come")
	two.off = 0
	two.poll(1)
	assert.Zero(t, two.ahead())
}

// Nodes follow the mark: what one believes, all do.
func TestNodesFollowTheMark(t *testing.T) {
	s := newSteps()
	s.poll(30)
	s.mark = s.truth.Add(time.Hour)
	s.poll(1)
	assert.InDelta(t, time.Hour, s.ahead(), float64(pollEvery))
}

// Ids are of the time they are given, grow, and share nothing else.
func TestIDsAreOfTheirTimeAndGrow(t *testing.T) {
	g := &ids{}
	at := time.Date(2026, 5, 1, 12, 0, 0, 123_456_000, time.UTC)
	last := g.next(at)
	assert.Equal(t, at.Truncate(time.Millisecond), last.Time())
	assert.EqualValues(t, 7, last[6]>>4)
	assert.EqualValues(t, 2, last[8]>>6)
	for i := range 5000 {
		next := g.next(at.Add(time.Duration(i/100) * time.Microsecond))
		require.Positive(t, next.Compare(last))
		require.NotEqual(t, last[9:], next[9:])
		last = next
	}
	assert.WithinDuration(t, at, last.Time(), 5*time.Millisecond)
	assert.Positive(t, g.next(at.Add(-time.Hour)).Compare(last), "also when the clock is set back")
}
