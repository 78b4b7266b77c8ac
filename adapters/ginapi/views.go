package ginapi

import (
	"encoding/base64"
	"encoding/json"
	"strconv"
	"time"

	"github.com/imagify-api/imagify/app"
	"github.com/imagify-api/imagify/domain"
)

// imageView is an Image of the contract. It writes its JSON itself: a list holds
// many, and its thumbnails are in ascending order, which a map's would not be.
type imageView struct {
	app.ImageDetails
	base  string
	owner bool // tell whose it is
}

func (v imageView) AppendJSON(b []byte) []byte {
	id := v.ID.String()
	b = append(b, `{"id":"`...)
	b = append(b, id...)
	if v.owner {
		b = append(b, `","owner_id":"`...)
		b = append(b, v.OwnerID.String()...)
	}
	b = append(b, `","filename":`...)
	b = appendString(b, v.Filename)
	b = append(b, `,"content_type":"`...)
	b = append(b, v.Format.ContentType()...)
	b = append(b, `","width":`...)
	b = strconv.AppendInt(b, int64(v.Width), 10)
	b = append(b, `,"height":`...)
	b = strconv.AppendInt(b, int64(v.Height), 10)
	b = append(b, `,"size":`...)
	b = strconv.AppendInt(b, v.Size, 10)
	b = append(b, `,"uploaded_at":"`...)
	b = v.UploadedAt.UTC().AppendFormat(b, time.RFC3339Nano)
	b = append(b, `","placeholder":"`...)
	b = base64.StdEncoding.AppendEncode(b, v.Placeholder)
	b = append(b, `","thumbnails":{`...)
	for i, t := range v.Thumbnails {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, '"')
		b = strconv.AppendInt(b, int64(t.RequestedHeight), 10)
		b = append(b, `":{"url":`...)
		b = v.appendURL(b, id, "/thumbnails/", t.RequestedHeight, t.Signature)
		b = append(b, `,"width":`...)
		b = strconv.AppendInt(b, int64(t.Width), 10)
		b = append(b, `,"height":`...)
		b = strconv.AppendInt(b, int64(t.Height), 10)
		b = append(b, '}')
	}
	b = append(b, '}')
	if v.Original != nil {
		b = append(b, `,"original":`...)
		b = v.appendURL(b, id, "/original", 0, *v.Original)
	}
	return append(b, '}')
}

func (v imageView) appendURL(b []byte, id, what string, height int, sig app.Signature) []byte {
	b = append(b, '"')
	b = append(b, v.base...)
	b = append(b, "/v1/images/"...)
	b = append(b, id...)
	b = append(b, what...)
	if height > 0 {
		b = strconv.AppendInt(b, int64(height), 10)
	}
	b = append(b, '?')
	b = sig.AppendQuery(b)
	return append(b, '"')
}

// appendString appends a JSON string.
func appendString(b []byte, s string) []byte {
	for i := 0; i < len(s); i++ {
		if c := s[i]; c < ' ' || c > '~' || c == '"' || c == '\\' {
			text, err := json.Marshal(s)
			if err != nil { // strings: cannot happen
				return append(b, `""`...)
			}
			return append(b, text...)
		}
	}
	b = append(b, '"')
	b = append(b, s...)
	return append(b, '"')
}

// imageList is a page of images.
type imageList struct {
	items []app.ImageDetails
	base  string
	owner bool
	next  *string
}

func (l imageList) AppendJSON(b []byte) []byte {
	b = append(b, `{"items":[`...)
	for i, it := range l.items {
		if i > 0 {
			b = append(b, ',')
		}
		b = imageView{it, l.base, l.owner}.AppendJSON(b)
	}
	b = append(b, `],"next_cursor":`...)
	if l.next == nil {
		b = append(b, "null"...)
	} else {
		b = appendString(b, *l.next)
	}
	return append(b, '}')
}

type linkView struct {
	ID        string `json:"id"`
	OwnerID   string `json:"owner_id,omitempty"`
	ImageID   string `json:"image_id"`
	Variant   string `json:"variant"`
	URL       string `json:"url,omitempty"`
	CreatedAt string `json:"created_at"`
	ExpiresAt string `json:"expires_at"`
	ExpiresIn int64  `json:"expires_in"`
	MaxViews  *int64 `json:"max_views"`
	Views     int64  `json:"views"`
	State     string `json:"state"`
}

func viewLink(l app.LinkDetails) linkView {
	v := linkView{
		ID: l.ID.String(), ImageID: l.ImageID.String(), Variant: l.Variant.String(), CreatedAt: when(l.CreatedAt), ExpiresAt: when(l.ExpiresAt),
		ExpiresIn: int64(l.ExpiresAt.Sub(l.CreatedAt).Round(time.Second) / time.Second), Views: l.Views, State: string(l.State),
	}
	if l.MaxViews > 0 {
		v.MaxViews = &l.MaxViews
	}
	return v
}

func when(t time.Time) string { return t.UTC().Format(time.RFC3339Nano) }

type userView struct {
	ID          string   `json:"id"`
	Username    string   `json:"username"`
	Email       string   `json:"email"`
	Tiers       []string `json:"tiers"`
	Permissions []string `json:"permissions"`
	IsAdmin     bool     `json:"is_admin"`
	IsActive    bool     `json:"is_active"`
	CreatedAt   string   `json:"created_at"`
	UpdatedAt   string   `json:"updated_at"`
}

func viewUser(u domain.User) userView {
	return userView{
		ID: u.ID.String(), Username: u.Username, Email: u.Email, Tiers: append([]string{}, u.Tiers...), Permissions: u.Grants.Codenames(),
		IsAdmin: u.IsAdmin, IsActive: u.IsActive, CreatedAt: when(u.CreatedAt), UpdatedAt: when(u.UpdatedAt),
	}
}

// limitsView has every limit by its contract name; null means none.
type limitsView struct{ limits domain.Limits }

func (v limitsView) MarshalJSON() ([]byte, error) {
	b := []byte{'{'}
	for i, f := range v.limits.Fields() {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendString(b, f.Name)
		b = append(b, ':')
		if *f.Value == domain.NoLimit {
			b = append(b, "null"...)
		} else {
			b = strconv.AppendInt(b, int64(*f.Value), 10)
		}
	}
	return append(b, '}'), nil
}

type tierView struct {
	Name        string     `json:"name"`
	Title       string     `json:"title"`
	Permissions []string   `json:"permissions"`
	Limits      limitsView `json:"limits"`
	Predefined  bool       `json:"predefined"`
	CreatedAt   string     `json:"created_at"`
	UpdatedAt   string     `json:"updated_at"`
}

func viewTier(t domain.Tier) tierView {
	return tierView{
		Name: t.Name, Title: t.Title, Permissions: t.Permissions.Codenames(), Limits: limitsView{t.Limits}, Predefined: t.Predefined,
		CreatedAt: when(t.CreatedAt), UpdatedAt: when(t.UpdatedAt),
	}
}

type usageView struct {
	Images int64 `json:"images"`
	Bytes  int64 `json:"bytes"`
}

// meView is who asks and what they may: permissions and limits are the sum of their tiers and grants.
type meView struct {
	User        userView   `json:"user"`
	Tiers       []string   `json:"tiers"`
	Permissions []string   `json:"permissions"`
	Limits      limitsView `json:"limits"`
	Usage       usageView  `json:"usage"`
}

type tokenView struct {
	ID        string  `json:"id"`
	Name      string  `json:"name"`
	CreatedAt string  `json:"created_at"`
	ExpiresAt *string `json:"expires_at"`
	Token     string  `json:"token,omitempty"`
}

func viewToken(t domain.Token) tokenView {
	v := tokenView{ID: t.ID.String(), Name: t.Name, CreatedAt: when(t.CreatedAt)}
	if !t.ExpiresAt.IsZero() {
		at := when(t.ExpiresAt)
		v.ExpiresAt = &at
	}
	return v
}

// decisionView is one line of an access table.
type decisionView struct {
	Allowed bool   `json:"allowed"`
	Reason  string `json:"reason"`
	Message string `json:"message"`
	// By is what decides for it; nil where it is denied.
	By           *deciderView `json:"by"`
	SmallestTier *string      `json:"smallest_tier"`
}

type deciderView struct {
	Kind string  `json:"kind"`
	Name *string `json:"name"`
}

type variantAccessView struct {
	Variant string `json:"variant"`
	decisionView
}

type accessView struct {
	ImageID  string              `json:"image_id"`
	User     string              `json:"user"`
	Tiers    []string            `json:"tiers"`
	Variants []variantAccessView `json:"variants"`
	Links    decisionView        `json:"links"`
}

func viewDecision(r app.AccessRow) decisionView {
	d := r.Decision
	v := decisionView{Allowed: d.Allowed, Reason: string(d.Reason), Message: d.String()}
	if d.Allowed {
		v.By = &deciderView{Kind: string(d.Reason)}
		if d.Source != "" {
			v.By.Name = &d.Source
		}
	}
	if r.SmallestTier != "" {
		v.SmallestTier = &r.SmallestTier
	}
	return v
}

func viewAccess(a app.Access) accessView {
	v := accessView{ImageID: a.Image.ID.String(), User: a.User.Username, Tiers: append([]string{}, a.User.Tiers...), Variants: []variantAccessView{}}
	for _, r := range a.Rows {
		if r.Action == domain.MakeLink {
			v.Links = viewDecision(r)
			continue
		}
		v.Variants = append(v.Variants, variantAccessView{r.Action.String(), viewDecision(r)})
	}
	return v
}

type auditView struct {
	ID        string          `json:"id"`
	At        string          `json:"at"`
	Actor     string          `json:"actor"`
	ActorID   *string         `json:"actor_id"`
	Action    string          `json:"action"`
	Target    string          `json:"target"`
	Before    json.RawMessage `json:"before"`
	After     json.RawMessage `json:"after"`
	RequestID string          `json:"request_id"`
	Address   string          `json:"address"`
}

func viewAudit(e domain.AuditEntry) auditView {
	v := auditView{
		ID: e.ID.String(), At: when(e.At), Actor: e.Actor, Action: e.Action, Target: e.Target,
		Before: e.Before, After: e.After, RequestID: e.RequestID, Address: e.Address,
	}
	if !e.ActorID.IsZero() {
		id := e.ActorID.String()
		v.ActorID = &id
	}
	return v
}
