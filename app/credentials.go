package app

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/imagify-api/imagify/domain"
	"github.com/imagify-api/imagify/ports"
)

// SessionLife is how long a sign-in lasts.
const SessionLife = 14 * 24 * time.Hour

// tokenPrefix begins every API token, so that scanners and people recognise one.
const tokenPrefix = "imgf_"

func perMinute(n int64) ports.Rate { return ports.Rate{Limit: n, Per: time.Minute, Burst: n} }

// The bounds on guessing, in attempts at passwords. A client is a prefix of addresses (see
// ClientPrefix), and a pair is an account and a client.
//
// A pair runs out first, so that a stranger's guesses never lock the owner out elsewhere. The
// account's own allowance, which many clients share, ends a guess from a client that has
// tried before; a client's first try may then still be the owner at a new place, and has an
// allowance of its own, so that a thousand clients cannot have a thousand more guesses. A
// client from which the account was opened in the last month is known: nobody else's
// guesses, however many and from wherever, keep it out.
var (
	pairRate   = ports.Rate{Limit: 5, Per: time.Minute, Burst: 10}
	clientRate = ports.Rate{Limit: 60, Per: time.Minute, Burst: 60}
	wideRate   = ports.Rate{Limit: 300, Per: time.Minute, Burst: 600}
	userRate   = ports.Rate{Limit: 60, Per: time.Minute, Burst: 200}
	firstRate  = ports.Rate{Limit: 10, Per: time.Minute, Burst: 50}
	knownRate  = ports.Rate{Limit: 1, Per: 30 * 24 * time.Hour, Burst: 2}
	// placesRate is how many clients become known to an account. Each is remembered for a month: without a bound
	// one account's owner with a whole network of addresses could fill the memory of everybody's allowances.
	placesRate = ports.Rate{Limit: 50, Per: 30 * 24 * time.Hour, Burst: 50}
)

// SignIn checks a user name and a password and begins a session. secret is the
// cookie's value: new at every sign-in, stored only as a hash. address is the client's.
// Beyond domain.MaxSessions the user's oldest session ends, at once and everywhere, as by
// a sign-out.
func (s *Service) SignIn(ctx context.Context, username, password, address string) (secret string, session domain.Session, err error) {
	u, err := s.checkPassword(ctx, username, password, address)
	if err != nil {
		return "", domain.Session{}, err
	}
	now := s.now()
	secret = newSecret()
	session = domain.Session{
		Hash: hashSecret(secret), UserID: u.ID, Epoch: u.Epoch, CreatedAt: now, ExpiresAt: now.Add(SessionLife),
	}
	switch err := s.rec.Accounts.CreateSession(ctx, session, domain.MaxSessions); {
	case errors.Is(err, domain.NotFound):
		return "", domain.Session{}, wrongPassword() // deleted meanwhile
	case err != nil:
		return "", domain.Session{}, err
	}
	s.log.InfoContext(ctx, "signed in", "user", u.Username, "address", address)
	return secret, session, nil
}

// SignOut ends a session at once; an unknown one is no error.
func (s *Service) SignOut(ctx context.Context, secret string) error {
	return s.rec.Accounts.DeleteSession(ctx, hashSecret(secret))
}

// BySession returns who has the session. It is read from the database at each
// use, so that a sign-out acts at once everywhere.
func (s *Service) BySession(ctx context.Context, secret string) (domain.Actor, error) {
	return s.bySessionHash(ctx, hashSecret(secret))
}

func (s *Service) bySessionHash(ctx context.Context, hash domain.SecretHash) (domain.Actor, error) {
	ended := domain.Errorf(domain.Unauthenticated, "the session has ended, sign in again")
	sess, err := s.rec.Accounts.Session(ctx, hash)
	if errors.Is(err, domain.NotFound) {
		return domain.Actor{}, ended
	}
	if err != nil {
		return domain.Actor{}, err
	}
	if !s.now().Before(sess.ExpiresAt) {
		return domain.Actor{}, ended
	}
	acc, err := s.account(ctx, sess.UserID)
	if errors.Is(err, domain.NotFound) || err == nil && acc.user.Epoch != sess.Epoch {
		return domain.Actor{}, ended
	}
	return signedIn(acc, domain.AuthSession, hash, err)
}

// ByToken returns whose API token it is.
func (s *Service) ByToken(ctx context.Context, secret string) (domain.Actor, error) {
	if !strings.HasPrefix(secret, tokenPrefix) {
		return domain.Actor{}, badToken()
	}
	return s.byTokenHash(ctx, hashSecret(secret))
}

func badToken() error {
	return domain.Errorf(domain.Unauthenticated, "the token is unknown, expired or revoked")
}

func (s *Service) byTokenHash(ctx context.Context, hash domain.SecretHash) (domain.Actor, error) {
	t, err := s.tokens.get(ctx, hash,
		func(ctx context.Context) (domain.Token, error) { return s.rec.Accounts.Token(ctx, hash) },
		func(domain.Token) bool { return true })
	if errors.Is(err, domain.NotFound) || err == nil && t.Expired(s.now()) {
		return domain.Actor{}, badToken()
	}
	if err != nil {
		return domain.Actor{}, err
	}
	acc, err := s.account(ctx, t.UserID)
	return signedIn(acc, domain.AuthToken, hash, err)
}

// ByPassword returns who a user name and a password are, for HTTP Basic. The
// same right pair costs one password hash a minute at the most.
func (s *Service) ByPassword(ctx context.Context, username, password, address string) (domain.Actor, error) {
	username = cleanUsername(username)
	key := s.credentialCache.mac(username, password)
	if e, ok := s.credentialCache.entries.GetIfPresent(key); ok {
		acc, err := s.account(ctx, e.user)
		if err != nil && !errors.Is(err, domain.NotFound) {
			return domain.Actor{}, err
		}
		if err == nil && acc.user.Epoch == e.epoch && acc.user.IsActive && !acc.user.Deleting {
			return signedIn(acc, domain.AuthBasic, domain.SecretHash{}, nil)
		}
		s.credentialCache.entries.Invalidate(key)
	}
	u, err := s.checkPassword(ctx, username, password, address)
	if err != nil {
		return domain.Actor{}, err
	}
	s.credentialCache.entries.Set(key, basicEntry{user: u.ID, epoch: u.Epoch})
	acc, err := s.account(ctx, u.ID)
	if err == nil && acc.user.Epoch > u.Epoch {
		err = domain.NotFound // the password was changed while its hash was being made
	}
	return signedIn(acc, domain.AuthBasic, domain.SecretHash{}, err)
}

func signedIn(acc account, via domain.AuthMethod, credential domain.SecretHash, err error) (domain.Actor, error) {
	if err == nil && acc.user.IsActive && !acc.user.Deleting {
		return domain.Actor{User: acc.user, Entitlements: acc.entitlements, Via: via, Credential: credential}, nil
	}
	if err == nil || errors.Is(err, domain.NotFound) {
		return domain.Actor{}, domain.Errorf(domain.Unauthenticated, "the account is not active")
	}
	return domain.Actor{}, err
}

// checkPassword is where every password is checked. An unknown name, a wrong
// password and a deactivated account get the same answer in the same time.
func (s *Service) checkPassword(ctx context.Context, username, password, address string) (domain.User, error) {
	username = cleanUsername(username)
	at := attemptAt(username, address)
	known, err := s.throttle(ctx, at)
	if err != nil {
		return domain.User{}, err
	}
	u, err := s.rec.Accounts.UserByName(ctx, username)
	if err != nil && !errors.Is(err, domain.NotFound) {
		return domain.User{}, err
	}
	ok, err := s.hasher.check(ctx, u.PasswordHash, password, at.client, known)
	if err != nil {
		return domain.User{}, err
	}
	if !ok || !u.IsActive {
		s.log.InfoContext(ctx, "sign-in refused", "address", address)
		return domain.User{}, wrongPassword()
	}
	err = s.cfg.RateLimits.Reset(ctx, at.pair)
	if err == nil && !known {
		var place ports.RateState
		if place, err = s.cfg.RateLimits.Allow(ctx, at.places, placesRate); err == nil && place.Allowed {
			_, err = s.cfg.RateLimits.Allow(ctx, at.known, knownRate) // what is taken of it says that it is known
		}
	}
	s.outages.limits.note(ctx, s.log, err)
	return u, nil
}

func wrongPassword() error {
	return domain.Errorf(domain.Unauthenticated, "wrong user name or password")
}

// attempt is an attempt at signing in: the client, and the keys under which it is counted.
type attempt struct {
	client                   string
	pair, user, first, known string
	places                   string
	clientKey, wideKey       string
}

func attemptAt(username, address string) attempt {
	client := ClientPrefix(address)
	// Names of any length, and in any case, have keys of one length.
	hash := hashSecret(domain.UserNameKey(username))
	account := encodeSecret(hash[:16])
	return attempt{
		client: client, clientKey: "signin:addr:" + client, wideKey: "signin:net:" + widePrefix(address),
		pair: "signin:pair:" + client + ":" + account, user: "signin:user:" + account,
		first: "signin:first:" + account, places: "signin:places:" + account, known: "signin:known:" + client + ":" + account,
	}
}

// throttle takes one attempt at signing in, and reports whether the client is known to the account.
func (s *Service) throttle(ctx context.Context, at attempt) (known bool, err error) {
	limits := s.cfg.RateLimits
	unavailable := func(err error) error {
		return domain.Wrap(domain.Unavailable, err, "sign-in is not available for a moment, try again")
	}
	k, err := limits.Peek(ctx, at.known, knownRate)
	if err != nil {
		return false, unavailable(err)
	}
	before, err := limits.Peek(ctx, at.pair, pairRate)
	if err != nil {
		return false, unavailable(err)
	}
	known = k.Remaining < knownRate.Burst
	first := before.Remaining == pairRate.Burst
	type allowance struct {
		key  string
		rate ports.Rate
	}
	takes := []allowance{{at.clientKey, clientRate}, {at.pair, pairRate}}
	if !known {
		takes = []allowance{{at.clientKey, clientRate}, {at.wideKey, wideRate}, {at.pair, pairRate}, {at.user, userRate}}
	}
	for _, a := range takes {
		got, err := limits.Allow(ctx, a.key, a.rate)
		if err == nil && !got.Allowed && a.key == at.user && first {
			a.rate = firstRate
			got, err = limits.Allow(ctx, at.first, a.rate)
		}
		if err != nil {
			return known, unavailable(err)
		}
		if !got.Allowed {
			s.log.WarnContext(ctx, "sign-in throttled", "address", at.client)
			return known, rateLimited(a.rate.Limit, got.RetryAfter, "too many attempts to sign in, wait before the next")
		}
	}
	return known, nil
}

// CreateToken makes an API token for the actor; secret is shown this once. A zero ttl never expires.
func (s *Service) CreateToken(ctx context.Context, actor domain.Actor, name string, ttl time.Duration) (t domain.Token, secret string, err error) {
	if err := requireSignedIn(actor); err != nil {
		return t, "", err
	}
	return s.createToken(ctx, actor.User.ID, name, ttl)
}

// CreateTokenFor makes an API token for another user, for an admin at the machine.
func (s *Service) CreateTokenFor(ctx context.Context, actor domain.Actor, username, name string, ttl time.Duration) (t domain.Token, secret string, err error) {
	u, err := s.User(ctx, actor, username)
	if err != nil {
		return t, "", err
	}
	return s.createToken(ctx, u.ID, name, ttl)
}

func (s *Service) createToken(ctx context.Context, user domain.ID, name string, ttl time.Duration) (t domain.Token, secret string, err error) {
	if ttl < 0 || ttl > 100*365*24*time.Hour {
		return t, "", domain.InvalidField("expires_in", "range", "a positive number of seconds, at most 100 years")
	}
	now := s.now()
	secret = tokenPrefix + newSecret()
	t = domain.Token{ID: s.cfg.NewID(), Hash: hashSecret(secret), UserID: user, Name: strings.TrimSpace(name), CreatedAt: now}
	if ttl > 0 {
		t.ExpiresAt = now.Add(ttl)
	}
	if err := t.Validate(); err != nil {
		return t, "", err
	}
	switch err := s.rec.Accounts.CreateToken(ctx, t, domain.MaxTokens); {
	case errors.Is(err, domain.NotFound):
		return t, "", domain.Errorf(domain.Unauthenticated, "the account is not active") // deleted meanwhile
	case errors.Is(err, domain.QuotaExceeded):
		return t, "", tooMany(err, "there are %d API tokens, which is as many as a user may have: revoke those that are not needed")
	case err != nil:
		return t, "", err
	}
	return t, secret, nil
}

// Tokens lists the actor's API tokens, newest first.
func (s *Service) Tokens(ctx context.Context, actor domain.Actor, p ports.Page) ([]domain.Token, domain.ID, error) {
	if err := requireSignedIn(actor); err != nil {
		return nil, domain.ID{}, err
	}
	return s.tokensOf(ctx, actor.User.ID, p)
}

// TokensFor lists another user's API tokens, for an admin.
func (s *Service) TokensFor(ctx context.Context, actor domain.Actor, username string, p ports.Page) ([]domain.Token, domain.ID, error) {
	u, err := s.User(ctx, actor, username)
	if err != nil {
		return nil, domain.ID{}, err
	}
	return s.tokensOf(ctx, u.ID, p)
}

func (s *Service) tokensOf(ctx context.Context, user domain.ID, p ports.Page) ([]domain.Token, domain.ID, error) {
	return paged(p, func(t domain.Token) domain.ID { return t.ID }, func(p ports.Page) ([]domain.Token, error) {
		return s.rec.Accounts.Tokens(ctx, user, p)
	})
}

// RevokeToken ends one of the actor's API tokens at once; domain.NotFound if it is not theirs.
func (s *Service) RevokeToken(ctx context.Context, actor domain.Actor, id domain.ID) error {
	if err := requireSignedIn(actor); err != nil {
		return err
	}
	return s.revokeToken(ctx, actor.User.ID, id)
}

// RevokeTokenFor ends another user's API token, for an admin.
func (s *Service) RevokeTokenFor(ctx context.Context, actor domain.Actor, username string, id domain.ID) error {
	u, err := s.User(ctx, actor, username)
	if err != nil {
		return err
	}
	return s.revokeToken(ctx, u.ID, id)
}

func (s *Service) revokeToken(ctx context.Context, user, id domain.ID) error {
	err := s.rec.Accounts.DeleteToken(ctx, user, id)
	s.feed.tried(err)
	s.syncFeed(ctx)
	if errors.Is(err, domain.NotFound) {
		return domain.Errorf(domain.NotFound, "no such token")
	}
	return err
}

// syncFeed takes in what a change of our own put on the feed, so that it acts before
// the answer goes out. It follows every such change, failed ones too: a failure
// may have happened after the commit.
func (s *Service) syncFeed(ctx context.Context) {
	c, cancel := context.WithTimeout(context.WithoutCancel(ctx), feedLease)
	defer cancel()
	if err := s.feed.sync(c); err != nil {
		s.log.ErrorContext(ctx, "the change feed does not answer; every decision reads the database", "error", err)
	}
	if s.cfg.Notices != nil {
		s.outages.notices.note(c, s.log, s.cfg.Notices.Publish(c))
	}
}

// paged reads one item more than asked for, to know whether more follow: next is
// the id to go on before, zero at the end.
func paged[T any](p ports.Page, id func(T) domain.ID, list func(ports.Page) ([]T, error)) (items []T, next domain.ID, err error) {
	if p.Limit < 1 {
		return nil, next, domain.InvalidField("limit", "range", "at least 1")
	}
	items, err = list(ports.Page{Before: p.Before, Limit: p.Limit + 1})
	if err != nil {
		return nil, next, err
	}
	if len(items) > p.Limit {
		items = items[:p.Limit]
		next = id(items[p.Limit-1])
	}
	return items, next, nil
}
