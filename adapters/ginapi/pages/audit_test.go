package pages

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/imagify-api/imagify/domain"
)

func TestAuditEntriesShowWhatChanged(t *testing.T) {
	t.Parallel()
	row := newChangeRow(domain.AuditEntry{
		Before: []byte(`{"email":"","tiers":["A"],"limits":{"max_images":null,"max_pixels":5},"is_admin":false,"gone":"x"}`),
		After:  []byte(`{"email":"a@b.c","tiers":[],"limits":{"max_images":7,"max_pixels":5},"is_admin":true}`),
	})
	assert.Equal(t, []changedFact{
		{"email", "", "a@b.c"}, {"gone", "x", ""}, {"is_admin", "false", "true"}, {"limits.max_images", "", "7"}, {"tiers", `["A"]`, ""},
	}, row.Changed)
	assert.Empty(t, newChangeRow(domain.AuditEntry{}).Changed)
}
