package archive

import (
	"archive/tar"
	"bufio"
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"strings"
	"time"
)

// Writer makes a backup. It is used by one goroutine, and ended by Commit or Abort.
type Writer struct {
	created time.Time
	records string // the folder of its records, by its name in the backup

	// A folder, or a tar stream: dir or tar is set.
	dir     string
	fresh   bool            // the folder was made, or was empty: Abort empties it
	made    bool            // the folder was made: Abort removes it
	folders map[string]bool // of dir, that have got files
	kept    map[string]bool // the names of blobs that the new manifest names; nil where nothing can be left over
	tar     *tar.Writer
	out     *os.File // the tar's file; nil: a pipe
	to      string   // what out is called in the end
	scratch string   // a folder of its own for what is prepared

	sums     *os.File
	sumsText *bufio.Writer
	sumsHash hash.Hash
}

// NewFolder begins a backup in a folder: a new or empty one, or with update also one that
// holds an earlier backup of the same installation, or the beginning of one.
func NewFolder(dir, installation string, update bool) (_ *Writer, err error) {
	w := &Writer{dir: dir, folders: map[string]bool{}}
	entries, err := os.ReadDir(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
			return nil, err
		}
		if err := os.Mkdir(dir, folderMode); err != nil {
			return nil, err
		}
		w.fresh, w.made = true, true
	case err != nil:
		return nil, err
	default:
		w.fresh = true
		for _, e := range entries {
			w.fresh = w.fresh && e.Name() == lostAndFound
		}
	}
	if !w.fresh {
		owner, whole, err := ownerOf(dir)
		switch {
		case err != nil:
			return nil, err
		case owner == "":
			return nil, fmt.Errorf("%s is neither empty nor a backup: name a new folder", dir)
		case owner != installation:
			return nil, fmt.Errorf("%s is the backup of another installation (%s): name a new folder", dir, owner)
		case !update && !whole:
			return nil, fmt.Errorf("%s holds a backup that was interrupted: continue with --update, or name a new folder", dir)
		case !update:
			return nil, fmt.Errorf("%s holds a backup already: bring it up to date with --update, or name a new folder", dir)
		}
		w.kept = map[string]bool{}
	} else if err := w.mark(installation); err != nil {
		return nil, errors.Join(err, w.Abort())
	}
	if err := w.begin(filepath.Join(dir, filepath.FromSlash(w.name())), true); err != nil {
		return nil, errors.Join(err, w.Abort())
	}
	return w, nil
}

// lostAndFound is what a new file system holds.
const lostAndFound = "lost+found"

// name chooses the folder of the records.
func (w *Writer) name() string {
	w.created = time.Now().UTC()
	w.records = recordsName + "/" + w.created.Format("20060102T150405Z") + "-" + strings.ToLower(rand.Text()[:6])
	return w.records
}

// mark says in a fresh folder that a backup has begun, so that it can be continued.
func (w *Writer) mark(installation string) error {
	text, err := json.Marshal(Manifest{Format: Format, Installation: installation})
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(w.dir, partName), append(text, '\n'), fileMode)
}

// ownerOf returns the installation of the backup in a folder, empty if there is no backup, and whether it is whole.
func ownerOf(dir string) (installation string, whole bool, err error) {
	for _, name := range []string{manifestName, partName} {
		text, err := os.ReadFile(filepath.Join(dir, name))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return "", false, err
		}
		m, err := parseManifest(text)
		return m.Installation, name == manifestName, err
	}
	return "", false, nil
}

// NewTar begins a backup in a tar file, which appears under its name once it is whole. What
// is written meanwhile is in a folder beside it, whose name has the installation in it: one
// that a killed backup has left is removed.
func NewTar(file, installation string) (*Writer, error) {
	if _, err := os.Lstat(file); err == nil {
		return nil, fmt.Errorf("%s exists: name a new file", file)
	}
	file, err := filepath.Abs(file)
	if err != nil {
		return nil, err
	}
	prefix := filepath.Join(filepath.Dir(file), ".imagify-backup-"+installation+"-")
	left, err := filepath.Glob(prefix + "*")
	if err != nil {
		return nil, err
	}
	for _, folder := range left {
		if err := os.RemoveAll(folder); err != nil {
			return nil, err
		}
	}
	scratch, err := os.MkdirTemp(filepath.Split(prefix + "*"))
	if err != nil {
		return nil, err
	}
	w := &Writer{to: file}
	w.name()
	if w.out, err = os.OpenFile(filepath.Join(scratch, "backup.tar"), os.O_CREATE|os.O_EXCL|os.O_WRONLY, fileMode); err != nil {
		return nil, errors.Join(err, os.RemoveAll(scratch))
	}
	w.tar = tar.NewWriter(w.out)
	if err := w.begin(scratch, false); err != nil {
		return nil, errors.Join(err, w.Abort())
	}
	return w, nil
}

// NewPipe begins a backup as a tar stream. The database is prepared in the system's temporary folder.
func NewPipe(to io.Writer) (*Writer, error) {
	scratch, err := os.MkdirTemp("", "imagify-backup-*")
	if err != nil {
		return nil, err
	}
	w := &Writer{tar: tar.NewWriter(to)}
	w.name()
	if err := w.begin(scratch, false); err != nil {
		return nil, errors.Join(err, w.Abort())
	}
	return w, nil
}

func (w *Writer) begin(scratch string, makeIt bool) (err error) {
	w.scratch = scratch
	if makeIt {
		if err := os.MkdirAll(scratch, folderMode); err != nil {
			return err
		}
	}
	if w.sums, err = os.OpenFile(filepath.Join(scratch, sumsName), os.O_CREATE|os.O_EXCL|os.O_RDWR, fileMode); err != nil {
		return err
	}
	w.sumsHash = sha256.New()
	w.sumsText = bufio.NewWriter(io.MultiWriter(w.sums, w.sumsHash))
	return nil
}

// Scratch is the path at which the caller makes one of the records' files, such as DatabaseName.
func (w *Writer) Scratch(file string) string { return filepath.Join(w.scratch, file) }

// Has reports whether the backup holds the blob already, and then keeps it. A blob has its
// name only once it is whole.
func (w *Writer) Has(key string, size int64, sum [sha256.Size]byte) (bool, error) {
	if w.kept == nil {
		return false, nil
	}
	name := blobName(key)
	info, err := os.Lstat(w.path(name))
	if errors.Is(err, fs.ErrNotExist) || err == nil && (!info.Mode().IsRegular() || info.Size() != size) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	w.kept[name] = true
	return true, w.sum(name, sum[:])
}

func (w *Writer) path(name string) string { return filepath.Join(w.dir, filepath.FromSlash(name)) }

// sum notes a file's digest.
func (w *Writer) sum(name string, sum []byte) error {
	_, err := fmt.Fprintf(w.sumsText, "%s  %s\n", hex.EncodeToString(sum), name)
	return err
}

// Put adds a blob of this size and SHA-256. A tar cannot take back what it has begun, so a
// body that goes there is read once before.
func (w *Writer) Put(key string, size int64, sum [sha256.Size]byte, body io.ReadSeeker) error {
	name := blobName(key)
	if w.tar != nil {
		if _, err := copyAll(io.Discard, body); err != nil {
			return err
		}
		if _, err := body.Seek(0, io.SeekStart); err != nil {
			return err
		}
		return w.add(name, size, sum[:], body)
	}
	part := w.Scratch("part")
	f, err := os.OpenFile(part, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, fileMode)
	if err != nil {
		return err
	}
	got, err := copyAll(f, body)
	if err == nil {
		err = same(name, size, sum[:], got)
	}
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		if err = w.folder(path.Dir(name)); err == nil {
			err = os.Rename(part, w.path(name))
		}
	}
	if err != nil {
		return errors.Join(err, os.Remove(part))
	}
	if w.kept != nil {
		w.kept[name] = true
	}
	return w.sum(name, sum[:])
}

// folder makes a folder of the backup, and remembers that it and those above are to be synced.
func (w *Writer) folder(name string) error {
	if w.folders[name] {
		return nil
	}
	if err := os.MkdirAll(w.path(name), folderMode); err != nil {
		return err
	}
	for ; !w.folders[name]; name = path.Dir(name) {
		w.folders[name] = true
	}
	return nil
}

// copied is what was copied.
type copied struct {
	size int64
	sum  []byte
}

func copyAll(to io.Writer, from io.Reader) (copied, error) {
	h := sha256.New()
	// Only Read and Write: a file that copied itself would pass by what watches it.
	n, err := io.CopyBuffer(struct{ io.Writer }{io.MultiWriter(to, h)}, struct{ io.Reader }{from}, make([]byte, bufferSize))
	return copied{n, h.Sum(nil)}, err
}

// same compares what was copied with what it had to be.
func same(name string, size int64, sum []byte, got copied) error {
	if got.size != size || string(got.sum) != string(sum) {
		return fmt.Errorf("%s has %d bytes of SHA-256 %x where %d of %x were to be copied", name, got.size, got.sum, size, sum)
	}
	return nil
}

// add writes a file of known bytes to the tar.
func (w *Writer) add(name string, size int64, sum []byte, body io.Reader) error {
	if err := w.tar.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Size: size, Mode: fileMode, ModTime: w.created}); err != nil {
		return err
	}
	got, err := copyAll(w.tar, body)
	if err != nil {
		return err
	}
	if err := same(name, size, sum, got); err != nil {
		return err
	}
	return w.sum(name, sum)
}

// Commit adds the records' files that were made at Scratch, and completes the backup. After
// an error Abort is still to be called.
func (w *Writer) Commit(m Manifest, files ...string) error {
	for _, file := range files {
		if err := w.record(file); err != nil {
			return err
		}
	}
	if err := errors.Join(w.sumsText.Flush(), w.sums.Sync()); err != nil {
		return err
	}
	m.Format, m.CreatedAt, m.Records, m.Sums = Format, w.created, w.records, hex.EncodeToString(w.sumsHash.Sum(nil))
	text, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return err
	}
	text = append(text, '\n')
	if w.tar != nil {
		return w.commitTar(text)
	}
	return w.commitFolder(text)
}

// record adds one file that was made at Scratch.
func (w *Writer) record(file string) error {
	f, err := os.Open(w.Scratch(file))
	if err != nil {
		return err
	}
	defer f.Close()
	got, err := copyAll(io.Discard, f)
	if err != nil {
		return err
	}
	name := w.records + "/" + file
	if w.tar == nil {
		return w.sum(name, got.sum)
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return err
	}
	return w.add(name, got.size, got.sum, f)
}

func (w *Writer) commitTar(manifest []byte) error {
	size, err := w.sums.Seek(0, io.SeekEnd)
	if err == nil {
		_, err = w.sums.Seek(0, io.SeekStart)
	}
	if err != nil {
		return err
	}
	for _, e := range []struct {
		name string
		size int64
		body io.Reader
	}{
		{w.records + "/" + sumsName, size, w.sums},
		{manifestName, int64(len(manifest)), bytes.NewReader(manifest)},
	} {
		if err := w.tar.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: e.name, Size: e.size, Mode: fileMode, ModTime: w.created}); err != nil {
			return err
		}
		if _, err := copyAll(w.tar, e.body); err != nil {
			return err
		}
	}
	if err := w.tar.Close(); err != nil {
		return err
	}
	if w.out != nil {
		if err := errors.Join(w.out.Sync(), w.out.Close()); err != nil {
			return err
		}
		// A link never replaces a file. Where the file system has no links, the check at the beginning has to do.
		if err := os.Link(w.out.Name(), w.to); errors.Is(err, fs.ErrExist) {
			return fmt.Errorf("%s exists: name a new file", w.to)
		} else if err != nil {
			if err := os.Rename(w.out.Name(), w.to); err != nil {
				return err
			}
		}
		if err := SyncFolder(filepath.Dir(w.to)); err != nil {
			return err
		}
	}
	return errors.Join(w.sums.Close(), os.RemoveAll(w.scratch))
}

func (w *Writer) commitFolder(manifest []byte) error {
	if err := w.sums.Close(); err != nil {
		return err
	}
	if err := w.folder(w.records); err != nil {
		return err
	}
	// Everything that the manifest names is durable before it.
	for name := range w.folders {
		if err := SyncFolder(w.path(name)); err != nil {
			return err
		}
	}
	next := w.Scratch(manifestName)
	if _, err := WriteNew(next, bytes.NewReader(manifest)); err != nil {
		return err
	}
	if err := os.Rename(next, w.path(manifestName)); err != nil {
		return err
	}
	made := w.made
	w.fresh, w.made, w.scratch = false, false, "" // from here on it is a backup, and Abort touches nothing of it
	if err := SyncFolder(w.dir); err != nil {
		return err
	}
	if made {
		if err := SyncFolder(filepath.Dir(w.dir)); err != nil {
			return err
		}
	}
	if err := os.Remove(w.path(partName)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := w.removeOld(); err != nil {
		return fmt.Errorf("the backup is whole, but what it does not need any more could not be removed: %w", err)
	}
	return nil
}

// removeOld removes what the manifest does not name.
func (w *Writer) removeOld() error {
	if w.kept == nil {
		return nil
	}
	old, err := os.ReadDir(w.path(recordsName))
	if err != nil {
		return err
	}
	for _, e := range old {
		if name := recordsName + "/" + e.Name(); name != w.records {
			if err := os.RemoveAll(w.path(name)); err != nil {
				return err
			}
		}
	}
	_, err = w.removeBlobs(blobsName)
	return err
}

// removeBlobs removes the blobs of a folder that are not kept, and folders that are then empty.
func (w *Writer) removeBlobs(folder string) (left int, err error) {
	entries, err := os.ReadDir(w.path(folder))
	if err != nil {
		return 0, err
	}
	for _, e := range entries {
		name := folder + "/" + e.Name()
		here := 0
		if e.IsDir() {
			if here, err = w.removeBlobs(name); err != nil {
				return left, err
			}
		} else if w.kept[name] {
			here = 1
		}
		if here == 0 {
			if err := os.Remove(w.path(name)); err != nil {
				return left, err
			}
		}
		left += here
	}
	return left, nil
}

// Abort ends a backup that was not completed. Of a new one nothing is left; an earlier one
// in the same folder stays as it was, and what was added to it serves the next update.
func (w *Writer) Abort() error {
	if w.sums != nil {
		_ = w.sums.Close() // what it holds is thrown away
	}
	if w.out != nil {
		_ = w.out.Close()
	}
	if w.scratch == "" && !w.fresh {
		return nil
	}
	var err error
	if w.scratch != "" {
		err = os.RemoveAll(w.scratch)
	}
	if w.fresh {
		for _, name := range []string{blobsName, recordsName, partName} {
			err = errors.Join(err, os.RemoveAll(w.path(name)))
		}
	}
	if w.made {
		err = errors.Join(err, os.Remove(w.dir))
	}
	return err
}

// SyncFolder makes the names in a folder durable.
func SyncFolder(dir string) error {
	if runtime.GOOS == "windows" {
		return nil // folders cannot be synced there
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
