package fileblob

import (
	"bufio"
	"container/heap"
	"context"
	"crypto/rand"
	"errors"
	"io"
	"io/fs"
	"iter"
	"os"
	"path"
	"slices"
	"strings"

	"github.com/imagify-api/imagify/ports"
)

// runNames is how many names of a folder are sorted in memory. A folder of more is
// sorted through a temporary file: memory stays bounded, and each name is read once
// however large the folder is.
const runNames = 16384

// errStopped ends a walk whose caller has seen enough.
var errStopped = errors.New("the walk was stopped")

// Walk implements ports.BlobWalker. Each folder is read once.
func (s *Store) Walk(ctx context.Context, prefix, after string, foreign func(name string)) iter.Seq2[ports.BlobInfo, error] {
	return func(yield func(ports.BlobInfo, error) bool) {
		w := &walk{listing: listing{ctx: ctx, prefix: prefix, after: after}, store: s, foreign: foreign, yield: yield}
		err := s.Ping(ctx)
		if err == nil {
			err = s.begin(prefix, func(dir *os.Root, base string) error { return w.folder(dir, base, false) })
		}
		if err != nil && !errors.Is(err, errStopped) {
			yield(ports.BlobInfo{}, fail(err))
		}
	}
}

type walk struct {
	listing
	store   *Store
	foreign func(name string)
	yield   func(ports.BlobInfo, error) bool
}

// folder walks a folder, long or not, whose keys begin with base.
func (w *walk) folder(dir *os.Root, base string, long bool) error {
	names, err := w.sorted(dir, base, long)
	if err != nil {
		return err
	}
	defer names.close()
	for {
		if err := ended(w.ctx); err != nil {
			return err
		}
		e, err := names.next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err == nil {
			err = w.entry(dir, base, e)
		}
		if err != nil {
			return err
		}
	}
}

func (w *walk) entry(dir *os.Root, base string, e entry) error {
	if e.folder {
		sub, err := dir.OpenRoot(e.name)
		if err != nil {
			return ignoreGone(err)
		}
		defer sub.Close() //nolint:errcheck // only read from
		return w.folder(sub, base+e.text, e.long)
	}
	info, err := dir.Lstat(e.name)
	if err != nil {
		return ignoreGone(err)
	}
	if info.Mode().IsRegular() && !w.yield(ports.BlobInfo{Key: base + e.text, Size: info.Size(), ModTime: info.ModTime().UTC()}, nil) {
		return errStopped
	}
	return nil
}

// sorted reads a folder's wanted names.
func (w *walk) sorted(dir *os.Root, base string, long bool) (_ *sortedNames, err error) {
	n := &sortedNames{store: w.store, long: long}
	defer func() {
		if err != nil {
			n.close()
		}
	}()
	f, err := dir.Open(".")
	if err != nil {
		return n, ignoreGone(err)
	}
	defer f.Close()
	for {
		if err := ended(w.ctx); err != nil {
			return nil, err
		}
		found, err := f.ReadDir(readBatch)
		for _, d := range found {
			p, ok := partOf(d.Name(), long)
			if !ok || p.folder != d.IsDir() {
				if w.foreign != nil && d.Name() != partial && strings.HasPrefix(base, w.prefix) {
					w.foreign(base + d.Name())
				}
				continue
			}
			if !w.wanted(base+p.text, p.folder) {
				continue
			}
			if err := n.add(entry{p, d.Name()}); err != nil {
				return nil, err
			}
		}
		if errors.Is(err, io.EOF) || errors.Is(err, fs.ErrNotExist) { // the latter: it was removed meanwhile
			return n, n.finish()
		}
		if err != nil {
			return nil, err
		}
	}
}

// sortedNames are a folder's names in the order of their keys: in memory, and those
// of a large folder as sorted runs in a temporary file, which are merged.
type sortedNames struct {
	store *Store
	long  bool
	held  []entry
	at    int

	spool     *os.File
	spoolName string
	size      int64
	ends      []int64 // of the runs
	runs      runHeap
}

func (n *sortedNames) add(e entry) error {
	n.held = append(n.held, e)
	if len(n.held) < runNames {
		return nil
	}
	return n.flush()
}

func (n *sortedNames) sort() {
	slices.SortFunc(n.held, func(a, b entry) int { return strings.Compare(a.text, b.text) })
}

// flush writes the held names as a run. No name has a line end in it.
func (n *sortedNames) flush() error {
	if n.spool == nil {
		n.spoolName = path.Join(partial, rand.Text())
		f, err := n.store.root.OpenFile(n.spoolName, os.O_RDWR|os.O_CREATE|os.O_EXCL, fileMode)
		if err != nil {
			return err
		}
		n.spool = f
	}
	n.sort()
	w := bufio.NewWriter(n.spool)
	for _, e := range n.held {
		k, err := w.WriteString(e.name + "\n")
		if err != nil {
			return err
		}
		n.size += int64(k)
	}
	n.ends = append(n.ends, n.size)
	n.held = n.held[:0]
	return w.Flush()
}

// finish prepares the merge, or sorts what fitted into memory.
func (n *sortedNames) finish() error {
	if n.spool == nil {
		n.sort()
		return nil
	}
	if len(n.held) > 0 {
		if err := n.flush(); err != nil {
			return err
		}
	}
	n.held = nil
	start := int64(0)
	for _, end := range n.ends {
		r := &run{lines: bufio.NewReader(io.NewSectionReader(n.spool, start, end-start)), long: n.long}
		if err := r.advance(); err != nil {
			return err
		}
		n.runs = append(n.runs, r)
		start = end
	}
	heap.Init(&n.runs)
	return nil
}

// next returns the next name, or io.EOF.
func (n *sortedNames) next() (entry, error) {
	if n.spool == nil {
		if n.at == len(n.held) {
			return entry{}, io.EOF
		}
		n.at++
		return n.held[n.at-1], nil
	}
	if len(n.runs) == 0 {
		return entry{}, io.EOF
	}
	e := n.runs[0].head
	switch err := n.runs[0].advance(); {
	case errors.Is(err, io.EOF):
		heap.Pop(&n.runs)
	case err != nil:
		return entry{}, err
	default:
		heap.Fix(&n.runs, 0)
	}
	return e, nil
}

func (n *sortedNames) close() {
	if n.spool != nil {
		_ = n.spool.Close()
		_ = n.store.root.Remove(n.spoolName) // else SweepPartial takes it
		n.spool = nil
	}
}

// run is one sorted part of the temporary file; head is its next name.
type run struct {
	lines *bufio.Reader
	long  bool
	head  entry
}

func (r *run) advance() error {
	line, err := r.lines.ReadString('\n')
	if err != nil {
		return err
	}
	name := strings.TrimSuffix(line, "\n")
	p, _ := partOf(name, r.long) // it was one when it was written
	r.head = entry{p, name}
	return nil
}

type runHeap []*run

func (h runHeap) Len() int           { return len(h) }
func (h runHeap) Less(i, j int) bool { return h[i].head.text < h[j].head.text }
func (h runHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *runHeap) Push(x any)        { *h = append(*h, x.(*run)) }
func (h *runHeap) Pop() any {
	old := *h
	last := old[len(old)-1]
	*h = old[:len(old)-1]
	return last
}
