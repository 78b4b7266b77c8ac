package porttest_test

import (
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/imagify-api/imagify/domain"
	"github.com/imagify-api/imagify/ports"
)

// changesFault replaces some of Changes.
type changesFault struct {
	ports.Changes
	since  func(ctx context.Context, c ports.Cursor) (ports.Feed, error)
	forget func(ctx context.Context, before time.Time) error
}

func (f changesFault) Since(ctx context.Context, c ports.Cursor) (ports.Feed, error) {
	if f.since != nil {
		return f.since(ctx, c)
	}
	return f.Changes.Since(ctx, c)
}

func (f changesFault) Forget(ctx context.Context, before time.Time) error {
	if f.forget != nil {
		return f.forget(ctx, before)
	}
	return f.Changes.Forget(ctx, before)
}

// raiseFault notes what Raise is given.
type raiseFault struct {
	changesFault
	raise func(mark time.Time)
}

func (f raiseFault) Raise(_ context.Context, mark time.Time) error {
	f.raise(mark)
	return nil
}

// since breaks the answers of a feed.
func since(fault, finds string, breakIt func(f *ports.Feed, c ports.Cursor)) broken {
	return records(fault, finds, func(r *ports.Records) {
		inner := r.Changes
		r.Changes = changesFault{Changes: inner, since: func(ctx context.Context, c ports.Cursor) (ports.Feed, error) {
			f, err := inner.Since(ctx, c)
			if err == nil {
				breakIt(&f, c)
			}
			return f, err
		}}
	})
}

func without(kind ports.ChangeKind) func(f *ports.Feed, _ ports.Cursor) {
	return func(f *ports.Feed, _ ports.Cursor) {
		f.Entries = slices.DeleteFunc(f.Entries, func(c ports.Change) bool { return c.Kind == kind })
	}
}

// leasesFault replaces some of Leases.
type leasesFault struct {
	ports.Leases
	acquire func(ctx context.Context, name, holder string, now, until time.Time) (bool, error)
	release func(ctx context.Context, name, holder string) error
}

func (f leasesFault) Acquire(ctx context.Context, name, holder string, now, until time.Time) (bool, error) {
	if f.acquire != nil {
		return f.acquire(ctx, name, holder, now, until)
	}
	return f.Leases.Acquire(ctx, name, holder, now, until)
}

func (f leasesFault) Release(ctx context.Context, name, holder string) error {
	if f.release != nil {
		return f.release(ctx, name, holder)
	}
	return f.Leases.Release(ctx, name, holder)
}

func brokenFeeds() []broken {
	return []broken{
		records(control, "Changes/NoGap", func(*ports.Records) {}),
		records("a version is seen before its entry", "Changes/NoGap", func(r *ports.Records) {
			inner, accounts := r.Changes, r.Accounts
			r.Accounts = changeFault{accounts, func(ctx context.Context, fn func(tx ports.AccountsTx) error) error {
				pause() // so that the writers are at work while the reader reads
				return accounts.Change(ctx, fn)
			}}
			r.Changes = changesFault{Changes: inner, since: func(ctx context.Context, c ports.Cursor) (ports.Feed, error) {
				f, err := inner.Since(ctx, c)
				if err != nil {
					return f, err
				}
				pause()
				newest, err := inner.Since(ctx, c)
				f.Cursor = newest.Cursor
				return f, err
			}}
		}),
		records("an entry is seen before its change", "Changes/NoGap", func(r *ports.Records) {
			// The writes of a change become visible late: the old user is read for a while.
			inner := r.Accounts
			r.Accounts = changeFault{inner, func(ctx context.Context, fn func(tx ports.AccountsTx) error) error {
				return inner.Change(ctx, func(tx ports.AccountsTx) error {
					late := &lateTx{}
					if err := fn(late); err != nil {
						return err
					}
					go func() {
						pause()
						_ = inner.Change(context.WithoutCancel(ctx), all(late.writes))
					}()
					return all(late.writes)(announceOnly{tx})
				})
			}}
		}),
		since("misses deletions of images", "Images/Deletions/MarkAndFinish", without(ports.ImageDeleted)),
		since("misses deletions of tokens", "Accounts/Tokens/Delete", without(ports.TokenDeleted)),
		since("misses revocations of links", "Links/Revoke", without(ports.LinkRevoked)),
		since("misses tiers", "Accounts/Change/Feed", without(ports.TierChanged)),
		since("the newest first", "Changes/EverySuffix", func(f *ports.Feed, _ ports.Cursor) { slices.Reverse(f.Entries) }),
		since("shows the entry of the version itself", "Changes/EverySuffix", func(f *ports.Feed, c ports.Cursor) {
			if c != "" && len(f.Entries) > 0 {
				f.Entries = append(f.Entries[:1:1], f.Entries...)
			}
		}),
		since("never says that entries were lost", "Changes/Forget", func(f *ports.Feed, _ ports.Cursor) { f.Lost = false }),
		since("a thousand are too many", "Changes/Thousand", func(f *ports.Feed, _ ports.Cursor) {
			if len(f.Entries) >= 1000 {
				f.Lost, f.Entries = true, nil
			}
		}),
		since("the clock in another zone", "Changes/Clock", func(f *ports.Feed, _ ports.Cursor) { f.Now = f.Now.In(kolkata) }),
		since("a local time that is taken for UTC", "Changes/Clock", func(f *ports.Feed, _ ports.Cursor) { f.Now = f.Now.Add(2 * time.Hour) }),
		since("no clock", "Changes/Clock", func(f *ports.Feed, _ ports.Cursor) { f.Now = time.Time{} }),
		records("takes any history for its own", "Changes/AnotherHistory", func(r *ports.Records) {
			inner := r.Changes
			r.Changes = changesFault{Changes: inner, since: func(ctx context.Context, c ports.Cursor) (ports.Feed, error) {
				now, err := inner.Since(ctx, "")
				if err != nil {
					return now, err
				}
				if _, number, ok := strings.Cut(string(c), ":"); ok { // as one who compares numbers alone
					history, _, _ := strings.Cut(string(now.Cursor), ":")
					c = ports.Cursor(history + ":" + number)
				}
				return inner.Since(ctx, c)
			}}
		}),
		records("a writer that stopped has its change all the same", "Changes/StoppedWriter", func(r *ports.Records) {
			inner := r.Accounts
			r.Accounts = changeFault{inner, func(ctx context.Context, fn func(tx ports.AccountsTx) error) error {
				return inner.Change(context.WithoutCancel(ctx), fn)
			}}
		}),
		records("the mark falls", "Changes/Mark", func(r *ports.Records) {
			inner := r.Changes
			var mu sync.Mutex
			var last time.Time
			r.Changes = raiseFault{changesFault{Changes: inner, since: func(ctx context.Context, c ports.Cursor) (ports.Feed, error) {
				f, err := inner.Since(ctx, c)
				mu.Lock()
				defer mu.Unlock()
				f.Mark = last
				return f, err
			}}, func(mark time.Time) {
				mu.Lock()
				defer mu.Unlock()
				last = mark.UTC()
			}}
		}),
		records("forgets everything", "Changes/ForgetSome", func(r *ports.Records) {
			inner := r.Changes
			r.Changes = changesFault{Changes: inner, forget: func(ctx context.Context, _ time.Time) error {
				return inner.Forget(ctx, time.Now().Add(time.Hour))
			}}
		}),
		records("forgets nothing", "Changes/Forget", func(r *ports.Records) {
			r.Changes = changesFault{Changes: r.Changes, forget: func(context.Context, time.Time) error { return nil }}
		}),

		records("two racers get the lease", "Leases/Racers", func(r *ports.Records) {
			inner := r.Leases
			var held sync.Map
			r.Leases = leasesFault{Leases: inner, acquire: func(_ context.Context, name, holder string, _, _ time.Time) (bool, error) {
				if h, ok := held.Load(name); ok && h != holder {
					return false, nil
				}
				pause()
				held.Store(name, holder)
				return true, nil
			}}
		}),
		records("leases never lapse", "Leases/AcquireAndRelease", func(r *ports.Records) {
			inner := r.Leases
			r.Leases = leasesFault{Leases: inner, acquire: func(ctx context.Context, name, holder string, now, until time.Time) (bool, error) {
				return inner.Acquire(ctx, name, holder, now, until.AddDate(1, 0, 0))
			}}
		}),
		records("an extension of the same time is refused", "Leases/Extension", func(r *ports.Records) {
			inner := r.Leases
			var last sync.Map
			r.Leases = leasesFault{Leases: inner, acquire: func(ctx context.Context, name, holder string, now, until time.Time) (bool, error) {
				ok, err := inner.Acquire(ctx, name, holder, now, until)
				if old, had := last.Swap(name+holder, until); ok && had && until.Equal(old.(time.Time)) {
					return false, err // as who counts the rows that MySQL changed
				}
				return ok, err
			}}
		}),
		records("anybody releases", "Leases/AcquireAndRelease", func(r *ports.Records) {
			inner := r.Leases
			var holders sync.Map
			r.Leases = leasesFault{
				Leases: inner,
				acquire: func(ctx context.Context, name, holder string, now, until time.Time) (bool, error) {
					ok, err := inner.Acquire(ctx, name, holder, now, until)
					if ok {
						holders.Store(name, holder)
					}
					return ok, err
				},
				release: func(ctx context.Context, name, holder string) error {
					if h, ok := holders.Load(name); ok {
						holder = h.(string)
					}
					return inner.Release(ctx, name, holder)
				},
			}
		}),
	}
}

// announceOnly writes users as they are already, for the sake of the feed.
type announceOnly struct{ ports.AccountsTx }

func (tx announceOnly) SaveUser(ctx context.Context, u domain.User) error {
	old, err := tx.User(ctx, u.ID)
	if err != nil {
		old = u
		old.Epoch--
	}
	return tx.AccountsTx.SaveUser(ctx, old)
}
