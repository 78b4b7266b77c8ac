package porttest_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/imagify-api/imagify/adapters/memory"
	"github.com/imagify-api/imagify/domain"
	"github.com/imagify-api/imagify/ports"
	"github.com/imagify-api/imagify/ports/porttest"
)

// pause is where a racer that checks first and acts later lets the others pass.
func pause() { time.Sleep(3 * time.Millisecond) }

var kolkata = time.FixedZone("", 5*3600+1800)

// records returns a broken database: a working one with a fault put into it.
func records(fault, finds string, breakIt func(r *ports.Records)) broken {
	suites := map[string]func(*testing.T, func(*testing.T) ports.Records){
		"Users": porttest.Users, "Tiers": porttest.Tiers, "Directory": porttest.Directory, "Images": porttest.Images, "Uploads": porttest.Uploads,
		"Deletions": porttest.Deletions, "Links": porttest.Links, "LinkChanges": porttest.LinkChanges, "Audit": porttest.Audit,
		"Sessions": porttest.Sessions, "Tokens": porttest.Tokens, "Changes": porttest.Changes, "Leases": porttest.Leases, "Installation": porttest.Installation,
	}
	suite, _, _ := strings.Cut(finds, "/")
	return broken{fault, finds, func(t *testing.T) {
		suites[suite](t, func(*testing.T) ports.Records {
			r := memory.NewRecords(memory.Options{})
			breakIt(&r)
			return r
		})
	}}
}

// usersFault replaces some of Users.
type usersFault struct {
	ports.Users
	get      func(ctx context.Context, id domain.ID) (domain.User, error)
	byName   func(ctx context.Context, name string) (domain.User, error)
	list     func(ctx context.Context, tier string, p ports.Page) ([]domain.User, error)
	countAll bool
}

func (f usersFault) Get(ctx context.Context, id domain.ID) (domain.User, error) {
	if f.get != nil {
		return f.get(ctx, id)
	}
	return f.Users.Get(ctx, id)
}

func (f usersFault) ByUsername(ctx context.Context, name string) (domain.User, error) {
	if f.byName != nil {
		return f.byName(ctx, name)
	}
	return f.Users.ByUsername(ctx, name)
}

func (f usersFault) List(ctx context.Context, tier string, p ports.Page) ([]domain.User, error) {
	if f.list != nil {
		return f.list(ctx, tier, p)
	}
	return f.Users.List(ctx, tier, p)
}

func (f usersFault) CountAdmins(ctx context.Context) (int, error) {
	if !f.countAll {
		return f.Users.CountAdmins(ctx)
	}
	list, err := f.Users.List(ctx, "", ports.Page{Limit: 1000})
	n := 0
	for _, u := range list {
		if u.IsAdmin {
			n++
		}
	}
	return n, err
}

// tiersFault replaces some of Tiers.
type tiersFault struct {
	ports.Tiers
	get  func(ctx context.Context, name string) (domain.Tier, error)
	list func(ctx context.Context) ([]domain.Tier, error)
}

func (f tiersFault) Get(ctx context.Context, name string) (domain.Tier, error) {
	if f.get != nil {
		return f.get(ctx, name)
	}
	return f.Tiers.Get(ctx, name)
}

func (f tiersFault) List(ctx context.Context) ([]domain.Tier, error) {
	if f.list != nil {
		return f.list(ctx)
	}
	return f.Tiers.List(ctx)
}

// write is a write of a Directory's transaction, to be made later.
type write func(tx ports.DirectoryTx) error

// lateTx reads what is there and puts off its writes.
type lateTx struct {
	r      *ports.Records
	writes []write
}

func (tx *lateTx) Users() ports.Users { return tx.r.Users }
func (tx *lateTx) Tiers() ports.Tiers { return tx.r.Tiers }

func (tx *lateTx) later(w write) error {
	tx.writes = append(tx.writes, w)
	return nil
}

func (tx *lateTx) SaveUser(ctx context.Context, u domain.User) error {
	return tx.later(func(tx ports.DirectoryTx) error { return tx.SaveUser(ctx, u) })
}

func (tx *lateTx) SaveTier(ctx context.Context, t domain.Tier) error {
	return tx.later(func(tx ports.DirectoryTx) error { return tx.SaveTier(ctx, t) })
}

func (tx *lateTx) DeleteUser(ctx context.Context, id domain.ID) error {
	return tx.later(func(tx ports.DirectoryTx) error { return tx.DeleteUser(ctx, id) })
}

func (tx *lateTx) DeleteTier(ctx context.Context, name string) error {
	return tx.later(func(tx ports.DirectoryTx) error { return tx.DeleteTier(ctx, name) })
}

func (tx *lateTx) RemoveMembers(ctx context.Context, tier string, limit int) (int, error) {
	return 0, tx.later(func(tx ports.DirectoryTx) error {
		_, err := tx.RemoveMembers(ctx, tier, limit)
		return err
	})
}

func (tx *lateTx) Record(ctx context.Context, e domain.AuditEntry) error {
	return tx.later(func(tx ports.DirectoryTx) error { return tx.Record(ctx, e) })
}

func all(writes []write) func(tx ports.DirectoryTx) error {
	return func(tx ports.DirectoryTx) error {
		for _, w := range writes {
			if err := w(tx); err != nil {
				return err
			}
		}
		return nil
	}
}

// txFault replaces some of a transaction.
type txFault struct {
	ports.DirectoryTx
	saveUser   func(ctx context.Context, tx ports.DirectoryTx, u domain.User) error
	deleteUser func(ctx context.Context, tx ports.DirectoryTx, id domain.ID) error
	noRecord   bool
}

func (f txFault) SaveUser(ctx context.Context, u domain.User) error {
	if f.saveUser != nil {
		return f.saveUser(ctx, f.DirectoryTx, u)
	}
	return f.DirectoryTx.SaveUser(ctx, u)
}

func (f txFault) DeleteUser(ctx context.Context, id domain.ID) error {
	if f.deleteUser != nil {
		return f.deleteUser(ctx, f.DirectoryTx, id)
	}
	return f.DirectoryTx.DeleteUser(ctx, id)
}

func (f txFault) Record(ctx context.Context, e domain.AuditEntry) error {
	if f.noRecord {
		return nil
	}
	return f.DirectoryTx.Record(ctx, e)
}

// changeFunc is a Directory by its one method.
type changeFunc func(ctx context.Context, fn func(tx ports.DirectoryTx) error) error

func (f changeFunc) Change(ctx context.Context, fn func(tx ports.DirectoryTx) error) error {
	return f(ctx, fn)
}

// within breaks the transactions of a Directory.
func within(d ports.Directory, breakIt func(tx ports.DirectoryTx) ports.DirectoryTx) ports.Directory {
	return changeFunc(func(ctx context.Context, fn func(tx ports.DirectoryTx) error) error {
		return d.Change(ctx, func(tx ports.DirectoryTx) error { return fn(breakIt(tx)) })
	})
}

// late breaks a Directory by how it makes the writes of a change that has run.
func late(r *ports.Records, apply func(ctx context.Context, d ports.Directory, writes []write, err error) error) ports.Directory {
	inner, outside := r.Directory, *r
	return changeFunc(func(ctx context.Context, fn func(tx ports.DirectoryTx) error) error {
		tx := &lateTx{r: &outside}
		err := fn(tx)
		return apply(ctx, inner, tx.writes, err)
	})
}

// members breaks RemoveMembers.
func members(remove func(tx ports.DirectoryTx, ctx context.Context, tier string, limit int) (int, error)) func(r *ports.Records) {
	return func(r *ports.Records) {
		inner := r.Directory
		r.Directory = changeFunc(func(ctx context.Context, fn func(tx ports.DirectoryTx) error) error {
			return inner.Change(ctx, func(tx ports.DirectoryTx) error { return fn(membersTx{tx, remove}) })
		})
	}
}

type membersTx struct {
	ports.DirectoryTx
	remove func(tx ports.DirectoryTx, ctx context.Context, tier string, limit int) (int, error)
}

func (tx membersTx) RemoveMembers(ctx context.Context, tier string, limit int) (int, error) {
	return tx.remove(tx.DirectoryTx, ctx, tier, limit)
}

func brokenDirectories() []broken {
	return []broken{
		records(control, "Users/Copies", func(*ports.Records) {}),
		records(control, "Directory/Serial", func(*ports.Records) {}),
		records(control, "Directory/RemoveMembers", func(*ports.Records) {}),
		records("removes one member too few", "Directory/RemoveMembers", members(func(tx ports.DirectoryTx, ctx context.Context, tier string, limit int) (int, error) {
			n, err := tx.RemoveMembers(ctx, tier, max(1, limit-1))
			return min(n+1, limit), err
		})),
		records("removes members of everything", "Directory/RemoveMembers", members(func(tx ports.DirectoryTx, ctx context.Context, tier string, limit int) (int, error) {
			all, err := tx.Users().List(ctx, tier, ports.Page{Limit: limit})
			for _, u := range all {
				u.Tiers = nil
				err = errors.Join(err, tx.SaveUser(ctx, u))
			}
			return len(all), err
		})),
		records("hands out shared memory", "Users/Copies", func(r *ports.Records) {
			inner, shared := r.Users, map[domain.ID][]string{}
			var mu sync.Mutex
			r.Users = usersFault{Users: inner, get: func(ctx context.Context, id domain.ID) (domain.User, error) {
				u, err := inner.Get(ctx, id)
				mu.Lock()
				defer mu.Unlock()
				if shared[id] == nil {
					shared[id] = u.Tiers
				}
				u.Tiers = shared[id]
				return u, err
			}}
		}),
		records("names without regard to case", "Users/NamesToTheLetter", func(r *ports.Records) {
			inner := r.Users
			r.Users = usersFault{Users: inner, byName: func(ctx context.Context, name string) (domain.User, error) {
				list, err := inner.List(ctx, "", ports.Page{Limit: 100})
				for _, u := range list {
					if strings.EqualFold(u.Username, name) {
						return u, nil
					}
				}
				return domain.User{}, errors.Join(domain.NotFound, err)
			}}
		}),
		records("finds users that are being deleted by name", "Users/Deleting", func(r *ports.Records) {
			inner := r.Users
			r.Users = usersFault{Users: inner, byName: func(ctx context.Context, name string) (domain.User, error) {
				list, _ := inner.Deleting(ctx, 100)
				for _, u := range list {
					if u.Username == name {
						return u, nil
					}
				}
				return inner.ByUsername(ctx, name)
			}}
		}),
		records("a tier's name matches as a prefix", "Users/Paging", func(r *ports.Records) {
			inner := r.Users
			r.Users = usersFault{Users: inner, list: func(ctx context.Context, tier string, p ports.Page) ([]domain.User, error) {
				list, err := inner.List(ctx, "", ports.Page{Before: p.Before, Limit: 1000})
				list = slices.DeleteFunc(list, func(u domain.User) bool {
					return tier != "" && !slices.ContainsFunc(u.Tiers, func(n string) bool { return strings.HasPrefix(n, tier) })
				})
				return list[:min(len(list), p.Limit)], err
			}}
		}),
		records("a page begins with the one before", "Users/Paging", func(r *ports.Records) {
			inner := r.Users
			r.Users = usersFault{Users: inner, list: func(ctx context.Context, tier string, p ports.Page) ([]domain.User, error) {
				if !p.Before.IsZero() {
					p.Before[15]++
				}
				return inner.List(ctx, tier, p)
			}}
		}),
		records("a page is one too long", "Users/Paging", func(r *ports.Records) {
			inner := r.Users
			r.Users = usersFault{Users: inner, list: func(ctx context.Context, tier string, p ports.Page) ([]domain.User, error) {
				p.Limit++
				return inner.List(ctx, tier, p)
			}}
		}),
		records("counts every admin", "Users/CountAdmins", func(r *ports.Records) {
			r.Users = usersFault{Users: r.Users, countAll: true}
		}),
		records("an ended context gives an empty answer", "Users/EndedContext", func(r *ports.Records) {
			inner := r.Users
			r.Users = usersFault{Users: inner, list: func(ctx context.Context, tier string, p ports.Page) ([]domain.User, error) {
				list, _ := inner.List(ctx, tier, p)
				return list, nil
			}}
		}),
		records("an ended context is not found", "Users/EndedContext", func(r *ports.Records) {
			inner := r.Users
			r.Users = usersFault{Users: inner, get: func(ctx context.Context, id domain.ID) (domain.User, error) {
				if ctx.Err() != nil {
					return domain.User{}, domain.NotFound
				}
				return inner.Get(ctx, id)
			}}
		}),
		records("times in another zone", "Users/RoundTrip", func(r *ports.Records) {
			inner := r.Users
			r.Users = usersFault{Users: inner, get: func(ctx context.Context, id domain.ID) (domain.User, error) {
				u, err := inner.Get(ctx, id)
				u.CreatedAt = u.CreatedAt.In(kolkata)
				return u, err
			}}
		}),
		records("times in milliseconds", "Users/RoundTrip", func(r *ports.Records) {
			inner := r.Users
			r.Users = usersFault{Users: inner, byName: func(ctx context.Context, name string) (domain.User, error) {
				u, err := inner.ByUsername(ctx, name)
				u.UpdatedAt = u.UpdatedAt.Truncate(time.Millisecond)
				return u, err
			}}
		}),
		records("cuts long values", "Users/RoundTrip", func(r *ports.Records) {
			r.Directory = within(r.Directory, func(tx ports.DirectoryTx) ports.DirectoryTx {
				return txFault{DirectoryTx: tx, saveUser: func(ctx context.Context, tx ports.DirectoryTx, u domain.User) error {
					u.Email = u.Email[:min(len(u.Email), 191)]
					return tx.SaveUser(ctx, u)
				}}
			})
		}),
		records("sorts tiers like words", "Tiers/ByteOrder", func(r *ports.Records) {
			tiers := r.Tiers
			r.Tiers = tiersFault{Tiers: tiers, list: func(ctx context.Context) ([]domain.Tier, error) {
				list, err := tiers.List(ctx)
				slices.SortFunc(list, func(a, b domain.Tier) int {
					return strings.Compare(strings.ToLower(a.Name), strings.ToLower(b.Name))
				})
				return list, err
			}}
		}),
		records("finds tiers in any case", "Tiers/RoundTrip", func(r *ports.Records) {
			tiers := r.Tiers
			r.Tiers = tiersFault{Tiers: tiers, get: func(ctx context.Context, name string) (domain.Tier, error) {
				list, err := tiers.List(ctx)
				for _, t := range list {
					if strings.EqualFold(t.Name, name) {
						return t, nil
					}
				}
				if err != nil {
					return domain.Tier{}, err
				}
				return tiers.Get(ctx, name)
			}}
		}),
		records("keeps a tier without a limit at zero", "Tiers/RoundTrip", func(r *ports.Records) {
			tiers := r.Tiers
			r.Tiers = tiersFault{Tiers: tiers, get: func(ctx context.Context, name string) (domain.Tier, error) {
				t, err := tiers.Get(ctx, name)
				for _, f := range t.Limits.Fields() {
					*f.Value = max(*f.Value, 0)
				}
				return t, err
			}}
		}),
		records("answers from memory when nobody waits any more", "Tiers/EndedContext", func(r *ports.Records) {
			tiers := r.Tiers
			r.Tiers = tiersFault{Tiers: tiers, list: func(ctx context.Context) ([]domain.Tier, error) {
				return tiers.List(context.WithoutCancel(ctx))
			}}
		}),

		records("loses updates", "Directory/Serial", func(r *ports.Records) {
			r.Directory = late(r, func(ctx context.Context, d ports.Directory, writes []write, err error) error {
				if err != nil {
					return err
				}
				pause()
				return d.Change(ctx, all(writes))
			})
		}),
		records("write skew", "Directory/LastAdmin", func(r *ports.Records) {
			r.Directory = late(r, func(ctx context.Context, d ports.Directory, writes []write, err error) error {
				if err != nil {
					return err
				}
				pause()
				return d.Change(ctx, all(writes))
			})
		}),
		records("writes in spite of an error", "Directory/ErrorWritesNothing", func(r *ports.Records) {
			inner := r.Directory
			r.Directory = late(r, func(ctx context.Context, _ ports.Directory, writes []write, err error) error {
				return errors.Join(err, inner.Change(ctx, all(writes)))
			})
		}),
		records("keeps the audit of what failed", "Directory/ErrorWritesNothing", func(r *ports.Records) {
			inner := r.Directory
			r.Directory = changeFunc(func(ctx context.Context, fn func(tx ports.DirectoryTx) error) error {
				tx := &lateTx{}
				err := inner.Change(ctx, func(inTime ports.DirectoryTx) error {
					tx.writes = nil
					return fn(recordLate{inTime, tx})
				})
				return errors.Join(err, inner.Change(ctx, all(tx.writes)))
			})
		}),
		records("swallows fn's error", "Directory/ErrorWritesNothing", func(r *ports.Records) {
			r.Directory = late(r, func(ctx context.Context, d ports.Directory, writes []write, err error) error {
				if err == nil {
					_ = d.Change(ctx, all(writes))
				}
				return nil
			})
		}),
		records("a transaction that does not see its writes", "Directory/ReadsItsWrites", func(r *ports.Records) {
			r.Directory = late(r, func(ctx context.Context, d ports.Directory, writes []write, err error) error {
				if err != nil {
					return err
				}
				return d.Change(ctx, all(writes))
			})
		}),
		records("announces twice", "Directory/Feed", func(r *ports.Records) {
			inner := r.Directory
			r.Directory = late(r, func(ctx context.Context, _ ports.Directory, writes []write, err error) error {
				if err == nil {
					err = inner.Change(ctx, all(writes))
				}
				if err == nil && len(writes) > 0 {
					err = inner.Change(ctx, writes[0])
				}
				return err
			})
		}),
		records("drops the audit", "Directory/Audit", func(r *ports.Records) {
			r.Directory = within(r.Directory, func(tx ports.DirectoryTx) ports.DirectoryTx { return txFault{DirectoryTx: tx, noRecord: true} })
		}),
		records("drops a write whose name is taken", "Directory/NameTaken", func(r *ports.Records) {
			r.Directory = within(r.Directory, func(tx ports.DirectoryTx) ports.DirectoryTx {
				return txFault{DirectoryTx: tx, saveUser: func(ctx context.Context, tx ports.DirectoryTx, u domain.User) error {
					if err := tx.SaveUser(ctx, u); domain.CodeOf(err) != domain.Conflict {
						return err
					}
					return nil
				}}
			})
		}),
		records("tokens outlive their user", "Directory/DeleteUser", func(r *ports.Records) {
			directory, tokens := r.Directory, r.Tokens
			r.Directory = changeFunc(func(ctx context.Context, fn func(tx ports.DirectoryTx) error) error {
				var orphans []domain.Token
				lists := map[domain.ID][]domain.Token{}
				users, _ := r.Users.List(ctx, "", ports.Page{Limit: 100})
				for _, u := range users {
					lists[u.ID], _ = tokens.List(ctx, u.ID, ports.Page{Limit: 100})
				}
				err := directory.Change(ctx, func(tx ports.DirectoryTx) error {
					return fn(txFault{DirectoryTx: tx, deleteUser: func(ctx context.Context, tx ports.DirectoryTx, id domain.ID) error {
						orphans = append(orphans, lists[id]...)
						return tx.DeleteUser(ctx, id)
					}})
				})
				for _, o := range orphans {
					_ = tokens.Create(ctx, o, 0)
				}
				return err
			})
		}),
		records("writes one by one", "Directory/VisibleTogether", func(r *ports.Records) {
			r.Directory = late(r, func(ctx context.Context, d ports.Directory, writes []write, err error) error {
				for _, w := range writes {
					if err == nil {
						err = d.Change(ctx, w)
						pause()
					}
				}
				return err
			})
		}),
		records("writes though its context has ended", "Directory/EndedContext", func(r *ports.Records) {
			r.Directory = late(r, func(_ context.Context, d ports.Directory, writes []write, _ error) error {
				return d.Change(context.Background(), all(writes))
			})
		}),
	}
}

// recordLate puts off audit entries alone.
type recordLate struct {
	ports.DirectoryTx
	late *lateTx
}

func (tx recordLate) Record(ctx context.Context, e domain.AuditEntry) error {
	return tx.late.Record(ctx, e)
}
