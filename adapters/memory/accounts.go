package memory

import (
	"context"
	"slices"

	"github.com/imagify-api/imagify/domain"
	"github.com/imagify-api/imagify/ports"
)

// accounts implements ports.Accounts.
type accounts struct{ accountsReader }

// accountsReader implements ports.AccountsReader; within a transaction the mutex is already held.
type accountsReader struct {
	r    *records
	inTx bool
}

func (p accountsReader) lock() (unlock func()) {
	if p.inTx {
		return func() {}
	}
	p.r.mu.Lock()
	return p.r.mu.Unlock
}

func copyUser(u domain.User) domain.User {
	u.Tiers = slices.Clone(u.Tiers)
	u.CreatedAt, u.UpdatedAt = stored(u.CreatedAt), stored(u.UpdatedAt)
	return u
}

func noUser() error { return domain.Errorf(domain.NotFound, "no such user") }

// User implements ports.AccountsReader.
func (p accountsReader) User(ctx context.Context, id domain.ID) (domain.User, error) {
	if err := ended(ctx); err != nil {
		return domain.User{}, err
	}
	defer p.lock()()
	u, ok := p.r.users[id]
	if !ok {
		return domain.User{}, noUser()
	}
	return copyUser(u), nil
}

// UserByName implements ports.AccountsReader.
func (p accountsReader) UserByName(ctx context.Context, username string) (domain.User, error) {
	if err := ended(ctx); err != nil {
		return domain.User{}, err
	}
	defer p.lock()()
	u, ok := p.r.users[p.r.userByName[username]]
	if !ok || u.Deleting {
		return domain.User{}, noUser()
	}
	return copyUser(u), nil
}

// Users implements ports.AccountsReader.
func (p accountsReader) Users(ctx context.Context, tier string, pg ports.Page) ([]domain.User, error) {
	if err := ended(ctx); err != nil {
		return nil, err
	}
	defer p.lock()()
	list, _ := page(p.r.userOrder, pg, func(id domain.ID) (domain.User, bool) {
		u := p.r.users[id]
		return copyUser(u), !u.Deleting && (tier == "" || slices.Contains(u.Tiers, tier))
	})
	return list, nil
}

// DeletingUsers implements ports.AccountsReader.
func (p accountsReader) DeletingUsers(ctx context.Context, limit int) ([]domain.User, error) {
	if err := ended(ctx); err != nil {
		return nil, err
	}
	defer p.lock()()
	list, _ := page(p.r.userOrder, ports.Page{Limit: limit}, func(id domain.ID) (domain.User, bool) {
		u := p.r.users[id]
		return copyUser(u), u.Deleting
	})
	return list, nil
}

// CountAdmins implements ports.AccountsReader.
func (p accountsReader) CountAdmins(ctx context.Context) (int, error) {
	if err := ended(ctx); err != nil {
		return 0, err
	}
	defer p.lock()()
	n := 0
	for _, u := range p.r.users {
		if u.IsAdmin && u.IsActive && !u.Deleting {
			n++
		}
	}
	return n, nil
}

func copyTier(t domain.Tier) domain.Tier {
	t.CreatedAt, t.UpdatedAt = stored(t.CreatedAt), stored(t.UpdatedAt)
	return t
}

// Tier implements ports.AccountsReader.
func (p accountsReader) Tier(ctx context.Context, name string) (domain.Tier, error) {
	if err := ended(ctx); err != nil {
		return domain.Tier{}, err
	}
	defer p.lock()()
	t, ok := p.r.tiers[name]
	if !ok {
		return domain.Tier{}, domain.Errorf(domain.NotFound, "no such tier")
	}
	return t, nil
}

// Tiers implements ports.AccountsReader.
func (p accountsReader) Tiers(ctx context.Context) ([]domain.Tier, error) {
	if err := ended(ctx); err != nil {
		return nil, err
	}
	defer p.lock()()
	list := make([]domain.Tier, 0, len(p.r.tiers))
	for _, t := range p.r.tiers {
		list = append(list, t)
	}
	slices.SortFunc(list, func(a, b domain.Tier) int {
		if a.Name < b.Name {
			return -1
		}
		return 1
	})
	return list, nil
}

// DeletedTiers implements ports.AccountsReader.
func (p accountsReader) DeletedTiers(ctx context.Context) ([]string, error) {
	if err := ended(ctx); err != nil {
		return nil, err
	}
	defer p.lock()()
	var names []string
	for _, u := range p.r.users {
		for _, name := range u.Tiers {
			if _, there := p.r.tiers[name]; !there && !u.Deleting && !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
	}
	slices.Sort(names)
	return names, nil
}

// Change implements ports.Accounts.
func (p accounts) Change(ctx context.Context, fn func(tx ports.AccountsTx) error) error {
	if err := ended(ctx); err != nil {
		return err
	}
	p.r.mu.Lock()
	defer p.r.mu.Unlock()
	tx := &accountsTx{accountsReader: accountsReader{r: p.r, inTx: true}}
	committed := false
	defer func() { // also where fn panics
		if !committed {
			tx.rollback()
		}
	}()
	if err := fn(tx); err != nil {
		return err
	}
	if err := ended(ctx); err != nil {
		return err
	}
	committed = true
	for _, c := range tx.changes {
		p.r.publish(c)
	}
	for _, e := range tx.entries {
		p.r.record(e)
	}
	return nil
}

// accountsTx writes to the state at once, under the mutex, and remembers how
// to take each write back.
type accountsTx struct {
	accountsReader
	undo    []func()
	changes []ports.Change // each once
	entries []domain.AuditEntry
}

func (tx *accountsTx) rollback() {
	for _, u := range slices.Backward(tx.undo) {
		u()
	}
}

func (tx *accountsTx) changed(c ports.Change) {
	if !slices.Contains(tx.changes, c) {
		tx.changes = append(tx.changes, c)
	}
}

// SaveUser implements ports.AccountsTx.
func (tx *accountsTx) SaveUser(ctx context.Context, u domain.User) error {
	if err := ended(ctx); err != nil {
		return err
	}
	if holder, taken := tx.r.userByName[u.Username]; taken && holder != u.ID && !u.Deleting {
		return domain.Errorf(domain.Conflict, "the user name is taken; choose another")
	}
	tx.dropUser(u.ID)
	u = copyUser(u)
	tx.r.addUser(u)
	tx.undo = append(tx.undo, func() { tx.r.removeUser(u) })
	tx.changed(ports.Change{Kind: ports.UserChanged, ID: u.ID})
	return nil
}

// dropUser takes a user's row away, if there is one.
func (tx *accountsTx) dropUser(id domain.ID) bool {
	old, ok := tx.r.users[id]
	if ok {
		tx.r.removeUser(old)
		tx.undo = append(tx.undo, func() { tx.r.addUser(old) })
	}
	return ok
}

func (r *records) addUser(u domain.User) {
	r.users[u.ID] = u
	if !u.Deleting { // else the name is free
		r.userByName[u.Username] = u.ID
	}
	r.userOrder.add(u.ID)
}

func (r *records) removeUser(u domain.User) {
	delete(r.users, u.ID)
	if r.userByName[u.Username] == u.ID {
		delete(r.userByName, u.Username)
	}
	r.userOrder.remove(u.ID)
}

// SaveTier implements ports.AccountsTx.
func (tx *accountsTx) SaveTier(ctx context.Context, t domain.Tier) error {
	if err := ended(ctx); err != nil {
		return err
	}
	tx.undoTier(t.Name)
	tx.r.tiers[t.Name] = copyTier(t)
	tx.changed(ports.Change{Kind: ports.TierChanged, Name: t.Name})
	return nil
}

func (tx *accountsTx) undoTier(name string) {
	old, existed := tx.r.tiers[name]
	tx.undo = append(tx.undo, func() {
		if existed {
			tx.r.tiers[name] = old
		} else {
			delete(tx.r.tiers, name)
		}
	})
}

// DeleteUser implements ports.AccountsTx.
func (tx *accountsTx) DeleteUser(ctx context.Context, id domain.ID) error {
	if err := ended(ctx); err != nil {
		return err
	}
	if !tx.dropUser(id) {
		return nil
	}
	for hash := range tx.r.sessionsOf[id] {
		s := tx.r.sessions[hash]
		tx.r.removeSession(s)
		tx.undo = append(tx.undo, func() { tx.r.addSession(s) })
	}
	for _, tokenID := range slices.Clone(tx.r.tokensOf[id]) {
		t := tx.r.tokens[tokenID]
		tx.r.removeToken(t)
		tx.undo = append(tx.undo, func() { tx.r.addToken(t) })
	}
	tx.changed(ports.Change{Kind: ports.UserChanged, ID: id})
	return nil
}

// DeleteTier implements ports.AccountsTx.
func (tx *accountsTx) DeleteTier(ctx context.Context, name string) error {
	if err := ended(ctx); err != nil {
		return err
	}
	if _, ok := tx.r.tiers[name]; !ok {
		return nil
	}
	tx.undoTier(name)
	delete(tx.r.tiers, name)
	tx.changed(ports.Change{Kind: ports.TierChanged, Name: name})
	return nil
}

// RemoveMembers implements ports.AccountsTx.
func (tx *accountsTx) RemoveMembers(ctx context.Context, tier string, limit int) (int, error) {
	members, err := tx.Users(ctx, tier, ports.Page{Limit: limit})
	if err != nil {
		return 0, err
	}
	for _, u := range members {
		u.Tiers = slices.DeleteFunc(u.Tiers, func(name string) bool { return name == tier })
		if err := tx.SaveUser(ctx, u); err != nil {
			return 0, err
		}
	}
	return len(members), nil
}

// Record implements ports.AccountsTx.
func (tx *accountsTx) Record(ctx context.Context, e domain.AuditEntry) error {
	if err := ended(ctx); err != nil {
		return err
	}
	tx.entries = append(tx.entries, copyEntry(e))
	return nil
}
