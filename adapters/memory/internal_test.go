package memory

import (
	"encoding/binary"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/imagify-api/imagify/domain"
	"github.com/imagify-api/imagify/ports"
)

// clock is a clock that a test turns.
type clock struct{ t time.Time }

func (c *clock) now() time.Time { return c.t }

func TestLinkCacheIsBounded(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds: run it without -short")
	}
	t.Parallel()
	c := &clock{time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)}
	l := NewLinkCache(Options{Now: c.now})
	token := func(n int) (h domain.SecretHash) {
		binary.BigEndian.PutUint64(h[:], uint64(n))
		return h
	}
	for n := range maxLives {
		ttl := time.Hour
		if n%2 == 0 {
			ttl = time.Minute
		}
		require.NoError(t, l.Put(t.Context(), token(n), ttl))
	}
	require.Len(t, l.m, maxLives)
	// What has run out goes first.
	c.t = c.t.Add(2 * time.Minute)
	require.NoError(t, l.MarkDead(t.Context(), token(maxLives), time.Hour))
	require.Len(t, l.m, maxLives/2+1)
	life, err := l.Get(t.Context(), token(1))
	require.NoError(t, err)
	assert.Equal(t, ports.LinkAlive, life)
	// Where nothing has, anything does.
	for n := range 2 * maxLives {
		require.NoError(t, l.Put(t.Context(), token(maxLives+1+n), time.Hour))
		require.LessOrEqual(t, len(l.m), maxLives)
	}
	life, err = l.Get(t.Context(), token(3*maxLives))
	require.NoError(t, err)
	assert.Equal(t, ports.LinkAlive, life, "the newest is remembered")
}

func TestRateLimitsAreBounded(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds: run it without -short")
	}
	t.Parallel()
	c := &clock{time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)}
	l := NewRateLimits(Options{Now: c.now})
	rate := ports.Rate{Limit: 60, Per: time.Minute, Burst: 2}
	for n := range maxRateKeys {
		s, err := l.Allow(t.Context(), strconv.Itoa(n), rate)
		require.NoError(t, err)
		require.True(t, s.Allowed)
	}
	s, err := l.Allow(t.Context(), "one more", rate)
	require.NoError(t, err)
	assert.False(t, s.Allowed, "no room, and none that could be made without letting somebody pass too often")
	assert.Positive(t, s.RetryAfter)
	s, err = l.Allow(t.Context(), "7", rate)
	require.NoError(t, err)
	assert.True(t, s.Allowed, "who is known is served")

	// A second later all but that one have their whole allowance: they are forgotten.
	c.t = c.t.Add(time.Second)
	s, err = l.Allow(t.Context(), "one more", rate)
	require.NoError(t, err)
	assert.True(t, s.Allowed)
	assert.Len(t, l.tat, 2)
}

func TestRateLimitsRefuseWhatIsNoRate(t *testing.T) {
	t.Parallel()
	l := NewRateLimits(Options{})
	for _, r := range []ports.Rate{
		{},
		{Limit: 1, Per: time.Second},
		{Limit: 1, Burst: 1},
		{Per: time.Second, Burst: 1},
		{Limit: -1, Per: time.Second, Burst: 1},
		{Limit: 1, Per: 24 * time.Hour, Burst: 1 << 40},
	} {
		_, err := l.Allow(t.Context(), "k", r)
		assert.Equal(t, domain.Invalid, domain.CodeOf(err), "%+v", r)
		_, err = l.Peek(t.Context(), "k", r)
		assert.Equal(t, domain.Invalid, domain.CodeOf(err), "%+v", r)
	}
	// More than one request in a nanosecond, and a rate that no nanosecond divides.
	for _, r := range []ports.Rate{{Limit: 1 << 62, Per: time.Second, Burst: 5}, {Limit: 700_000_000, Per: time.Second, Burst: 1}} {
		s, err := l.Allow(t.Context(), "k", r)
		require.NoError(t, err)
		assert.True(t, s.Allowed, "%+v", r)
	}
}

// TestChangeThatPanics: a panic in the function of Accounts.Change takes back what it wrote and locks nobody out.
func TestChangeThatPanics(t *testing.T) {
	t.Parallel()
	r := NewRecords(Options{})
	id := domain.FirstIDAt(time.Now())
	assert.Panics(t, func() {
		_ = r.Accounts.Change(t.Context(), func(tx ports.AccountsTx) error {
			require.NoError(t, tx.SaveUser(t.Context(), domain.User{ID: id, Username: "u"}))
			panic("boom")
		})
	})
	_, err := r.Accounts.User(t.Context(), id)
	assert.Equal(t, domain.NotFound, domain.CodeOf(err))
}

// TestKeysAreForgotten: an idempotency key takes no room once its time is over.
func TestKeysAreForgotten(t *testing.T) {
	t.Parallel()
	uploader := NewRecords(Options{}).Images.(images)
	begin := func(n int, at time.Time) {
		_, err := uploader.BeginUpload(t.Context(), upload(n, at), at)
		require.NoError(t, err)
	}
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for n := range 10 {
		begin(n, start.Add(time.Duration(n)*time.Hour))
	}
	begin(3, start.Add(12*time.Hour)) // its lease lapsed: a new record
	require.Len(t, uploader.r.keys, 10)
	begin(11, start.Add(30*time.Hour))
	assert.Len(t, uploader.r.keys, 6, "those made at hours 6 to 9, 12 and 30")
	assert.Len(t, uploader.r.keyAges, 6)
}

func upload(key int, at time.Time) ports.Upload {
	id := domain.FirstIDAt(at)
	id[15] = byte(key)
	return ports.Upload{ImageID: id, UploadedAt: at, LeaseUntil: at.Add(time.Minute), Key: domain.SecretHash{byte(key), 1}}
}
