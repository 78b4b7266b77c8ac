package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
)

// equivalents are the mutants that change nothing that anybody could notice.
type equivalents struct{ seen map[string]bool }

// readEquivalents reads a list of lines "mutant — reason", where the mutant is written as the
// report writes it, without its line number. No file is an empty list.
func readEquivalents(path string) (*equivalents, error) {
	e := &equivalents{seen: map[string]bool{}}
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return e, nil
	}
	if err != nil {
		return nil, err
	}
	for line := range strings.Lines(string(b)) {
		if line = strings.TrimSpace(line); line == "" || line[0] == '#' {
			continue
		}
		what, reason, found := strings.Cut(line, " — ")
		if !found || strings.TrimSpace(reason) == "" {
			return nil, fmt.Errorf("%s: %q gives no reason: write \"mutant — reason\"", path, line)
		}
		e.seen[strings.TrimSpace(what)] = false
	}
	return e, nil
}

func (e *equivalents) has(m *mutant) bool {
	key := m.key()
	_, listed := e.seen[key]
	if listed {
		e.seen[key] = true
	}
	return listed
}

// unused are the lines for which there is no mutant.
func (e *equivalents) unused() (out []string) {
	for key, seen := range e.seen {
		if !seen {
			out = append(out, key)
		}
	}
	slices.Sort(out)
	return out
}
