package domain_test

import (
	"math"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/imagify-api/imagify/domain"
)

func drawLimits(t *rapid.T) domain.Limits {
	l := domain.DefaultLimits()
	for _, f := range l.Fields() {
		switch {
		case f.Value == &l.LinkTTLMinSeconds:
			*f.Value = domain.Limit(rapid.SampledFrom([]int64{-1, 30, 60, 300}).Draw(t, f.Name))
		case f.Value == &l.LinkTTLMaxSeconds:
			*f.Value = domain.Limit(rapid.SampledFrom([]int64{-1, 300, 3000, 30000}).Draw(t, f.Name))
		default:
			*f.Value = domain.Limit(rapid.SampledFrom([]int64{-1, 1, 2, 1000, 1 << 40}).Draw(t, f.Name))
		}
	}
	return l
}

func TestLimitsUnionIsTheMostGenerous(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := drawLimits(t), drawLimits(t)
		u, v := a.Union(b), b.Union(a)
		assert.Equal(t, u, v, "commutes")
		assert.NoError(t, u.Validate())
		n := rapid.Int64Range(0, 1<<41).Draw(t, "n")
		for _, pick := range []func(domain.Limits) domain.Limit{
			func(l domain.Limits) domain.Limit { return l.MaxUploadBytes },
			func(l domain.Limits) domain.Limit { return l.MaxPixels },
			func(l domain.Limits) domain.Limit { return l.MaxFrames },
			func(l domain.Limits) domain.Limit { return l.MaxImages },
			func(l domain.Limits) domain.Limit { return l.MaxStorageBytes },
			func(l domain.Limits) domain.Limit { return l.RequestsPerMinute },
		} {
			assert.Equal(t, pick(a).Allows(n) || pick(b).Allows(n), pick(u).Allows(n))
		}
		s := rapid.Int64Range(0, 31000).Draw(t, "seconds")
		in := func(l domain.Limits) bool { lo, hi := l.LinkSeconds(); return lo <= s && s <= hi }
		if in(a) || in(b) {
			assert.True(t, in(u))
		}
		if in(u) {
			assert.True(t, s >= domain.MinLinkSeconds && s <= domain.MaxLinkSeconds)
		}
	})
}

func TestLimit(t *testing.T) {
	assert.True(t, domain.NoLimit.Allows(math.MaxInt64))
	assert.True(t, domain.Limit(5).Allows(5))
	assert.False(t, domain.Limit(5).Allows(6))
	assert.Equal(t, domain.Limit(3), domain.NoLimit.Within(3))
	assert.Equal(t, domain.Limit(3), domain.Limit(3).Within(domain.NoLimit))
	assert.Equal(t, domain.Limit(2), domain.Limit(3).Within(2))
	assert.EqualValues(t, math.MaxInt64, domain.NoLimit.Max())
	assert.EqualValues(t, 7, domain.Limit(7).Max())
}

func TestLimitsValidate(t *testing.T) {
	require.NoError(t, domain.DefaultLimits().Validate())
	for name, change := range map[string]func(*domain.Limits){
		"link min too low":  func(l *domain.Limits) { l.LinkTTLMinSeconds = 29 },
		"link max too high": func(l *domain.Limits) { l.LinkTTLMaxSeconds = 30001 },
		"link min over max": func(l *domain.Limits) { l.LinkTTLMinSeconds, l.LinkTTLMaxSeconds = 301, 300 },
		"negative":          func(l *domain.Limits) { l.MaxImages = -2 },
		"zero pixels":       func(l *domain.Limits) { l.MaxPixels = 0 },
		"zero rate":         func(l *domain.Limits) { l.RequestsPerMinute = 0 },
	} {
		l := domain.DefaultLimits()
		change(&l)
		assert.ErrorIs(t, l.Validate(), domain.Invalid, name)
	}
	none := domain.DefaultLimits()
	for _, f := range none.Fields() {
		*f.Value = domain.NoLimit
	}
	require.NoError(t, none.Validate())
	lo, hi := none.LinkSeconds()
	assert.Equal(t, []int64{30, 30000}, []int64{lo, hi}, "no limit is the whole range, never more")
	zero := domain.DefaultLimits()
	zero.MaxImages, zero.MaxStorageBytes = 0, 0
	assert.NoError(t, zero.Validate(), "a tier that keeps nothing is possible")
}

func TestUnite(t *testing.T) {
	assert.Equal(t, domain.DefaultLimits(), domain.Unite(nil, domain.Permissions{}).Limits, "no tier: the defaults")
	small := domain.Tier{Name: "s", Limits: domain.DefaultLimits()}
	small.Limits.MaxImages, small.Limits.MaxUploadBytes = 3, 10
	assert.Equal(t, small.Limits, domain.Unite([]domain.Tier{small}, domain.NewPermissions(thumb(5))).Limits, "a stricter tier alone is strict; grants bring no limits")
	big := domain.Tier{Name: "b", Limits: domain.DefaultLimits()}
	big.Limits.MaxImages = 4
	u := domain.Unite([]domain.Tier{small, big}, domain.Permissions{})
	assert.EqualValues(t, 4, u.Limits.MaxImages)
	assert.EqualValues(t, 50<<20, u.Limits.MaxUploadBytes)
	assert.Equal(t, "b", u.Tiers[0].Name, "by name")
}

func TestHeightsAreBounded(t *testing.T) {
	var ps []domain.Permission
	for h := 1; h <= domain.MaxHeightsPerUser; h++ {
		ps = append(ps, thumb(h))
	}
	tier := domain.Tier{Name: "t", Limits: domain.DefaultLimits(), Permissions: domain.NewPermissions(ps...)}
	require.NoError(t, tier.Validate())
	require.NoError(t, domain.Unite([]domain.Tier{tier}, domain.NewPermissions(thumb(1))).CheckHeights())
	assert.ErrorIs(t, domain.Unite([]domain.Tier{tier}, domain.NewPermissions(thumb(33))).CheckHeights(), domain.Invalid)
	tier.Permissions = tier.Permissions.Union(domain.NewPermissions(thumb(33)))
	assert.ErrorIs(t, tier.Validate(), domain.Invalid)
}
