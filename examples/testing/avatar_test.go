package avatar_test

import (
	"bytes"
	"image"
	"image/png"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/imagify-api/imagify/adapters/bildresizer"
	"github.com/imagify-api/imagify/adapters/memory"
	imagify "github.com/imagify-api/imagify/app"
	"github.com/imagify-api/imagify/domain"
	avatar "github.com/imagify-api/imagify/examples/testing"
)

func TestAvatar(t *testing.T) {
	ctx := t.Context()
	resizer, err := bildresizer.New(bildresizer.Options{})
	require.NoError(t, err)
	service, err := imagify.New(imagify.Config{
		Records: memory.NewRecords(memory.Options{}), Blobs: memory.NewBlobs(memory.Options{}), Resizer: resizer,
		RateLimits: memory.NewRateLimits(memory.Options{}), SecretKeys: [][]byte{[]byte("a key of the tests")},
	})
	require.NoError(t, err)
	require.NoError(t, service.BootstrapTiers(ctx))
	operator, password := domain.SystemActor("test"), "a long password"
	_, err = service.CreateUser(ctx, operator, "anna", imagify.UserChange{Password: &password, Tiers: &[]string{domain.BasicTier}})
	require.NoError(t, err)
	anna, err := service.ByPassword(ctx, "anna", password, "192.0.2.1")
	require.NoError(t, err)

	var picture bytes.Buffer
	require.NoError(t, png.Encode(&picture, image.NewGray(image.Rect(0, 0, 300, 300))))
	query, err := avatar.Store{Service: service}.Put(ctx, anna, &picture)
	require.NoError(t, err)
	assert.Contains(t, query, "signature=")

	_, err = avatar.Store{Service: service}.Put(ctx, anna, strings.NewReader("%PDF-1.7, no picture at all"))
	assert.ErrorIs(t, err, domain.UnsupportedImage)
}
