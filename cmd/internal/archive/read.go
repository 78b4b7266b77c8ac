package archive

import (
	"archive/tar"
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// Bounds of what is read of a backup's own files, in bytes, and of the damages that are told.
const (
	maxManifest = 256 << 20
	maxSumsLine = 4 << 10
	maxDamages  = 20
)

// Reader reads a backup, in the order in which a tar has its files: what SHA256SUMS
// names in its order, SHA256SUMS, the manifest.
type Reader struct {
	next func() (name string, size int64, body io.Reader, err error)
	done func() error
}

// Open opens a backup: a folder, or a tar file.
func Open(path string) (*Reader, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if info.IsDir() {
		return openFolder(path)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	r := NewReader(f)
	r.done = f.Close
	return r, nil
}

// NewReader reads a backup as a tar stream.
func NewReader(from io.Reader) *Reader {
	t := tar.NewReader(bufio.NewReaderSize(from, bufferSize))
	return &Reader{done: func() error { return nil }, next: func() (string, int64, io.Reader, error) {
		h, err := t.Next()
		switch {
		case errors.Is(err, io.EOF):
			return "", 0, nil, io.EOF
		case err != nil:
			return "", 0, nil, cut(err)
		case h.Typeflag != tar.TypeReg:
			return "", 0, nil, noBackup("%q in it is no file", h.Name)
		}
		return h.Name, h.Size, t, nil
	}}
}

// cut says what it means that a tar cannot be read.
func cut(err error) error {
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return noBackup("it is cut off: the tar ends amid a file; take another backup, or copy this one again")
	}
	if errors.Is(err, tar.ErrHeader) {
		return noBackup("it is no tar, or damaged (%v); of a compressed one pipe the contents: gzip -dc FILE | imagify restore -", err)
	}
	return err
}

func openFolder(dir string) (*Reader, error) {
	text, err := os.ReadFile(filepath.Join(dir, manifestName))
	if errors.Is(err, fs.ErrNotExist) {
		if _, err := os.Stat(filepath.Join(dir, partName)); err == nil {
			return nil, noBackup("%s holds a backup that was interrupted before its %s was written", dir, manifestName)
		}
		return nil, noBackup("there is no %s in %s", manifestName, dir)
	}
	if err != nil {
		return nil, err
	}
	m, err := parseManifest(text)
	if err != nil {
		return nil, err
	}
	root, err := os.OpenRoot(dir) // no name in the backup leads out of it
	if err != nil {
		return nil, err
	}
	sumsPath := m.Records + "/" + sumsName
	sums, err := root.Open(filepath.FromSlash(sumsPath))
	if err != nil {
		return nil, errors.Join(lacks(sumsPath, err), root.Close())
	}
	lines := newSums(sums)
	var open *os.File
	stage := 0
	return &Reader{
		done: func() error {
			if open != nil {
				_ = open.Close() // only read from
			}
			return errors.Join(sums.Close(), root.Close())
		},
		next: func() (string, int64, io.Reader, error) {
			if open != nil {
				_ = open.Close() // only read from
				open = nil
			}
			name := sumsPath
			switch stage {
			case 0:
				line, ok, err := lines.next()
				if err != nil {
					return "", 0, nil, err
				}
				if ok {
					name = line.name
				} else {
					stage = 1
				}
			case 1:
				stage = 2
				return manifestName, int64(len(text)), bytes.NewReader(text), nil
			default:
				return "", 0, nil, io.EOF
			}
			f, err := root.Open(filepath.FromSlash(name))
			if err != nil {
				return "", 0, nil, lacks(name, err)
			}
			open = f
			info, err := f.Stat()
			if err == nil && !info.Mode().IsRegular() {
				err = noBackup("%s in it is no file", name)
			}
			if err != nil {
				return "", 0, nil, err
			}
			return name, info.Size(), f, nil
		},
	}, nil
}

func lacks(name string, err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return noBackup("%s is missing from it", name)
	}
	return err
}

// Close ends the reading.
func (r *Reader) Close() error { return r.done() }

// Read gives each blob and each of the records' files to take, which has to read it to its
// end, and compares all of them with the digests that the backup has of them. What was taken
// is good only if Read returns no error: before the end nobody knows. scratch is a folder for
// its own notes.
func (r *Reader) Read(scratch string, take func(name string, size int64, body io.Reader) error) (Manifest, error) {
	found, err := os.CreateTemp(scratch, "sums-*")
	if err != nil {
		return Manifest{}, err
	}
	defer os.Remove(found.Name())
	defer found.Close()
	notes := bufio.NewWriter(found)
	records, sum := "", ""
	for {
		name, size, body, err := r.next()
		if errors.Is(err, io.EOF) {
			return Manifest{}, noBackup("it ends without its %s: the backup was interrupted, or the file is cut off", manifestName)
		}
		if err != nil {
			return Manifest{}, err
		}
		if name == manifestName {
			if sum == "" {
				return Manifest{}, noBackup("its %s comes before its %s", manifestName, sumsName)
			}
			return readManifest(body, size, records, sum)
		}
		if sum != "" {
			return Manifest{}, noBackup("%q comes after its %s", name, sumsName)
		}
		h := sha256.New()
		watched := &reading{Reader: io.TeeReader(body, h)}
		file, isRecord := RecordsFile(name)
		if isRecord {
			folder := strings.TrimSuffix(name, "/"+file)
			if records == "" {
				records = folder
			}
			if folder != records {
				return Manifest{}, noBackup("it has records in %s and in %s", records, folder)
			}
		}
		if isRecord && file == sumsName {
			if err := notes.Flush(); err != nil {
				return Manifest{}, err
			}
			if _, err := found.Seek(0, io.SeekStart); err != nil {
				return Manifest{}, err
			}
			if err := compare(newSums(watched), newSums(found)); err != nil {
				return Manifest{}, watched.or(err)
			}
			sum = hex.EncodeToString(h.Sum(nil))
			continue
		}
		if _, ok := BlobKey(name); !ok && !isRecord {
			return Manifest{}, noBackup("%q in it is not a backup's", name)
		}
		if err := take(name, size, watched); err != nil {
			return Manifest{}, watched.or(err)
		}
		if _, err := fmt.Fprintf(notes, "%x  %s\n", h.Sum(nil), name); err != nil {
			return Manifest{}, err
		}
	}
}

// reading remembers why a file could not be read, which says more than what came of it.
type reading struct {
	io.Reader
	err error
}

func (r *reading) Read(p []byte) (int, error) {
	n, err := r.Reader.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		r.err = cut(err)
	}
	return n, err
}

func (r *reading) or(err error) error {
	if r.err != nil {
		return r.err
	}
	return err
}

func readManifest(body io.Reader, size int64, records, sum string) (Manifest, error) {
	if size > maxManifest {
		return Manifest{}, noBackup("its %s has %d bytes", manifestName, size)
	}
	text, err := io.ReadAll(body)
	if err != nil {
		return Manifest{}, cut(err)
	}
	m, err := parseManifest(text)
	if err != nil {
		return m, err
	}
	if m.Records != records || m.Sums != sum {
		return m, noBackup("its %s is damaged, or of another backup: the %s does not name the one of SHA-256 %s", sumsName, manifestName, sum)
	}
	return m, nil
}

func parseManifest(text []byte) (Manifest, error) {
	var m Manifest
	if err := json.Unmarshal(text, &m); err != nil {
		return m, noBackup("its %s is damaged: %v", manifestName, err)
	}
	if m.Format > Format {
		return m, noBackup("it has form %d, and this program knows forms up to %d only: use the program that made it (%s), or a newer one", m.Format, Format, m.Program)
	}
	if m.Format < 1 || m.Records != "" && !validRecords(m.Records) {
		return m, noBackup("its %s is damaged", manifestName)
	}
	return m, nil
}

// sums reads a SHA256SUMS line by line.
type sums struct{ lines *bufio.Scanner }

type sumsLine struct{ sum, name string }

func newSums(r io.Reader) *sums {
	s := &sums{bufio.NewScanner(r)}
	s.lines.Buffer(make([]byte, 0, maxSumsLine), maxSumsLine)
	return s
}

func (s *sums) next() (sumsLine, bool, error) {
	if !s.lines.Scan() {
		return sumsLine{}, false, s.lines.Err()
	}
	sum, name, ok := strings.Cut(s.lines.Text(), "  ")
	_, isBlob := BlobKey(name)
	_, isRecord := RecordsFile(name)
	if !ok || len(sum) != 2*sha256.Size || !isBlob && !isRecord {
		return sumsLine{}, false, noBackup("its %s is damaged: it has a line %.100q", sumsName, s.lines.Text())
	}
	return sumsLine{sum, name}, true, nil
}

// compare tells which files are others than they were.
func compare(want, got *sums) error {
	var damaged []string
	for {
		w, wok, err := want.next()
		if err != nil {
			return err
		}
		g, gok, err := got.next()
		if err != nil {
			return err
		}
		switch {
		case !wok && !gok:
			if len(damaged) > 0 {
				return noBackup("these files in it are damaged: %s", strings.Join(damaged, ", "))
			}
			return nil
		case !wok || gok && w.name != g.name:
			return noBackup("%s in it is not in its %s", g.name, sumsName)
		case !gok:
			return noBackup("%s is missing from it", w.name)
		case w.sum == g.sum:
		case len(damaged) < maxDamages:
			damaged = append(damaged, g.name)
		case len(damaged) == maxDamages:
			damaged = append(damaged, "and more")
		}
	}
}
