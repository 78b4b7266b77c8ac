package bunrepo

import (
	"bytes"
	"context"
	"database/sql"
	"slices"
	"time"

	"github.com/uptrace/bun"

	"github.com/imagify-api/imagify/domain"
	"github.com/imagify-api/imagify/ports"
)

type links struct{ *repo }

func (s links) Create(ctx context.Context, l domain.Link, bound int) error {
	row := newLinkRow(l)
	err := s.run(ctx, transaction{blind: bound == 0, fn: func(ctx context.Context, t *tx) error {
		if bound > 0 {
			if err := s.roomForLink(ctx, t, l, bound); err != nil {
				return err
			}
		}
		for _, model := range []any{
			&linkOwnerRow{ID: row.ID, OwnerID: row.OwnerID, ImageID: row.ImageID, TokenHash: row.TokenHash, CreatedAt: row.CreatedAt},
			&ownerLinkRow{OwnerID: row.OwnerID, ImageID: row.ImageID, ID: row.ID, TokenHash: row.TokenHash, LiveUntil: row.ExpiresAt},
			&row,
		} {
			if err := t.deferInsert(ctx, model); err != nil {
				return err
			}
		}
		return nil
	}})
	return s.taken("the link's token or id is taken", err)
}

// roomForLink refuses a link beyond the bound. Its owner's row stays locked to the commit, so that of racers each counts the others'.
func (s links) roomForLink(ctx context.Context, t *tx, l domain.Link, bound int) error {
	if err := t.lockOwner(ctx, l.OwnerID); err != nil {
		return err
	}
	now := toMicros(l.CreatedAt)
	live := func() *bun.SelectQuery {
		return t.NewSelect().Model((*ownerLinkRow)(nil)).ForceIndex("owner_links_live").Where("owner_id = ?", l.OwnerID[:]).Where("live_until > ?", now)
	}
	n, err := live().Count(ctx)
	if err != nil || n < int64(bound) {
		return err
	}
	// Views are counted where the link is, not here: those that were used up count no longer once they are found.
	var rows []ownerLinkRow
	if err := live().Model(&rows).Scan(ctx); err != nil {
		return err
	}
	type place struct{ image, id []byte }
	places := make(map[domain.SecretHash]place, len(rows))
	hashes := make([][]byte, len(rows))
	for i, r := range rows {
		hashes[i], places[toHash(r.TokenHash)] = r.TokenHash, place{r.ImageID, r.ID}
	}
	for part := range slices.Chunk(hashes, chunk) {
		var usedUp [][]byte
		err := t.NewSelect().Model((*linkRow)(nil)).Column("token_hash").Where("token_hash IN (?)", bun.List(part)).
			Where("max_views > 0").Where("views >= max_views").Scan(ctx, &usedUp)
		if err != nil {
			return err
		}
		for _, hash := range usedUp {
			at := places[toHash(hash)]
			if _, err := t.exec(ctx, notLive, l.OwnerID[:], at.image, at.id); err != nil {
				return err
			}
		}
		n -= int64(len(usedUp))
	}
	return room(n, bound)
}

// notLive says of a link that it is dead before its time.
const notLive = "UPDATE owner_links SET live_until = 0 WHERE owner_id = ? AND image_id = ? AND id = ?"

// lockOwner locks a user's row to the end of the transaction, or is domain.NotFound where the user is not there or is going.
func (t *tx) lockOwner(ctx context.Context, id domain.ID) error {
	var deleting bool
	err := t.NewRaw(t.r.lock("SELECT deleting FROM users WHERE id = ?"), id[:]).Scan(ctx, &deleting)
	if err == nil && deleting {
		err = sql.ErrNoRows
	}
	if err != nil {
		return t.r.notFound(err, "user")
	}
	return nil
}

// room refuses one thing more where there are as many as the bound allows.
func room(have int64, bound int) error {
	if have < int64(bound) {
		return nil
	}
	e := domain.LimitError(domain.QuotaExceeded, int64(bound), "there are %d already", have)
	e.Used = &have
	return e
}

func (s links) ByToken(ctx context.Context, token domain.SecretHash) (domain.Link, error) {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	var row linkRow
	if err := s.o.Read.NewSelect().Model(&row).Where("token_hash = ?", token[:]).Scan(ctx); err != nil {
		return domain.Link{}, s.notFound(err, "link")
	}
	return row.link()
}

// tokenOf finds the shard of an owner's link, and its image.
func tokenOf(ctx context.Context, in bun.IDB, ownerID, id domain.ID) (token domain.SecretHash, image []byte, err error) {
	var row ownerLinkRow
	err = in.NewSelect().Model(&row).Column("image_id", "token_hash").
		Where("owner_id = ?", ownerID[:]).Where("id = ?", id[:]).Scan(ctx)
	return toHash(row.TokenHash), row.ImageID, err
}

func (s links) Get(ctx context.Context, ownerID, id domain.ID) (domain.Link, error) {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	token, _, err := tokenOf(ctx, s.o.Read, ownerID, id)
	if err != nil {
		return domain.Link{}, s.notFound(err, "link")
	}
	return s.ByToken(ctx, token)
}

func (s links) List(ctx context.Context, ownerID, imageID domain.ID, p ports.Page) ([]domain.Link, error) {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	if err := checkLimit(p.Limit); err != nil {
		return nil, err
	}
	var out []domain.Link
	// More than one round only where links were removed between the two look-ups.
	for len(out) < p.Limit {
		var found []ownerLinkRow
		q := s.o.Read.NewSelect().Model(&found).Where("owner_id = ?", ownerID[:])
		if imageID.IsZero() {
			q = q.ForceIndex("owner_links_all")
		} else {
			q = q.ForceIndex("PRIMARY").Where("image_id = ?", imageID[:])
		}
		rest := ports.Page{Before: p.Before, Limit: p.Limit - len(out)}
		if err := page(q, "id", rest).Scan(ctx); err != nil {
			return nil, s.fail(err)
		}
		if len(found) == 0 {
			break
		}
		hashes := make([][]byte, len(found))
		for i, f := range found {
			hashes[i] = f.TokenHash
		}
		some, err := s.byTokens(ctx, hashes)
		if err != nil {
			return nil, err
		}
		out = append(out, some...)
		if len(found) < rest.Limit {
			break
		}
		p.Before = toID(found[len(found)-1].ID)
	}
	return out, nil
}

// byTokens returns the links of the given hashes in their order, without those that are not there.
func (s links) byTokens(ctx context.Context, hashes [][]byte) ([]domain.Link, error) {
	byHash := make(map[domain.SecretHash]domain.Link, len(hashes))
	for part := range slices.Chunk(hashes, chunk) {
		var rows []linkRow
		if err := s.o.Read.NewSelect().Model(&rows).Where("token_hash IN (?)", bun.List(part)).Scan(ctx); err != nil {
			return nil, s.fail(err)
		}
		for _, row := range rows {
			l, err := row.link()
			if err != nil {
				return nil, err
			}
			byHash[l.Hash] = l
		}
	}
	out := make([]domain.Link, 0, len(hashes))
	for _, h := range hashes {
		if l, ok := byHash[toHash(h)]; ok {
			out = append(out, l)
		}
	}
	return out, nil
}

func (s links) ListAll(ctx context.Context, t ports.TimeRange, p ports.Page) ([]domain.Link, domain.ID, error) {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	if err := checkLimit(p.Limit); err != nil {
		return nil, domain.ID{}, err
	}
	var found []linkOwnerRow
	q := within(s.o.Read.NewSelect().Model(&found).ForceIndex("PRIMARY"), "id", "created_at", t)
	if err := page(q, "id", ports.Page{Before: p.Before, Limit: p.Limit + 1}).Scan(ctx); err != nil {
		return nil, domain.ID{}, s.fail(err)
	}
	var next domain.ID
	if len(found) > p.Limit {
		found = found[:p.Limit]
		next = toID(found[p.Limit-1].ID)
	}
	hashes := make([][]byte, len(found))
	for i, f := range found {
		hashes[i] = f.TokenHash
	}
	out, err := s.byTokens(ctx, hashes)
	if err != nil {
		return nil, domain.ID{}, err
	}
	return out, next, nil
}

func (s links) Revoke(ctx context.Context, ownerID, id domain.ID, audit *domain.AuditEntry, now time.Time) error {
	return s.change(ctx, func(ctx context.Context, t *tx) error {
		token, image, err := tokenOf(ctx, t, ownerID, id)
		if err != nil {
			return s.notFound(err, "link")
		}
		n, err := t.exec(ctx, "UPDATE links SET revoked_at = ? WHERE token_hash = ? AND revoked_at = 0", toMicros(now), token[:])
		if err != nil || n == 0 {
			return err
		}
		if err := t.deferExec(ctx, notLive, ownerID[:], image, id[:]); err != nil {
			return err
		}
		t.announce(ownerID, ports.Change{Kind: ports.LinkRevoked, ID: id})
		return t.record(ctx, audit)
	})
}

// TakeView is a transaction for its receipt's sake: after a lost answer a second view
// must not be taken for the first.
func (s links) TakeView(ctx context.Context, token domain.SecretHash, now time.Time) (taken bool, err error) {
	err = s.write(ctx, func(ctx context.Context, t *tx) error {
		n, err := t.exec(ctx, "UPDATE links SET views = views + 1 WHERE token_hash = ? AND views < max_views AND revoked_at = 0 AND expires_at > ?",
			token[:], toMicros(now))
		taken = n > 0
		return err
	})
	return taken && err == nil, err
}

// viewsKept is for how long a batch of views is known: longer than a node tries to write it.
const viewsKept = 24 * time.Hour

func (s links) AddViews(ctx context.Context, b ports.ViewBatch) error {
	// Links with the same number to add share a statement; a fixed order keeps two nodes from a deadlock.
	byCount := make(map[int64][][]byte)
	for h, n := range b.Views {
		if n > 0 {
			byCount[n] = append(byCount[n], bytes.Clone(h[:]))
		}
	}
	if len(byCount) == 0 {
		return nil
	}
	var counts []int64
	for n, hashes := range byCount {
		counts = append(counts, n)
		slices.SortFunc(hashes, bytes.Compare)
	}
	slices.Sort(counts)
	return s.run(ctx, transaction{receipt: receipt(b.ID), kept: viewsKept, fn: func(ctx context.Context, t *tx) error {
		for _, n := range counts {
			for part := range slices.Chunk(byCount[n], chunk) {
				if err := t.deferExec(ctx, "UPDATE links SET views = views + ? WHERE token_hash IN (?) AND max_views = 0", n, bun.List(part)); err != nil {
					return err
				}
			}
		}
		return nil
	}})
}

func (s links) DeleteOld(ctx context.Context, madeBefore time.Time, limit int) (int, error) {
	if err := checkLimit(limit); err != nil {
		return 0, err
	}
	var removed int
	err := s.write(ctx, func(ctx context.Context, t *tx) error {
		var old []linkOwnerRow
		err := t.NewSelect().Model(&old).Where("created_at < ?", toMicros(madeBefore)).
			OrderBy("created_at", bun.OrderAsc).Limit(int64(limit)).Scan(ctx)
		removed = len(old)
		if err != nil {
			return err
		}
		ids := make([][]byte, len(old))
		hashes := make([][]byte, len(old))
		type list struct{ owner, image domain.ID }
		lists := make(map[list][][]byte)
		for i, row := range old {
			in := list{toID(row.OwnerID), toID(row.ImageID)}
			ids[i], hashes[i], lists[in] = row.ID, row.TokenHash, append(lists[in], row.ID)
		}
		for part := range slices.Chunk(hashes, chunk) {
			if _, err := t.exec(ctx, "DELETE FROM links WHERE token_hash IN (?)", bun.List(part)); err != nil {
				return err
			}
		}
		for in, all := range lists {
			for part := range slices.Chunk(all, chunk) {
				if _, err := t.exec(ctx, "DELETE FROM owner_links WHERE owner_id = ? AND image_id = ? AND id IN (?)",
					in.owner[:], in.image[:], bun.List(part)); err != nil {
					return err
				}
			}
		}
		for part := range slices.Chunk(ids, chunk) {
			if _, err := t.exec(ctx, "DELETE FROM link_owners WHERE id IN (?)", bun.List(part)); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return 0, err
	}
	return removed, nil
}

func (s links) Owner(ctx context.Context, id domain.ID) (domain.ID, error) {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	var owner []byte
	err := s.o.Read.NewSelect().Model((*linkOwnerRow)(nil)).Column("owner_id").Where("id = ?", id[:]).Scan(ctx, &owner)
	if err != nil {
		return domain.ID{}, s.notFound(err, "link")
	}
	return toID(owner), nil
}
