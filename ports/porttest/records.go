package porttest

import (
	"bytes"
	"context"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/imagify-api/imagify/domain"
	"github.com/imagify-api/imagify/ports"
)

// Records runs the suites of all that one database keeps.
func Records(t *testing.T, newRecords func(t *testing.T) ports.Records) {
	t.Helper()
	for _, suite := range []func(*testing.T, func(*testing.T) ports.Records){
		Accounts, Images, Links, Audit, Changes, Leases, Installation,
	} {
		suite(t, newRecords)
	}
}

// group runs the suites of one port's parts.
func group(t *testing.T, port string, newRecords func(t *testing.T) ports.Records, suites ...func(*testing.T, func(*testing.T) ports.Records)) {
	t.Helper()
	t.Run(port, func(t *testing.T) {
		for _, suite := range suites {
			suite(t, newRecords)
		}
	})
}

// world is a fresh database and what it takes to tell a story in it.
type world struct {
	ports.Records
	ids
	t   *testing.T
	ctx context.Context
	// another is another database.
	another func() ports.Records
}

// story is a subtest on a fresh database.
type story struct {
	name string
	run  func(w *world)
}

func runStories(t *testing.T, suite string, newRecords func(t *testing.T) ports.Records, stories []story) {
	t.Helper()
	checks := make([]check[ports.Records], len(stories))
	for i, s := range stories {
		checks[i] = check[ports.Records]{s.name, func(t *testing.T, r ports.Records) {
			s.run(&world{Records: r, t: t, ctx: t.Context(), another: func() ports.Records { return newRecords(t) }})
		}}
	}
	run(t, suite, newRecords, checks)
}

// Long and awkward values that are permitted all the same: four-byte UTF-8, quotes,
// wildcards, and as long as the domain allows.
var (
	longTitle    = strings.Repeat("🖼", 60) + `'"\%_` + strings.Repeat("ß", 35)
	longEmail    = strings.Repeat("ü", 120) + "+🖼@example.org"
	longUsername = "Z" + strings.Repeat("a.b_c-d@e+", 14) + "123456789"
	longFilename = strings.Repeat("日本🖼", 25) + `';%_"\.jpg`
)

// thumb returns a thumbnail's permission.
func thumb(height int) domain.Permission {
	p, ok := domain.ThumbnailPermission(height)
	if !ok {
		panic("porttest: no such height")
	}
	return p
}

// user returns an active user in the tiers, not saved yet.
func (w *world) user(name string, tiers ...string) domain.User {
	n := int(w.n.Load())
	u := domain.User{
		ID: w.id(moment(n)), Username: name, Email: name + "@example.org", PasswordHash: "$argon2id$v=19$m=19456,t=2,p=1$c2FsdA$aGFzaA",
		Grants: domain.NewPermissions(thumb(77), domain.GenerateLink), IsActive: true, Epoch: 3,
		CreatedAt: moment(n).Add(123456 * time.Microsecond), UpdatedAt: moment(n).Add(7 * time.Microsecond),
	}
	u.SetTiers(tiers)
	return u
}

// change runs a change of Accounts that must succeed.
func (w *world) change(fn func(tx ports.AccountsTx) error) {
	w.t.Helper()
	require.NoError(w.t, w.Accounts.Change(w.ctx, fn))
}

// save writes users in one change.
func (w *world) save(users ...domain.User) {
	w.t.Helper()
	w.change(func(tx ports.AccountsTx) error {
		for _, u := range users {
			if err := tx.SaveUser(w.ctx, u); err != nil {
				return err
			}
		}
		return nil
	})
}

// saveTier writes tiers in one change.
func (w *world) saveTier(tiers ...domain.Tier) {
	w.t.Helper()
	w.change(func(tx ports.AccountsTx) error {
		for _, t := range tiers {
			if err := tx.SaveTier(w.ctx, t); err != nil {
				return err
			}
		}
		return nil
	})
}

func tier(name string, ps ...domain.Permission) domain.Tier {
	return domain.Tier{
		Name: name, Title: "The " + name, Permissions: domain.NewPermissions(ps...), Limits: domain.DefaultLimits(),
		CreatedAt: epoch.Add(654321 * time.Microsecond), UpdatedAt: epoch.Add(time.Hour + time.Microsecond),
	}
}

// upload returns an upload that begins at a moment, with a lease of a minute, without a key.
func (w *world) upload(owner domain.ID, at time.Time) ports.Upload {
	w.owner(owner)
	return ports.Upload{ImageID: w.id(at), OwnerID: owner, UploadedAt: at, LeaseUntil: at.Add(time.Minute)}
}

// owner makes an active user of an id, unless there is a user already: nobody else gets an image.
func (w *world) owner(id domain.ID) {
	w.t.Helper()
	_, err := w.Accounts.User(w.ctx, id)
	if err == nil {
		return
	}
	wantCode(w.t, domain.NotFound, err)
	u := w.user("owner-" + id.String())
	u.ID = id
	w.save(u)
}

// keyed is upload with an idempotency key.
func (w *world) keyed(owner domain.ID, at time.Time, key domain.SecretHash) ports.Upload {
	u := w.upload(owner, at)
	u.Key = key
	return u
}

// image returns an upload's image as it is committed.
func (w *world) image(u ports.Upload) domain.Image {
	return domain.Image{
		ID: u.ImageID, OwnerID: u.OwnerID, State: domain.ImageReady, Filename: "cat.jpg", Size: 1000, SHA256: w.hash(),
		ImageInfo: domain.ImageInfo{
			Format: domain.JPEG, Width: 4032, Height: 3024, Frames: 1,
			Placeholder: []byte{0, 1, 2, 0xff, 0xfe, 0, '\'', '"', '\\', 0},
		},
		UploadedAt: u.UploadedAt,
	}
}

var noQuota = ports.Quota{MaxImages: domain.NoLimit, MaxBytes: domain.NoLimit}

// begin begins an upload that must get its reservation.
func (w *world) begin(u ports.Upload) {
	w.t.Helper()
	c, err := w.Images.BeginUpload(w.ctx, u, u.UploadedAt)
	require.NoError(w.t, err)
	require.Equal(w.t, ports.ReservationWon, c.State)
}

// ready uploads an image.
func (w *world) ready(owner domain.ID, at time.Time) domain.Image {
	w.t.Helper()
	u := w.upload(owner, at)
	w.begin(u)
	img := w.image(u)
	require.NoError(w.t, w.Images.CommitUpload(w.ctx, u, img, noQuota))
	return img
}

// mark begins the deletion of an image.
func (w *world) mark(img domain.Image) {
	w.t.Helper()
	require.NoError(w.t, w.Images.MarkDeleting(w.ctx, img.OwnerID, img.ID, nil, img.UploadedAt.Add(time.Hour)))
}

// wantState requires an image's state; the empty state stands for no record.
func (w *world) wantState(owner, id domain.ID, want domain.ImageState) {
	w.t.Helper()
	got, err := w.Images.State(w.ctx, owner, id)
	if want == "" {
		wantCode(w.t, domain.NotFound, err)
		return
	}
	require.NoError(w.t, err)
	require.Equal(w.t, want, got)
}

// wantUsage requires what an owner keeps.
func (w *world) wantUsage(owner domain.ID, images, bytes int64) {
	w.t.Helper()
	got, err := w.Images.Usage(w.ctx, owner)
	require.NoError(w.t, err)
	require.Equal(w.t, domain.Usage{Images: images, Bytes: bytes}, got)
}

// link returns a link of five minutes, not created yet.
func (w *world) link(owner, image domain.ID, at time.Time) domain.Link {
	return domain.Link{
		ID: w.id(at), Hash: w.hash(), OwnerID: owner, ImageID: image, CreatedAt: at, ExpiresAt: at.Add(5 * time.Minute),
	}
}

// linked creates links.
func (w *world) linked(links ...domain.Link) {
	w.t.Helper()
	for _, l := range links {
		require.NoError(w.t, w.Links.Create(w.ctx, l, 0))
	}
}

func (w *world) entry(actor string, at time.Time) domain.AuditEntry {
	return domain.AuditEntry{
		ID: w.id(at), At: at, ActorID: w.id(at), Actor: actor, Action: "user.update", Target: "someone",
		Before: []byte(`{"is_active": true}`), After: []byte(`{"is_active":false,"title":"🖼"}`), RequestID: "req-1", Address: "2001:db8::1",
	}
}

func (w *world) session(user domain.ID, expires time.Time) domain.Session {
	return domain.Session{Hash: w.hash(), UserID: user, Epoch: 7, CreatedAt: epoch.Add(time.Microsecond), ExpiresAt: expires}
}

func (w *world) token(user domain.ID, at time.Time) domain.Token {
	return domain.Token{ID: w.id(at), Hash: w.hash(), UserID: user, Name: "laptop", CreatedAt: at}
}

// cursor returns the end of the feed.
func (w *world) cursor() ports.Cursor {
	w.t.Helper()
	f := w.since("")
	require.True(w.t, f.Lost, "the zero cursor has seen nothing")
	require.Empty(w.t, f.Entries)
	return f.Cursor
}

// wantFeed requires exactly these entries after a cursor, in any order.
func (w *world) wantFeed(since ports.Cursor, want ...ports.Change) {
	w.t.Helper()
	f := w.since(since)
	require.False(w.t, f.Lost)
	require.ElementsMatch(w.t, want, f.Entries)
	f = w.since(f.Cursor)
	require.False(w.t, f.Lost)
	require.Empty(w.t, f.Entries, "behind the cursor there is nothing yet")
}

// wantAudit requires exactly these entries of the whole audit log, newest first.
func (w *world) wantAudit(want ...domain.AuditEntry) {
	w.t.Helper()
	got, err := w.Audit.List(w.ctx, "", ports.TimeRange{}, ports.Page{Limit: len(want) + 5})
	require.NoError(w.t, err)
	require.Len(w.t, got, len(want))
	for i := range want {
		wantEntry(w.t, want[i], got[i])
	}
}

// The want functions compare what was given with what was handed out. An empty
// list may come back as nil.

func wantUser(t *testing.T, want, got domain.User) {
	t.Helper()
	wantTime(t, want.CreatedAt, got.CreatedAt, "CreatedAt")
	wantTime(t, want.UpdatedAt, got.UpdatedAt, "UpdatedAt")
	require.Equal(t, want.Grants.Codenames(), got.Grants.Codenames())
	require.Equal(t, append([]string{}, want.Tiers...), append([]string{}, got.Tiers...))
	got.CreatedAt, got.UpdatedAt, got.Grants, got.Tiers = want.CreatedAt, want.UpdatedAt, want.Grants, want.Tiers
	require.Equal(t, want, got)
}

func wantTier(t *testing.T, want, got domain.Tier) {
	t.Helper()
	wantTime(t, want.CreatedAt, got.CreatedAt, "CreatedAt")
	wantTime(t, want.UpdatedAt, got.UpdatedAt, "UpdatedAt")
	require.Equal(t, want.Permissions.Codenames(), got.Permissions.Codenames())
	got.CreatedAt, got.UpdatedAt, got.Permissions = want.CreatedAt, want.UpdatedAt, want.Permissions
	require.Equal(t, want, got)
}

func wantImage(t *testing.T, want, got domain.Image) {
	t.Helper()
	wantTime(t, want.UploadedAt, got.UploadedAt, "UploadedAt")
	require.True(t, bytes.Equal(want.Placeholder, got.Placeholder), "Placeholder: want %x, got %x", want.Placeholder, got.Placeholder)
	got.UploadedAt, got.Placeholder = want.UploadedAt, want.Placeholder
	require.Equal(t, want, got)
}

func wantLink(t *testing.T, want, got domain.Link) {
	t.Helper()
	wantTime(t, want.CreatedAt, got.CreatedAt, "CreatedAt")
	wantTime(t, want.ExpiresAt, got.ExpiresAt, "ExpiresAt")
	wantTime(t, want.RevokedAt, got.RevokedAt, "RevokedAt")
	got.CreatedAt, got.ExpiresAt, got.RevokedAt = want.CreatedAt, want.ExpiresAt, want.RevokedAt
	require.Equal(t, want, got)
}

func wantEntry(t *testing.T, want, got domain.AuditEntry) {
	t.Helper()
	wantTime(t, want.At, got.At, "At")
	got.At = want.At
	require.Equal(t, want, got)
}

func wantSession(t *testing.T, want, got domain.Session) {
	t.Helper()
	wantTime(t, want.CreatedAt, got.CreatedAt, "CreatedAt")
	wantTime(t, want.ExpiresAt, got.ExpiresAt, "ExpiresAt")
	got.CreatedAt, got.ExpiresAt = want.CreatedAt, want.ExpiresAt
	require.Equal(t, want, got)
}

func wantToken(t *testing.T, want, got domain.Token) {
	t.Helper()
	wantTime(t, want.CreatedAt, got.CreatedAt, "CreatedAt")
	wantTime(t, want.ExpiresAt, got.ExpiresAt, "ExpiresAt")
	got.CreatedAt, got.ExpiresAt = want.CreatedAt, want.ExpiresAt
	require.Equal(t, want, got)
}

func userID(u domain.User) domain.ID        { return u.ID }
func imageID(i domain.Image) domain.ID      { return i.ID }
func linkID(l domain.Link) domain.ID        { return l.ID }
func tokenID(t domain.Token) domain.ID      { return t.ID }
func entryID(e domain.AuditEntry) domain.ID { return e.ID }
