package ginapi

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/imagify-api/imagify/app"
)

func TestSignatureOfQuery(t *testing.T) {
	t.Parallel()
	for raw, want := range map[string]app.SignatureText{
		"":                                   {},
		"x=1&expiresx=2":                     {},
		"expires=1&owner=o&signature=s":      {Expires: "1", Owner: "o", Signature: "s"},
		"signature=s&a=b&&owner=o&expires=1": {Expires: "1", Owner: "o", Signature: "s"},
		"expires=1&expires=2":                {Expires: "1"},
		"owner=%41B&signature=%zz":           {Owner: "AB"},
		"expires":                            {},
	} {
		assert.Equal(t, want, signature(raw), raw)
	}
}
