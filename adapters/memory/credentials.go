package memory

import (
	"context"
	"slices"
	"time"

	"github.com/imagify-api/imagify/domain"
	"github.com/imagify-api/imagify/ports"
)

// CreateSession implements ports.Accounts.
func (p accounts) CreateSession(ctx context.Context, s domain.Session, bound int) error {
	if err := ended(ctx); err != nil {
		return err
	}
	p.r.mu.Lock()
	defer p.r.mu.Unlock()
	if _, taken := p.r.sessions[s.Hash]; taken {
		return domain.Errorf(domain.Conflict, "the session exists already")
	}
	if bound > 0 {
		if !p.r.stays(s.UserID) {
			return domain.Errorf(domain.NotFound, "no such user")
		}
		p.r.dropOldest(s.UserID, bound-1)
	}
	s.CreatedAt, s.ExpiresAt = stored(s.CreatedAt), stored(s.ExpiresAt)
	p.r.addSession(s)
	return nil
}

func (r *records) addSession(s domain.Session) {
	r.sessions[s.Hash] = s
	if r.sessionsOf[s.UserID] == nil {
		r.sessionsOf[s.UserID] = map[domain.SecretHash]bool{}
	}
	r.sessionsOf[s.UserID][s.Hash] = true
}

func (r *records) removeSession(s domain.Session) {
	delete(r.sessions, s.Hash)
	delete(r.sessionsOf[s.UserID], s.Hash)
	if len(r.sessionsOf[s.UserID]) == 0 {
		delete(r.sessionsOf, s.UserID)
	}
}

// dropOldest removes a user's sessions until at most keep are left.
func (r *records) dropOldest(user domain.ID, keep int) {
	var mine []domain.Session
	for hash := range r.sessionsOf[user] {
		mine = append(mine, r.sessions[hash])
	}
	slices.SortFunc(mine, func(a, b domain.Session) int { return a.CreatedAt.Compare(b.CreatedAt) })
	for _, s := range mine[:max(0, len(mine)-keep)] {
		r.removeSession(s)
	}
}

// Session implements ports.Accounts.
func (p accounts) Session(ctx context.Context, hash domain.SecretHash) (domain.Session, error) {
	if err := ended(ctx); err != nil {
		return domain.Session{}, err
	}
	p.r.mu.Lock()
	defer p.r.mu.Unlock()
	s, ok := p.r.sessions[hash]
	if !ok {
		return domain.Session{}, domain.Errorf(domain.NotFound, "no such session")
	}
	return s, nil
}

// DeleteSession implements ports.Accounts.
func (p accounts) DeleteSession(ctx context.Context, hash domain.SecretHash) error {
	if err := ended(ctx); err != nil {
		return err
	}
	p.r.mu.Lock()
	defer p.r.mu.Unlock()
	if s, ok := p.r.sessions[hash]; ok {
		p.r.removeSession(s)
	}
	return nil
}

// DeleteExpiredSessions implements ports.Accounts.
func (p accounts) DeleteExpiredSessions(ctx context.Context, now time.Time, limit int) (int, error) {
	if err := ended(ctx); err != nil {
		return 0, err
	}
	p.r.mu.Lock()
	defer p.r.mu.Unlock()
	n := 0
	for _, s := range p.r.sessions {
		if n >= limit {
			break
		}
		if s.ExpiresAt.Before(now) {
			p.r.removeSession(s)
			n++
		}
	}
	return n, nil
}

func noToken() error { return domain.Errorf(domain.NotFound, "no such token") }

func (r *records) addToken(t domain.Token) {
	r.tokens[t.ID], r.tokenByHash[t.Hash] = t, t.ID
	r.tokensOf.add(t.UserID, t.ID)
}

func (r *records) removeToken(t domain.Token) {
	delete(r.tokens, t.ID)
	delete(r.tokenByHash, t.Hash)
	r.tokensOf.remove(t.UserID, t.ID)
}

// CreateToken implements ports.Accounts.
func (p accounts) CreateToken(ctx context.Context, t domain.Token, bound int) error {
	if err := ended(ctx); err != nil {
		return err
	}
	p.r.mu.Lock()
	defer p.r.mu.Unlock()
	_, hashTaken := p.r.tokenByHash[t.Hash]
	_, idTaken := p.r.tokens[t.ID]
	if hashTaken || idTaken {
		return domain.Errorf(domain.Conflict, "the token exists already")
	}
	if bound > 0 {
		if err := p.r.room(t.UserID, len(p.r.tokensOf[t.UserID]), bound); err != nil {
			return err
		}
	}
	t.CreatedAt, t.ExpiresAt = stored(t.CreatedAt), stored(t.ExpiresAt)
	p.r.addToken(t)
	return nil
}

// Token implements ports.Accounts.
func (p accounts) Token(ctx context.Context, hash domain.SecretHash) (domain.Token, error) {
	if err := ended(ctx); err != nil {
		return domain.Token{}, err
	}
	p.r.mu.Lock()
	defer p.r.mu.Unlock()
	t, ok := p.r.tokens[p.r.tokenByHash[hash]]
	if !ok {
		return domain.Token{}, noToken()
	}
	return t, nil
}

// Tokens implements ports.Accounts.
func (p accounts) Tokens(ctx context.Context, userID domain.ID, pg ports.Page) ([]domain.Token, error) {
	if err := ended(ctx); err != nil {
		return nil, err
	}
	p.r.mu.Lock()
	defer p.r.mu.Unlock()
	list, _ := page(p.r.tokensOf[userID], pg, func(id domain.ID) (domain.Token, bool) { return p.r.tokens[id], true })
	return list, nil
}

// DeleteToken implements ports.Accounts.
func (p accounts) DeleteToken(ctx context.Context, userID, id domain.ID) error {
	if err := ended(ctx); err != nil {
		return err
	}
	p.r.mu.Lock()
	defer p.r.mu.Unlock()
	t, ok := p.r.tokens[id]
	if !ok || t.UserID != userID {
		return noToken()
	}
	p.r.removeToken(t)
	p.r.publish(ports.Change{Kind: ports.TokenDeleted, ID: id})
	return nil
}

type leases struct{ r *records }

// Acquire implements ports.Leases.
func (p leases) Acquire(ctx context.Context, name, holder string, now, until time.Time) (bool, error) {
	if err := ended(ctx); err != nil {
		return false, err
	}
	p.r.mu.Lock()
	defer p.r.mu.Unlock()
	if l, ok := p.r.leases[name]; ok && l.holder != holder && !l.until.Before(now) {
		return false, nil
	}
	p.r.leases[name] = lease{holder: holder, until: until}
	return true, nil
}

// Release implements ports.Leases.
func (p leases) Release(ctx context.Context, name, holder string) error {
	if err := ended(ctx); err != nil {
		return err
	}
	p.r.mu.Lock()
	defer p.r.mu.Unlock()
	if p.r.leases[name].holder == holder {
		delete(p.r.leases, name)
	}
	return nil
}
