package bunrepo

import (
	"context"
	"database/sql"
	"errors"
	"slices"

	"github.com/uptrace/bun"

	"github.com/imagify-api/imagify/domain"
	"github.com/imagify-api/imagify/ports"
)

type accounts struct{ accountsReader }

type accountsReader struct {
	*repo
	in bun.IDB
	// tx is the transaction that reads, nil outside of one: what it reads stays as it is until
	// it ends. A list of tiers too, but that is read by many changes at once, and changed by none of them.
	tx *tx
}

// reads is a query for users, who stay as they are where the transaction wants that.
func (s accountsReader) reads(rows any) *bun.SelectQuery {
	q := s.in.NewSelect().Model(rows)
	if s.tx != nil {
		q = s.forUpdate(q)
	}
	return q
}

// ready has a transaction read what it wrote.
func (t *tx) ready(ctx context.Context) error {
	if t == nil {
		return nil
	}
	return t.r.fail(t.flush(ctx))
}

func (s accountsReader) one(ctx context.Context, where string, args ...any) (domain.User, error) {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	if err := s.tx.ready(ctx); err != nil {
		return domain.User{}, err
	}
	var row userRow
	if err := s.reads(&row).Where(where, args...).Scan(ctx); err != nil {
		return domain.User{}, s.notFound(err, "user")
	}
	return row.user()
}

func (s accountsReader) many(ctx context.Context, q *bun.SelectQuery, rows *[]userRow) ([]domain.User, error) {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	if err := s.tx.ready(ctx); err != nil {
		return nil, err
	}
	if err := q.Scan(ctx); err != nil {
		return nil, s.fail(err)
	}
	out := make([]domain.User, len(*rows))
	for i, row := range *rows {
		u, err := row.user()
		if err != nil {
			return nil, err
		}
		out[i] = u
	}
	return out, nil
}

func (s accountsReader) User(ctx context.Context, id domain.ID) (domain.User, error) {
	return s.one(ctx, "id = ?", id[:])
}

func (s accountsReader) UserByName(ctx context.Context, username string) (domain.User, error) {
	if !isText(username) {
		return domain.User{}, domain.Errorf(domain.NotFound, "no such user")
	}
	return s.one(ctx, "login = ?", username)
}

func (s accountsReader) Users(ctx context.Context, tier string, p ports.Page) ([]domain.User, error) {
	if err := checkLimit(p.Limit); err != nil {
		return nil, err
	}
	var rows []userRow
	q := s.reads(&rows)
	if !isText(tier) {
		return nil, nil
	}
	if tier == "" {
		return s.many(ctx, page(q.ForceIndex("users_list").Where("deleting = ?", false), "id", p), &rows)
	}
	q = q.Join("JOIN user_tiers ON user_tiers.user_id = users.id").Where("user_tiers.tier = ?", tier)
	return s.many(ctx, page(q, "user_tiers.user_id", p), &rows)
}

func (s accountsReader) DeletingUsers(ctx context.Context, limit int) ([]domain.User, error) {
	if err := checkLimit(limit); err != nil {
		return nil, err
	}
	var rows []userRow
	return s.many(ctx, s.reads(&rows).Where("deleting = ?", true).OrderBy("id", bun.OrderAsc).Limit(int64(limit)), &rows)
}

func (s accountsReader) CountAdmins(ctx context.Context) (int, error) {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	query := "SELECT COUNT(*) FROM users WHERE is_admin = ? AND is_active = ? AND deleting = ?"
	if s.tx != nil {
		query = s.lock(query)
	}
	if err := s.tx.ready(ctx); err != nil {
		return 0, err
	}
	var n int
	err := s.in.NewRaw(query, true, true, false).Scan(ctx, &n)
	return n, s.fail(err)
}

func (s accountsReader) Tier(ctx context.Context, name string) (domain.Tier, error) {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	if !isText(name) {
		return domain.Tier{}, domain.Errorf(domain.NotFound, "no such tier")
	}
	var row tierRow
	q := s.in.NewSelect().Model(&row).Where("name = ?", name)
	if s.tx != nil {
		q = s.forUpdate(q)
	}
	if err := s.tx.ready(ctx); err != nil {
		return domain.Tier{}, err
	}
	if err := q.Scan(ctx); err != nil {
		return domain.Tier{}, s.notFound(err, "tier")
	}
	return row.tier()
}

func (s accountsReader) Tiers(ctx context.Context) ([]domain.Tier, error) {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	var rows []tierRow
	query := "SELECT * FROM tiers ORDER BY name"
	if s.tx != nil && s.o.ForShare != "" {
		query += " " + s.o.ForShare
	}
	if err := s.tx.ready(ctx); err != nil {
		return nil, err
	}
	if err := s.in.NewRaw(query).Scan(ctx, &rows); err != nil {
		return nil, s.fail(err)
	}
	out := make([]domain.Tier, len(rows))
	for i, row := range rows {
		t, err := row.tier()
		if err != nil {
			return nil, err
		}
		out[i] = t
	}
	return out, nil
}

// Gone goes from one name to the next, whatever the number of members.
func (s accountsReader) DeletedTiers(ctx context.Context) ([]string, error) {
	all, err := s.Tiers(ctx)
	if err != nil {
		return nil, err
	}
	var names []string
	for name := ""; ; {
		err := func() error {
			ctx, cancel := s.bounded(ctx)
			defer cancel()
			return s.in.NewRaw("SELECT tier FROM user_tiers WHERE tier > ? ORDER BY tier LIMIT 1", name).Scan(ctx, &name)
		}()
		if errors.Is(err, sql.ErrNoRows) {
			return names, nil
		}
		if err != nil {
			return nil, s.fail(err)
		}
		if !slices.ContainsFunc(all, func(t domain.Tier) bool { return t.Name == name }) {
			names = append(names, name)
		}
	}
}

func (s accounts) Change(ctx context.Context, fn func(tx ports.AccountsTx) error) error {
	var refused error
	err := s.change(ctx, func(ctx context.Context, t *tx) error {
		refused = fn(&accountsTx{accountsReader{s.repo, t, t}})
		return refused
	})
	if err != nil && refused != nil {
		return refused // as it is: it is the caller's own
	}
	return err
}

// accountsTx reads with locks: of two changes that read or write the same rows the second waits for
// the first. Of two that make the same new row one is run again.
type accountsTx struct{ accountsReader }

func (d *accountsTx) SaveUser(ctx context.Context, u domain.User) error {
	return d.fail(d.saveUser(ctx, u))
}

func (d *accountsTx) saveUser(ctx context.Context, u domain.User) error {
	if err := d.tx.flush(ctx); err != nil {
		return err
	}
	row := newUserRow(u)
	if err := checkText(append([]string{u.Username, u.Email, u.PasswordHash}, u.Tiers...)...); err != nil {
		return err
	}
	if row.Login.Valid {
		var other []byte
		err := d.tx.NewSelect().Model((*userRow)(nil)).Column("id").Where("login = ?", row.Login.String).Scan(ctx, &other)
		switch {
		case err == nil && toID(other) != u.ID:
			return domain.Errorf(domain.Conflict, "the user name is taken")
		case err != nil && !errors.Is(err, sql.ErrNoRows):
			return err
		}
	}
	if err := d.save(ctx, &row); err != nil {
		return err
	}
	if err := d.tx.deferExec(ctx, "DELETE FROM user_tiers WHERE user_id = ?", row.ID); err != nil {
		return err
	}
	if !u.Deleting && len(u.Tiers) > 0 {
		names := slices.Clone(u.Tiers)
		slices.Sort(names)
		names = slices.Compact(names)
		members := make([]memberRow, len(names))
		for i, name := range names {
			members[i] = memberRow{Tier: name, UserID: row.ID}
		}
		if err := d.tx.deferInsert(ctx, &members); err != nil {
			return err
		}
	}
	d.tx.announce(u.ID, ports.Change{Kind: ports.UserChanged, ID: u.ID})
	return nil
}

func (d *accountsTx) SaveTier(ctx context.Context, t domain.Tier) error {
	if err := checkText(t.Name, t.Title); err != nil {
		return err
	}
	if err := d.tx.flush(ctx); err != nil {
		return d.fail(err)
	}
	row := newTierRow(t)
	if err := d.save(ctx, &row); err != nil {
		return d.fail(err)
	}
	d.tx.announce(domain.ID{}, ports.Change{Kind: ports.TierChanged, Name: t.Name})
	return nil
}

// save writes a row by its primary key, new or not. Where another transaction makes the
// same row between the two statements, this one runs again and finds it.
func (d *accountsTx) save(ctx context.Context, model any) error {
	res, err := d.tx.NewUpdate().Model(model).WherePK().Exec(ctx)
	if err != nil {
		return err
	}
	if n, err := res.RowsAffected(); err != nil || n > 0 {
		return err
	}
	if _, err = d.tx.NewInsert().Model(model).Exec(ctx); d.duplicate(err) {
		return errLostRace
	}
	return err
}

func (d *accountsTx) DeleteUser(ctx context.Context, id domain.ID) error {
	var deleted int64
	for _, q := range []string{
		"DELETE FROM user_tiers WHERE user_id = ?",
		"DELETE FROM sessions WHERE user_id = ?",
		"DELETE FROM tokens WHERE user_id = ?",
		"DELETE FROM idempotency WHERE owner_id = ?",
		"DELETE FROM usages WHERE owner_id = ? AND images = 0",
		"DELETE FROM users WHERE id = ?",
	} {
		var err error
		if deleted, err = d.tx.exec(ctx, q, id[:]); err != nil {
			return d.fail(err)
		}
	}
	if deleted > 0 {
		d.tx.announce(id, ports.Change{Kind: ports.UserChanged, ID: id})
	}
	return nil
}

func (d *accountsTx) DeleteTier(ctx context.Context, name string) error {
	if !isText(name) {
		return nil
	}
	n, err := d.tx.exec(ctx, "DELETE FROM tiers WHERE name = ?", name)
	if err != nil {
		return d.fail(err)
	}
	if n > 0 {
		d.tx.announce(domain.ID{}, ports.Change{Kind: ports.TierChanged, Name: name})
	}
	return nil
}

func (d *accountsTx) RemoveMembers(ctx context.Context, tier string, limit int) (int, error) {
	if err := checkLimit(limit); err != nil {
		return 0, err
	}
	if !isText(tier) {
		return 0, nil
	}
	n, err := d.removeMembers(ctx, tier, limit)
	return n, d.fail(err)
}

func (d *accountsTx) removeMembers(ctx context.Context, tier string, limit int) (int, error) {
	if err := d.tx.flush(ctx); err != nil {
		return 0, err
	}
	var rows []userRow
	q := d.forUpdate(d.tx.NewSelect().Model(&rows)).Join("JOIN user_tiers ON user_tiers.user_id = users.id").Where("user_tiers.tier = ?", tier)
	if err := page(q, "user_tiers.user_id", ports.Page{Limit: limit}).Scan(ctx); err != nil || len(rows) == 0 {
		return 0, err
	}
	ids := make([][]byte, len(rows))
	for i, row := range rows {
		u, err := row.user()
		if err != nil {
			return 0, err
		}
		left := slices.DeleteFunc(u.Tiers, func(name string) bool { return name == tier })
		if err := d.tx.deferExec(ctx, "UPDATE users SET tiers = ? WHERE id = ?", toJSON(append([]string{}, left...)), row.ID); err != nil {
			return 0, err
		}
		ids[i] = row.ID
		d.tx.announce(u.ID, ports.Change{Kind: ports.UserChanged, ID: u.ID})
	}
	return len(rows), d.tx.deferExec(ctx, "DELETE FROM user_tiers WHERE tier = ? AND user_id IN (?)", tier, bun.List(ids))
}

func (d *accountsTx) Record(ctx context.Context, e domain.AuditEntry) error {
	return d.fail(d.tx.record(ctx, &e))
}
