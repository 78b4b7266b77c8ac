package ports

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A panic that nothing recovers on a goroutine ends the process, with everybody's
// requests. unguarded are the goroutines without a recovery of their own, by file and
// function, and why each may be.
var unguarded = map[string]string{
	"adapters/memory/notices.go/Subscribe":     "closes a channel; runs nobody's code",
	"adapters/redisstate/notices.go/Subscribe": "listen makes every call of the client within recovered, and closes a channel",
	"adapters/redisstate/notices.go/hear":      "closes a connection after its context",
	"adapters/internal/bunrepo/tx.go/inTx":     "ends a context",
	"adapters/s3blob/connections.go/Do":        "ends a context",
	"adapters/s3blob/read.go/get":              "ends a context",
	"app/app.go/Run":                           "ends a context",
	"cmd/imagify/serve.go/serve":               "Service.Run recovers in each of its loops, and net/http in each request",
	"cmd/imagify/pictures.go/drawPictures":     "draws pictures of its own, before anything is served",
	"cmd/imagify/upload.go/Run":                "a client of the HTTP API: it runs no adapter and no decoder",
	"examples/embed/main.go/serve":             "Service.Run recovers in each of its loops; the other runs the standard library",
	"examples/vercel/api/index.go/New":         "Service.Run recovers in each of its loops",
}

// ownTools are folders whose programs serve nobody.
var ownTools = []string{"adapters/lambdaresizer/lambdatest/", "cmd/internal/servebench/", "cmd/internal/coldbench/", "cmd/internal/mutate/", "ports/porttest/"}

// calledName is the name of the function or method that is called.
func calledName(call *ast.CallExpr) string {
	switch f := call.Fun.(type) {
	case *ast.Ident:
		return f.Name
	case *ast.SelectorExpr:
		return f.Sel.Name
	}
	return ""
}

// guards reports whether a function's body recovers, or defers a function of its
// package that does.
func guards(body *ast.BlockStmt, recovers map[string]bool) bool {
	found := false
	ast.Inspect(body, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.CallExpr:
			found = found || calledName(n) == "recover"
		case *ast.DeferStmt:
			found = found || recovers[calledName(n.Call)]
		}
		return !found
	})
	return found
}

// guarding are the names of a package's functions that recover what they run.
func guarding(files []*ast.File) map[string]bool {
	names := map[string]bool{}
	for range 2 { // first those that recover, then those that defer one of them
		before := maps.Clone(names)
		for _, f := range files {
			for _, d := range f.Decls {
				if fn, ok := d.(*ast.FuncDecl); ok && fn.Body != nil && guards(fn.Body, before) {
					names[fn.Name.Name] = true
				}
			}
		}
	}
	return names
}

// started returns the function that a node starts on a goroutine of its own: by go, by
// the Go method of a group, or by an AfterFunc.
func started(n ast.Node) (fn ast.Expr, ok bool) {
	switch n := n.(type) {
	case *ast.GoStmt:
		return n.Call.Fun, true
	case *ast.CallExpr:
		sel, isMethod := n.Fun.(*ast.SelectorExpr)
		switch {
		case !isMethod:
		case sel.Sel.Name == "Go" && len(n.Args) == 1:
			return n.Args[0], true
		case sel.Sel.Name == "AfterFunc" && len(n.Args) == 2:
			return n.Args[1], true
		}
	}
	return nil, false
}

// bare returns the functions of a package that start a goroutine which does not
// recover. A goroutine recovers where its own body does, or calls a function of the
// package that does for all it runs.
func bare(files []*ast.File) (found []*ast.FuncDecl) {
	safe := guarding(files)
	bodies := map[string]*ast.BlockStmt{}
	for _, f := range files {
		for _, d := range f.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && fn.Body != nil {
				bodies[fn.Name.Name] = fn.Body
			}
		}
	}
	recovered := func(fn ast.Expr) bool {
		var body *ast.BlockStmt
		switch f := fn.(type) {
		case *ast.FuncLit:
			body = f.Body
		case *ast.Ident:
			body = bodies[f.Name]
		case *ast.SelectorExpr:
			body = bodies[f.Sel.Name]
		}
		if body == nil {
			return false
		}
		found := guards(body, safe)
		ast.Inspect(body, func(n ast.Node) bool {
			if call, ok := n.(*ast.CallExpr); ok && safe[calledName(call)] {
				found = true
			}
			return !found
		})
		return found
	}
	for _, f := range files {
		for _, d := range f.Decls {
			fn, ok := d.(*ast.FuncDecl)
			if !ok || fn.Body == nil {
				continue
			}
			ast.Inspect(fn.Body, func(n ast.Node) bool {
				if start, ok := started(n); ok && !recovered(start) {
					found = append(found, fn)
				}
				return true
			})
		}
	}
	return found
}

// No goroutine runs an adapter or a decoder without a recovery.
func TestPromiseGoroutinesRecover(t *testing.T) {
	t.Parallel()
	t.Run("X4", func(t *testing.T) {
		t.Parallel()
		packages := map[string][]*ast.File{}
		set := token.NewFileSet()
		for _, root := range []string{"../app", "../adapters", "../cmd", "../domain", "../examples", "../ports"} {
			require.NoError(t, filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
				name := strings.TrimPrefix(filepath.ToSlash(path), "../")
				tool := slices.ContainsFunc(ownTools, func(folder string) bool { return strings.HasPrefix(name, folder) })
				if err != nil || d.IsDir() || tool || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
					return err
				}
				f, err := parser.ParseFile(set, path, nil, parser.SkipObjectResolution)
				packages[filepath.Dir(path)] = append(packages[filepath.Dir(path)], f)
				return err
			}))
		}
		require.Greater(t, len(packages), 15)
		used := map[string]bool{}
		for _, files := range packages {
			for _, fn := range bare(files) {
				at := strings.TrimPrefix(filepath.ToSlash(set.Position(fn.Pos()).Filename), "../") + "/" + fn.Name.Name
				used[at] = true
				assert.NotEmpty(t, unguarded[at], "%s starts a goroutine that does not recover: a panic in it ends the process", at)
			}
		}
		for at := range unguarded {
			assert.True(t, used[at], "%s is in the list and starts no such goroutine", at)
		}
	})
}

// The lint finds what it is for, and nothing else.
func TestBareGoroutineIsFound(t *testing.T) {
	t.Parallel()
	const rest = `
func catch(err *error) { if p := recover(); p != nil { *err = x } }
func safe() (err error) { defer catch(&err); return work() }
func loose() { work() }`
	for text, want := range map[string]int{
		"go work()":                                                 1,
		"go func() { work() }()":                                    1,
		"wg.Go(func() { work() })":                                  1,
		"wg.Go(loose)":                                              1,
		"time.AfterFunc(s, x.loose)":                                1,
		"wg.Go(func() { errs[i] = safe() })":                        0,
		"go func() { defer catch(&err); work() }()":                 0,
		"go func() { defer func() { log(recover()) }(); work() }()": 0,
		"time.AfterFunc(s, func() { _ = safe() })":                  0,
		"go safe()": 0,
		"work()":    0,
	} {
		f, err := parser.ParseFile(token.NewFileSet(), "x.go", "package x\nfunc f() {"+text+"}"+rest, 0)
		require.NoError(t, err)
		assert.Len(t, bare([]*ast.File{f}), want, text)
	}
}
