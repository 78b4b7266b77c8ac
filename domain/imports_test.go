package domain_test

import (
	"go/parser"
	"go/token"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestImports lists the only imports that domain may have: of the standard library, and nothing that does input or output or draws chance.
func TestImports(t *testing.T) {
	t.Parallel()
	var allowed []string // beside the standard library
	files, err := os.ReadDir(".")
	require.NoError(t, err)
	seen := 0
	for _, f := range files {
		if f.IsDir() || !strings.HasSuffix(f.Name(), ".go") || strings.HasSuffix(f.Name(), "_test.go") {
			continue
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), f.Name(), nil, parser.ImportsOnly)
		require.NoError(t, err)
		for _, i := range parsed.Imports {
			seen++
			name, err := strconv.Unquote(i.Path.Value)
			require.NoError(t, err)
			host, _, _ := strings.Cut(name, "/")
			if strings.Contains(host, ".") { // a path of the standard library begins with no host
				assert.Contains(t, allowed, name, f.Name())
			}
			assert.NotContains(t, []string{"net/http", "database/sql", "unsafe", "C", "os", "io", "log", "log/slog", "math/rand", "math/rand/v2", "crypto/rand"}, name, f.Name())
		}
	}
	assert.Positive(t, seen, "the test looks at the wrong folder")
}
