package ports

import (
	"context"
	"time"

	"github.com/imagify-api/imagify/domain"
)

// Sessions keeps browsers' sign-ins.
type Sessions interface {
	// Create keeps a session; domain.Conflict if its hash is taken. A bound above 0 is
	// how many sessions the user may have, expired ones and the new one included: the
	// oldest by CreatedAt are removed in the same step to make room, exact under any
	// number of racers; domain.NotFound where the user is not there or is being
	// deleted. Where many more are there than the bound, as from before there was one,
	// each Create may remove a part of them.
	Create(ctx context.Context, s domain.Session, bound int) error
	// Get returns a session, or domain.NotFound; it does not judge its expiry.
	Get(ctx context.Context, hash domain.SecretHash) (domain.Session, error)
	// Delete removes a session; an unknown one is no error.
	Delete(ctx context.Context, hash domain.SecretHash) error
	// DeleteExpired removes up to limit sessions that expired before now, and reports how many.
	DeleteExpired(ctx context.Context, now time.Time, limit int) (int, error)
}

// Tokens keeps API tokens.
type Tokens interface {
	// Create keeps a token; domain.Conflict if its hash or id is taken. A bound above
	// 0 is how many tokens the user may have, expired ones and the new one included:
	// domain.QuotaExceeded, with Limit and Used set, where it would be one too many,
	// exact under any number of racers; domain.NotFound where the user is not there or
	// is being deleted.
	Create(ctx context.Context, t domain.Token, bound int) error
	// ByHash returns a token by its secret's hash, or domain.NotFound; it does not judge its expiry.
	ByHash(ctx context.Context, hash domain.SecretHash) (domain.Token, error)
	// List returns a user's tokens, newest first.
	List(ctx context.Context, userID domain.ID, p Page) ([]domain.Token, error)
	// Delete removes a user's token and writes the change to the feed;
	// domain.NotFound also where the token is another user's.
	Delete(ctx context.Context, userID, id domain.ID) error
}
