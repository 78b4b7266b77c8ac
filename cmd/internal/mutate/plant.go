package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// pkg is a package with its mutants.
type pkg struct {
	path, dir string
	mutants   []*mutant
}

// mutant is one fault.
type mutant struct {
	id            int
	file          string // from the module's root
	line          int
	function      string
	before, after string
}

func (m *mutant) String() string {
	return fmt.Sprintf("%s:%d %s: %s → %s", m.file, m.line, m.function, m.before, m.after)
}

// key names a mutant in equivalents.txt, where line numbers would not last.
func (m *mutant) key() string {
	return fmt.Sprintf("%s %s: %s → %s", m.file, m.function, m.before, m.after)
}

// listed is what `go list -json` says of a package.
type listed struct {
	ImportPath, Dir, Export, Name string
	GoFiles                       []string
	DepOnly                       bool
	Error                         *struct{ Err string }
}

// plant rewrites every file of the packages, with all of its mutants behind switches, and an
// overlay for the go command that puts these in the place of the files.
func plant(ctx context.Context, o options, dir string) ([]*pkg, error) {
	args := append([]string{"list", "-export", "-deps", "-json", "-tags", o.tags}, o.packages...)
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("go list: %w", err)
	}
	root, err := os.Getwd()
	if err != nil {
		return nil, err
	}
	exports := map[string]string{}
	var targets []listed
	for d := json.NewDecoder(bytes.NewReader(out)); ; {
		var l listed
		if err := d.Decode(&l); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return nil, err
		}
		if l.Error != nil {
			return nil, errors.New(l.Error.Err)
		}
		exports[l.ImportPath] = l.Export
		if !l.DepOnly {
			targets = append(targets, l)
		}
	}
	replace := map[string]string{}
	var pkgs []*pkg
	next := 1
	for _, l := range targets {
		p, files, err := plantPackage(root, l, exports, next)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", l.ImportPath, err)
		}
		next += len(p.mutants)
		pkgs = append(pkgs, p)
		for path, content := range files {
			to := filepath.Join(dir, fmt.Sprintf("%d.go", len(replace)))
			if err := os.WriteFile(to, content, 0o600); err != nil {
				return nil, err
			}
			replace[path] = to
		}
	}
	overlay, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return nil, err
	}
	return pkgs, os.WriteFile(filepath.Join(dir, "overlay.json"), overlay, 0o600)
}

// plantPackage returns a package's mutants and the files that hold them, by the path of what they replace.
func plantPackage(root string, l listed, exports map[string]string, next int) (*pkg, map[string][]byte, error) {
	fset := token.NewFileSet()
	var files []*ast.File
	sources := map[*ast.File][]byte{}
	for _, name := range l.GoFiles {
		src, err := os.ReadFile(filepath.Join(l.Dir, name))
		if err != nil {
			return nil, nil, err
		}
		f, err := parser.ParseFile(fset, filepath.Join(l.Dir, name), src, parser.ParseComments)
		if err != nil {
			return nil, nil, err
		}
		files = append(files, f)
		sources[f] = src
	}
	lookup := func(path string) (io.ReadCloser, error) {
		if exports[path] == "" {
			return nil, fmt.Errorf("no export data of %s", path)
		}
		return os.Open(exports[path])
	}
	info := &types.Info{Types: map[ast.Expr]types.TypeAndValue{}, Uses: map[*ast.Ident]types.Object{}, Defs: map[*ast.Ident]types.Object{}}
	checked, err := (&types.Config{Importer: importer.ForCompiler(fset, "gc", lookup)}).Check(l.ImportPath, fset, files, info)
	if err != nil {
		return nil, nil, err
	}
	p := &pkg{path: l.ImportPath, dir: l.Dir}
	out := map[string][]byte{}
	for _, f := range files {
		path := fset.File(f.Pos()).Name()
		rel, err := filepath.Rel(root, path)
		if err != nil {
			return nil, nil, err
		}
		pl := &planter{fset: fset, info: info, pkg: checked, src: sources[f], file: rel, imports: map[string]string{}, next: next + len(p.mutants)}
		for _, imp := range f.Imports {
			name := ""
			if imp.Name != nil {
				name = imp.Name.Name
			}
			path, _ := strconv.Unquote(imp.Path.Value)
			pl.imports[path] = name
		}
		for _, d := range f.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && fn.Body != nil {
				pl.function = fn.Name.Name
				ast.Inspect(fn.Body, pl.visit)
			}
		}
		p.mutants = append(p.mutants, pl.mutants...)
		// The line directive keeps panics and failures at the lines of the real file.
		out[path] = append([]byte("//line "+path+":1\n"), pl.edited()...)
	}
	name := filepath.Join(l.Dir, "zz_mutants.go")
	out[name] = fmt.Appendf(nil, switches, l.Name)
	return p, out, nil
}

// switches is the file beside a package's own that switches its mutants on, or notes which are reached.
const switches = `package %s

import (
	mutantOS "os"
	mutantConv "strconv"
	mutantSync "sync"
)

var (
	mutantOn     = mutantNumber()
	mutantLog, _ = mutantOS.LookupEnv("MUTANTS_REACHED")
	mutantSeen   mutantSync.Map
)

func mutantNumber() int {
	n, _ := mutantConv.Atoi(mutantOS.Getenv("MUTANT"))
	return n
}

// mutant_ reports whether the mutant is on.
func mutant_(id int) bool {
	if mutantLog != "" {
		if _, seen := mutantSeen.LoadOrStore(id, true); !seen {
			if f, err := mutantOS.OpenFile(mutantLog, mutantOS.O_APPEND|mutantOS.O_CREATE|mutantOS.O_WRONLY, 0o600); err == nil {
				_, _ = f.WriteString(mutantConv.Itoa(id) + "\n")
				_ = f.Close()
			}
		}
	}
	return mutantOn == id
}
`

// edit inserts text at an offset of a file. Of several at one offset those that open come in
// the order in which they were made, and those that close before them and the other way round.
type edit struct {
	at    int
	text  string
	close bool
	order int
}

// planter finds the mutants of a file and writes them into it.
type planter struct {
	fset     *token.FileSet
	info     *types.Info
	pkg      *types.Package
	src      []byte
	file     string
	imports  map[string]string // the name a package has in the file, by its path; empty: its own
	function string
	next     int
	mutants  []*mutant
	edits    []edit
}

func (p *planter) offset(pos token.Pos) int { return p.fset.Position(pos).Offset }

func (p *planter) text(n ast.Node) string {
	return string(p.src[p.offset(n.Pos()):p.offset(n.End())])
}

// add notes a mutant and returns the expression that is true when it is on.
func (p *planter) add(n ast.Node, before, after string) string {
	m := &mutant{
		id: p.next, file: p.file, line: p.fset.Position(n.Pos()).Line, function: p.function,
		before: oneLine(before), after: oneLine(after),
	}
	p.next++
	p.mutants = append(p.mutants, m)
	return fmt.Sprintf("mutant_(%d)", m.id)
}

// oneLine shortens code for the report.
func oneLine(s string) string {
	s = strings.Join(strings.Fields(s), " ")
	if r := []rune(s); len(r) > 80 {
		s = string(r[:79]) + "…"
	}
	return s
}

// wrap puts text before and after a node.
func (p *planter) wrap(n ast.Node, before, after string) {
	p.edits = append(p.edits,
		edit{p.offset(n.Pos()), before, false, len(p.edits)},
		edit{p.offset(n.End()), after, true, len(p.edits) + 1})
}

// edited is the file with its mutants.
func (p *planter) edited() []byte {
	slices.SortStableFunc(p.edits, func(a, b edit) int {
		switch {
		case a.at != b.at:
			return a.at - b.at
		case a.close != b.close: // what ends here ends before the next begins
			if a.close {
				return -1
			}
			return 1
		case a.close: // the inner one was made later and ends first
			return b.order - a.order
		}
		return a.order - b.order
	})
	var out []byte
	at := 0
	for _, e := range p.edits {
		out = append(out, p.src[at:e.at]...)
		out = append(out, e.text...)
		at = e.at
	}
	return append(out, p.src[at:]...)
}

// visit plants what a node may have, the outer before the inner.
func (p *planter) visit(n ast.Node) bool {
	switch n := n.(type) {
	case *ast.IfStmt:
		p.condition(n.Cond)
	case *ast.ForStmt:
		if n.Cond != nil {
			on := p.add(n.Cond, "for "+p.text(n.Cond), "for false")
			p.wrap(n.Cond, "!"+on+" && (", ")")
		}
	case *ast.SwitchStmt:
		p.cases(n)
	case *ast.BinaryExpr:
		p.binary(n)
	case *ast.ExprStmt:
		p.statement(n)
	case *ast.IncDecStmt:
		p.dropped(n)
	case *ast.AssignStmt:
		if n.Tok != token.DEFINE {
			p.dropped(n)
		}
	case *ast.ReturnStmt:
		p.returned(n)
	case *ast.CallExpr:
		p.swapped(n)
	case *ast.BasicLit:
		p.number(n)
	case *ast.GenDecl:
		return n.Tok != token.CONST // constants must stay constant
	}
	return true
}

// condition makes a condition always true, always false.
func (p *planter) condition(cond ast.Expr) {
	yes := p.add(cond, "if "+p.text(cond), "if true")
	no := p.add(cond, "if "+p.text(cond), "if false")
	p.wrap(cond, yes+" || !"+no+" && (", ")")
}

// cases drops each case of a switch: as if it were not written.
func (p *planter) cases(s *ast.SwitchStmt) {
	for _, c := range s.Body.List {
		for _, e := range c.(*ast.CaseClause).List {
			if s.Tag == nil {
				on := p.add(e, "case "+p.text(e), "case false")
				p.wrap(e, "!"+on+" && (", ")")
			}
		}
	}
}

var shifted = map[token.Token]token.Token{
	token.LSS: token.LEQ, token.LEQ: token.LSS, token.GTR: token.GEQ, token.GEQ: token.GTR,
	token.EQL: token.NEQ, token.NEQ: token.EQL, token.LAND: token.LOR, token.LOR: token.LAND,
	token.ADD: token.SUB, token.SUB: token.ADD, token.MUL: token.QUO, token.AND: token.OR, token.OR: token.AND,
}

// binary shifts a comparison by one, or takes another operand.
func (p *planter) binary(e *ast.BinaryExpr) {
	other, ok := shifted[e.Op]
	tv := p.info.Types[e]
	if !ok || tv.Value != nil || tv.Type == nil {
		return // what is constant must stay so
	}
	if e.Op == token.EQL || e.Op == token.NEQ {
		if basic, ok := p.info.Types[e.X].Type.Underlying().(*types.Basic); !ok || basic.Info()&types.IsNumeric == 0 && basic.Info()&types.IsString == 0 {
			return // a comparison with nil is a condition's affair
		}
	}
	if basic, ok := tv.Type.Underlying().(*types.Basic); ok && basic.Info()&types.IsString != 0 {
		return // strings have no other operand
	}
	name, ok := p.typeName(tv.Type)
	if !ok {
		return
	}
	x, y := p.text(e.X), p.text(e.Y)
	on := p.add(e, p.text(e), x+" "+other.String()+" "+y)
	// The operands are written twice, so the inner mutants of the second copy are those of the first alone.
	p.wrap(e, fmt.Sprintf("func() %s { if %s { return (%s) %s (%s) }; return ", name, on, x, other, y), " }()")
}

// statement drops a call whose result nobody takes.
func (p *planter) statement(s *ast.ExprStmt) {
	if call, ok := s.X.(*ast.CallExpr); ok {
		if id, ok := call.Fun.(*ast.Ident); ok && id.Name == "panic" {
			return // what follows may rely on it for the compiler's sake
		}
		p.dropped(s)
	}
}

func (p *planter) dropped(s ast.Stmt) {
	if p.inHeader(s) {
		return
	}
	on := p.add(s, p.text(s), "nothing")
	p.wrap(s, "if !"+on+" { ", " }")
}

// inHeader reports whether a statement is an if's, a for's or a switch's own, where no other kind can stand.
func (p *planter) inHeader(s ast.Stmt) bool {
	// A statement of a block begins its line but for blanks.
	at := p.offset(s.Pos())
	line := p.src[bytes.LastIndexByte(p.src[:at], '\n')+1 : at]
	return len(bytes.TrimSpace(line)) > 0
}

// returned swallows an error: a variable of type error that is returned is nil instead.
func (p *planter) returned(s *ast.ReturnStmt) {
	if len(s.Results) == 0 {
		return
	}
	last := s.Results[len(s.Results)-1]
	tv := p.info.Types[last]
	if tv.Type == nil || tv.IsNil() || !types.Identical(tv.Type, types.Universe.Lookup("error").Type()) {
		return
	}
	if id, ok := last.(*ast.Ident); !ok || id.Name == "_" {
		return
	}
	on := p.add(s, p.text(s), "return … nil")
	p.wrap(last, "func() error { if "+on+" { return nil }; return ", " }()")
}

// swapped exchanges two neighbouring arguments of one type.
func (p *planter) swapped(c *ast.CallExpr) {
	if len(c.Args) < 2 || c.Ellipsis.IsValid() || p.info.Types[c.Fun].IsType() {
		return
	}
	if id, ok := c.Fun.(*ast.Ident); ok {
		if _, builtin := p.info.Uses[id].(*types.Builtin); builtin {
			return
		}
	}
	for i := range len(c.Args) - 1 {
		a, b := p.info.Types[c.Args[i]], p.info.Types[c.Args[i+1]]
		if a.Type == nil || b.Type == nil || a.Value != nil && b.Value != nil || !types.Identical(a.Type, b.Type) || p.text(c.Args[i]) == p.text(c.Args[i+1]) {
			continue
		}
		name, ok := p.typeName(a.Type)
		if !ok || a.IsNil() || b.IsNil() || a.Type == types.Typ[types.UntypedNil] {
			continue
		}
		if basic, ok := a.Type.(*types.Basic); ok && basic.Info()&types.IsUntyped != 0 {
			continue
		}
		x, y := p.text(c.Args[i]), p.text(c.Args[i+1])
		on := p.add(c, p.text(c), x+" and "+y+" swapped")
		p.wrap(c.Args[i], fmt.Sprintf("func() %s { if %s { return %s }; return ", name, on, y), " }()")
		p.wrap(c.Args[i+1], fmt.Sprintf("func() %s { if %s { return %s }; return ", name, strings.TrimSpace(on), x), " }()")
		return
	}
}

// number moves an integer by one.
func (p *planter) number(l *ast.BasicLit) {
	if l.Kind != token.INT || p.info.Types[l].Type == nil {
		return
	}
	basic, ok := p.info.Types[l].Type.Underlying().(*types.Basic)
	if !ok || basic.Info()&types.IsInteger == 0 || basic.Info()&types.IsUntyped != 0 || p.constant(l) {
		return
	}
	name, ok := p.typeName(p.info.Types[l].Type)
	if !ok {
		return
	}
	on := p.add(l, l.Value, l.Value+" + 1")
	p.wrap(l, fmt.Sprintf("func() %s { if %s { return %s + 1 }; return ", name, on, l.Value), " }()")
}

// constant reports whether a literal stands where the language wants a constant, or where a larger constant
// expression has it: an array's length, a shift, a case, an index of a composite literal.
func (p *planter) constant(l *ast.BasicLit) bool {
	at := p.offset(l.Pos())
	end := p.offset(l.End())
	before, after := byte(' '), byte(' ')
	if at > 0 {
		before = p.src[at-1]
	}
	if end < len(p.src) {
		after = p.src[end]
	}
	if before == '[' && after == ']' || after == ':' {
		return true
	}
	constant := false
	for e, tv := range p.info.Types {
		if tv.Value != nil && e != ast.Expr(l) && e.Pos() <= l.Pos() && l.End() <= e.End() {
			constant = true
			break
		}
	}
	line := p.src[bytes.LastIndexByte(p.src[:at], '\n')+1 : at]
	return constant || bytes.HasPrefix(bytes.TrimSpace(line), []byte("case "))
}

// typeName writes a type as the file can name it.
func (p *planter) typeName(t types.Type) (string, bool) {
	ok := true
	if _, generic := t.(*types.TypeParam); generic {
		return "", false
	}
	if b, isBasic := t.(*types.Basic); isBasic && b.Info()&types.IsUntyped != 0 {
		t = types.Default(t)
	}
	name := types.TypeString(t, func(other *types.Package) string {
		if other == p.pkg {
			return ""
		}
		own, imported := p.imports[other.Path()]
		if !imported || own == "_" || own == "." {
			ok = false
		}
		if own != "" {
			return own
		}
		return other.Name()
	})
	return name, ok && !strings.Contains(name, "struct{")
}
