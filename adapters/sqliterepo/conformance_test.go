package sqliterepo

import (
	"testing"

	"github.com/imagify-api/imagify/ports"
	"github.com/imagify-api/imagify/ports/porttest"
)

func TestRecords(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds: run it without -short")
	}
	t.Parallel()
	porttest.Records(t, func(t *testing.T) ports.Records { return fresh(t).Records() })
}
