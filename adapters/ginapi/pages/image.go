package pages

import (
	"net/http"
	"strings"
	"time"

	"github.com/imagify-api/imagify/adapters/ginapi/internal/request"
	"github.com/imagify-api/imagify/adapters/ginapi/internal/strictjson"
	"github.com/imagify-api/imagify/adapters/ginapi/pages/web"
	"github.com/imagify-api/imagify/app"
	"github.com/imagify-api/imagify/domain"
	"github.com/imagify-api/imagify/ports"
)

// linkRow is a link in a table.
type linkRow struct {
	app.LinkDetails
	State string // plain text for templates
	Shows string
	Alive bool // may still be revoked
}

func newLinkRow(l app.LinkDetails) linkRow {
	return linkRow{LinkDetails: l, State: string(l.State), Shows: shownVariant(l.Variant), Alive: !l.State.Final()}
}

// shownVariant names a variant for people.
func shownVariant(v domain.Variant) string {
	if v == domain.Original {
		return "the original"
	}
	return itoa(v.Height()) + " px high"
}

type sizeData struct {
	URL                  string
	Asked, Width, Height int
}

type choice struct {
	Value, Label string
}

type durationChoice struct {
	Seconds  int64
	Label    string
	Selected bool
}

type imageData struct {
	Tile         tile
	Foreign      bool // an admin looks at another's image
	Admin        bool
	Owner        string
	Large        string
	LargeWidth   int
	LargeHeight  int
	Format       string
	Size         int64
	Frames       int
	UploadedAt   time.Time
	Sizes        []sizeData
	Original     string
	OriginalTier string
	MayLink      bool
	LinkTier     string
	Durations    []durationChoice
	Variants     []choice
	Links        []linkRow
	MoreLinks    bool
	NewLink      string
}

func (h *Handlers) getImagePage(q *request.Request) error {
	v, err := q.Query()
	if err != nil {
		return err
	}
	id, err := q.ImageID()
	if err != nil {
		return err
	}
	if v.Get("part") == "tile" {
		img, err := q.Service.Image(q.Context(), q.Actor, id)
		if err != nil {
			return err
		}
		u, err := h.usage(q)
		if err != nil {
			return err
		}
		return h.htmlPart(q, http.StatusOK, "gallery", "tilepart", h.newPage(q, "", "", struct {
			Tile  tile
			Usage usageData
		}{newTile(img), u}))
	}
	return h.imagePage(q, http.StatusOK, id, "", "")
}

// imagePage answers with an image's page; newLink is the URL of a link just made, said is a problem of a form.
func (h *Handlers) imagePage(q *request.Request, status int, id domain.ID, newLink, said string) error {
	img, err := q.Service.Image(q.Context(), q.Actor, id)
	if err != nil {
		return err
	}
	links, more, err := q.Service.Links(q.Context(), q.Actor, id, ports.Page{Limit: 20})
	if err != nil {
		return err
	}
	d := imageData{
		Tile: newTile(img), Foreign: img.OwnerID != q.Actor.User.ID, Admin: q.Actor.Admin(), Format: strings.ToUpper(strings.TrimPrefix(img.Format.ContentType(), "image/")),
		Size: img.Size, Frames: img.Frames, UploadedAt: img.UploadedAt, NewLink: newLink, MoreLinks: !more.IsZero(),
	}
	for _, th := range img.Thumbnails {
		// Heights above a low original's all show the same picture.
		if n := len(d.Sizes); n > 0 && d.Sizes[n-1].Height == th.Height {
			continue
		}
		d.Sizes = append(d.Sizes, sizeData{thumbnailPath(d.Tile.ID, th), th.RequestedHeight, th.Width, th.Height})
	}
	if n := len(d.Sizes); n > 0 {
		d.Large, d.LargeWidth, d.LargeHeight = d.Sizes[n-1].URL, d.Sizes[n-1].Width, d.Sizes[n-1].Height
	}
	if img.Original != nil {
		d.Original = "/v1/images/" + d.Tile.ID + "/original?" + img.Original.Query()
	}
	for _, l := range links {
		d.Links = append(d.Links, newLinkRow(l))
	}
	a, err := q.Service.Access(q.Context(), q.Actor, id, app.WhatIf{})
	if err != nil {
		return err
	}
	if d.Foreign {
		d.Owner = a.User.Username
	}
	for _, r := range a.Rows {
		switch r.Action {
		case domain.Read(domain.Original):
			d.OriginalTier = r.SmallestTier
		case domain.MakeLink:
			d.MayLink, d.LinkTier = r.Decision.Allowed && !d.Foreign, r.SmallestTier
		}
	}
	if d.MayLink {
		d.Durations, d.Variants = durations(q.Actor.Entitlements.Limits), linkVariants(q.Actor.Entitlements)
	}
	pd := h.newPage(q, img.Filename, "gallery", d)
	if d.Foreign {
		pd.Nav = "admin"
	}
	pd.Problem = said
	return h.html(q, status, "image", pd)
}

// durations are the lives a link may be given: round ones within the tier's range, and its ends.
func durations(l domain.Limits) []durationChoice {
	lo, hi := l.LinkSeconds()
	var out []durationChoice
	add := func(n int64) {
		if n >= lo && n <= hi && (len(out) == 0 || out[len(out)-1].Seconds < n) {
			out = append(out, durationChoice{Seconds: n, Label: web.Duration(n)})
		}
	}
	add(lo)
	for _, n := range []int64{60, 300, 900, 1800, 3600, 2 * 3600, 4 * 3600, 8 * 3600} {
		add(n)
	}
	add(hi)
	preferred := 0
	for i, c := range out {
		if c.Seconds <= 3600 {
			preferred = i
		}
	}
	out[preferred].Selected = true
	return out
}

// linkVariants are what a link may show, what it shows unless told first.
func linkVariants(e domain.Entitlements) []choice {
	var out []choice
	if e.Permissions.Has(domain.AccessOriginal) {
		out = append(out, choice{domain.Original.String(), shownVariant(domain.Original)})
	}
	hs := e.Permissions.Heights()
	for i := len(hs) - 1; i >= 0; i-- {
		if v, ok := domain.Thumbnail(hs[i]); ok {
			out = append(out, choice{v.String(), shownVariant(v)})
		}
	}
	return out
}

func (h *Handlers) postImagePage(q *request.Request) error {
	id, err := q.ImageID()
	if err != nil {
		return err
	}
	form, err := q.Form()
	if err != nil {
		return err
	}
	switch form.Get("action") {
	case "link":
		var in app.LinkInput
		if in, err = request.ReadLink(strictjson.FromForm(form, "expires_in", "max_views")); err != nil {
			break
		}
		var token string
		if _, token, err = q.Service.CreateLink(q.Context(), q.Actor, id, in); err == nil {
			return h.imagePage(q, http.StatusCreated, id, q.BaseURL()+"/l/"+token, "")
		}
	case "revoke":
		var l domain.ID
		if l, err = domain.ParseID(form.Get("link")); err != nil {
			return domain.Errorf(domain.NotFound, "no such link")
		}
		if err = q.Service.RevokeLink(q.Context(), q.Actor, l); err == nil {
			return q.Redirect("/images/" + id.String() + "#links")
		}
	case "delete":
		img, err := q.Service.Image(q.Context(), q.Actor, id)
		if err != nil {
			return err
		}
		if err := q.Service.DeleteImage(q.Context(), q.Actor, id); err != nil {
			return err
		}
		if img.OwnerID != q.Actor.User.ID {
			return q.Redirect("/admin/images?deleted=1")
		}
		return q.Redirect("/?deleted=1")
	default:
		err = noSuchAction()
	}
	return h.refused(q, err, func(status int, words string) error { return h.imagePage(q, status, id, "", words) })
}
