package request

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/imagify-api/imagify/domain"
)

func FuzzCursor(f *testing.F) {
	f.Add("")
	f.Add("AZn_____8AAgAAAAAAAAA")
	f.Add("AaII90XbegaClQE1Ad_j5g")
	f.Fuzz(func(t *testing.T, s string) {
		id, err := decodeCursor(s)
		if err != nil {
			assert.Equal(t, domain.Invalid, domain.CodeOf(err))
			return
		}
		assert.Equal(t, s, Cursor(id), "of each id exactly one text is accepted")
	})
}
