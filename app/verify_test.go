package app_test

import (
	"bytes"
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/imagify-api/imagify/app"
	"github.com/imagify-api/imagify/domain"
	"github.com/imagify-api/imagify/ports"
)

// miscounting are images of which one owner's usage is counted wrongly until it is counted again.
type miscounting struct {
	ports.Images
	owner domain.ID
	off   int64
}

func (m *miscounting) Usage(ctx context.Context, owner domain.ID) (domain.Usage, error) {
	u, err := m.Images.Usage(ctx, owner)
	if owner == m.owner {
		u.Images += m.off
	}
	return u, err
}

type recounting struct {
	ports.Images
	m *miscounting
}

func (r recounting) RecountUsage(ctx context.Context, owner domain.ID) (domain.Usage, error) {
	r.m.off = 0
	return r.Images.RecountUsage(ctx, owner)
}

// Verify tells of what is missing, damaged, without a record or counted wrongly, and of nothing else.
func TestVerifyTellsWhatIsWrong(t *testing.T) {
	m := &miscounting{}
	w := newWorld(t, func(c *app.Config) {
		m.Images, c.Records.Images = c.Records.Images, m
		c.Records.Images = recounting{c.Records.Images, m}
	})
	anna, bert := w.user("anna", domain.EnterpriseTier), w.user("bert", domain.EnterpriseTier)
	key := func(img domain.Image) string {
		return "images/" + img.OwnerID.String() + "/" + img.ID.String() + "/original"
	}
	verify := func(o app.VerifyOptions) (app.VerifyReport, map[domain.ID]app.Finding) {
		t.Helper()
		found := map[domain.ID]app.Finding{}
		r, err := w.svc.Verify(ctx, w.root, o, func(f app.Finding) error {
			id := f.Image
			if f.Kind == app.FindingUsage {
				id = f.Owner
			}
			found[id] = f
			return nil
		})
		require.NoError(t, err)
		return r, found
	}
	whole := w.upload(anna)
	r, found := verify(app.VerifyOptions{Rate: 1 << 30})
	assert.Equal(t, app.VerifyReport{Images: 1, Bytes: whole.Size, Last: whole.ID}, r)
	assert.Empty(t, found)

	gone, trashed, longer, other, foreign := w.upload(anna), w.upload(anna), w.upload(anna), w.upload(anna), w.upload(bert)
	require.NoError(t, w.blobs.Delete(ctx, key(gone), key(foreign)))
	require.NoError(t, w.blobs.Move(ctx, key(trashed), "trash/"+key(trashed)))
	put := func(key string, data []byte) {
		require.NoError(t, w.blobs.Put(ctx, key, bytes.NewReader(data), ports.PutOptions{Size: int64(len(data))}))
	}
	put(key(longer), make([]byte, longer.Size+1))
	put(key(other), make([]byte, other.Size))
	orphan := domain.Image{ID: domain.ID{1, 2, 3, 4, 5, 6, 0x77, 8, 0x99, 10}, OwnerID: anna.User.ID}
	put(key(orphan), []byte("nobody's"))
	m.owner, m.off = anna.User.ID, 2

	seen := 0
	r, found = verify(app.VerifyOptions{Username: "anna", Progress: func(app.VerifyReport) { seen++ }})
	assert.Equal(t, 5, r.Images)
	assert.Equal(t, 5, seen)
	assert.Equal(t, 6, r.Found)
	kinds := map[domain.ID]app.FindingKind{}
	for id, f := range found {
		kinds[id] = f.Kind
		assert.Equal(t, anna.User.ID, f.Owner)
	}
	assert.Equal(t, map[domain.ID]app.FindingKind{
		gone.ID: app.FindingMissing, trashed.ID: app.FindingMissing, longer.ID: app.FindingDamaged, other.ID: app.FindingDamaged,
		orphan.ID: app.FindingOrphan, anna.User.ID: app.FindingUsage,
	}, kinds)
	assert.Contains(t, found[trashed.ID].Detail, "in the trash")
	assert.Contains(t, found[longer.ID].Detail, "bytes where its record says")

	// A usage that is repaired does not count as found; a run goes on from where another ended.
	r, found = verify(app.VerifyOptions{RepairUsage: true, Before: gone.ID})
	assert.Equal(t, 1, r.Images)
	assert.True(t, found[anna.User.ID].Repaired)
	assert.Equal(t, 1, r.Found, "the orphan: blobs and usages are looked at whole")
	_, found = verify(app.VerifyOptions{Username: "bert"})
	assert.Len(t, found, 1)
	_, found = verify(app.VerifyOptions{Username: "anna"})
	assert.NotContains(t, found, anna.User.ID)

	stop := errors.New("nobody reads on")
	_, err := w.svc.Verify(ctx, w.root, app.VerifyOptions{}, func(app.Finding) error { return stop })
	require.ErrorIs(t, err, stop)
	_, err = w.svc.Verify(ctx, w.root, app.VerifyOptions{Username: "nobody"}, nil)
	require.ErrorIs(t, err, domain.NotFound)
	_, err = w.svc.Verify(ctx, w.root, app.VerifyOptions{Rate: -1}, nil)
	require.ErrorIs(t, err, domain.Invalid)
	_, err = w.svc.Verify(ctx, anna, app.VerifyOptions{}, nil)
	require.ErrorIs(t, err, domain.Denied)
}
