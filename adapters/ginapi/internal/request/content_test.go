package request

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/imagify-api/imagify/app"
	"github.com/imagify-api/imagify/domain"
)

func TestDisposition(t *testing.T) {
	t.Parallel()
	thumb, _ := domain.Thumbnail(200)
	for name, want := range map[string][2]string{
		"cat.jpg":       {`inline; filename="cat.jpg"`, `inline; filename="cat-200.png"`},
		"a cat":         {`inline; filename="a cat"`, `inline; filename="a cat-200.png"`},
		".hidden":       {`inline; filename=".hidden"`, `inline; filename=".hidden-200.png"`},
		`q"\;x.jpg`:     {`inline; filename="q\"\\;x.jpg"`, `inline; filename="q\"\\;x-200.png"`},
		"100%.jpg":      {`inline; filename="100%.jpg"`, `inline; filename="100%-200.png"`},
		"żółw.jpg":      {`inline; filename*=utf-8''%C5%BC%C3%B3%C5%82w.jpg`, `inline; filename*=utf-8''%C5%BC%C3%B3%C5%82w-200.png`},
		"bad\xff.jpg":   {"inline", "inline"},
		"two\r\nX: y.x": {"inline; filename*=utf-8''two%0D%0AX%3A%20y.x", "inline; filename*=utf-8''two%0D%0AX%3A%20y-200.png"},
	} {
		img := domain.Image{Filename: name, ImageInfo: domain.ImageInfo{Format: domain.WebP, Alpha: true}}
		for i, v := range []domain.Variant{domain.Original, thumb} {
			got := disposition(&app.Content{Image: img, Variant: v})
			assert.Equal(t, want[i], got, name)
			assert.NotContains(t, got, "\n")
		}
	}
}

func TestSignedCaching(t *testing.T) {
	t.Parallel()
	now := time.Now()
	thumb, _ := domain.Thumbnail(200)
	for name, c := range map[string]struct {
		cdn, left time.Duration
		v         domain.Variant
		want      string
	}{
		"private":             {0, time.Hour, thumb, "private, max-age=3600"},
		"public":              {time.Minute, time.Hour, thumb, "public, max-age=60"},
		"public, ending soon": {time.Hour, 59 * time.Second, thumb, "public, max-age=59"},
		"an original":         {time.Minute, time.Hour, domain.Original, "private, max-age=3600"},
		"over":                {time.Minute, -time.Second, thumb, "public, max-age=0"},
	} {
		s := &Server{CDNMaxAge: c.cdn}
		assert.Equal(t, c.want, s.signedCaching(&app.Content{Variant: c.v, Expires: now.Add(c.left)}, now), name)
	}
}
