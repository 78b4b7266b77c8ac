package response

import (
	"encoding/json"
	"strconv"
	"time"

	"github.com/imagify-api/imagify/app"
)

// Image is an image with the URLs that its owner's tiers permit.
type Image struct {
	ID          string      `json:"id"`
	OwnerID     string      `json:"owner_id,omitempty"` // in an admin's list alone
	Filename    string      `json:"filename"`
	ContentType ContentType `json:"content_type"`
	Width       int         `json:"width" minimum:"1"`
	Height      int         `json:"height" minimum:"1"`
	Size        int64       `json:"size" minimum:"0"`
	UploadedAt  time.Time   `json:"uploaded_at"`
	Placeholder []byte      `json:"placeholder" description:"A ThumbHash"`
	Thumbnails  Thumbnails  `json:"thumbnails" description:"By the height asked for: what the owner's tiers permit"`
	Original    string      `json:"original,omitempty" format:"uri" description:"Absent without the permission"`
}

// ContentType is the media type of an accepted format.
type ContentType string

// Thumbnails are an object by the heights asked for, in ascending order.
type Thumbnails []Thumbnail

// Thumbnail is a thumbnail as it is made of one image: its real size, and where it is.
type Thumbnail struct {
	Requested int    `json:"-"`
	URL       string `json:"url" format:"uri"`
	Width     int    `json:"width" minimum:"1"`
	Height    int    `json:"height" minimum:"1"`
}

// MarshalJSON writes the heights in ascending order, which a map would not keep.
func (ts Thumbnails) MarshalJSON() ([]byte, error) {
	b := []byte{'{'}
	for i, t := range ts {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(strconv.AppendInt(append(b, '"'), int64(t.Requested), 10), `":`...)
		v, err := json.Marshal(t)
		if err != nil {
			return nil, err
		}
		b = append(b, v...)
	}
	return append(b, '}'), nil
}

// NewImage makes the JSON of an image. base begins its URLs; owner tells whose it is.
func NewImage(v app.ImageDetails, base string, owner bool) Image {
	path := base + "/v1/images/" + v.ID.String()
	out := Image{
		ID: v.ID.String(), Filename: v.Filename, ContentType: ContentType(v.Format.ContentType()), Width: v.Width, Height: v.Height, Size: v.Size,
		UploadedAt: v.UploadedAt.UTC(), Placeholder: append([]byte{}, v.Placeholder...), Thumbnails: make(Thumbnails, len(v.Thumbnails)),
	}
	if owner {
		out.OwnerID = v.OwnerID.String()
	}
	for i, t := range v.Thumbnails {
		out.Thumbnails[i] = Thumbnail{t.RequestedHeight, path + "/thumbnails/" + strconv.Itoa(t.RequestedHeight) + "?" + t.Signature.Query(), t.Width, t.Height}
	}
	if v.Original != nil {
		out.Original = path + "/original?" + v.Original.Query()
	}
	return out
}
