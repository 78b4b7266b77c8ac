package domain_test

import (
	"slices"
	"strconv"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/imagify-api/imagify/domain"
)

func TestParsePermission(t *testing.T) {
	for _, good := range []string{
		"thumbnail:1", "thumbnail:200", "thumbnail:4320", "can_access_original_image", "can_generate_expiring_link",
	} {
		p, err := domain.ParsePermission(good)
		require.NoError(t, err, good)
		assert.Equal(t, good, p.String())
	}
	for _, bad := range []string{
		"", "thumbnail", "thumbnail:", "thumbnail:0", "thumbnail:0200", "thumbnail:-1", "thumbnail:+1", "thumbnail:4321",
		"thumbnail:1e3", "thumbnail:1000000000", "thumbnail: 200", "thumbnail:200 ", "thumbnail:२००", "Thumbnail:200",
		"can_access_original_image ", "CAN_GENERATE_EXPIRING_LINK", "admin", "thumbnail:200\n", "thumbnail:99999999999999999999",
	} {
		_, err := domain.ParsePermission(bad)
		assert.ErrorIs(t, err, domain.Invalid, "%q", bad)
	}
}

func FuzzParsePermission(f *testing.F) {
	for _, s := range []string{"thumbnail:200", "thumbnail:0200", "can_access_original_image", "thumbnail:4321"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		p, err := domain.ParsePermission(s)
		if err != nil {
			assert.ErrorIs(t, err, domain.Invalid)
			return
		}
		assert.Equal(t, s, p.String(), "one text a permission")
		if h := p.Height(); h != 0 {
			assert.True(t, h >= domain.MinHeight && h <= domain.MaxHeight)
			assert.Equal(t, "thumbnail:"+strconv.Itoa(h), s)
		}
	})
}

func drawPermission(t *rapid.T) domain.Permission {
	switch k := rapid.IntRange(0, 5).Draw(t, "kind"); k {
	case 0:
		return domain.AccessOriginal
	case 1:
		return domain.GenerateLink
	default:
		p, _ := domain.ThumbnailPermission(rapid.SampledFrom([]int{1, 100, 200, 201, 400, 600, 4320}).Draw(t, "height"))
		return p
	}
}

func drawPermissions(t *rapid.T, label string) domain.Permissions {
	return domain.NewPermissions(rapid.SliceOfN(rapid.Custom(drawPermission), 0, 8).Draw(t, label)...)
}

func TestPermissionsAlgebra(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b, c := drawPermissions(t, "a"), drawPermissions(t, "b"), drawPermissions(t, "c")
		var none domain.Permissions
		assert.True(t, a.Union(b).Equal(b.Union(a)), "commutes")
		assert.True(t, a.Union(b).Union(c).Equal(a.Union(b.Union(c))), "associates")
		assert.True(t, a.Union(a).Equal(a), "idempotent")
		assert.True(t, a.Union(none).Equal(a), "the empty set is neutral")
		for _, p := range append(a.All(), b.All()...) {
			assert.True(t, a.Union(b).Has(p))
		}
		for _, p := range a.Union(b).All() {
			assert.True(t, a.Has(p) || b.Has(p), "nothing comes from nowhere")
		}
		round, err := domain.ParsePermissions(a.Codenames())
		assert.NoError(t, err)
		assert.True(t, round.Equal(a))
		assert.True(t, slices.IsSorted(a.Heights()))
		// What All hands out is the caller's.
		if all := a.All(); len(all) > 0 {
			all[0] = domain.Permission{}
			assert.True(t, round.Equal(a))
		}
	})
}

func TestParsePermissionsNamesTheBadOne(t *testing.T) {
	_, err := domain.ParsePermissions([]string{"thumbnail:200", "thumbnail:0"})
	require.ErrorIs(t, err, domain.Invalid)
	e := domain.AsError(err)
	require.Len(t, e.Fields, 1)
	assert.Equal(t, "permissions[1]", e.Fields[0].Field)
	assert.Zero(t, domain.NewPermissions(domain.Permission{}).Len(), "the zero permission is none")
	assert.Empty(t, domain.Permission{}.String())
	_, ok := domain.ThumbnailPermission(0)
	assert.False(t, ok)
	assert.Equal(t, []string{}, domain.Permissions{}.Codenames())
}

func TestVariants(t *testing.T) {
	for _, s := range []string{"original", "thumbnail:1", "thumbnail:4320"} {
		v, err := domain.ParseVariant(s)
		require.NoError(t, err)
		assert.Equal(t, s, v.String())
	}
	for _, s := range []string{"", "Original", "thumbnail:0", "200", "link"} {
		_, err := domain.ParseVariant(s)
		assert.ErrorIs(t, err, domain.Invalid, s)
	}
	_, ok := domain.Thumbnail(4321)
	assert.False(t, ok)
	v, ok := domain.Thumbnail(200)
	assert.True(t, ok)
	assert.Equal(t, "thumbnail:200", v.Permission().String())
	assert.Equal(t, domain.AccessOriginal, domain.Original.Permission())
}

func TestThumbnailSize(t *testing.T) {
	for _, c := range []struct{ w, h, ask, wantW, wantH int }{
		{4032, 3024, 200, 267, 200},
		{4032, 3024, 400, 533, 400},
		{200, 150, 200, 200, 150},        // never enlarged
		{200, 200, 200, 200, 200},        // as it is
		{1, 5000, 200, 1, 200},           // never less than 1
		{5000, 1, 1, 5000, 1},            // a line stays one
		{3, 2, 1, 2, 1},                  // 1.5 rounds up
		{100000, 100000, 1, 1, 1},        // large
		{2147483647, 4320, 1, 497103, 1}, // no overflow
	} {
		w, h := domain.ThumbnailSize(c.w, c.h, c.ask)
		assert.Equal(t, []int{c.wantW, c.wantH}, []int{w, h}, "%+v", c)
	}
	rapid.Check(t, func(t *rapid.T) {
		w, h := rapid.IntRange(1, 100000).Draw(t, "w"), rapid.IntRange(1, 100000).Draw(t, "h")
		ask := rapid.IntRange(1, domain.MaxHeight).Draw(t, "ask")
		tw, th := domain.ThumbnailSize(w, h, ask)
		assert.LessOrEqual(t, tw, w)
		assert.Equal(t, min(h, ask), th)
		assert.GreaterOrEqual(t, tw, 1)
		if exact := float64(w) * float64(th) / float64(h); exact >= 1 {
			assert.InDelta(t, exact, float64(tw), 0.5001)
		}
	})
}
