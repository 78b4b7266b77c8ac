package pages

import (
	"net/http"

	"github.com/imagify-api/imagify/adapters/ginapi/internal/request"
	"github.com/imagify-api/imagify/domain"
)

func (h *Handlers) getAsset(q *request.Request) error {
	a := h.site.Asset(q.Param("file"))
	if a == nil {
		return domain.Errorf(domain.NotFound, "there is nothing at this path")
	}
	q.Set("Content-Type", a.ContentType)
	q.Set("Cache-Control", "public, max-age=31536000, immutable")
	q.Set("Vary", "Accept-Encoding")
	if a.Gzip != nil && q.AcceptsGzip() {
		q.Set("Content-Encoding", "gzip")
		q.Write(http.StatusOK, a.Gzip)
		return nil
	}
	b, err := a.Plain()
	if err != nil {
		return err
	}
	q.Write(http.StatusOK, b)
	return nil
}
