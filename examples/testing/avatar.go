// Package avatar is a consumer of imagify: it keeps a picture a customer and
// shows it small. Its test runs on the memory adapters: no server, no files.
package avatar

import (
	"context"
	"io"

	imagify "github.com/imagify-api/imagify/app"
	"github.com/imagify-api/imagify/domain"
)

// Store keeps avatars in imagify.
type Store struct{ Service *imagify.Service }

// Put keeps a picture and returns the signed query of its small thumbnail's URL, empty if the customer's tier has none.
func (s Store) Put(ctx context.Context, customer domain.Actor, picture io.Reader) (string, error) {
	img, err := s.Service.Upload(ctx, customer, imagify.UploadInput{Body: picture, Size: -1, Filename: "avatar"})
	if err != nil {
		return "", err
	}
	view, err := s.Service.ImageDetails(ctx, img)
	if err != nil || len(view.Thumbnails) == 0 {
		return "", err
	}
	return view.Thumbnails[0].Signature.Query(), nil
}
