// Package response is the JSON of imagify's nouns: what the API answers with, what the command line
// prints with --json, and what the schemas of the OpenAPI document are made of. A noun has one shape
// here, and a function that makes it of the core's.
//
// Beside the usual json tags a field may say more for the document: description, format, minimum,
// and enum, its values with spaces between them. A pointer without omitempty may be null.
package response

import (
	"encoding/json"
	"strconv"
	"time"

	"github.com/imagify-api/imagify/app"
	"github.com/imagify-api/imagify/domain"
)

// List is a page of a list.
type List[T any] struct {
	Items []T `json:"items"`
	// NextCursor goes on where this page ends; nil at the end of the list.
	NextCursor *string `json:"next_cursor"`
}

// Link is an expiring link.
type Link struct {
	ID        string           `json:"id"`
	OwnerID   string           `json:"owner_id,omitempty"` // in an admin's list alone
	ImageID   string           `json:"image_id"`
	Variant   string           `json:"variant"`
	URL       string           `json:"url,omitempty" format:"uri" description:"On creation only"`
	CreatedAt time.Time        `json:"created_at"`
	ExpiresAt time.Time        `json:"expires_at"`
	ExpiresIn int64            `json:"expires_in" minimum:"1"`
	MaxViews  *int64           `json:"max_views" minimum:"1"`
	Views     int64            `json:"views" minimum:"0"`
	State     domain.LinkState `json:"state" enum:"active suspended expired revoked used_up"`
}

// NewLink makes the JSON of a link, without its owner and its URL.
func NewLink(l app.LinkDetails) Link {
	out := Link{
		ID: l.ID.String(), ImageID: l.ImageID.String(), Variant: l.Variant.String(), CreatedAt: l.CreatedAt.UTC(), ExpiresAt: l.ExpiresAt.UTC(),
		ExpiresIn: int64(l.ExpiresAt.Sub(l.CreatedAt).Round(time.Second) / time.Second), Views: l.Views, State: l.State,
	}
	if l.MaxViews > 0 {
		out.MaxViews = &l.MaxViews
	}
	return out
}

// User is an account.
type User struct {
	ID          string    `json:"id"`
	Username    string    `json:"username"`
	Email       string    `json:"email"`
	Tiers       []string  `json:"tiers"`
	Permissions []string  `json:"permissions"` // granted directly
	IsAdmin     bool      `json:"is_admin"`
	IsActive    bool      `json:"is_active"`
	CreatedAt   time.Time `json:"created_at"`
	UpdatedAt   time.Time `json:"updated_at"`
}

// NewUser makes the JSON of a user.
func NewUser(u domain.User) User {
	return User{
		ID: u.ID.String(), Username: u.Username, Email: u.Email, Tiers: append([]string{}, u.Tiers...), Permissions: u.Grants.Codenames(),
		IsAdmin: u.IsAdmin, IsActive: u.IsActive, CreatedAt: u.CreatedAt.UTC(), UpdatedAt: u.UpdatedAt.UTC(),
	}
}

// Limits are a tier's limits by their names, in their order; null means none.
type Limits struct{ domain.Limits }

// MarshalJSON writes every limit.
func (l Limits) MarshalJSON() ([]byte, error) {
	b := []byte{'{'}
	for i, f := range l.Fields() {
		if i > 0 {
			b = append(b, ',')
		}
		b = strconv.AppendQuote(b, f.Name)
		b = append(b, ':')
		if *f.Value == domain.NoLimit {
			b = append(b, "null"...)
		} else {
			b = strconv.AppendInt(b, int64(*f.Value), 10)
		}
	}
	return append(b, '}'), nil
}

// Tier is a tier.
type Tier struct {
	Name        string    `json:"name"`
	Title       string    `json:"title"`
	Permissions []string  `json:"permissions"`
	Limits      Limits    `json:"limits"`
	Predefined  bool      `json:"predefined"`
	CreatedAt   time.Time `json:"created_at"`
	UpdatedAt   time.Time `json:"updated_at"`
}

// NewTier makes the JSON of a tier.
func NewTier(t domain.Tier) Tier {
	return Tier{
		Name: t.Name, Title: t.Title, Permissions: t.Permissions.Codenames(), Limits: Limits{t.Limits}, Predefined: t.Predefined,
		CreatedAt: t.CreatedAt.UTC(), UpdatedAt: t.UpdatedAt.UTC(),
	}
}

// Usage is what a user stores.
type Usage struct {
	Images int64 `json:"images" minimum:"0"`
	Bytes  int64 `json:"bytes" minimum:"0"`
}

// Me is the caller and what they may do: permissions and limits of their tiers and grants together.
type Me struct {
	User        User     `json:"user"`
	Tiers       []string `json:"tiers"`
	Permissions []string `json:"permissions"`
	Limits      Limits   `json:"limits"`
	Usage       Usage    `json:"usage"`
}

// NewMe makes the JSON of the caller.
func NewMe(a domain.Actor, u domain.Usage) Me {
	e := a.Entitlements
	user := NewUser(a.User)
	return Me{User: user, Tiers: user.Tiers, Permissions: e.Permissions.Codenames(), Limits: Limits{e.Limits}, Usage: Usage(u)}
}

// Token is an API token.
type Token struct {
	ID        string     `json:"id"`
	Name      string     `json:"name"`
	CreatedAt time.Time  `json:"created_at"`
	ExpiresAt *time.Time `json:"expires_at"`
	Token     string     `json:"token,omitempty" description:"On creation only"`
}

// NewToken makes the JSON of a token, without its secret.
func NewToken(t domain.Token) Token {
	out := Token{ID: t.ID.String(), Name: t.Name, CreatedAt: t.CreatedAt.UTC()}
	if !t.ExpiresAt.IsZero() {
		at := t.ExpiresAt.UTC()
		out.ExpiresAt = &at
	}
	return out
}

// Decision says whether something is allowed, and why.
type Decision struct {
	Allowed bool   `json:"allowed"`
	Reason  string `json:"reason"`
	Message string `json:"message"`
	// By is what decides for it; nil where it is denied.
	By           *Decider `json:"by"`
	SmallestTier *string  `json:"smallest_tier"`
}

// Decider is what allows something: a tier or a grant by its name, or being an admin.
type Decider struct {
	Kind string  `json:"kind" enum:"tier grant admin"`
	Name *string `json:"name"`
}

// VariantAccess is the decision about one variant of an image.
type VariantAccess struct {
	Variant string `json:"variant"`
	Decision
}

// Access says what a user may do with an image.
type Access struct {
	ImageID  string          `json:"image_id"`
	User     string          `json:"user"`
	Tiers    []string        `json:"tiers"`
	Variants []VariantAccess `json:"variants"`
	Links    Decision        `json:"links"`
}

func newDecision(r app.AccessRow) Decision {
	d := r.Decision
	out := Decision{Allowed: d.Allowed, Reason: string(d.Reason), Message: d.String()}
	if d.Allowed {
		out.By = &Decider{Kind: string(d.Reason)}
		if d.Source != "" {
			out.By.Name = &d.Source
		}
	}
	if r.SmallestTier != "" {
		out.SmallestTier = &r.SmallestTier
	}
	return out
}

// NewAccess makes the JSON of an access table.
func NewAccess(a app.Access) Access {
	out := Access{ImageID: a.Image.ID.String(), User: a.User.Username, Tiers: append([]string{}, a.User.Tiers...), Variants: []VariantAccess{}}
	for _, r := range a.Rows {
		if r.Action == domain.MakeLink {
			out.Links = newDecision(r)
			continue
		}
		out.Variants = append(out.Variants, VariantAccess{r.Action.String(), newDecision(r)})
	}
	return out
}

// AuditEntry is what an admin changed.
type AuditEntry struct {
	ID        string          `json:"id"`
	At        time.Time       `json:"at"`
	Actor     string          `json:"actor"`
	ActorID   *string         `json:"actor_id"`
	Action    string          `json:"action"`
	Target    string          `json:"target"`
	Before    json.RawMessage `json:"before"`
	After     json.RawMessage `json:"after"`
	RequestID string          `json:"request_id"`
	Address   string          `json:"address"`
}

// NewAuditEntry makes the JSON of an entry of the audit log.
func NewAuditEntry(e domain.AuditEntry) AuditEntry {
	out := AuditEntry{
		ID: e.ID.String(), At: e.At.UTC(), Actor: e.Actor, Action: e.Action, Target: e.Target,
		Before: e.Before, After: e.After, RequestID: e.RequestID, Address: e.Address,
	}
	if !e.ActorID.IsZero() {
		id := e.ActorID.String()
		out.ActorID = &id
	}
	return out
}

// Status is the answer of a health check.
type Status struct {
	Status string `json:"status"`
}

// Problem is RFC 9457's object. Its type is always about:blank, so title is the
// status's phrase, as section 4.2.1 wants it; code tells problems apart.
type Problem struct {
	Type      string       `json:"type"`
	Title     string       `json:"title"`
	Status    int          `json:"status" minimum:"0"`
	Detail    string       `json:"detail"`
	Code      domain.Code  `json:"code"`
	RequestID string       `json:"request_id"`
	Errors    []FieldError `json:"errors,omitempty"`
	Limit     *int64       `json:"limit,omitempty"`
	Used      *int64       `json:"used,omitempty"`
}

// FieldError is what is wrong with a field of the request.
type FieldError struct {
	Field   string `json:"field"`
	Code    string `json:"code"`
	Message string `json:"message"`
}
