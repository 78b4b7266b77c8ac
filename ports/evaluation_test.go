package ports

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// unordered returns the variables of a return statement that one result reads and a
// call in another may change, by its address or in a function that it is given: Go
// leaves open which comes first (spec, "Order of evaluation").
func unordered(ret *ast.ReturnStmt) (names []string) {
	read, changed := map[string]bool{}, map[string]bool{}
	for _, result := range ret.Results {
		var calls bool
		ast.Inspect(result, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.CallExpr:
				calls = true
			case *ast.UnaryExpr:
				if x, ok := n.X.(*ast.Ident); ok && n.Op == token.AND {
					if calls {
						changed[x.Name] = true
					}
					return false
				}
			case *ast.FuncLit:
				ast.Inspect(n.Body, func(in ast.Node) bool {
					switch in := in.(type) {
					case *ast.AssignStmt:
						for _, to := range in.Lhs {
							if x, ok := to.(*ast.Ident); ok && in.Tok != token.DEFINE && calls {
								changed[x.Name] = true
							}
						}
					case *ast.UnaryExpr:
						if x, ok := in.X.(*ast.Ident); ok && in.Op == token.AND && calls {
							changed[x.Name] = true
						}
					}
					return true
				})
				return false
			case *ast.SelectorExpr:
				if x, ok := n.X.(*ast.Ident); ok {
					read[x.Name] = true
				}
				return false
			case *ast.Ident:
				read[n.Name] = true
			}
			return true
		})
	}
	if len(ret.Results) < 2 {
		return nil
	}
	for name := range changed {
		if read[name] {
			names = append(names, name)
		}
	}
	return names
}

// TestNoUnorderedReturn holds for every file of the module.
func TestNoUnorderedReturn(t *testing.T) {
	t.Parallel()
	files := 0
	err := filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && strings.HasPrefix(d.Name(), ".") && path != ".." {
			return filepath.SkipDir
		}
		if d.IsDir() || !strings.HasSuffix(path, ".go") {
			return nil
		}
		files++
		set := token.NewFileSet()
		f, err := parser.ParseFile(set, path, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		ast.Inspect(f, func(n ast.Node) bool {
			if ret, ok := n.(*ast.ReturnStmt); ok {
				assert.Empty(t, unordered(ret), "%s: call first, then return", set.Position(ret.Pos()))
			}
			return true
		})
		return nil
	})
	require.NoError(t, err)
	require.Greater(t, files, 100)
}

// The lint finds what it is for, and nothing else.
func TestUnorderedReturnIsFound(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]int{
		"return x, f(&x)":                       1,
		"return x, do(func() { x = 1 })":        1,
		"return x.y, f(&x)":                     1,
		"return f(x), g(&x)":                    1,
		"return x, f(x)":                        0,
		"return &x, f()":                        0,
		"return f(&x)":                          0,
		"return y, f(&x)":                       0,
		"return x, do(func() { x := 1; g(x) })": 0,
	} {
		f, err := parser.ParseFile(token.NewFileSet(), "x.go", "package x\nfunc f() {"+text+"}", 0)
		require.NoError(t, err)
		ast.Inspect(f, func(n ast.Node) bool {
			if ret, ok := n.(*ast.ReturnStmt); ok {
				assert.Len(t, unordered(ret), want, text)
			}
			return true
		})
	}
}
