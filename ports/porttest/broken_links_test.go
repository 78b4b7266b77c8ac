package porttest_test

import (
	"bytes"
	"context"
	"encoding/json"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/imagify-api/imagify/domain"
	"github.com/imagify-api/imagify/ports"
)

// linksFault replaces some of Links.
type linksFault struct {
	ports.Links
	create  func(ctx context.Context, l domain.Link, bound int) error
	get     func(ctx context.Context, owner, id domain.ID) (domain.Link, error)
	list    func(ctx context.Context, owner, image domain.ID, p ports.Page) ([]domain.Link, error)
	listAll func(ctx context.Context, r ports.TimeRange, p ports.Page) ([]domain.Link, domain.ID, error)
}

func (f linksFault) Create(ctx context.Context, l domain.Link, bound int) error {
	if f.create != nil {
		return f.create(ctx, l, bound)
	}
	return f.Links.Create(ctx, l, bound)
}

func (f linksFault) Get(ctx context.Context, owner, id domain.ID) (domain.Link, error) {
	if f.get != nil {
		return f.get(ctx, owner, id)
	}
	return f.Links.Get(ctx, owner, id)
}

func (f linksFault) List(ctx context.Context, owner, image domain.ID, p ports.Page) ([]domain.Link, error) {
	if f.list != nil {
		return f.list(ctx, owner, image, p)
	}
	return f.Links.List(ctx, owner, image, p)
}

func (f linksFault) ListAll(ctx context.Context, r ports.TimeRange, p ports.Page) ([]domain.Link, domain.ID, error) {
	if f.listAll != nil {
		return f.listAll(ctx, r, p)
	}
	return f.Links.ListAll(ctx, r, p)
}

// linkChangesFault replaces some of LinkChanges.
type linkChangesFault struct {
	ports.LinkChanges
	revoke    func(ctx context.Context, owner, id domain.ID, e *domain.AuditEntry, now time.Time) error
	takeView  func(ctx context.Context, token domain.SecretHash, now time.Time) (bool, error)
	addViews  func(ctx context.Context, b ports.ViewBatch) error
	deleteOld func(ctx context.Context, before time.Time, limit int) (int, error)
}

func (f linkChangesFault) Revoke(ctx context.Context, owner, id domain.ID, e *domain.AuditEntry, now time.Time) error {
	if f.revoke != nil {
		return f.revoke(ctx, owner, id, e, now)
	}
	return f.LinkChanges.Revoke(ctx, owner, id, e, now)
}

func (f linkChangesFault) TakeView(ctx context.Context, token domain.SecretHash, now time.Time) (bool, error) {
	if f.takeView != nil {
		return f.takeView(ctx, token, now)
	}
	return f.LinkChanges.TakeView(ctx, token, now)
}

func (f linkChangesFault) AddViews(ctx context.Context, b ports.ViewBatch) error {
	if f.addViews != nil {
		return f.addViews(ctx, b)
	}
	return f.LinkChanges.AddViews(ctx, b)
}

func (f linkChangesFault) DeleteOld(ctx context.Context, before time.Time, limit int) (int, error) {
	if f.deleteOld != nil {
		return f.deleteOld(ctx, before, limit)
	}
	return f.LinkChanges.DeleteOld(ctx, before, limit)
}

type auditFault func(ctx context.Context, actor string, r ports.TimeRange, p ports.Page) ([]domain.AuditEntry, error)

func (f auditFault) List(ctx context.Context, actor string, r ports.TimeRange, p ports.Page) ([]domain.AuditEntry, error) {
	return f(ctx, actor, r, p)
}

// sessionsFault replaces some of Sessions.
type sessionsFault struct {
	ports.Sessions
	create        func(ctx context.Context, s domain.Session, bound int) error
	get           func(ctx context.Context, hash domain.SecretHash) (domain.Session, error)
	deleteExpired func(ctx context.Context, now time.Time, limit int) (int, error)
}

func (f sessionsFault) Create(ctx context.Context, s domain.Session, bound int) error {
	if f.create != nil {
		return f.create(ctx, s, bound)
	}
	return f.Sessions.Create(ctx, s, bound)
}

func (f sessionsFault) Get(ctx context.Context, hash domain.SecretHash) (domain.Session, error) {
	if f.get != nil {
		return f.get(ctx, hash)
	}
	return f.Sessions.Get(ctx, hash)
}

func (f sessionsFault) DeleteExpired(ctx context.Context, now time.Time, limit int) (int, error) {
	if f.deleteExpired != nil {
		return f.deleteExpired(ctx, now, limit)
	}
	return f.Sessions.DeleteExpired(ctx, now, limit)
}

// tokensFault replaces some of Tokens.
type tokensFault struct {
	ports.Tokens
	remove func(ctx context.Context, user, id domain.ID) error
	create func(ctx context.Context, t domain.Token, bound int) error
}

func (f tokensFault) Delete(ctx context.Context, user, id domain.ID) error {
	if f.remove != nil {
		return f.remove(ctx, user, id)
	}
	return f.Tokens.Delete(ctx, user, id)
}

func (f tokensFault) Create(ctx context.Context, t domain.Token, bound int) error {
	if f.create != nil {
		return f.create(ctx, t, bound)
	}
	return f.Tokens.Create(ctx, t, bound)
}

func brokenLinks() []broken {
	return []broken{
		records(control, "LinkChanges/TakeViewRacers", func(*ports.Records) {}),
		records("drops a link whose hash is taken", "Links/Taken", func(r *ports.Records) {
			inner := r.Links
			r.Links = linksFault{Links: inner, create: func(ctx context.Context, l domain.Link, bound int) error {
				if err := inner.Create(ctx, l, bound); domain.CodeOf(err) != domain.Conflict {
					return err
				}
				return nil
			}}
		}),
		records("takes no heed of the bound on links", "Links/Bound", func(r *ports.Records) {
			inner := r.Links
			r.Links = linksFault{Links: inner, create: func(ctx context.Context, l domain.Link, _ int) error { return inner.Create(ctx, l, 0) }}
		}),
		records("counts the links before the transaction", "Links/BoundRacers", func(r *ports.Records) {
			inner := r.Links
			r.Links = linksFault{Links: inner, create: func(ctx context.Context, l domain.Link, bound int) error {
				list, err := inner.List(ctx, l.OwnerID, domain.ID{}, ports.Page{Limit: bound + 1})
				if err != nil {
					return err
				}
				if len(list) >= bound {
					used, limit := int64(len(list)), int64(bound)
					return &domain.Error{Code: domain.QuotaExceeded, Limit: &limit, Used: &used}
				}
				pause()
				return inner.Create(ctx, l, 0)
			}}
		}),
		records("takes no heed of the bound on tokens", "Tokens/Bound", func(r *ports.Records) {
			inner := r.Tokens
			r.Tokens = tokensFault{Tokens: inner, create: func(ctx context.Context, t domain.Token, _ int) error { return inner.Create(ctx, t, 0) }}
		}),
		records("ignores the owner", "Links/OwnersAreApart", func(r *ports.Records) {
			inner, changes := r.Links, r.LinkChanges
			r.Links = linksFault{Links: inner, get: func(ctx context.Context, owner, id domain.ID) (domain.Link, error) {
				if actual, err := changes.Owner(ctx, id); err == nil {
					owner = actual
				}
				return inner.Get(ctx, owner, id)
			}}
		}),
		records("lists no dead links", "Links/Paging", func(r *ports.Records) {
			inner := r.Links
			r.Links = linksFault{Links: inner, list: func(ctx context.Context, owner, image domain.ID, p ports.Page) ([]domain.Link, error) {
				list, err := inner.List(ctx, owner, image, p)
				return slices.DeleteFunc(list, func(l domain.Link) bool { return !l.RevokedAt.IsZero() }), err
			}}
		}),
		records("a range leaves out its beginning", "Links/ListAll", func(r *ports.Records) {
			inner := r.Links
			r.Links = linksFault{Links: inner, listAll: func(ctx context.Context, tr ports.TimeRange, p ports.Page) ([]domain.Link, domain.ID, error) {
				if !tr.From.IsZero() {
					tr.From = tr.From.Add(1)
				}
				return inner.ListAll(ctx, tr, p)
			}}
		}),
		records("forgets the bound on views", "Links/RoundTrip", func(r *ports.Records) {
			inner := r.Links
			r.Links = linksFault{Links: inner, create: func(ctx context.Context, l domain.Link, bound int) error {
				l.MaxViews = int64(int32(l.MaxViews))
				return inner.Create(ctx, l, bound)
			}}
		}),

		records("a revoked link is not found", "LinkChanges/Revoke", func(r *ports.Records) {
			inner, links := r.LinkChanges, r.Links
			r.LinkChanges = linkChangesFault{LinkChanges: inner, revoke: func(ctx context.Context, owner, id domain.ID, e *domain.AuditEntry, now time.Time) error {
				if l, err := links.Get(ctx, owner, id); err == nil && !l.RevokedAt.IsZero() {
					return domain.NotFound
				}
				return inner.Revoke(ctx, owner, id, e, now)
			}}
		}),
		records("revokes anybody's link", "LinkChanges/Revoke", func(r *ports.Records) {
			inner := r.LinkChanges
			r.LinkChanges = linkChangesFault{LinkChanges: inner, revoke: func(ctx context.Context, owner, id domain.ID, e *domain.AuditEntry, now time.Time) error {
				if actual, err := inner.Owner(ctx, id); err == nil {
					owner = actual
				}
				return inner.Revoke(ctx, owner, id, e, now)
			}}
		}),
		records("takes more views than there are", "LinkChanges/TakeViewRacers", func(r *ports.Records) {
			inner, links := r.LinkChanges, r.Links
			r.LinkChanges = linkChangesFault{LinkChanges: inner, takeView: func(ctx context.Context, token domain.SecretHash, now time.Time) (bool, error) {
				l, err := links.ByToken(ctx, token)
				if err != nil || l.Views >= l.MaxViews {
					return false, ctx.Err()
				}
				pause()
				_, err = inner.TakeView(ctx, token, now)
				return err == nil, err
			}}
		}),
		records("loses views in a race", "LinkChanges/TakeViewRacers", func(r *ports.Records) {
			inner := r.LinkChanges
			var busy sync.Mutex
			r.LinkChanges = linkChangesFault{LinkChanges: inner, takeView: func(ctx context.Context, token domain.SecretHash, now time.Time) (bool, error) {
				if !busy.TryLock() {
					return true, nil // counted by who came first
				}
				defer busy.Unlock()
				pause()
				return inner.TakeView(ctx, token, now)
			}}
		}),
		records("views of an expired link", "LinkChanges/TakeView", func(r *ports.Records) {
			inner := r.LinkChanges
			r.LinkChanges = linkChangesFault{LinkChanges: inner, takeView: func(ctx context.Context, token domain.SecretHash, now time.Time) (bool, error) {
				return inner.TakeView(ctx, token, now.Add(-time.Second))
			}}
		}),
		records("adds views only where nobody else does", "LinkChanges/AddViewsRacers", func(r *ports.Records) {
			inner := r.LinkChanges
			var busy sync.Mutex
			r.LinkChanges = linkChangesFault{LinkChanges: inner, addViews: func(ctx context.Context, b ports.ViewBatch) error {
				if !busy.TryLock() {
					return nil
				}
				defer busy.Unlock()
				pause()
				return inner.AddViews(ctx, b)
			}}
		}),
		records("adds a batch again", "LinkChanges/AddViews", func(r *ports.Records) {
			inner := r.LinkChanges
			var n atomic.Int64
			r.LinkChanges = linkChangesFault{LinkChanges: inner, addViews: func(ctx context.Context, b ports.ViewBatch) error {
				b.ID = domain.ID{byte(n.Add(1))}
				return inner.AddViews(ctx, b)
			}}
		}),
		records("stumbles over unknown links", "LinkChanges/AddViews", func(r *ports.Records) {
			inner, links := r.LinkChanges, r.Links
			r.LinkChanges = linkChangesFault{LinkChanges: inner, addViews: func(ctx context.Context, b ports.ViewBatch) error {
				for token := range b.Views {
					if _, err := links.ByToken(ctx, token); err != nil {
						return err
					}
				}
				return inner.AddViews(ctx, b)
			}}
		}),
		records("deletes what was made at the time", "LinkChanges/DeleteOld", func(r *ports.Records) {
			inner := r.LinkChanges
			r.LinkChanges = linkChangesFault{LinkChanges: inner, deleteOld: func(ctx context.Context, before time.Time, limit int) (int, error) {
				return inner.DeleteOld(ctx, before.Add(1), limit)
			}}
		}),
		records("deletes more than the limit", "LinkChanges/DeleteOld", func(r *ports.Records) {
			inner := r.LinkChanges
			r.LinkChanges = linkChangesFault{LinkChanges: inner, deleteOld: func(ctx context.Context, before time.Time, limit int) (int, error) {
				return inner.DeleteOld(ctx, before, limit+1)
			}}
		}),

		records("lists the oldest first", "Audit/Paging", func(r *ports.Records) {
			inner := r.Audit
			r.Audit = auditFault(func(ctx context.Context, actor string, tr ports.TimeRange, p ports.Page) ([]domain.AuditEntry, error) {
				list, err := inner.List(ctx, actor, tr, p)
				slices.Reverse(list)
				return list, err
			})
		}),
		records("actors without regard to case", "Audit/Paging", func(r *ports.Records) {
			inner := r.Audit
			r.Audit = auditFault(func(ctx context.Context, actor string, tr ports.TimeRange, p ports.Page) ([]domain.AuditEntry, error) {
				list, err := inner.List(ctx, "", tr, ports.Page{Before: p.Before, Limit: 1000})
				list = slices.DeleteFunc(list, func(e domain.AuditEntry) bool { return actor != "" && !strings.EqualFold(e.Actor, actor) })
				return list[:min(len(list), p.Limit)], err
			})
		}),
		records("rewrites its JSON", "Audit/RoundTrip", func(r *ports.Records) {
			inner := r.Audit
			r.Audit = auditFault(func(ctx context.Context, actor string, tr ports.TimeRange, p ports.Page) ([]domain.AuditEntry, error) {
				list, err := inner.List(ctx, actor, tr, p)
				for i := range list {
					var b bytes.Buffer
					if json.Compact(&b, list[i].Before) == nil {
						list[i].Before = b.Bytes()
					}
				}
				return list, err
			})
		}),
		records("makes something of nil", "Audit/RoundTrip", func(r *ports.Records) {
			inner := r.Audit
			r.Audit = auditFault(func(ctx context.Context, actor string, tr ports.TimeRange, p ports.Page) ([]domain.AuditEntry, error) {
				list, err := inner.List(ctx, actor, tr, p)
				for i := range list {
					list[i].Before = append([]byte{}, list[i].Before...)
				}
				return list, err
			})
		}),

		records("a session replaces another", "Sessions/Taken", func(r *ports.Records) {
			inner := r.Sessions
			r.Sessions = sessionsFault{Sessions: inner, create: func(ctx context.Context, s domain.Session, bound int) error {
				_ = inner.Delete(ctx, s.Hash)
				return inner.Create(ctx, s, bound)
			}}
		}),
		records("takes no notice of the bound on sessions", "Sessions/Bound", func(r *ports.Records) {
			inner := r.Sessions
			r.Sessions = sessionsFault{Sessions: inner, create: func(ctx context.Context, s domain.Session, _ int) error { return inner.Create(ctx, s, 0) }}
		}),
		records("refuses a session too many", "Sessions/Bound", func(r *ports.Records) {
			inner := r.Sessions
			made := map[domain.ID]int{}
			r.Sessions = sessionsFault{Sessions: inner, create: func(ctx context.Context, s domain.Session, bound int) error {
				if made[s.UserID]++; bound > 0 && made[s.UserID] > bound {
					return domain.Errorf(domain.QuotaExceeded, "too many sessions")
				}
				return inner.Create(ctx, s, bound)
			}}
		}),
		records("ends the newest session but one", "Sessions/Bound", func(r *ports.Records) {
			inner := r.Sessions
			last := map[domain.ID][]domain.SecretHash{}
			r.Sessions = sessionsFault{Sessions: inner, create: func(ctx context.Context, s domain.Session, bound int) error {
				if mine := last[s.UserID]; bound > 0 && len(mine) >= bound {
					_ = inner.Delete(ctx, mine[len(mine)-1])
				}
				err := inner.Create(ctx, s, bound)
				if err == nil {
					last[s.UserID] = append(last[s.UserID], s.Hash)
				}
				return err
			}}
		}),
		records("counts the sessions before the transaction", "Sessions/BoundRacers", func(r *ports.Records) {
			inner := r.Sessions
			var mu sync.Mutex
			made := map[domain.ID][]domain.SecretHash{}
			r.Sessions = sessionsFault{Sessions: inner, create: func(ctx context.Context, s domain.Session, bound int) error {
				mu.Lock()
				over := max(0, len(made[s.UserID])-bound+1)
				oldest := slices.Clone(made[s.UserID][:over])
				mu.Unlock()
				pause()
				for _, hash := range oldest {
					_ = inner.Delete(ctx, hash)
				}
				if err := inner.Create(ctx, s, 0); err != nil {
					return err
				}
				mu.Lock()
				made[s.UserID] = append(made[s.UserID], s.Hash)
				mu.Unlock()
				return nil
			}}
		}),
		records("judges the expiry", "Sessions/RoundTrip", func(r *ports.Records) {
			inner := r.Sessions
			r.Sessions = sessionsFault{Sessions: inner, get: func(ctx context.Context, hash domain.SecretHash) (domain.Session, error) {
				s, err := inner.Get(ctx, hash)
				if err == nil && s.ExpiresAt.Before(time.Now()) {
					return domain.Session{}, domain.NotFound
				}
				return s, err
			}}
		}),
		records("deletes what has not expired", "Sessions/DeleteExpired", func(r *ports.Records) {
			inner := r.Sessions
			r.Sessions = sessionsFault{Sessions: inner, deleteExpired: func(ctx context.Context, now time.Time, limit int) (int, error) {
				return inner.DeleteExpired(ctx, now.Add(time.Minute), limit)
			}}
		}),
		records("reports what it did not delete", "Sessions/DeleteExpired", func(r *ports.Records) {
			inner := r.Sessions
			r.Sessions = sessionsFault{Sessions: inner, deleteExpired: func(ctx context.Context, now time.Time, limit int) (int, error) {
				n, err := inner.DeleteExpired(ctx, now, limit-1)
				return min(n+1, limit), err
			}}
		}),
		records("deletes another's token", "Tokens/Delete", func(r *ports.Records) {
			inner := r.Tokens
			var owners sync.Map
			r.Tokens = tokensFault{
				Tokens: inner,
				create: func(ctx context.Context, t domain.Token, bound int) error {
					owners.Store(t.ID, t.UserID)
					return inner.Create(ctx, t, bound)
				},
				remove: func(ctx context.Context, user, id domain.ID) error {
					if actual, ok := owners.Load(id); ok {
						user = actual.(domain.ID)
					}
					return inner.Delete(ctx, user, id)
				},
			}
		}),
		records("a missing token is no error", "Tokens/Delete", func(r *ports.Records) {
			inner := r.Tokens
			r.Tokens = tokensFault{Tokens: inner, remove: func(ctx context.Context, user, id domain.ID) error {
				_ = inner.Delete(ctx, user, id)
				return nil
			}}
		}),
	}
}
