package bunrepo

import (
	"database/sql"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/uptrace/bun"

	"github.com/imagify-api/imagify/domain"
)

type tierRow struct {
	bun.BaseModel `bun:"table:tiers,alias:tiers"`

	Name        string `bun:"name,pk"`
	Title       string `bun:"title"`
	Permissions string `bun:"permissions"` // JSON array of codenames
	Limits      string `bun:"limits"`      // JSON object by contract name; null means none
	Predefined  bool   `bun:"predefined"`
	CreatedAt   int64  `bun:"created_at"`
	UpdatedAt   int64  `bun:"updated_at"`
}

func newTierRow(t domain.Tier) tierRow {
	limits := make(map[string]*int64)
	for _, f := range t.Limits.Fields() {
		limits[f.Name] = nil
		if v := int64(*f.Value); *f.Value != domain.NoLimit {
			limits[f.Name] = &v
		}
	}
	return tierRow{
		Name: t.Name, Title: t.Title, Permissions: toJSON(t.Permissions.Codenames()), Limits: toJSON(limits),
		Predefined: t.Predefined, CreatedAt: toMicros(t.CreatedAt), UpdatedAt: toMicros(t.UpdatedAt),
	}
}

func (row tierRow) tier() (domain.Tier, error) {
	ps, err := toPermissions(row.Permissions)
	if err != nil {
		return domain.Tier{}, fmt.Errorf("tier %q: %w", row.Name, err)
	}
	t := domain.Tier{
		Name: row.Name, Title: row.Title, Permissions: ps, Limits: domain.DefaultLimits(),
		Predefined: row.Predefined, CreatedAt: toTime(row.CreatedAt), UpdatedAt: toTime(row.UpdatedAt),
	}
	var limits map[string]*int64
	if err := json.Unmarshal([]byte(row.Limits), &limits); err != nil {
		return domain.Tier{}, fmt.Errorf("tier %q: limits: %w", row.Name, err)
	}
	// A limit that the row does not know yet has its default.
	for _, f := range t.Limits.Fields() {
		switch v, known := limits[f.Name]; {
		case known && v == nil:
			*f.Value = domain.NoLimit
		case known:
			*f.Value = domain.Limit(*v)
		}
	}
	return t, nil
}

type userRow struct {
	bun.BaseModel `bun:"table:users,alias:users"`

	ID []byte `bun:"id,pk"`
	// Username is for display; Login is the same while it is taken, NULL once the
	// user is being deleted and the name is free.
	Username     string         `bun:"username"`
	Login        sql.NullString `bun:"login"`
	Email        string         `bun:"email"`
	PasswordHash string         `bun:"password_hash"`
	Tiers        string         `bun:"tiers"`       // JSON array of names
	Permissions  string         `bun:"permissions"` // JSON array of codenames
	IsAdmin      bool           `bun:"is_admin"`
	IsActive     bool           `bun:"is_active"`
	Epoch        int64          `bun:"epoch"`
	Deleting     bool           `bun:"deleting"`
	CreatedAt    int64          `bun:"created_at"`
	UpdatedAt    int64          `bun:"updated_at"`
}

func newUserRow(u domain.User) userRow {
	return userRow{
		ID: u.ID[:], Username: u.Username, Email: u.Email, PasswordHash: u.PasswordHash,
		Login: sql.NullString{String: u.Username, Valid: !u.Deleting},
		Tiers: toJSON(append([]string{}, u.Tiers...)), Permissions: toJSON(u.Grants.Codenames()),
		IsAdmin: u.IsAdmin, IsActive: u.IsActive, Epoch: u.Epoch, Deleting: u.Deleting,
		CreatedAt: toMicros(u.CreatedAt), UpdatedAt: toMicros(u.UpdatedAt),
	}
}

func (row userRow) user() (domain.User, error) {
	u := domain.User{
		ID: toID(row.ID), Username: row.Username, Email: row.Email, PasswordHash: row.PasswordHash,
		IsAdmin: row.IsAdmin, IsActive: row.IsActive, Epoch: row.Epoch, Deleting: row.Deleting,
		CreatedAt: toTime(row.CreatedAt), UpdatedAt: toTime(row.UpdatedAt),
	}
	var err error
	if u.Grants, err = toPermissions(row.Permissions); err != nil {
		return domain.User{}, fmt.Errorf("user %s: %w", u.ID, err)
	}
	if err := json.Unmarshal([]byte(row.Tiers), &u.Tiers); err != nil {
		return domain.User{}, fmt.Errorf("user %s: tiers: %w", u.ID, err)
	}
	if len(u.Tiers) == 0 {
		u.Tiers = nil
	}
	return u, nil
}

// memberRow is one user's membership in a tier, for the list by tier. A user who is being deleted has none.
type memberRow struct {
	bun.BaseModel `bun:"table:user_tiers,alias:user_tiers"`

	Tier   string `bun:"tier,pk"`
	UserID []byte `bun:"user_id,pk"`
}

// entryRow is an entry of the change feed.
type entryRow struct {
	bun.BaseModel `bun:"table:change_entries,alias:change_entries"`

	Shard   int           `bun:"shard,pk"`
	Version int64         `bun:"version,pk"`
	Kind    string        `bun:"kind"`
	ID      []byte        `bun:"id"` // the zero id for a tier
	Name    string        `bun:"name"`
	At      int64         `bun:"at"`
	Prev    sql.NullInt64 `bun:"prev"` // the stamp before, on the first entry of a transaction
}

// stateRow is what the feed keeps beside its entries.
type stateRow struct {
	bun.BaseModel `bun:"table:feed_state,alias:feed_state"`

	ID           int64 `bun:"id,pk"`
	Mark         int64 `bun:"mark"`          // the latest time that was believed
	RollOutUntil int64 `bun:"rollout_until"` // until when nodes of the version before may run
}

type auditRow struct {
	bun.BaseModel `bun:"table:audit,alias:audit"`

	ID        []byte         `bun:"id,pk"`
	At        int64          `bun:"at"`
	ActorID   []byte         `bun:"actor_id"`
	Actor     string         `bun:"actor"`
	Action    string         `bun:"action"`
	Target    string         `bun:"target"`
	Before    sql.NullString `bun:"before_json"`
	After     sql.NullString `bun:"after_json"`
	RequestID string         `bun:"request_id"`
	Address   string         `bun:"address"`
}

func newAuditRow(e domain.AuditEntry) auditRow {
	text := func(b []byte) sql.NullString { return sql.NullString{String: storable(string(b)), Valid: b != nil} }
	return auditRow{
		ID: e.ID[:], At: toMicros(e.At), ActorID: e.ActorID[:], Actor: storable(e.Actor), Action: storable(e.Action),
		Target: storable(e.Target), Before: text(e.Before), After: text(e.After),
		RequestID: storable(e.RequestID), Address: storable(e.Address),
	}
}

func (row auditRow) entry() domain.AuditEntry {
	bytes := func(s sql.NullString) []byte {
		if !s.Valid {
			return nil
		}
		return []byte(s.String)
	}
	return domain.AuditEntry{
		ID: toID(row.ID), At: toTime(row.At), ActorID: toID(row.ActorID), Actor: row.Actor, Action: row.Action, Target: row.Target,
		Before: bytes(row.Before), After: bytes(row.After), RequestID: row.RequestID, Address: row.Address,
	}
}

// imageRow is a ready image.
type imageRow struct {
	bun.BaseModel `bun:"table:images,alias:images"`

	OwnerID     []byte `bun:"owner_id,pk"`
	ID          []byte `bun:"id,pk"`
	Filename    string `bun:"filename"`
	Size        int64  `bun:"size"`
	SHA256      []byte `bun:"sha256"`
	Format      string `bun:"format"`
	Width       int    `bun:"width"`
	Height      int    `bun:"height"`
	Frames      int    `bun:"frames"`
	Alpha       bool   `bun:"alpha"`
	Placeholder []byte `bun:"placeholder"`
	UploadedAt  int64  `bun:"uploaded_at"`
}

func newImageRow(i domain.Image) imageRow {
	return imageRow{
		OwnerID: i.OwnerID[:], ID: i.ID[:], Filename: i.Filename, Size: i.Size, SHA256: i.SHA256[:],
		Format: string(i.Format), Width: i.Width, Height: i.Height, Frames: i.Frames, Alpha: i.Alpha,
		Placeholder: append([]byte{}, i.Placeholder...), UploadedAt: toMicros(i.UploadedAt),
	}
}

func (row imageRow) image() domain.Image {
	i := domain.Image{
		ID: toID(row.ID), OwnerID: toID(row.OwnerID), State: domain.ImageReady, Filename: row.Filename, Size: row.Size,
		UploadedAt: toTime(row.UploadedAt),
		ImageInfo: domain.ImageInfo{
			Format: domain.Format(row.Format), Width: row.Width, Height: row.Height, Frames: row.Frames, Alpha: row.Alpha,
		},
	}
	copy(i.SHA256[:], row.SHA256)
	if len(row.Placeholder) > 0 {
		i.Placeholder = slices.Clone(row.Placeholder)
	}
	return i
}

// imageOwnerRow finds the owner, and so the shard, of a ready image.
type imageOwnerRow struct {
	bun.BaseModel `bun:"table:image_owners,alias:image_owners"`

	ID         []byte `bun:"id,pk"`
	OwnerID    []byte `bun:"owner_id"`
	UploadedAt int64  `bun:"uploaded_at"`
}

// unfinishedRow is an image that is pending or being deleted.
type unfinishedRow struct {
	bun.BaseModel `bun:"table:unfinished,alias:unfinished"`

	ID         []byte `bun:"id,pk"`
	OwnerID    []byte `bun:"owner_id"`
	State      string `bun:"state"`
	LeaseUntil int64  `bun:"lease_until"` // of a pending one
}

// keyRow is an idempotency key.
type keyRow struct {
	bun.BaseModel `bun:"table:idempotency,alias:idempotency"`

	OwnerID    []byte `bun:"owner_id,pk"`
	KeyHash    []byte `bun:"key_hash,pk"`
	ImageID    []byte `bun:"image_id"` // whose upload has the reservation
	Done       bool   `bun:"done"`
	SHA256     []byte `bun:"sha256"` // once it is done
	LeaseUntil int64  `bun:"lease_until"`
	CreatedAt  int64  `bun:"created_at"`
}

type linkRow struct {
	bun.BaseModel `bun:"table:links,alias:links"`

	TokenHash []byte `bun:"token_hash,pk"`
	ID        []byte `bun:"id"`
	OwnerID   []byte `bun:"owner_id"`
	ImageID   []byte `bun:"image_id"`
	Height    int    `bun:"height"` // of the thumbnail; 0: the original
	CreatedAt int64  `bun:"created_at"`
	ExpiresAt int64  `bun:"expires_at"`
	MaxViews  int64  `bun:"max_views"`
	Views     int64  `bun:"views"`
	RevokedAt int64  `bun:"revoked_at"`
}

func newLinkRow(l domain.Link) linkRow {
	return linkRow{
		TokenHash: l.Hash[:], ID: l.ID[:], OwnerID: l.OwnerID[:], ImageID: l.ImageID[:], Height: l.Variant.Height(),
		CreatedAt: toMicros(l.CreatedAt), ExpiresAt: toMicros(l.ExpiresAt), MaxViews: l.MaxViews, Views: l.Views,
		RevokedAt: toMicros(l.RevokedAt),
	}
}

func (row linkRow) link() (domain.Link, error) {
	l := domain.Link{
		ID: toID(row.ID), Hash: toHash(row.TokenHash), OwnerID: toID(row.OwnerID), ImageID: toID(row.ImageID),
		CreatedAt: toTime(row.CreatedAt), ExpiresAt: toTime(row.ExpiresAt), MaxViews: row.MaxViews, Views: row.Views,
		RevokedAt: toTime(row.RevokedAt),
	}
	if row.Height != 0 {
		v, ok := domain.Thumbnail(row.Height)
		if !ok {
			// The zero variant is the original: never widen a link by a bad row.
			return domain.Link{}, fmt.Errorf("link %s: no variant has height %d", l.ID, row.Height)
		}
		l.Variant = v
	}
	return l, nil
}

// ownerLinkRow lists a user's links.
type ownerLinkRow struct {
	bun.BaseModel `bun:"table:owner_links,alias:owner_links"`

	OwnerID   []byte `bun:"owner_id,pk"`
	ImageID   []byte `bun:"image_id,pk"`
	ID        []byte `bun:"id,pk"`
	TokenHash []byte `bun:"token_hash"`
	// LiveUntil is when the link stops to count as live: its expiry, or 0 once it was
	// found to be dead before. Rows older than the column have 0.
	LiveUntil int64 `bun:"live_until"`
}

// linkOwnerRow finds a link, wherever it is listed, by its id alone, and the old ones by their time.
type linkOwnerRow struct {
	bun.BaseModel `bun:"table:link_owners,alias:link_owners"`

	ID        []byte `bun:"id,pk"`
	OwnerID   []byte `bun:"owner_id"`
	ImageID   []byte `bun:"image_id"`
	TokenHash []byte `bun:"token_hash"`
	CreatedAt int64  `bun:"created_at"`
}

type sessionRow struct {
	bun.BaseModel `bun:"table:sessions,alias:sessions"`

	Hash      []byte `bun:"hash,pk"`
	UserID    []byte `bun:"user_id"`
	Epoch     int64  `bun:"epoch"`
	CreatedAt int64  `bun:"created_at"`
	ExpiresAt int64  `bun:"expires_at"`
}

type tokenRow struct {
	bun.BaseModel `bun:"table:tokens,alias:tokens"`

	Hash      []byte `bun:"hash,pk"`
	ID        []byte `bun:"id"`
	UserID    []byte `bun:"user_id"`
	Name      string `bun:"name"`
	CreatedAt int64  `bun:"created_at"`
	ExpiresAt int64  `bun:"expires_at"`
}

func (row tokenRow) token() domain.Token {
	return domain.Token{
		ID: toID(row.ID), Hash: toHash(row.Hash), UserID: toID(row.UserID), Name: row.Name,
		CreatedAt: toTime(row.CreatedAt), ExpiresAt: toTime(row.ExpiresAt),
	}
}

type leaseRow struct {
	bun.BaseModel `bun:"table:leases,alias:leases"`

	Name       string `bun:"name,pk"`
	Holder     string `bun:"holder"`
	LeaseUntil int64  `bun:"lease_until"`
}

// isText reports whether a text column takes s to the letter: valid UTF-8 without
// NUL. Other texts would be changed on their way, and then look like others.
func isText(s string) bool { return utf8.ValidString(s) && strings.IndexByte(s, 0) < 0 }

// checkText refuses texts that would not be kept to the letter.
func checkText(texts ...string) error {
	for _, s := range texts {
		if !isText(s) {
			return domain.Errorf(domain.Invalid, "texts must be UTF-8 without NUL")
		}
	}
	return nil
}

// storable makes any text one that can be kept: what an audit entry says of a
// hostile request must not keep it out of the log.
func storable(s string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "\uFFFD")
}

// toJSON cannot fail on what this package gives it: strings and numbers.
func toJSON(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return string(b)
}

func toPermissions(text string) (domain.Permissions, error) {
	var names []string
	if err := json.Unmarshal([]byte(text), &names); err != nil {
		return domain.Permissions{}, fmt.Errorf("permissions: %w", err)
	}
	ps := make([]domain.Permission, len(names))
	for i, n := range names {
		p, err := domain.ParsePermission(n)
		if err != nil {
			// Not wrapped: a bad row is no mistake of the caller's.
			return domain.Permissions{}, fmt.Errorf("permissions: %q is not a permission", n)
		}
		ps[i] = p
	}
	return domain.NewPermissions(ps...), nil
}
