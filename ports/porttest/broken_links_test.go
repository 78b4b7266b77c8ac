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

// linksFault replaces some of how Links keeps links.
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

// linkChangesFault replaces some of how Links changes them.
type linkChangesFault struct {
	ports.Links
	revoke    func(ctx context.Context, owner, id domain.ID, e *domain.AuditEntry, now time.Time) error
	takeView  func(ctx context.Context, token domain.SecretHash, now time.Time) (bool, error)
	addViews  func(ctx context.Context, b ports.ViewBatch) error
	deleteOld func(ctx context.Context, before time.Time, limit int) (int, error)
}

func (f linkChangesFault) Revoke(ctx context.Context, owner, id domain.ID, e *domain.AuditEntry, now time.Time) error {
	if f.revoke != nil {
		return f.revoke(ctx, owner, id, e, now)
	}
	return f.Links.Revoke(ctx, owner, id, e, now)
}

func (f linkChangesFault) TakeView(ctx context.Context, token domain.SecretHash, now time.Time) (bool, error) {
	if f.takeView != nil {
		return f.takeView(ctx, token, now)
	}
	return f.Links.TakeView(ctx, token, now)
}

func (f linkChangesFault) AddViews(ctx context.Context, b ports.ViewBatch) error {
	if f.addViews != nil {
		return f.addViews(ctx, b)
	}
	return f.Links.AddViews(ctx, b)
}

func (f linkChangesFault) DeleteOld(ctx context.Context, before time.Time, limit int) (int, error) {
	if f.deleteOld != nil {
		return f.deleteOld(ctx, before, limit)
	}
	return f.Links.DeleteOld(ctx, before, limit)
}

type auditFault func(ctx context.Context, actor string, r ports.TimeRange, p ports.Page) ([]domain.AuditEntry, error)

func (f auditFault) List(ctx context.Context, actor string, r ports.TimeRange, p ports.Page) ([]domain.AuditEntry, error) {
	return f(ctx, actor, r, p)
}

// sessionsFault replaces some of what Accounts does with sessions.
type sessionsFault struct {
	ports.Accounts
	create        func(ctx context.Context, s domain.Session, bound int) error
	get           func(ctx context.Context, hash domain.SecretHash) (domain.Session, error)
	deleteExpired func(ctx context.Context, now time.Time, limit int) (int, error)
}

func (f sessionsFault) CreateSession(ctx context.Context, s domain.Session, bound int) error {
	if f.create != nil {
		return f.create(ctx, s, bound)
	}
	return f.Accounts.CreateSession(ctx, s, bound)
}

func (f sessionsFault) Session(ctx context.Context, hash domain.SecretHash) (domain.Session, error) {
	if f.get != nil {
		return f.get(ctx, hash)
	}
	return f.Accounts.Session(ctx, hash)
}

func (f sessionsFault) DeleteExpiredSessions(ctx context.Context, now time.Time, limit int) (int, error) {
	if f.deleteExpired != nil {
		return f.deleteExpired(ctx, now, limit)
	}
	return f.Accounts.DeleteExpiredSessions(ctx, now, limit)
}

// tokensFault replaces some of what Accounts does with tokens.
type tokensFault struct {
	ports.Accounts
	remove func(ctx context.Context, user, id domain.ID) error
	create func(ctx context.Context, t domain.Token, bound int) error
}

func (f tokensFault) DeleteToken(ctx context.Context, user, id domain.ID) error {
	if f.remove != nil {
		return f.remove(ctx, user, id)
	}
	return f.Accounts.DeleteToken(ctx, user, id)
}

func (f tokensFault) CreateToken(ctx context.Context, t domain.Token, bound int) error {
	if f.create != nil {
		return f.create(ctx, t, bound)
	}
	return f.Accounts.CreateToken(ctx, t, bound)
}

func brokenLinks() []broken {
	return []broken{
		records(control, "Links/TakeViewRacers", func(*ports.Records) {}),
		records("drops a link whose hash is taken", "Links/Taken", func(r *ports.Records) {
			inner := r.Links
			r.Links = linksFault{Links: inner, create: func(ctx context.Context, l domain.Link, bound int) error {
				if err := inner.Create(ctx, l, bound); domain.CodeOf(err) != domain.Conflict {
					return err
				}
				return nil
			}}
		}),
		records("ignores the bound on links", "Links/Bound", func(r *ports.Records) {
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
		records("ignores the bound on tokens", "Accounts/Tokens/Bound", func(r *ports.Records) {
			inner := r.Accounts
			r.Accounts = tokensFault{Accounts: inner, create: func(ctx context.Context, t domain.Token, _ int) error { return inner.CreateToken(ctx, t, 0) }}
		}),
		records("ignores the owner", "Links/OwnersAreApart", func(r *ports.Records) {
			inner, changes := r.Links, r.Links
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

		records("a revoked link is not found", "Links/Revoke", func(r *ports.Records) {
			inner, links := r.Links, r.Links
			r.Links = linkChangesFault{Links: inner, revoke: func(ctx context.Context, owner, id domain.ID, e *domain.AuditEntry, now time.Time) error {
				if l, err := links.Get(ctx, owner, id); err == nil && !l.RevokedAt.IsZero() {
					return domain.NotFound
				}
				return inner.Revoke(ctx, owner, id, e, now)
			}}
		}),
		records("revokes anybody's link", "Links/Revoke", func(r *ports.Records) {
			inner := r.Links
			r.Links = linkChangesFault{Links: inner, revoke: func(ctx context.Context, owner, id domain.ID, e *domain.AuditEntry, now time.Time) error {
				if actual, err := inner.Owner(ctx, id); err == nil {
					owner = actual
				}
				return inner.Revoke(ctx, owner, id, e, now)
			}}
		}),
		records("takes more views than there are", "Links/TakeViewRacers", func(r *ports.Records) {
			inner, links := r.Links, r.Links
			r.Links = linkChangesFault{Links: inner, takeView: func(ctx context.Context, token domain.SecretHash, now time.Time) (bool, error) {
				l, err := links.ByToken(ctx, token)
				if err != nil || l.Views >= l.MaxViews {
					return false, ctx.Err()
				}
				pause()
				_, err = inner.TakeView(ctx, token, now)
				return err == nil, err
			}}
		}),
		records("loses views in a race", "Links/TakeViewRacers", func(r *ports.Records) {
			inner := r.Links
			var busy sync.Mutex
			r.Links = linkChangesFault{Links: inner, takeView: func(ctx context.Context, token domain.SecretHash, now time.Time) (bool, error) {
				if !busy.TryLock() {
					return true, nil // counted by who came first
				}
				defer busy.Unlock()
				pause()
				return inner.TakeView(ctx, token, now)
			}}
		}),
		records("views of an expired link", "Links/TakeView", func(r *ports.Records) {
			inner := r.Links
			r.Links = linkChangesFault{Links: inner, takeView: func(ctx context.Context, token domain.SecretHash, now time.Time) (bool, error) {
				return inner.TakeView(ctx, token, now.Add(-time.Second))
			}}
		}),
		records("adds views only where nobody else does", "Links/AddViewsRacers", func(r *ports.Records) {
			inner := r.Links
			var busy sync.Mutex
			r.Links = linkChangesFault{Links: inner, addViews: func(ctx context.Context, b ports.ViewBatch) error {
				if !busy.TryLock() {
					return nil
				}
				defer busy.Unlock()
				pause()
				return inner.AddViews(ctx, b)
			}}
		}),
		records("adds a batch again", "Links/AddViews", func(r *ports.Records) {
			inner := r.Links
			var n atomic.Int64
			r.Links = linkChangesFault{Links: inner, addViews: func(ctx context.Context, b ports.ViewBatch) error {
				b.ID = domain.ID{byte(n.Add(1))}
				return inner.AddViews(ctx, b)
			}}
		}),
		records("stumbles over unknown links", "Links/AddViews", func(r *ports.Records) {
			inner, links := r.Links, r.Links
			r.Links = linkChangesFault{Links: inner, addViews: func(ctx context.Context, b ports.ViewBatch) error {
				for token := range b.Views {
					if _, err := links.ByToken(ctx, token); err != nil {
						return err
					}
				}
				return inner.AddViews(ctx, b)
			}}
		}),
		records("deletes what was made at the time", "Links/DeleteOld", func(r *ports.Records) {
			inner := r.Links
			r.Links = linkChangesFault{Links: inner, deleteOld: func(ctx context.Context, before time.Time, limit int) (int, error) {
				return inner.DeleteOld(ctx, before.Add(1), limit)
			}}
		}),
		records("deletes more than the limit", "Links/DeleteOld", func(r *ports.Records) {
			inner := r.Links
			r.Links = linkChangesFault{Links: inner, deleteOld: func(ctx context.Context, before time.Time, limit int) (int, error) {
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

		records("a session replaces another", "Accounts/Sessions/Taken", func(r *ports.Records) {
			inner := r.Accounts
			r.Accounts = sessionsFault{Accounts: inner, create: func(ctx context.Context, s domain.Session, bound int) error {
				_ = inner.DeleteSession(ctx, s.Hash)
				return inner.CreateSession(ctx, s, bound)
			}}
		}),
		records("takes no notice of the bound on sessions", "Accounts/Sessions/Bound", func(r *ports.Records) {
			inner := r.Accounts
			r.Accounts = sessionsFault{Accounts: inner, create: func(ctx context.Context, s domain.Session, _ int) error { return inner.CreateSession(ctx, s, 0) }}
		}),
		records("refuses a session too many", "Accounts/Sessions/Bound", func(r *ports.Records) {
			inner := r.Accounts
			made := map[domain.ID]int{}
			r.Accounts = sessionsFault{Accounts: inner, create: func(ctx context.Context, s domain.Session, bound int) error {
				if made[s.UserID]++; bound > 0 && made[s.UserID] > bound {
					return domain.Errorf(domain.QuotaExceeded, "too many sessions")
				}
				return inner.CreateSession(ctx, s, bound)
			}}
		}),
		records("ends the newest session but one", "Accounts/Sessions/Bound", func(r *ports.Records) {
			inner := r.Accounts
			last := map[domain.ID][]domain.SecretHash{}
			r.Accounts = sessionsFault{Accounts: inner, create: func(ctx context.Context, s domain.Session, bound int) error {
				if mine := last[s.UserID]; bound > 0 && len(mine) >= bound {
					_ = inner.DeleteSession(ctx, mine[len(mine)-1])
				}
				err := inner.CreateSession(ctx, s, bound)
				if err == nil {
					last[s.UserID] = append(last[s.UserID], s.Hash)
				}
				return err
			}}
		}),
		records("counts the sessions before the transaction", "Accounts/Sessions/BoundRacers", func(r *ports.Records) {
			inner := r.Accounts
			var mu sync.Mutex
			made := map[domain.ID][]domain.SecretHash{}
			r.Accounts = sessionsFault{Accounts: inner, create: func(ctx context.Context, s domain.Session, bound int) error {
				mu.Lock()
				over := max(0, len(made[s.UserID])-bound+1)
				oldest := slices.Clone(made[s.UserID][:over])
				mu.Unlock()
				pause()
				for _, hash := range oldest {
					_ = inner.DeleteSession(ctx, hash)
				}
				if err := inner.CreateSession(ctx, s, 0); err != nil {
					return err
				}
				mu.Lock()
				made[s.UserID] = append(made[s.UserID], s.Hash)
				mu.Unlock()
				return nil
			}}
		}),
		records("judges the expiry", "Accounts/Sessions/RoundTrip", func(r *ports.Records) {
			inner := r.Accounts
			r.Accounts = sessionsFault{Accounts: inner, get: func(ctx context.Context, hash domain.SecretHash) (domain.Session, error) {
				s, err := inner.Session(ctx, hash)
				if err == nil && s.ExpiresAt.Before(time.Now()) {
					return domain.Session{}, domain.NotFound
				}
				return s, err
			}}
		}),
		records("deletes what has not expired", "Accounts/Sessions/DeleteExpired", func(r *ports.Records) {
			inner := r.Accounts
			r.Accounts = sessionsFault{Accounts: inner, deleteExpired: func(ctx context.Context, now time.Time, limit int) (int, error) {
				return inner.DeleteExpiredSessions(ctx, now.Add(time.Minute), limit)
			}}
		}),
		records("reports what it did not delete", "Accounts/Sessions/DeleteExpired", func(r *ports.Records) {
			inner := r.Accounts
			r.Accounts = sessionsFault{Accounts: inner, deleteExpired: func(ctx context.Context, now time.Time, limit int) (int, error) {
				n, err := inner.DeleteExpiredSessions(ctx, now, limit-1)
				return min(n+1, limit), err
			}}
		}),
		records("deletes another's token", "Accounts/Tokens/Delete", func(r *ports.Records) {
			inner := r.Accounts
			var owners sync.Map
			r.Accounts = tokensFault{
				Accounts: inner,
				create: func(ctx context.Context, t domain.Token, bound int) error {
					owners.Store(t.ID, t.UserID)
					return inner.CreateToken(ctx, t, bound)
				},
				remove: func(ctx context.Context, user, id domain.ID) error {
					if actual, ok := owners.Load(id); ok {
						user = actual.(domain.ID)
					}
					return inner.DeleteToken(ctx, user, id)
				},
			}
		}),
		records("a missing token is no error", "Accounts/Tokens/Delete", func(r *ports.Records) {
			inner := r.Accounts
			r.Accounts = tokensFault{Accounts: inner, remove: func(ctx context.Context, user, id domain.ID) error {
				_ = inner.DeleteToken(ctx, user, id)
				return nil
			}}
		}),
	}
}
