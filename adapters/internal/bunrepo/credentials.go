package bunrepo

import (
	"bytes"
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/uptrace/bun"

	"github.com/imagify-api/imagify/domain"
	"github.com/imagify-api/imagify/ports"
)

func (s accounts) CreateSession(ctx context.Context, v domain.Session, bound int) error {
	row := sessionRow{
		Hash: v.Hash[:], UserID: v.UserID[:], Epoch: v.Epoch, CreatedAt: toMicros(v.CreatedAt), ExpiresAt: toMicros(v.ExpiresAt),
	}
	err := s.run(ctx, transaction{blind: bound == 0, fn: func(ctx context.Context, t *tx) error {
		if bound > 0 {
			if err := t.lockOwner(ctx, v.UserID); err != nil {
				return err
			}
			if err := t.dropOldestSessions(ctx, v.UserID, bound-1); err != nil {
				return err
			}
		}
		return t.deferInsert(ctx, &row)
	}})
	return s.taken("the session's secret is taken", err)
}

// dropOldestSessions removes a user's sessions until at most keep are left, of what one
// page shows: an account may have any number from before there was a bound.
func (t *tx) dropOldestSessions(ctx context.Context, user domain.ID, keep int) error {
	var rows []sessionRow
	err := t.NewSelect().Model(&rows).Column("hash", "created_at").ForceIndex("sessions_user").Where("user_id = ?", user[:]).
		Limit(int64(keep + chunk)).Scan(ctx)
	if err != nil || len(rows) <= keep {
		return err
	}
	// Sorted here: an index for it would cost every sign-in more than a hundred rows do.
	slices.SortFunc(rows, func(a, b sessionRow) int {
		return cmp.Or(cmp.Compare(a.CreatedAt, b.CreatedAt), bytes.Compare(a.Hash, b.Hash))
	})
	oldest := make([][]byte, len(rows)-keep)
	for i := range oldest {
		oldest[i] = rows[i].Hash
	}
	return t.deferExec(ctx, "DELETE FROM sessions WHERE hash IN (?)", bun.List(oldest))
}

func (s accounts) Session(ctx context.Context, hash domain.SecretHash) (domain.Session, error) {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	var row sessionRow
	if err := s.o.Read.NewSelect().Model(&row).Where("hash = ?", hash[:]).Scan(ctx); err != nil {
		return domain.Session{}, s.notFound(err, "session")
	}
	return domain.Session{
		Hash: toHash(row.Hash), UserID: toID(row.UserID), Epoch: row.Epoch,
		CreatedAt: toTime(row.CreatedAt), ExpiresAt: toTime(row.ExpiresAt),
	}, nil
}

func (s accounts) DeleteSession(ctx context.Context, hash domain.SecretHash) error {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	_, err := s.exec(ctx, "DELETE FROM sessions WHERE hash = ?", hash[:])
	return s.fail(err)
}

func (s accounts) DeleteExpiredSessions(ctx context.Context, now time.Time, limit int) (int, error) {
	if err := checkLimit(limit); err != nil {
		return 0, err
	}
	var removed int64
	err := s.write(ctx, func(ctx context.Context, t *tx) error {
		removed = 0
		var hashes [][]byte
		err := t.NewSelect().Model((*sessionRow)(nil)).Column("hash").Where("expires_at < ?", toMicros(now)).
			OrderBy("expires_at", bun.OrderAsc).Limit(int64(limit)).Scan(ctx, &hashes)
		if err != nil || len(hashes) == 0 {
			return err
		}
		removed, err = t.exec(ctx, "DELETE FROM sessions WHERE hash IN (?)", bun.List(hashes))
		return err
	})
	return int(removed), err
}

func (s accounts) CreateToken(ctx context.Context, t domain.Token, bound int) error {
	if err := checkText(t.Name); err != nil {
		return err
	}
	row := tokenRow{
		Hash: t.Hash[:], ID: t.ID[:], UserID: t.UserID[:], Name: t.Name, CreatedAt: toMicros(t.CreatedAt), ExpiresAt: toMicros(t.ExpiresAt),
	}
	err := s.run(ctx, transaction{blind: bound == 0, fn: func(ctx context.Context, in *tx) error {
		if bound > 0 {
			if err := in.lockOwner(ctx, t.UserID); err != nil {
				return err
			}
			n, err := in.NewSelect().Model((*tokenRow)(nil)).ForceIndex("tokens_user").Where("user_id = ?", t.UserID[:]).Count(ctx)
			if err != nil {
				return err
			}
			if err := room(n, bound); err != nil {
				return err
			}
		}
		return in.deferInsert(ctx, &row)
	}})
	return s.taken("the token's secret or id is taken", err)
}

func (s accounts) Token(ctx context.Context, hash domain.SecretHash) (domain.Token, error) {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	var row tokenRow
	if err := s.o.Read.NewSelect().Model(&row).Where("hash = ?", hash[:]).Scan(ctx); err != nil {
		return domain.Token{}, s.notFound(err, "token")
	}
	return row.token(), nil
}

func (s accounts) Tokens(ctx context.Context, userID domain.ID, p ports.Page) ([]domain.Token, error) {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	if err := checkLimit(p.Limit); err != nil {
		return nil, err
	}
	var rows []tokenRow
	q := s.o.Read.NewSelect().Model(&rows).ForceIndex("tokens_user").Where("user_id = ?", userID[:])
	if err := page(q, "id", p).Scan(ctx); err != nil {
		return nil, s.fail(err)
	}
	out := make([]domain.Token, len(rows))
	for i, row := range rows {
		out[i] = row.token()
	}
	return out, nil
}

func (s accounts) DeleteToken(ctx context.Context, userID, id domain.ID) error {
	return s.change(ctx, func(ctx context.Context, t *tx) error {
		n, err := t.exec(ctx, "DELETE FROM tokens WHERE user_id = ? AND id = ?", userID[:], id[:])
		if err != nil {
			return err
		}
		if n == 0 {
			return domain.Errorf(domain.NotFound, "no such token")
		}
		t.announce(userID, ports.Change{Kind: ports.TokenDeleted, ID: id})
		return nil
	})
}
