package pages

import (
	"time"

	"github.com/imagify-api/imagify/adapters/ginapi/internal/request"
	"github.com/imagify-api/imagify/app"
	"github.com/imagify-api/imagify/domain"
	"github.com/imagify-api/imagify/ports"
)

type imageRow struct {
	tile
	Owner      string
	Size       int64
	UploadedAt time.Time
}

func (h *Handlers) getImagesPage(q *request.Request) error {
	return listingPage(h, q, "adminimages", "Everybody's images", "Image deleted, with its thumbnails and links.", func(f app.Filter, p ports.Page) ([]imageRow, domain.ID, error) {
		items, next, err := q.Service.AllImages(q.Context(), q.Actor, f, p)
		if err != nil {
			return nil, next, err
		}
		rows := make([]imageRow, len(items))
		for i, v := range items {
			rows[i] = imageRow{tile: newTile(v), Size: v.Size, UploadedAt: v.UploadedAt}
			if rows[i].Owner, err = h.username(q, v.OwnerID); err != nil {
				return nil, next, err
			}
		}
		return rows, next, nil
	})
}
