package ginapi

import (
	"bytes"
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/imagify-api/imagify/adapters/ginapi/response"
	"github.com/imagify-api/imagify/app"
	"github.com/imagify-api/imagify/domain"
)

// manyImages are images with two thumbnails and an original each.
func manyImages(n int) []app.ImageDetails {
	signed := app.Signature{}
	items := make([]app.ImageDetails, n)
	for i := range items {
		items[i] = app.ImageDetails{
			Image: domain.Image{
				ID: domain.ID{1, byte(i)}, OwnerID: domain.ID{2}, Filename: "a photograph.jpg", Size: 123456, UploadedAt: time.Date(2026, 1, 2, 3, 4, 5, 6000, time.UTC),
				ImageInfo: domain.ImageInfo{Format: domain.JPEG, Width: 4000, Height: 3000, Placeholder: []byte{1, 2, 250, 9}},
			},
			Original: &signed,
		}
		for _, h := range []int{200, 1080} {
			items[i].Thumbnails = append(items[i].Thumbnails, app.ThumbnailURL{RequestedHeight: h, Width: h * 4 / 3, Height: h, Signature: signed})
		}
	}
	return items
}

func responsesOf(items []app.ImageDetails, base string, owner bool) response.List[response.Image] {
	l := response.List[response.Image]{Items: make([]response.Image, len(items))}
	for i, it := range items {
		l.Items[i] = response.NewImage(it, base, owner)
	}
	return l
}

// What is written by hand is what the response type says, to the byte.
func TestImagesAreWrittenAsTheirResponse(t *testing.T) {
	t.Parallel()
	items := manyImages(3)
	items[0].Thumbnails, items[0].Original, items[0].Placeholder = nil, nil, nil
	items[1].Filename = "żółw \"1\"\n\xff.png"
	next := "next"
	for _, owner := range []bool{false, true} {
		for _, cursor := range []*string{nil, &next} {
			want := responsesOf(items, "https://img.example", owner)
			want.NextCursor = cursor
			text, err := json.Marshal(want)
			require.NoError(t, err)
			got := imageListJSON{items: items, base: "https://img.example", owner: owner, next: cursor}.AppendJSON(nil)
			assert.Equal(t, string(bytes.ReplaceAll(text, []byte(`\u0026`), []byte("&"))), string(got))
		}
	}
}

// BenchmarkImageList is why images are written by hand.
func BenchmarkImageList(b *testing.B) {
	items := manyImages(30)
	b.Run("by hand", func(b *testing.B) {
		b.ReportAllocs()
		var buf []byte
		for b.Loop() {
			buf = imageListJSON{items: items, base: "https://img.example"}.AppendJSON(buf[:0])
		}
	})
	b.Run("encoding/json", func(b *testing.B) {
		b.ReportAllocs()
		var buf bytes.Buffer
		for b.Loop() {
			buf.Reset()
			if err := json.NewEncoder(&buf).Encode(responsesOf(items, "https://img.example", false)); err != nil {
				b.Fatal(err)
			}
		}
	})
}
