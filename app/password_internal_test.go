package app

import (
	"context"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/imagify-api/imagify/domain"
)

func TestPasswordHash(t *testing.T) {
	h, err := newPasswordHasher(Argon2{MemoryKiB: 64, Iterations: 1, Parallelism: 1}, 1)
	require.NoError(t, err)
	ctx := context.Background()
	one, err := h.hash(ctx, "correct horse")
	require.NoError(t, err)
	two, err := h.hash(ctx, "correct horse")
	require.NoError(t, err)
	assert.NotEqual(t, one, two, "salted")
	for encoded, want := range map[string]bool{one: true, two: true, "": false, h.dummy: false} {
		ok, err := h.check(ctx, encoded, "correct horse", "192.0.2.1", false)
		require.NoError(t, err)
		assert.Equal(t, want, ok)
	}
	for _, bad := range []string{
		"x", "$argon2i$v=19$m=64,t=1,p=1$AAAA$AAAAAAAAAAAAAAAAAAAAAA", "$argon2id$v=18$m=64,t=1,p=1$AAAA$AAAAAAAAAAAAAAAAAAAAAA",
		"$argon2id$v=19$m=64,t=1$AAAA$AAAAAAAAAAAAAAAAAAAAAA", "$argon2id$v=19$m=99999999,t=1,p=1$AAAA$AAAAAAAAAAAAAAAAAAAAAA",
		"$argon2id$v=19$m=64,t=1,p=1$****$AAAAAAAAAAAAAAAAAAAAAA", "$argon2id$v=19$m=64,t=1,p=1$AAAA$****", "$argon2id$v=19$m=64,t=1,p=1$AAAA$AAAA",
	} {
		_, err := h.check(ctx, bad, "x", "192.0.2.1", false)
		assert.Error(t, err, bad)
	}
	gone, cancel := context.WithCancel(ctx)
	cancel()
	release, err := h.queue.take(ctx, "", true) // busy
	require.NoError(t, err)
	defer release()
	_, err = h.check(gone, one, "correct horse", "192.0.2.1", false)
	assert.ErrorIs(t, err, domain.Unavailable)
	_, err = h.hash(gone, "correct horse")
	assert.ErrorIs(t, err, domain.Unavailable)
}

func FuzzParseHash(f *testing.F) {
	f.Add("$argon2id$v=19$m=64,t=1,p=1$AAAA$AAAAAAAAAAAAAAAAAAAAAA")
	f.Fuzz(func(t *testing.T, s string) {
		cost, _, sum, err := parseHash(s)
		if err == nil && (cost.MemoryKiB > 1<<20 || cost.Iterations > 100 || len(sum) < 16) {
			t.Fatal("a cost that would stop the process")
		}
	})
}

func FuzzVerify(f *testing.F) {
	s := &Service{}
	k, err := newSigner([]byte("a key of sixteen bytes"))
	if err != nil {
		f.Fatal(err)
	}
	s.keys = []signer{k}
	f.Add("1", "AAAAAAAAAAAAAAAAAAAAAA", "AAAAAAAAAAAAAAAAAAAAAA")
	f.Fuzz(func(t *testing.T, expires, owner, signature string) {
		if _, _, err := s.verify(SignatureText{expires, owner, signature}, domain.ID{1}, domain.Original, domain.ID{}.Time()); err == nil {
			t.Fatal("a signature that nobody made")
		}
	})
}
