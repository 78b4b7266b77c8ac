package memory_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/imagify-api/imagify/adapters/bildresizer"
	"github.com/imagify-api/imagify/adapters/memory"
	"github.com/imagify-api/imagify/ports"
	"github.com/imagify-api/imagify/ports/porttest"
)

func TestRecords(t *testing.T) {
	t.Parallel()
	porttest.Records(t, func(*testing.T) ports.Records { return memory.NewRecords(memory.Options{}) })
}

func TestBlobs(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds: run it without -short")
	}
	t.Parallel()
	porttest.Blobs(t, func(*testing.T) ports.Blobs { return memory.NewBlobs(memory.Options{}) })
}

func TestLinkCache(t *testing.T) {
	t.Parallel()
	porttest.LinkCache(t, func(*testing.T) ports.LinkCache { return memory.NewLinkCache(memory.Options{}) })
}

func TestRateLimits(t *testing.T) {
	t.Parallel()
	porttest.RateLimits(t, func(*testing.T) ports.RateLimits { return memory.NewRateLimits(memory.Options{}) })
}

func TestNotices(t *testing.T) {
	t.Parallel()
	porttest.Notices(t, func(*testing.T) ports.Notices { return memory.NewNotices() })
}

func TestRemoteResizer(t *testing.T) {
	t.Parallel()
	porttest.RemoteResizer(t, func(t *testing.T) porttest.Remote {
		resizer, err := bildresizer.New(bildresizer.Options{})
		require.NoError(t, err)
		blobs := memory.NewBlobs(memory.Options{})
		return porttest.Remote{RemoteResizer: memory.NewRemoteResizer(blobs, resizer), Blobs: blobs, Version: resizer.Version()}
	})
}
