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

type users struct {
	*repo
	in bun.IDB
}

func (s users) one(ctx context.Context, where string, args ...any) (domain.User, error) {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	var row userRow
	if err := s.in.NewSelect().Model(&row).Where(where, args...).Scan(ctx); err != nil {
		return domain.User{}, s.notFound(err, "user")
	}
	return row.user()
}

func (s users) many(ctx context.Context, q *bun.SelectQuery, rows *[]userRow) ([]domain.User, error) {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
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

func (s users) Get(ctx context.Context, id domain.ID) (domain.User, error) {
	return s.one(ctx, "id = ?", id[:])
}

func (s users) ByUsername(ctx context.Context, username string) (domain.User, error) {
	if !isText(username) {
		return domain.User{}, domain.Errorf(domain.NotFound, "no such user")
	}
	return s.one(ctx, "login = ?", username)
}

func (s users) List(ctx context.Context, tier string, p ports.Page) ([]domain.User, error) {
	if err := checkLimit(p.Limit); err != nil {
		return nil, err
	}
	var rows []userRow
	q := s.in.NewSelect().Model(&rows)
	if !isText(tier) {
		return nil, nil
	}
	if tier == "" {
		return s.many(ctx, page(q.ForceIndex("users_list").Where("deleting = ?", false), "id", p), &rows)
	}
	q = q.Join("JOIN user_tiers ON user_tiers.user_id = users.id").Where("user_tiers.tier = ?", tier)
	return s.many(ctx, page(q, "user_tiers.user_id", p), &rows)
}

func (s users) Deleting(ctx context.Context, limit int) ([]domain.User, error) {
	if err := checkLimit(limit); err != nil {
		return nil, err
	}
	var rows []userRow
	return s.many(ctx, s.in.NewSelect().Model(&rows).Where("deleting = ?", true).OrderBy("id", bun.OrderAsc).Limit(int64(limit)), &rows)
}

func (s users) CountAdmins(ctx context.Context) (int, error) {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	n, err := s.in.NewSelect().Model((*userRow)(nil)).
		Where("is_admin = ?", true).Where("is_active = ?", true).Where("deleting = ?", false).Count(ctx)
	return int(n), s.fail(err)
}

type tiers struct {
	*repo
	in bun.IDB
}

func (s tiers) Get(ctx context.Context, name string) (domain.Tier, error) {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	if !isText(name) {
		return domain.Tier{}, domain.Errorf(domain.NotFound, "no such tier")
	}
	var row tierRow
	if err := s.in.NewSelect().Model(&row).Where("name = ?", name).Scan(ctx); err != nil {
		return domain.Tier{}, s.notFound(err, "tier")
	}
	return row.tier()
}

func (s tiers) List(ctx context.Context) ([]domain.Tier, error) {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	var rows []tierRow
	if err := s.in.NewSelect().Model(&rows).OrderBy("name", bun.OrderAsc).Scan(ctx); err != nil {
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

type directory struct{ *repo }

func (s directory) Change(ctx context.Context, fn func(tx ports.DirectoryTx) error) error {
	var refused error
	err := s.write(ctx, func(ctx context.Context, tx bun.Tx) error {
		// The feed's row is the lock that makes changes serial: it is taken before anything is read.
		f, err := s.lockFeed(ctx, tx)
		if err != nil {
			return err
		}
		d := &directoryTx{repo: s.repo, tx: tx, feed: f}
		if refused = fn(d); refused != nil {
			return refused
		}
		return f.publish(ctx, tx)
	})
	if err != nil && refused != nil {
		return refused // as it is: it is the caller's own
	}
	return err
}

type directoryTx struct {
	*repo
	tx   bun.Tx
	feed *feed
}

func (d *directoryTx) Users() ports.Users { return users{d.repo, d.tx} }
func (d *directoryTx) Tiers() ports.Tiers { return tiers{d.repo, d.tx} }

func (d *directoryTx) SaveUser(ctx context.Context, u domain.User) error {
	return d.fail(d.saveUser(ctx, u))
}

func (d *directoryTx) saveUser(ctx context.Context, u domain.User) error {
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
	if _, err := exec(ctx, d.tx, "DELETE FROM user_tiers WHERE user_id = ?", row.ID); err != nil {
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
		if _, err := d.tx.NewInsert().Model(&members).Exec(ctx); err != nil {
			return err
		}
	}
	d.feed.add(ports.Change{Kind: ports.UserChanged, ID: u.ID})
	return nil
}

func (d *directoryTx) SaveTier(ctx context.Context, t domain.Tier) error {
	if err := checkText(t.Name, t.Title); err != nil {
		return err
	}
	row := newTierRow(t)
	if err := d.save(ctx, &row); err != nil {
		return d.fail(err)
	}
	d.feed.add(ports.Change{Kind: ports.TierChanged, Name: t.Name})
	return nil
}

// save writes a row by its primary key, new or not. No other transaction is
// between the two statements: the feed's row is locked.
func (d *directoryTx) save(ctx context.Context, model any) error {
	res, err := d.tx.NewUpdate().Model(model).WherePK().Exec(ctx)
	if err != nil {
		return err
	}
	if n, err := res.RowsAffected(); err != nil || n > 0 {
		return err
	}
	_, err = d.tx.NewInsert().Model(model).Exec(ctx)
	return err
}

func (d *directoryTx) DeleteUser(ctx context.Context, id domain.ID) error {
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
		if deleted, err = exec(ctx, d.tx, q, id[:]); err != nil {
			return d.fail(err)
		}
	}
	if deleted > 0 {
		d.feed.add(ports.Change{Kind: ports.UserChanged, ID: id})
	}
	return nil
}

func (d *directoryTx) DeleteTier(ctx context.Context, name string) error {
	if !isText(name) {
		return nil
	}
	n, err := exec(ctx, d.tx, "DELETE FROM tiers WHERE name = ?", name)
	if err != nil {
		return d.fail(err)
	}
	if n > 0 {
		d.feed.add(ports.Change{Kind: ports.TierChanged, Name: name})
	}
	return nil
}

func (d *directoryTx) Record(ctx context.Context, e domain.AuditEntry) error {
	return d.fail(d.record(ctx, d.tx, &e))
}
