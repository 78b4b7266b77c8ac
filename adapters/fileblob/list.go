package fileblob

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"

	"github.com/imagify-api/imagify/domain"
	"github.com/imagify-api/imagify/ports"
)

const (
	// readBatch is how many names of a folder are read at once.
	readBatch = 1024
	// minKept is how many entries of a folder are sorted at once, at the least.
	minKept = 256
)

// List implements ports.Blobs. It opens only folders that may hold what was asked
// for; of those it reads every name, keeping no more than the page needs.
func (s *Store) List(ctx context.Context, prefix, after string, limit int) ([]ports.BlobInfo, error) {
	if limit < 1 {
		return nil, domain.InvalidField("limit", "range", "at least 1")
	}
	if err := s.Ping(ctx); err != nil {
		return nil, err
	}
	l := &listing{ctx: ctx, prefix: prefix, after: after, limit: limit}
	if err := s.begin(prefix, func(dir *os.Root, base string) error { return l.folder(dir, base, false) }); err != nil {
		return nil, fail(err)
	}
	return l.found, nil
}

// begin opens the folder in which all keys are that begin with the prefix, and whose
// keys begin with base, without reading the folders above: they may be large. Where
// there is no such folder nothing is listed.
func (s *Store) begin(prefix string, list func(dir *os.Root, base string) error) error {
	end := strings.LastIndexByte(prefix, '/')
	if end < 0 {
		return list(s.root, "")
	}
	if !ports.ValidKey(prefix[:end]) {
		return nil
	}
	names := pathOf(prefix[:end] + "/x")
	dir, err := s.root.OpenRoot(path.Join(names[:len(names)-1]...))
	if err != nil {
		return ignoreGone(err)
	}
	defer dir.Close() //nolint:errcheck // only read from
	return list(dir, prefix[:end+1])
}

type listing struct {
	ctx           context.Context
	prefix, after string
	limit         int
	found         []ports.BlobInfo
}

func (l *listing) full() bool { return len(l.found) >= l.limit }

// entry is one name of a folder that may hold what is wanted.
type entry struct {
	part
	name string // on disk
}

// folder lists what is in a folder, long or not, whose keys begin with base.
func (l *listing) folder(dir *os.Root, base string, long bool) error {
	// The smallest entries are taken first; folders among them may turn out to be
	// empty, so that more are needed.
	for from, begun := "", false; ; begun = true {
		entries, more, err := l.smallest(dir, base, long, from, begun)
		if err != nil {
			return err
		}
		for _, e := range entries {
			if err := l.entry(dir, base, e); err != nil {
				return err
			}
			if l.full() {
				return nil
			}
		}
		if !more {
			return nil
		}
		from = entries[len(entries)-1].text
	}
}

func (l *listing) entry(dir *os.Root, base string, e entry) error {
	if e.folder {
		sub, err := dir.OpenRoot(e.name)
		if err != nil {
			return ignoreGone(err)
		}
		defer sub.Close() //nolint:errcheck // only read from
		return l.folder(sub, base+e.text, e.long)
	}
	info, err := dir.Lstat(e.name)
	if err != nil {
		return ignoreGone(err)
	}
	if info.Mode().IsRegular() && ports.ValidKey(base+e.text) { // others' folders may be deeper than keys are long
		l.found = append(l.found, ports.BlobInfo{Key: base + e.text, Size: info.Size(), ModTime: info.ModTime().UTC()})
	}
	return nil
}

// ignoreGone is for what was deleted while it was being listed.
func ignoreGone(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// smallest returns the wanted entries of a folder in order, from the one after
// from on if begun, and whether there are more than it returns.
func (l *listing) smallest(dir *os.Root, base string, long bool, from string, begun bool) (kept []entry, more bool, err error) {
	f, err := dir.Open(".")
	if err != nil {
		return nil, false, ignoreGone(err)
	}
	defer f.Close()
	keep := max(l.limit-len(l.found), minKept)
	trim := func() {
		slices.SortFunc(kept, func(a, b entry) int { return strings.Compare(a.text, b.text) })
		if len(kept) > keep {
			kept, more = kept[:keep], true
		}
	}
	for {
		if err := ended(l.ctx); err != nil {
			return nil, false, err
		}
		found, err := f.ReadDir(readBatch)
		for _, d := range found {
			p, ok := partOf(d.Name(), long)
			if !ok || p.folder != d.IsDir() || begun && p.text <= from || !l.wanted(base+p.text, p.folder) {
				continue
			}
			kept = append(kept, entry{p, d.Name()})
		}
		if len(kept) > 2*keep {
			trim()
		}
		if errors.Is(err, io.EOF) {
			trim()
			return kept, more, nil
		}
		if err != nil {
			if errors.Is(err, fs.ErrNotExist) { // the folder was removed meanwhile
				trim()
				return kept, more, nil
			}
			return nil, false, err
		}
	}
}

// wanted reports whether a blob of that key, or any in the folder whose keys begin
// so, is asked for.
func (l *listing) wanted(key string, folder bool) bool {
	if !folder {
		return strings.HasPrefix(key, l.prefix) && key > l.after
	}
	return (strings.HasPrefix(key, l.prefix) || strings.HasPrefix(l.prefix, key)) && (key > l.after || strings.HasPrefix(l.after, key))
}
