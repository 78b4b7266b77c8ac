// Package gzipblob is a blob store of one's own: it wraps any other and keeps the
// bytes compressed. Its test is one call of imagify's conformance suite.
package gzipblob

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/binary"
	"errors"
	"io"

	"github.com/imagify-api/imagify/domain"
	"github.com/imagify-api/imagify/ports"
)

// Store keeps blobs compressed in another store. It holds a blob in memory
// while it is read or written: an example, for small things.
type Store struct{ In ports.Blobs }

var _ ports.Blobs = Store{}

// Put compresses r, behind the length it has.
func (s Store) Put(ctx context.Context, key string, r io.Reader, o ports.PutOptions) error {
	plain, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	if o.Size >= 0 && o.Size != int64(len(plain)) {
		return domain.Errorf(domain.Invalid, "the blob has %d bytes, %d were announced", len(plain), o.Size)
	}
	packed := bytes.NewBuffer(binary.BigEndian.AppendUint64(nil, uint64(len(plain))))
	w := gzip.NewWriter(packed)
	if _, err := w.Write(plain); err != nil {
		return err
	}
	if err := w.Close(); err != nil {
		return err
	}
	o.Size = int64(packed.Len())
	return s.In.Put(ctx, key, packed, o)
}

// Open unpacks a blob.
func (s Store) Open(ctx context.Context, key string) (ports.Blob, error) {
	b, err := s.In.Open(ctx, key)
	if err != nil {
		return b, err
	}
	defer b.Body.Close()
	if _, err := b.Body.Seek(8, io.SeekStart); err != nil {
		return ports.Blob{}, err
	}
	r, err := gzip.NewReader(b.Body)
	if err != nil {
		return ports.Blob{}, err
	}
	plain, err := io.ReadAll(r)
	if err != nil {
		return ports.Blob{}, err
	}
	return ports.Blob{Body: body{bytes.NewReader(plain)}, Size: int64(len(plain)), ModTime: b.ModTime}, nil
}

type body struct{ *bytes.Reader }

func (body) Close() error { return nil }

// Delete removes blobs.
func (s Store) Delete(ctx context.Context, keys ...string) error { return s.In.Delete(ctx, keys...) }

// Move gives a blob another key, packed as it is.
func (s Store) Move(ctx context.Context, from, to string) error { return s.In.Move(ctx, from, to) }

// Copy gives a blob a second key, packed as it is.
func (s Store) Copy(ctx context.Context, from, to string) error { return s.In.Copy(ctx, from, to) }

// List lists blobs with the sizes that they have unpacked.
func (s Store) List(ctx context.Context, prefix, after string, limit int) ([]ports.BlobInfo, error) {
	infos, err := s.In.List(ctx, prefix, after, limit)
	if err != nil {
		return nil, err
	}
	for i := range infos {
		b, err := s.In.Open(ctx, infos[i].Key)
		if errors.Is(err, domain.NotFound) {
			continue // deleted meanwhile
		}
		if err != nil {
			return nil, err
		}
		var n [8]byte
		_, err = io.ReadFull(b.Body, n[:])
		b.Body.Close()
		if err != nil {
			return nil, err
		}
		infos[i].Size = int64(binary.BigEndian.Uint64(n[:]))
	}
	return infos, nil
}
