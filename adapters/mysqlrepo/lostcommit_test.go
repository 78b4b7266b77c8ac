package mysqlrepo

import (
	"bytes"
	"errors"
	"io"
	"net"
	"net/url"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/imagify-api/imagify/domain"
	"github.com/imagify-api/imagify/ports"
)

// commitThief stands before a server and ends a connection in place of the answer to a
// COMMIT: once the server has answered, or before it got the COMMIT at all.
type commitThief struct {
	addr   string
	stolen atomic.Int64
	// how many COMMITs are still to be stolen, after and before they reach the server.
	after, before atomic.Int64
}

func newCommitThief(t *testing.T, upstream string) *commitThief {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = l.Close() })
	p := &commitThief{addr: l.Addr().String()}
	go func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			server, err := net.Dial("tcp", upstream)
			if err != nil {
				_ = client.Close()
				return
			}
			go p.carry(client, server)
		}
	}()
	return p
}

func (p *commitThief) carry(client, server net.Conn) {
	defer client.Close()
	defer server.Close()
	var stealing atomic.Bool
	go func() {
		defer client.Close()
		buf := make([]byte, 64<<10)
		for {
			n, err := server.Read(buf)
			if err != nil || stealing.Load() {
				return
			}
			if _, err := client.Write(buf[:n]); err != nil {
				return
			}
		}
	}()
	buf := make([]byte, 256<<10)
	for {
		n, err := client.Read(buf)
		if err != nil {
			return
		}
		if bytes.Contains(buf[:n], []byte(commit)) {
			switch {
			case take(&p.before):
				p.stolen.Add(1)
				return
			case take(&p.after):
				p.stolen.Add(1)
				stealing.Store(true)
			}
		}
		if _, err := server.Write(buf[:n]); err != nil {
			return
		}
		if stealing.Load() {
			_, _ = io.Copy(io.Discard, client) // until the answer has come, and the connection is ended
			return
		}
	}
}

// take takes one, if there is one left.
func take(n *atomic.Int64) bool {
	for {
		have := n.Load()
		if have == 0 {
			return false
		}
		if n.CompareAndSwap(have, have-1) {
			return true
		}
	}
}

// A write whose COMMIT was not answered is looked up, whether it happened or not: every
// create, change and count is made once, and its caller hears so.
func TestLostAnswerToCommit(t *testing.T) {
	servers(t, func(t *testing.T, s *server) {
		address := s.empty(t)
		thief := newCommitThief(t, s.Addr)
		u, err := url.Parse(address)
		require.NoError(t, err)
		u.Host = thief.addr
		db := s.open(t, u.String(), Options{})
		_, err = db.MigrateUp(t.Context())
		require.NoError(t, err)
		ctx, r := t.Context(), db.Records()
		for name, count := range map[string]*atomic.Int64{"it happened": &thief.after, "it did not happen": &thief.before} {
			for _, lost := range []int64{1, 3} {
				steal := func(what string, do func() error) {
					t.Helper()
					before := thief.stolen.Load()
					count.Store(lost)
					require.NoError(t, do(), "%s: %s", what, name)
					count.Store(0)
					assert.Positive(t, thief.stolen.Load()-before, "%s: no COMMIT was stolen", what)
				}
				owner, now := newID(), time.Now()
				start, err := r.Changes.Since(ctx, "")
				require.NoError(t, err)
				steal("user", func() error {
					return r.Accounts.Change(ctx, func(tx ports.AccountsTx) error {
						if _, err := tx.UserByName(ctx, owner.String()); !errors.Is(err, domain.NotFound) {
							return errors.Join(domain.Errorf(domain.Conflict, "the user name is taken"), err)
						}
						return tx.SaveUser(ctx, domain.User{ID: owner, Username: owner.String(), IsActive: true})
					})
				})
				steal("tier", func() error {
					return r.Accounts.Change(ctx, func(tx ports.AccountsTx) error {
						if _, err := tx.Tier(ctx, owner.String()); !errors.Is(err, domain.NotFound) {
							return errors.Join(domain.Errorf(domain.Conflict, "the name is taken"), err)
						}
						return tx.SaveTier(ctx, domain.Tier{Name: owner.String()})
					})
				})
				token := domain.Token{ID: newID(), Hash: domain.SecretHash(append(bytes16(), bytes16()...)), UserID: owner, CreatedAt: now}
				steal("token", func() error { return r.Accounts.CreateToken(ctx, token, 5) })
				session := domain.Session{Hash: token.Hash, UserID: owner, CreatedAt: now, ExpiresAt: now}
				steal("session", func() error { return r.Accounts.CreateSession(ctx, session, 0) })
				link := domain.Link{ID: newID(), Hash: token.Hash, OwnerID: owner, ImageID: newID(), CreatedAt: now, ExpiresAt: now.Add(time.Hour), MaxViews: 1}
				steal("link", func() error { return r.Links.Create(ctx, link, 0) })
				steal("the only view", func() error {
					taken, err := r.Links.TakeView(ctx, link.Hash, now)
					assert.True(t, taken, name)
					return err
				})
				free := link
				free.ID, free.Hash, free.MaxViews = newID(), domain.SecretHash(append(bytes16(), bytes16()...)), 0
				require.NoError(t, r.Links.Create(ctx, free, 0))
				steal("views", func() error {
					return r.Links.AddViews(ctx, ports.ViewBatch{ID: newID(), Views: map[domain.SecretHash]int64{free.Hash: 7}})
				})
				got, err := r.Links.ByToken(ctx, free.Hash)
				require.NoError(t, err)
				assert.EqualValues(t, 7, got.Views)
				up := ports.Upload{ImageID: newID(), OwnerID: owner, UploadedAt: now, LeaseUntil: now.Add(time.Minute), Key: domain.SecretHash{9}}
				steal("an upload's beginning", func() error {
					reservation, err := r.Images.BeginUpload(ctx, up, now)
					assert.Equal(t, ports.ReservationWon, reservation.State)
					return err
				})
				img := domain.Image{ID: up.ImageID, OwnerID: owner, Size: 10, ImageInfo: domain.ImageInfo{Format: domain.PNG, Width: 1, Height: 1, Frames: 1}}
				steal("an upload's end", func() error {
					return r.Images.CommitUpload(ctx, up, img, ports.Quota{MaxImages: domain.NoLimit, MaxBytes: domain.NoLimit})
				})
				usage, err := r.Images.Usage(ctx, owner)
				require.NoError(t, err)
				assert.Equal(t, domain.Usage{Images: 1, Bytes: 10}, usage)
				steal("a deletion", func() error { return r.Images.MarkDeleting(ctx, owner, img.ID, nil, now) })
				steal("a token's deletion", func() error { return r.Accounts.DeleteToken(ctx, owner, token.ID) })
				feed, err := r.Changes.Since(ctx, start.Cursor)
				require.NoError(t, err)
				assert.False(t, feed.Lost)
				assert.Len(t, feed.Entries, 4, "user, tier, image and token, each told once: %s", name)
			}
		}
	})
}
