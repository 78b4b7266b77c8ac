package app_test

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/imagify-api/imagify/adapters/memory"
	"github.com/imagify-api/imagify/app"
	"github.com/imagify-api/imagify/domain"
	"github.com/imagify-api/imagify/ports"
)

// Run sweeps by itself, but not at its start: what a node happens to be connected to
// must not decide at once what is rubbish.
func TestRunSweeps(t *testing.T) {
	w := newWorld(t)
	anna := w.user("anna", domain.BasicTier)
	orphan := "images/" + anna.User.ID.String() + "/" + domain.FirstIDAt(time.Now()).String() + "/original"
	require.NoError(t, w.blobs.Put(ctx, orphan, strings.NewReader("x"), ports.PutOptions{Size: -1}))
	w.clock.advance(time.Hour)
	w.cfg.SweepEvery = time.Hour
	w.node()
	w.cfg.SweepEvery = 50 * time.Millisecond
	w.node()
	require.Eventually(t, func() bool { return w.keys() == 0 }, 6*time.Second, 5*time.Millisecond)
	require.Eventually(t, func() bool { return strings.Contains(w.logs.String(), `"msg":"swept"`) }, 6*time.Second, 5*time.Millisecond)
	assert.Equal(t, 1, w.trashed())
}

// A notice makes other nodes hear of a change at once.
func TestNoticesAreHeard(t *testing.T) {
	w := newWorld(t)
	w.cfg.Notices = memory.NewNotices()
	a, b := w.node(), w.node()
	w.user("anna", domain.BasicTier)
	img, err := a.Upload(ctx, w.actor("anna"), app.UploadInput{Body: bytes.NewReader(photo()), Size: -1})
	require.NoError(t, err)
	sig := w.signed(w.actor("anna"), img.ID, thumbnail(200))
	_, err = read(b.OpenSigned(ctx, sig, img.ID, thumbnail(200)))
	require.NoError(t, err)
	_, err = a.UpdateUser(ctx, w.root, "anna", app.UserChange{Tiers: &[]string{}})
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		_, err := b.OpenSigned(ctx, sig, img.ID, thumbnail(200))
		return domain.CodeOf(err) == domain.Denied
	}, 6*time.Second, time.Millisecond)
}

func TestSignatureText(t *testing.T) {
	w := newWorld(t)
	anna := w.user("anna", domain.BasicTier)
	img, err := w.svc.Image(ctx, anna, w.upload(anna).ID)
	require.NoError(t, err)
	query := img.Thumbnails[0].Signature.Query()
	assert.Regexp(t, `^expires=\d+&owner=[A-Za-z0-9_-]{22}&signature=[A-Za-z0-9_-]{22}$`, query)
	assert.Equal(t, "?"+query, string(img.Thumbnails[0].Signature.AppendQuery([]byte("?"))))
	assert.True(t, fromQuery(t, query).Present())
	assert.False(t, app.SignatureText{}.Present())
}

// Nobody gets anything without signing in, and nobody a page of nothing.
func TestNobody(t *testing.T) {
	w := newWorld(t)
	var nobody domain.Actor
	for name, do := range map[string]func() error{
		"images": func() error { _, _, err := w.svc.Images(ctx, nobody, ports.Page{Limit: 1}); return err },
		"usage":  func() error { _, err := w.svc.Usage(ctx, nobody); return err },
		"tokens": func() error { _, _, err := w.svc.Tokens(ctx, nobody, ports.Page{Limit: 1}); return err },
		"tokens of another": func() error {
			_, _, err := w.svc.TokensFor(ctx, nobody, "admin", ports.Page{Limit: 1})
			return err
		},
		"revoke token": func() error { return w.svc.RevokeToken(ctx, nobody, domain.ID{1}) },
		"image":        func() error { _, err := w.svc.Image(ctx, nobody, domain.ID{1}); return err },
		"delete":       func() error { return w.svc.DeleteImage(ctx, nobody, domain.ID{1}) },
		"sweep":        func() error { _, err := w.svc.Sweep(ctx, nobody, app.SweepOptions{}); return err },
	} {
		assert.ErrorIs(t, do(), domain.Unauthenticated, name)
	}
	anna := w.user("anna")
	_, _, err := w.svc.Images(ctx, anna, ports.Page{})
	assert.ErrorIs(t, err, domain.Invalid)
	_, err = w.svc.Explain(ctx, w.root, "nobody", w.upload(anna).ID, domain.MakeLink)
	assert.ErrorIs(t, err, domain.NotFound)
	_, err = w.svc.Explain(ctx, w.root, "anna", domain.ID{5}, domain.MakeLink)
	assert.ErrorIs(t, err, domain.NotFound)
}

// Large originals and thumbnails of many heights do not share memory between callers.
func TestBodiesAreTheCallersOwn(t *testing.T) {
	w := newWorld(t)
	anna := w.user("anna", domain.BasicTier)
	img, err := w.svc.Upload(ctx, anna, app.UploadInput{Body: bytes.NewReader(drawing()), Size: -1, Filename: "drawing.png"})
	require.NoError(t, err)
	assert.True(t, img.Alpha)
	one, err := w.svc.Open(ctx, anna, img.ID, thumbnail(200))
	require.NoError(t, err)
	assert.Equal(t, "image/png", one.ContentType, "alpha is kept")
	first, err := read(one, nil)
	require.NoError(t, err)
	kept := bytes.Clone(first)
	clear(first)
	second, err := read(w.svc.Open(ctx, anna, img.ID, thumbnail(200)))
	require.NoError(t, err)
	assert.Equal(t, kept, second)
	again, err := read(w.node().Open(ctx, anna, img.ID, thumbnail(200)))
	require.NoError(t, err)
	assert.Equal(t, kept, again, "from the store")
}
