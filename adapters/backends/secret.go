package backends

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// storedKey returns the secret key of the data folder, made at the first start. Of
// two processes that start at once one makes it.
func (c Config) storedKey() ([][]byte, error) {
	if Scheme(c.Database) == "mem" && Scheme(c.Storage) == "mem" {
		return [][]byte{[]byte(rand.Text())}, nil // nothing outlives the process
	}
	path := c.SecretFile()
	for {
		b, err := os.ReadFile(path)
		if err == nil {
			key := strings.TrimSpace(string(b))
			if len(key) < minKey {
				return nil, &Error{"SecretKeys", fmt.Errorf("%s holds no secret key: restore it, or remove it to have a new one made (which ends the URLs handed out)", path)}
			}
			return [][]byte{[]byte(key)}, nil
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return nil, &Error{"SecretKeys", fmt.Errorf("the secret key cannot be read: %w; make its file readable, or set a key", err)}
		}
		if c.Existing {
			// The server has its key from elsewhere; a command that signs nothing must not leave one behind.
			return [][]byte{[]byte(rand.Text())}, nil
		}
		if err := makeKey(path); err != nil && !errors.Is(err, fs.ErrExist) {
			return nil, &Error{"SecretKeys", fmt.Errorf("no key is set, and a new one cannot be stored: %w; make the folder writable, or set a key", err)}
		}
	}
}

// makeKey writes a new key whole, readable by its owner only, unless one is there.
func makeKey(path string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".secret-*") // mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	var key [32]byte
	rand.Read(key[:])
	_, err = f.WriteString(base64.RawURLEncoding.EncodeToString(key[:]) + "\n")
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Link(f.Name(), path)
}
