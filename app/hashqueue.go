package app

import (
	"context"
	"sync"
	"time"

	"github.com/imagify-api/imagify/domain"
)

// The bounds on who waits for a password to be hashed: in all, and of one client prefix.
const (
	maxWaiting       = 128
	maxWaitingClient = 32
)

// hashQueue lets a few passwords be hashed at a time. Those who wait stand in a line a
// client prefix and the lines are served in turn, so that a flood from one place costs
// another place one turn. When all places are taken, a new line gets the last place of the
// longest. Clients that are known to the account they ask for have a queue of their own,
// served every other time, so that a flood from everywhere does not reach its owner.
type hashQueue struct {
	mu      sync.Mutex
	free    int
	known   lines
	others  lines
	byTurns bool // the last turn went to known
}

// lines are the waiting, a line a client, in the order in which the clients are served.
type lines struct {
	of    map[string][]*waiting
	order []string
	n     int
}

// waiting is one who waits: for turn to be closed, with out set where the place was lost.
type waiting struct {
	turn chan struct{}
	out  bool
}

func newHashQueue(parallel int) *hashQueue {
	return &hashQueue{free: parallel, known: lines{of: map[string][]*waiting{}}, others: lines{of: map[string][]*waiting{}}}
}

func tooManySignIns(err error) error {
	e := domain.Wrap(domain.Unavailable, err, "too many sign-ins at once, try again")
	e.RetryAfter = 2 * time.Second
	return e
}

// take waits for a turn; release gives it on.
func (q *hashQueue) take(ctx context.Context, client string, known bool) (release func(), err error) {
	q.mu.Lock()
	if q.free > 0 {
		q.free--
		q.mu.Unlock()
		return q.release, nil
	}
	in := &q.others
	if known {
		in = &q.known
	}
	w := in.join(client)
	q.mu.Unlock()
	if w == nil {
		return nil, tooManySignIns(nil)
	}
	select {
	case <-w.turn:
	case <-ctx.Done():
		q.mu.Lock()
		gotTurn := !in.leave(client, w) && !w.out // at the same moment
		q.mu.Unlock()
		if gotTurn {
			q.release()
		}
		return nil, tooManySignIns(ctx.Err())
	}
	if w.out {
		return nil, tooManySignIns(nil)
	}
	return q.release, nil
}

// release gives the turn to the next, or back.
func (q *hashQueue) release() {
	q.mu.Lock()
	defer q.mu.Unlock()
	first, second := &q.known, &q.others
	if q.byTurns {
		first, second = second, first
	}
	for _, l := range []*lines{first, second} {
		if w := l.next(); w != nil {
			q.byTurns = l == &q.known
			close(w.turn)
			return
		}
	}
	q.free++
}

// join adds one to the client's line; nil where there is no place.
func (l *lines) join(client string) *waiting {
	mine := len(l.of[client])
	if mine >= maxWaitingClient {
		return nil
	}
	if l.n >= maxWaiting {
		longest := client
		for c, line := range l.of {
			if len(line) > len(l.of[longest]) {
				longest = c
			}
		}
		line := l.of[longest]
		if len(line) <= mine+1 {
			return nil // nobody has more than this client would have
		}
		last := line[len(line)-1]
		l.leave(longest, last)
		last.out = true
		close(last.turn)
	}
	w := &waiting{turn: make(chan struct{})}
	if mine == 0 {
		l.order = append(l.order, client)
	}
	l.of[client] = append(l.of[client], w)
	l.n++
	return w
}

// leave takes one out of the line and reports whether they stood in it.
func (l *lines) leave(client string, w *waiting) bool {
	line := l.of[client]
	for i := range line {
		if line[i] != w {
			continue
		}
		l.n--
		if l.of[client] = append(line[:i:i], line[i+1:]...); len(line) == 1 {
			delete(l.of, client)
			for j, c := range l.order {
				if c == client {
					l.order = append(l.order[:j], l.order[j+1:]...)
					break
				}
			}
		}
		return true
	}
	return false
}

// next takes out the first of the line whose turn it is; that line is served again after all others.
func (l *lines) next() *waiting {
	if len(l.order) == 0 {
		return nil
	}
	client := l.order[0]
	w := l.of[client][0]
	more := len(l.of[client]) > 1
	l.leave(client, w)
	if more {
		l.order = append(l.order[1:], client)
	}
	return w
}
