package pages

import (
	"net/http"
	"strings"

	"github.com/imagify-api/imagify/adapters/ginapi/internal/request"
	"github.com/imagify-api/imagify/app"
	"github.com/imagify-api/imagify/domain"
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

func newTile(v app.ImageDetails) tile {
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
	return "/v1/images/" + id + "/thumbnails/" + itoa(th.RequestedHeight) + "?" + th.Signature.Query()
}

// usageData is what a user keeps; a maximum of 0 stands for none.
type usageData struct {
	Images, ImagesMax, ImagesHigh int64
	Bytes, BytesMax, BytesHigh    int64
}

func (h *Handlers) usage(q *request.Request) (usageData, error) {
	u, err := q.Service.Usage(q.Context(), q.Actor)
	if err != nil {
		return usageData{}, err
	}
	d := usageData{Images: u.Images, Bytes: u.Bytes}
	l := q.Actor.Entitlements.Limits
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
	Formats   string // for people
	Accept    string // for the file input
}

// acceptAttribute is what a file input offers: media types, and extensions where browsers know none.
func acceptAttribute(formats []domain.Format) string {
	var types []string
	for _, f := range formats {
		types = append(types, f.ContentType())
		if f == domain.HEIC {
			types = append(types, "image/heif", ".heic", ".heif", ".hif")
		}
	}
	return strings.Join(types, ",")
}

func (h *Handlers) getGallery(q *request.Request) error { return h.galleryPage(q, http.StatusOK, "") }

// postGallery takes one picture from the form of a browser that runs no script.
func (h *Handlers) postGallery(q *request.Request) error {
	if _, err := q.Upload(); err != nil {
		return h.refused(q, err, func(status int, words string) error { return h.galleryPage(q, status, words) })
	}
	return q.Redirect("/")
}

func (h *Handlers) galleryPage(q *request.Request, status int, said string) error {
	v, p, err := q.Pagination()
	if err != nil {
		return err
	}
	if !v.Has("limit") {
		p.Limit = 48
	}
	items, next, err := q.Service.Images(q.Context(), q.Actor, p)
	if err != nil {
		return err
	}
	e := q.Actor.Entitlements
	d := galleryData{Later: v.Has("cursor"), Heights: e.Permissions.Heights(), MaxUpload: e.Limits.MaxUploadBytes.Max()}
	d.Formats, d.Accept = domain.Names(q.Service.Accepted()), acceptAttribute(q.Service.Accepted())
	if d.Usage, err = h.usage(q); err != nil {
		return err
	}
	for _, it := range items {
		d.Tiles = append(d.Tiles, newTile(it))
	}
	if !next.IsZero() {
		d.Next = request.Cursor(next)
	}
	pd := h.newPage(q, "Your images", "gallery", d)
	pd.ProblemTitle = "Could not upload."
	if pd.Problem = said; said == "" && v.Has("deleted") {
		pd.Notice = "Image deleted, with its thumbnails and links."
	}
	return h.html(q, status, "gallery", pd)
}
