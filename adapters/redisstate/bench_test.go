package redisstate_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/imagify-api/imagify/adapters/redisstate"
	"github.com/imagify-api/imagify/ports"
	"github.com/imagify-api/imagify/ports/porttest/realserver"
)

// Benchmark measures one round trip of each kind, many at once.
func Benchmark(b *testing.B) {
	r := realserver.Redis(b)
	s, err := redisstate.Open("redis://"+r.Addr, redisstate.Options{Timeout: patient})
	require.NoError(b, err)
	b.Cleanup(func() { _ = s.Close() })
	require.NoError(b, s.Put(b.Context(), token("alive", 0), time.Hour))
	rate := ports.Rate{Limit: 1 << 30, Per: time.Hour, Burst: 1 << 30}
	for _, c := range []struct {
		name string
		call func() error
	}{
		{"Ping", func() error { return s.Ping(b.Context()) }},
		{"Get", func() error { _, err := s.Get(b.Context(), token("alive", 0)); return err }},
		{"Put", func() error { return s.Put(b.Context(), token("alive", 0), time.Hour) }},
		{"Allow", func() error { _, err := s.Allow(b.Context(), "k", rate); return err }},
	} {
		b.Run(c.name, func(b *testing.B) {
			b.RunParallel(func(p *testing.PB) {
				for p.Next() {
					if err := c.call(); err != nil {
						b.Error(err)
					}
				}
			})
		})
	}
}
