package ginapi

import (
	"net/http"
	"strings"
	"time"

	"github.com/imagify-api/imagify/adapters/ginapi/web"
	"github.com/imagify-api/imagify/app"
	"github.com/imagify-api/imagify/domain"
	"github.com/imagify-api/imagify/ports"
)

// tile is an image in a grid. Its URLs are paths: pages stay on the host that served them.
type tile struct {
	ID, Filename            string
	Width, Height           int
	Placeholder             []byte
	Thumb, Srcset           string
	ThumbWidth, ThumbHeight int
}

// previewHeight is how high a grid's picture is, in CSS pixels.
const previewHeight = 200

func newTile(v app.ImageView) tile {
	t := tile{ID: v.ID.String(), Filename: v.Filename, Width: v.Width, Height: v.Height, Placeholder: v.Placeholder}
	var set []string
	for _, th := range v.Thumbnails {
		url := thumbnailPath(t.ID, th)
		// The lowest that fills a tile, else the highest there is.
		if t.ThumbHeight < previewHeight {
			t.Thumb, t.ThumbWidth, t.ThumbHeight = url, th.Width, th.Height
		}
		if n := len(set); n == 0 || !strings.HasSuffix(set[n-1], " "+itoa(th.Width)+"w") {
			set = append(set, url+" "+itoa(th.Width)+"w")
		}
	}
	if len(set) > 1 {
		t.Srcset = strings.Join(set, ", ")
	}
	return t
}

func thumbnailPath(id string, th app.ThumbnailURL) string {
	return "/v1/images/" + id + "/thumbnails/" + itoa(th.Asked) + "?" + th.Signature.Query()
}

// usageData is what a user keeps; a maximum of 0 stands for none.
type usageData struct {
	Images, ImagesMax, ImagesHigh int64
	Bytes, BytesMax, BytesHigh    int64
}

func (q *request) usage() (usageData, error) {
	u, err := q.s.svc.Usage(q.ctx(), q.actor)
	if err != nil {
		return usageData{}, err
	}
	d := usageData{Images: u.Images, Bytes: u.Bytes}
	l := q.actor.Effective.Limits
	if l.MaxImages != domain.NoLimit {
		d.ImagesMax = int64(l.MaxImages)
		d.ImagesHigh = d.ImagesMax / 10 * 9
	}
	if l.MaxStorageBytes != domain.NoLimit {
		d.BytesMax = int64(l.MaxStorageBytes)
		d.BytesHigh = d.BytesMax / 10 * 9
	}
	return d, nil
}

type galleryData struct {
	Usage     usageData
	Tiles     []tile
	Next      string
	Later     bool // not the first page
	Heights   []int
	MaxUpload int64
}

func getGallery(q *request) error { return q.galleryPage(http.StatusOK, "") }

// postGallery takes one picture from the form of a browser that runs no script.
func postGallery(q *request) error {
	if _, err := q.upload(); err != nil {
		q.abandonBody()
		return q.refused(err, q.galleryPage)
	}
	return q.redirect("/")
}

func (q *request) galleryPage(status int, said string) error {
	v, err := q.query()
	if err != nil {
		return err
	}
	p, err := page(v)
	if err != nil {
		return err
	}
	if !v.Has("limit") {
		p.Limit = 48
	}
	items, next, err := q.s.svc.Images(q.ctx(), q.actor, p)
	if err != nil {
		return err
	}
	e := q.actor.Effective
	d := galleryData{Later: v.Has("cursor"), Heights: e.Permissions.Heights(), MaxUpload: e.Limits.MaxUploadBytes.Max()}
	if d.Usage, err = q.usage(); err != nil {
		return err
	}
	for _, it := range items {
		d.Tiles = append(d.Tiles, newTile(it))
	}
	if !next.IsZero() {
		d.Next = encodeCursor(next)
	}
	pd := q.newPage("Your images", "gallery", d)
	if pd.Problem = said; said == "" && v.Has("deleted") {
		pd.Notice = "The image is gone, and with it its thumbnails and links."
	}
	return q.html(status, "gallery", pd)
}

// linkRow is a link in a table.
type linkRow struct {
	app.LinkView
	State string // plain text for templates
	Shows string
	Alive bool // may still be revoked
}

func newLinkRow(l app.LinkView) linkRow {
	return linkRow{LinkView: l, State: string(l.State), Shows: shownVariant(l.Variant), Alive: !l.State.Final()}
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

func getImagePage(q *request) error {
	v, err := q.query()
	if err != nil {
		return err
	}
	id, err := q.imageID()
	if err != nil {
		return err
	}
	if v.Get("part") == "tile" {
		img, err := q.s.svc.Image(q.ctx(), q.actor, id)
		if err != nil {
			return err
		}
		u, err := q.usage()
		if err != nil {
			return err
		}
		return q.htmlPart(http.StatusOK, "gallery", "tilepart", q.newPage("", "", struct {
			Tile  tile
			Usage usageData
		}{newTile(img), u}))
	}
	return q.imagePage(http.StatusOK, id, "", "")
}

// imagePage answers with an image's page; newLink is the URL of a link just made, said is a problem of a form.
func (q *request) imagePage(status int, id domain.ID, newLink, said string) error {
	img, err := q.s.svc.Image(q.ctx(), q.actor, id)
	if err != nil {
		return err
	}
	links, more, err := q.s.svc.Links(q.ctx(), q.actor, id, ports.Page{Limit: 20})
	if err != nil {
		return err
	}
	d := imageData{
		Tile: newTile(img), Foreign: img.OwnerID != q.actor.User.ID, Admin: q.actor.Admin(), Format: strings.ToUpper(strings.TrimPrefix(img.Format.ContentType(), "image/")),
		Size: img.Size, Frames: img.Frames, UploadedAt: img.UploadedAt, NewLink: newLink, MoreLinks: !more.IsZero(),
	}
	for _, th := range img.Thumbnails {
		// Heights above a low original's all show the same picture.
		if n := len(d.Sizes); n > 0 && d.Sizes[n-1].Height == th.Height {
			continue
		}
		d.Sizes = append(d.Sizes, sizeData{thumbnailPath(d.Tile.ID, th), th.Asked, th.Width, th.Height})
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
	a, err := q.s.svc.Access(q.ctx(), q.actor, id, app.WhatIf{})
	if err != nil {
		return err
	}
	if d.Foreign {
		d.Owner = a.User.Username
	}
	for _, r := range a.Rows {
		switch r.Action {
		case domain.View(domain.Original):
			d.OriginalTier = r.SmallestTier
		case domain.MakeLink:
			d.MayLink, d.LinkTier = r.Decision.Allowed && !d.Foreign, r.SmallestTier
		}
	}
	if d.MayLink {
		d.Durations, d.Variants = durations(q.actor.Effective.Limits), linkVariants(q.actor.Effective)
	}
	pd := q.newPage(img.Filename, "gallery", d)
	if d.Foreign {
		pd.Nav = "admin"
	}
	pd.Problem = said
	return q.html(status, "image", pd)
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
func linkVariants(e domain.Effective) []choice {
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

func postImagePage(q *request) error {
	id, err := q.imageID()
	if err != nil {
		return err
	}
	form, err := q.form()
	if err != nil {
		return err
	}
	link := ""
	switch form.Get("action") {
	case "link":
		link, err = q.linkOfForm(id, form.Get("expires_in"), form.Get("max_views"), form.Get("variant"))
	case "revoke":
		var l domain.ID
		if l, err = domain.ParseID(form.Get("link")); err != nil {
			return domain.Errorf(domain.NotFound, "no such link")
		}
		if err = q.s.svc.RevokeLink(q.ctx(), q.actor, l); err == nil {
			return q.redirect("/images/" + id.String() + "#links")
		}
	case "delete":
		img, err := q.s.svc.Image(q.ctx(), q.actor, id)
		if err != nil {
			return err
		}
		if err := q.s.svc.DeleteImage(q.ctx(), q.actor, id); err != nil {
			return err
		}
		if img.OwnerID != q.actor.User.ID {
			return q.redirect("/admin/images?deleted=1")
		}
		return q.redirect("/?deleted=1")
	default:
		err = noSuchAction()
	}
	if err == nil {
		return q.imagePage(http.StatusCreated, id, link, "")
	}
	return q.refused(err, func(status int, words string) error { return q.imagePage(status, id, "", words) })
}

func noSuchAction() error {
	return domain.Errorf(domain.Invalid, "the form has no such action")
}

// linkOfForm makes a link as a form asks for it, and returns its URL.
func (q *request) linkOfForm(id domain.ID, expires, views, variant string) (string, error) {
	var in app.LinkInput
	var err error
	if in.ExpiresIn, err = optionalNumber("expires_in", expires); err != nil {
		return "", err
	}
	if in.MaxViews, err = optionalNumber("max_views", views); err != nil {
		return "", err
	}
	if strings.TrimSpace(views) == "0" {
		return "", domain.InvalidField("max_views", "range", "must be at least 1; leave it empty for no bound")
	}
	if variant != "" {
		v, err := domain.ParseVariant(variant)
		if err != nil {
			return "", err
		}
		in.Variant = &v
	}
	_, token, err := q.s.svc.CreateLink(q.ctx(), q.actor, id, in)
	return q.base() + "/l/" + token, err
}

type limitRow struct{ Label, Value string }

// limitLabels are the limits' names for people, by their contract names.
var limitLabels = map[string]string{
	"max_upload_bytes": "Largest file", "max_pixels": "Most pixels", "max_frames": "Most frames", "max_images": "Images", "max_storage_bytes": "Storage",
	"requests_per_minute": "Requests a minute", "link_ttl_min_seconds": "Shortest link", "link_ttl_max_seconds": "Longest link",
}

func limitRows(l domain.Limits) []limitRow {
	var out []limitRow
	for _, f := range l.Fields() {
		out = append(out, limitRow{limitLabels[f.Name], limitText(f)})
	}
	return out
}

// limitText is a limit for people.
func limitText(f domain.LimitField) string {
	n := int64(*f.Value)
	switch {
	case *f.Value == domain.NoLimit:
		return "no limit"
	case strings.HasSuffix(f.Name, "_bytes"):
		return web.Bytes(n)
	case strings.HasSuffix(f.Name, "_seconds"):
		return web.Duration(n)
	}
	return web.Number(n)
}

// limitUnit is what a limit's field is filled with.
func limitUnit(name string) string {
	switch {
	case strings.HasSuffix(name, "_bytes"):
		return "bytes"
	case strings.HasSuffix(name, "_seconds"):
		return "seconds"
	}
	return "a number"
}

type accountData struct {
	Tiers            []string
	Heights          []int
	Original, Links  bool
	LinkFrom, LinkTo string
	Usage            usageData
	Limits           []limitRow
	Tokens           []domain.Token
	NextTokens       string
	NewToken         string
	TokenName        string
}

func getAccount(q *request) error { return q.accountPage(http.StatusOK, accountData{}, "") }

func (q *request) accountPage(status int, d accountData, said string) error {
	v, err := q.query()
	if err != nil {
		return err
	}
	p, err := page(v)
	if err != nil {
		return err
	}
	tokens, next, err := q.s.svc.Tokens(q.ctx(), q.actor, p)
	if err != nil {
		return err
	}
	e := q.actor.Effective
	for _, t := range e.Tiers {
		title := t.Title
		if title == "" {
			title = t.Name
		}
		d.Tiers = append(d.Tiers, title)
	}
	lo, hi := e.Limits.LinkSeconds()
	d.Heights, d.Original, d.Links = e.Permissions.Heights(), e.Permissions.Has(domain.AccessOriginal), e.Permissions.Has(domain.GenerateLink)
	d.LinkFrom, d.LinkTo, d.Limits, d.Tokens = web.Duration(lo), web.Duration(hi), limitRows(e.Limits), tokens
	if !next.IsZero() {
		d.NextTokens = encodeCursor(next)
	}
	if d.Usage, err = q.usage(); err != nil {
		return err
	}
	pd := q.newPage("Your account", "account", d)
	pd.Problem = said
	return q.html(status, "account", pd)
}

func postAccount(q *request) error {
	form, err := q.form()
	if err != nil {
		return err
	}
	var d accountData
	switch form.Get("action") {
	case "token":
		d.TokenName = form.Get("name")
		var seconds int64
		if seconds, err = optionalNumber("expires_in", form.Get("expires_in")); err == nil && seconds > maxTokenSeconds {
			err = domain.InvalidField("expires_in", "range", "is too long")
		}
		if err == nil {
			_, d.NewToken, err = q.s.svc.CreateToken(q.ctx(), q.actor, d.TokenName, time.Duration(seconds)*time.Second)
		}
		if err == nil {
			d.TokenName = ""
			return q.accountPage(http.StatusCreated, d, "")
		}
	case "revoke":
		id, parseErr := domain.ParseID(form.Get("token"))
		if parseErr != nil {
			return domain.Errorf(domain.NotFound, "no such token")
		}
		if err = q.s.svc.RevokeToken(q.ctx(), q.actor, id); err == nil {
			return q.redirect("/account")
		}
	default:
		err = noSuchAction()
	}
	return q.refused(err, func(status int, words string) error { return q.accountPage(status, d, words) })
}
