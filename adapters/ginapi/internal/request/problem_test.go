package request

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/imagify-api/imagify/domain"
)

func TestEveryCodeHasAStatusAndWords(t *testing.T) {
	t.Parallel()
	for _, c := range domain.Codes() {
		assert.Contains(t, statuses, c)
		assert.NotEmpty(t, plainDetails[c], c)
	}
	assert.Len(t, statuses, len(domain.Codes()))
	assert.Equal(t, 500, StatusOf("never heard of"))
}
