// Package archive is the form of a backup: a folder, or the same as a tar stream.
//
//	blobs/KEY                      each original by its key, and the installation's id
//	records/TIME/imagify.db        the database
//	records/TIME/secret.key        the secret key (mode 0600), unless it was left out
//	records/TIME/SHA256SUMS        the SHA-256 of all of these, in the form of sha256sum
//	manifest.json                  which records are valid, and the SHA-256 of their SHA256SUMS
//
// The manifest comes last and appears whole: without one it is not a backup. A folder that is
// updated gets a new folder of records beside the old one, and only once the new manifest
// stands in place of the old, whatever it does not name is removed.
package archive

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"strings"
	"time"

	"github.com/imagify-api/imagify/ports"
)

// Format is the version of the form that this package writes, and the newest that it reads.
const Format = 1

// The names within a backup.
const (
	manifestName = "manifest.json"
	blobsName    = "blobs"
	recordsName  = "records"
	sumsName     = "SHA256SUMS"

	// DatabaseName and SecretName are files among the records.
	DatabaseName = "imagify.db"
	SecretName   = "secret.key"

	// partName stands in a folder in which a backup was begun, until there is a manifest.
	partName = "manifest.part"

	folderMode = 0o700
	fileMode   = 0o600
	// bufferSize is the piece in which files are copied, in bytes.
	bufferSize = 256 << 10
)

// Manifest is what a backup says of itself.
type Manifest struct {
	Format int `json:"format"`
	// Program is the version that made it.
	Program string `json:"program"`
	// Installation is the id of what was backed up.
	Installation string    `json:"installation"`
	CreatedAt    time.Time `json:"created_at"`
	// Records is the folder of the valid records, Sums the SHA-256 of its SHA256SUMS, in hexadecimal.
	Records string `json:"records"`
	Sums    string `json:"sha256sums"`
	// SecretKey says that the secret key is among the records.
	SecretKey bool `json:"secret_key"`
	// Images and Bytes are the originals in it.
	Images int   `json:"images"`
	Bytes  int64 `json:"bytes"`
	// Missing are the ids of images whose original was lost or damaged already.
	Missing []string `json:"missing,omitempty"`
}

// WriteNew writes a new file, durably and readable by its owner alone, and returns how many
// bytes it got. A path that exists is an error that is fs.ErrExist; after another error the
// file may be there in part.
func WriteNew(path string, body io.Reader) (n int64, err error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, fileMode)
	if err != nil {
		return 0, err
	}
	n, err = io.CopyBuffer(struct{ io.Writer }{f}, struct{ io.Reader }{body}, make([]byte, bufferSize))
	return n, errors.Join(err, f.Sync(), f.Close())
}

// blobName is a blob's name in a backup.
func blobName(key string) string { return blobsName + "/" + key }

// BlobKey is the key of the blob that a file of a backup holds; false if it holds none.
func BlobKey(name string) (key string, ok bool) {
	key, ok = strings.CutPrefix(name, blobsName+"/")
	return key, ok && ports.ValidKey(key)
}

// RecordsFile is the name of a file among the records, such as DatabaseName; false for any other file.
func RecordsFile(name string) (file string, ok bool) {
	parts := strings.Split(name, "/")
	if len(parts) != 3 || parts[0] != recordsName || !validRecords(parts[0]+"/"+parts[1]) {
		return "", false
	}
	switch parts[2] {
	case DatabaseName, SecretName, sumsName:
		return parts[2], true
	}
	return "", false
}

// validRecords reports whether a manifest may name this folder of records.
func validRecords(folder string) bool {
	name, ok := strings.CutPrefix(folder, recordsName+"/")
	return ok && name != "" && name != "." && name != ".." && !strings.ContainsAny(name, "/\\") && path.Clean(folder) == folder
}

// ErrNoBackup says that what was named is not a backup, or not a whole one.
var ErrNoBackup = errors.New("not a whole backup")

func noBackup(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrNoBackup, fmt.Sprintf(format, args...))
}
