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
		"Accounts": porttest.Accounts, "Images": porttest.Images, "Links": porttest.Links, "Audit": porttest.Audit,
		"Changes": porttest.Changes, "Leases": porttest.Leases, "Installation": porttest.Installation,
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

// usersFault replaces some of what Accounts reads of users.
type usersFault struct {
	ports.Accounts
	get      func(ctx context.Context, id domain.ID) (domain.User, error)
	byName   func(ctx context.Context, name string) (domain.User, error)
	list     func(ctx context.Context, tier string, p ports.Page) ([]domain.User, error)
	countAll bool
}

func (f usersFault) User(ctx context.Context, id domain.ID) (domain.User, error) {
	if f.get != nil {
		return f.get(ctx, id)
	}
	return f.Accounts.User(ctx, id)
}

func (f usersFault) UserByName(ctx context.Context, name string) (domain.User, error) {
	if f.byName != nil {
		return f.byName(ctx, name)
	}
	return f.Accounts.UserByName(ctx, name)
}

func (f usersFault) Users(ctx context.Context, tier string, p ports.Page) ([]domain.User, error) {
	if f.list != nil {
		return f.list(ctx, tier, p)
	}
	return f.Accounts.Users(ctx, tier, p)
}

func (f usersFault) CountAdmins(ctx context.Context) (int, error) {
	if !f.countAll {
		return f.Accounts.CountAdmins(ctx)
	}
	list, err := f.Accounts.Users(ctx, "", ports.Page{Limit: 1000})
	n := 0
	for _, u := range list {
		if u.IsAdmin {
			n++
		}
	}
	return n, err
}

// tiersFault replaces some of what Accounts reads of tiers.
type tiersFault struct {
	ports.Accounts
	get  func(ctx context.Context, name string) (domain.Tier, error)
	list func(ctx context.Context) ([]domain.Tier, error)
}

func (f tiersFault) Tier(ctx context.Context, name string) (domain.Tier, error) {
	if f.get != nil {
		return f.get(ctx, name)
	}
	return f.Accounts.Tier(ctx, name)
}

func (f tiersFault) Tiers(ctx context.Context) ([]domain.Tier, error) {
	if f.list != nil {
		return f.list(ctx)
	}
	return f.Accounts.Tiers(ctx)
}

// write is a write of a transaction of Accounts, to be made later.
type write func(tx ports.AccountsTx) error

// lateTx reads what is there and puts off its writes.
type lateTx struct {
	ports.AccountsReader
	writes []write
}

func (tx *lateTx) later(w write) error {
	tx.writes = append(tx.writes, w)
	return nil
}

func (tx *lateTx) SaveUser(ctx context.Context, u domain.User) error {
	return tx.later(func(tx ports.AccountsTx) error { return tx.SaveUser(ctx, u) })
}

func (tx *lateTx) SaveTier(ctx context.Context, t domain.Tier) error {
	return tx.later(func(tx ports.AccountsTx) error { return tx.SaveTier(ctx, t) })
}

func (tx *lateTx) DeleteUser(ctx context.Context, id domain.ID) error {
	return tx.later(func(tx ports.AccountsTx) error { return tx.DeleteUser(ctx, id) })
}

func (tx *lateTx) DeleteTier(ctx context.Context, name string) error {
	return tx.later(func(tx ports.AccountsTx) error { return tx.DeleteTier(ctx, name) })
}

func (tx *lateTx) RemoveMembers(ctx context.Context, tier string, limit int) (int, error) {
	return 0, tx.later(func(tx ports.AccountsTx) error {
		_, err := tx.RemoveMembers(ctx, tier, limit)
		return err
	})
}

func (tx *lateTx) Record(ctx context.Context, e domain.AuditEntry) error {
	return tx.later(func(tx ports.AccountsTx) error { return tx.Record(ctx, e) })
}

func all(writes []write) func(tx ports.AccountsTx) error {
	return func(tx ports.AccountsTx) error {
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
	ports.AccountsTx
	saveUser   func(ctx context.Context, tx ports.AccountsTx, u domain.User) error
	deleteUser func(ctx context.Context, tx ports.AccountsTx, id domain.ID) error
	noRecord   bool
}

func (f txFault) SaveUser(ctx context.Context, u domain.User) error {
	if f.saveUser != nil {
		return f.saveUser(ctx, f.AccountsTx, u)
	}
	return f.AccountsTx.SaveUser(ctx, u)
}

func (f txFault) DeleteUser(ctx context.Context, id domain.ID) error {
	if f.deleteUser != nil {
		return f.deleteUser(ctx, f.AccountsTx, id)
	}
	return f.AccountsTx.DeleteUser(ctx, id)
}

func (f txFault) Record(ctx context.Context, e domain.AuditEntry) error {
	if f.noRecord {
		return nil
	}
	return f.AccountsTx.Record(ctx, e)
}

// changeFault replaces Accounts.Change.
type changeFault struct {
	ports.Accounts
	change func(ctx context.Context, fn func(tx ports.AccountsTx) error) error
}

func (f changeFault) Change(ctx context.Context, fn func(tx ports.AccountsTx) error) error {
	return f.change(ctx, fn)
}

// within breaks the transactions of Accounts.
func within(d ports.Accounts, breakIt func(tx ports.AccountsTx) ports.AccountsTx) ports.Accounts {
	return changeFault{d, func(ctx context.Context, fn func(tx ports.AccountsTx) error) error {
		return d.Change(ctx, func(tx ports.AccountsTx) error { return fn(breakIt(tx)) })
	}}
}

// late breaks Accounts by how it makes the writes of a change that has run.
func late(r *ports.Records, apply func(ctx context.Context, d ports.Accounts, writes []write, err error) error) ports.Accounts {
	inner := r.Accounts
	return changeFault{inner, func(ctx context.Context, fn func(tx ports.AccountsTx) error) error {
		tx := &lateTx{AccountsReader: inner}
		err := fn(tx)
		return apply(ctx, inner, tx.writes, err)
	}}
}

// members breaks RemoveMembers.
func members(remove func(tx ports.AccountsTx, ctx context.Context, tier string, limit int) (int, error)) func(r *ports.Records) {
	return func(r *ports.Records) {
		inner := r.Accounts
		r.Accounts = changeFault{inner, func(ctx context.Context, fn func(tx ports.AccountsTx) error) error {
			return inner.Change(ctx, func(tx ports.AccountsTx) error { return fn(membersTx{tx, remove}) })
		}}
	}
}

type membersTx struct {
	ports.AccountsTx
	remove func(tx ports.AccountsTx, ctx context.Context, tier string, limit int) (int, error)
}

func (tx membersTx) RemoveMembers(ctx context.Context, tier string, limit int) (int, error) {
	return tx.remove(tx.AccountsTx, ctx, tier, limit)
}

func brokenAccounts() []broken {
	return []broken{
		records(control, "Accounts/Users/Copies", func(*ports.Records) {}),
		records(control, "Accounts/Change/Serial", func(*ports.Records) {}),
		records(control, "Accounts/Change/RemoveMembers", func(*ports.Records) {}),
		records("removes one member too few", "Accounts/Change/RemoveMembers", members(func(tx ports.AccountsTx, ctx context.Context, tier string, limit int) (int, error) {
			n, err := tx.RemoveMembers(ctx, tier, max(1, limit-1))
			return min(n+1, limit), err
		})),
		records("removes members of everything", "Accounts/Change/RemoveMembers", members(func(tx ports.AccountsTx, ctx context.Context, tier string, limit int) (int, error) {
			all, err := tx.Users(ctx, tier, ports.Page{Limit: limit})
			for _, u := range all {
				u.Tiers = nil
				err = errors.Join(err, tx.SaveUser(ctx, u))
			}
			return len(all), err
		})),
		records("hands out shared memory", "Accounts/Users/Copies", func(r *ports.Records) {
			inner, shared := r.Accounts, map[domain.ID][]string{}
			var mu sync.Mutex
			r.Accounts = usersFault{Accounts: inner, get: func(ctx context.Context, id domain.ID) (domain.User, error) {
				u, err := inner.User(ctx, id)
				mu.Lock()
				defer mu.Unlock()
				if shared[id] == nil {
					shared[id] = u.Tiers
				}
				u.Tiers = shared[id]
				return u, err
			}}
		}),
		records("names without regard to case", "Accounts/Users/NamesToTheLetter", func(r *ports.Records) {
			inner := r.Accounts
			r.Accounts = usersFault{Accounts: inner, byName: func(ctx context.Context, name string) (domain.User, error) {
				list, err := inner.Users(ctx, "", ports.Page{Limit: 100})
				for _, u := range list {
					if strings.EqualFold(u.Username, name) {
						return u, nil
					}
				}
				return domain.User{}, errors.Join(domain.NotFound, err)
			}}
		}),
		records("finds users that are being deleted by name", "Accounts/Users/Deleting", func(r *ports.Records) {
			inner := r.Accounts
			r.Accounts = usersFault{Accounts: inner, byName: func(ctx context.Context, name string) (domain.User, error) {
				list, _ := inner.DeletingUsers(ctx, 100)
				for _, u := range list {
					if u.Username == name {
						return u, nil
					}
				}
				return inner.UserByName(ctx, name)
			}}
		}),
		records("a tier's name matches as a prefix", "Accounts/Users/Paging", func(r *ports.Records) {
			inner := r.Accounts
			r.Accounts = usersFault{Accounts: inner, list: func(ctx context.Context, tier string, p ports.Page) ([]domain.User, error) {
				list, err := inner.Users(ctx, "", ports.Page{Before: p.Before, Limit: 1000})
				list = slices.DeleteFunc(list, func(u domain.User) bool {
					return tier != "" && !slices.ContainsFunc(u.Tiers, func(n string) bool { return strings.HasPrefix(n, tier) })
				})
				return list[:min(len(list), p.Limit)], err
			}}
		}),
		records("a page begins with the one before", "Accounts/Users/Paging", func(r *ports.Records) {
			inner := r.Accounts
			r.Accounts = usersFault{Accounts: inner, list: func(ctx context.Context, tier string, p ports.Page) ([]domain.User, error) {
				if !p.Before.IsZero() {
					p.Before[15]++
				}
				return inner.Users(ctx, tier, p)
			}}
		}),
		records("a page is one too long", "Accounts/Users/Paging", func(r *ports.Records) {
			inner := r.Accounts
			r.Accounts = usersFault{Accounts: inner, list: func(ctx context.Context, tier string, p ports.Page) ([]domain.User, error) {
				p.Limit++
				return inner.Users(ctx, tier, p)
			}}
		}),
		records("counts every admin", "Accounts/Users/CountAdmins", func(r *ports.Records) {
			r.Accounts = usersFault{Accounts: r.Accounts, countAll: true}
		}),
		records("an ended context gives an empty answer", "Accounts/Users/EndedContext", func(r *ports.Records) {
			inner := r.Accounts
			r.Accounts = usersFault{Accounts: inner, list: func(ctx context.Context, tier string, p ports.Page) ([]domain.User, error) {
				list, _ := inner.Users(ctx, tier, p)
				return list, nil
			}}
		}),
		records("an ended context is not found", "Accounts/Users/EndedContext", func(r *ports.Records) {
			inner := r.Accounts
			r.Accounts = usersFault{Accounts: inner, get: func(ctx context.Context, id domain.ID) (domain.User, error) {
				if ctx.Err() != nil {
					return domain.User{}, domain.NotFound
				}
				return inner.User(ctx, id)
			}}
		}),
		records("times in another zone", "Accounts/Users/RoundTrip", func(r *ports.Records) {
			inner := r.Accounts
			r.Accounts = usersFault{Accounts: inner, get: func(ctx context.Context, id domain.ID) (domain.User, error) {
				u, err := inner.User(ctx, id)
				u.CreatedAt = u.CreatedAt.In(kolkata)
				return u, err
			}}
		}),
		records("times in milliseconds", "Accounts/Users/RoundTrip", func(r *ports.Records) {
			inner := r.Accounts
			r.Accounts = usersFault{Accounts: inner, byName: func(ctx context.Context, name string) (domain.User, error) {
				u, err := inner.UserByName(ctx, name)
				u.UpdatedAt = u.UpdatedAt.Truncate(time.Millisecond)
				return u, err
			}}
		}),
		records("cuts long values", "Accounts/Users/RoundTrip", func(r *ports.Records) {
			r.Accounts = within(r.Accounts, func(tx ports.AccountsTx) ports.AccountsTx {
				return txFault{AccountsTx: tx, saveUser: func(ctx context.Context, tx ports.AccountsTx, u domain.User) error {
					u.Email = u.Email[:min(len(u.Email), 191)]
					return tx.SaveUser(ctx, u)
				}}
			})
		}),
		records("sorts tiers like words", "Accounts/Tiers/ByteOrder", func(r *ports.Records) {
			tiers := r.Accounts
			r.Accounts = tiersFault{Accounts: tiers, list: func(ctx context.Context) ([]domain.Tier, error) {
				list, err := tiers.Tiers(ctx)
				slices.SortFunc(list, func(a, b domain.Tier) int {
					return strings.Compare(strings.ToLower(a.Name), strings.ToLower(b.Name))
				})
				return list, err
			}}
		}),
		records("finds tiers in any case", "Accounts/Tiers/RoundTrip", func(r *ports.Records) {
			tiers := r.Accounts
			r.Accounts = tiersFault{Accounts: tiers, get: func(ctx context.Context, name string) (domain.Tier, error) {
				list, err := tiers.Tiers(ctx)
				for _, t := range list {
					if strings.EqualFold(t.Name, name) {
						return t, nil
					}
				}
				if err != nil {
					return domain.Tier{}, err
				}
				return tiers.Tier(ctx, name)
			}}
		}),
		records("keeps a tier without a limit at zero", "Accounts/Tiers/RoundTrip", func(r *ports.Records) {
			tiers := r.Accounts
			r.Accounts = tiersFault{Accounts: tiers, get: func(ctx context.Context, name string) (domain.Tier, error) {
				t, err := tiers.Tier(ctx, name)
				for _, f := range t.Limits.Fields() {
					*f.Value = max(*f.Value, 0)
				}
				return t, err
			}}
		}),
		records("answers from memory when nobody waits any more", "Accounts/Tiers/EndedContext", func(r *ports.Records) {
			tiers := r.Accounts
			r.Accounts = tiersFault{Accounts: tiers, list: func(ctx context.Context) ([]domain.Tier, error) {
				return tiers.Tiers(context.WithoutCancel(ctx))
			}}
		}),

		records("loses updates", "Accounts/Change/Serial", func(r *ports.Records) {
			r.Accounts = late(r, func(ctx context.Context, d ports.Accounts, writes []write, err error) error {
				if err != nil {
					return err
				}
				pause()
				return d.Change(ctx, all(writes))
			})
		}),
		records("write skew", "Accounts/Change/LastAdmin", func(r *ports.Records) {
			r.Accounts = late(r, func(ctx context.Context, d ports.Accounts, writes []write, err error) error {
				if err != nil {
					return err
				}
				pause()
				return d.Change(ctx, all(writes))
			})
		}),
		records("writes in spite of an error", "Accounts/Change/ErrorWritesNothing", func(r *ports.Records) {
			inner := r.Accounts
			r.Accounts = late(r, func(ctx context.Context, _ ports.Accounts, writes []write, err error) error {
				return errors.Join(err, inner.Change(ctx, all(writes)))
			})
		}),
		records("keeps the audit of what failed", "Accounts/Change/ErrorWritesNothing", func(r *ports.Records) {
			inner := r.Accounts
			r.Accounts = changeFault{inner, func(ctx context.Context, fn func(tx ports.AccountsTx) error) error {
				tx := &lateTx{}
				err := inner.Change(ctx, func(inTime ports.AccountsTx) error {
					tx.writes = nil
					return fn(recordLate{inTime, tx})
				})
				return errors.Join(err, inner.Change(ctx, all(tx.writes)))
			}}
		}),
		records("swallows fn's error", "Accounts/Change/ErrorWritesNothing", func(r *ports.Records) {
			r.Accounts = late(r, func(ctx context.Context, d ports.Accounts, writes []write, err error) error {
				if err == nil {
					_ = d.Change(ctx, all(writes))
				}
				return nil
			})
		}),
		records("a transaction that does not see its writes", "Accounts/Change/ReadsItsWrites", func(r *ports.Records) {
			r.Accounts = late(r, func(ctx context.Context, d ports.Accounts, writes []write, err error) error {
				if err != nil {
					return err
				}
				return d.Change(ctx, all(writes))
			})
		}),
		records("announces twice", "Accounts/Change/Feed", func(r *ports.Records) {
			inner := r.Accounts
			r.Accounts = late(r, func(ctx context.Context, _ ports.Accounts, writes []write, err error) error {
				if err == nil {
					err = inner.Change(ctx, all(writes))
				}
				if err == nil && len(writes) > 0 {
					err = inner.Change(ctx, writes[0])
				}
				return err
			})
		}),
		records("drops the audit", "Accounts/Change/Audit", func(r *ports.Records) {
			r.Accounts = within(r.Accounts, func(tx ports.AccountsTx) ports.AccountsTx { return txFault{AccountsTx: tx, noRecord: true} })
		}),
		records("drops a write whose name is taken", "Accounts/Change/NameTaken", func(r *ports.Records) {
			r.Accounts = within(r.Accounts, func(tx ports.AccountsTx) ports.AccountsTx {
				return txFault{AccountsTx: tx, saveUser: func(ctx context.Context, tx ports.AccountsTx, u domain.User) error {
					if err := tx.SaveUser(ctx, u); domain.CodeOf(err) != domain.Conflict {
						return err
					}
					return nil
				}}
			})
		}),
		records("tokens outlive their user", "Accounts/Change/DeleteUser", func(r *ports.Records) {
			inner := r.Accounts
			r.Accounts = changeFault{inner, func(ctx context.Context, fn func(tx ports.AccountsTx) error) error {
				var orphans []domain.Token
				lists := map[domain.ID][]domain.Token{}
				users, _ := inner.Users(ctx, "", ports.Page{Limit: 100})
				for _, u := range users {
					lists[u.ID], _ = inner.Tokens(ctx, u.ID, ports.Page{Limit: 100})
				}
				err := inner.Change(ctx, func(tx ports.AccountsTx) error {
					return fn(txFault{AccountsTx: tx, deleteUser: func(ctx context.Context, tx ports.AccountsTx, id domain.ID) error {
						orphans = append(orphans, lists[id]...)
						return tx.DeleteUser(ctx, id)
					}})
				})
				for _, o := range orphans {
					_ = inner.CreateToken(ctx, o, 0)
				}
				return err
			}}
		}),
		records("writes one by one", "Accounts/Change/VisibleTogether", func(r *ports.Records) {
			r.Accounts = late(r, func(ctx context.Context, d ports.Accounts, writes []write, err error) error {
				for _, w := range writes {
					if err == nil {
						err = d.Change(ctx, w)
						pause()
					}
				}
				return err
			})
		}),
		records("writes though its context has ended", "Accounts/Change/EndedContext", func(r *ports.Records) {
			r.Accounts = late(r, func(_ context.Context, d ports.Accounts, writes []write, _ error) error {
				return d.Change(context.Background(), all(writes))
			})
		}),
	}
}

// recordLate puts off audit entries alone.
type recordLate struct {
	ports.AccountsTx
	late *lateTx
}

func (tx recordLate) Record(ctx context.Context, e domain.AuditEntry) error {
	return tx.late.Record(ctx, e)
}
