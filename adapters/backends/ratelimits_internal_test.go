package backends

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/imagify-api/imagify/adapters/memory"
	"github.com/imagify-api/imagify/domain"
	"github.com/imagify-api/imagify/ports"
	"github.com/imagify-api/imagify/ports/porttest"
)

func TestSharedRatesConform(t *testing.T) {
	t.Parallel()
	newRates := func() ports.RateLimits { return memory.NewRateLimits(memory.Options{}) }
	porttest.RateLimits(t, func(*testing.T) ports.RateLimits { return sharedRates{newRates(), newRates()} })
	// While the shared ones fail, the node's own keep the whole contract but for an ended context.
	t.Run("Unavailable", func(t *testing.T) {
		t.Parallel()
		r := sharedRates{failing{domain.Wrap(domain.Unavailable, errors.New("LOADING"), "try again")}, newRates()}
		rate := ports.Rate{Limit: 1, Per: time.Hour, Burst: 2}
		for i := range 4 {
			s, err := r.Allow(t.Context(), "k", rate)
			require.NoError(t, err)
			require.Equal(t, i < 2, s.Allowed, "it is still counted")
		}
		s, err := r.Peek(t.Context(), "k", rate)
		require.NoError(t, err)
		require.False(t, s.Allowed)
		require.NoError(t, r.Reset(t.Context(), "k"))
		s, err = r.Peek(t.Context(), "k", rate)
		require.NoError(t, err)
		require.True(t, s.Allowed)
	})
	t.Run("Invalid", func(t *testing.T) {
		t.Parallel()
		_, err := sharedRates{failing{domain.Errorf(domain.Invalid, "a rate needs a limit")}, newRates()}.Allow(t.Context(), "k", ports.Rate{})
		require.ErrorIs(t, err, domain.Invalid, "the caller's mistake is told")
	})
}

type failing struct{ err error }

func (f failing) Allow(context.Context, string, ports.Rate) (ports.RateState, error) {
	return ports.RateState{}, f.err
}

func (f failing) Peek(context.Context, string, ports.Rate) (ports.RateState, error) {
	return ports.RateState{}, f.err
}

func (f failing) Reset(context.Context, string) error { return f.err }
