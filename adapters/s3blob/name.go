package s3blob

import (
	"strings"

	"github.com/imagify-api/imagify/ports"
)

// With Options.FileKeys a key's object has a name that a file can have too, and
// names sort as keys do: endMark is less than any character of a key, and breaks
// come at the same places of keys that begin alike.
const (
	endMark  = "!"   // behind each name, so that no name is another's folder
	breakAt  = 100   // characters
	breaking = "(/(" // before each hundredth character, so that no folder's name is too long
)

// object is the key of a blob's object.
func (s *Store) object(key string) *string {
	name := s.prefix + s.begin(key)
	if s.fileKeys {
		name += endMark
	}
	return &name
}

// begin is how the names of blobs begin whose keys begin so, without the prefix.
func (s *Store) begin(key string) string {
	if !s.fileKeys || len(key) <= breakAt {
		return key
	}
	var b strings.Builder
	for len(key) > breakAt {
		b.WriteString(key[:breakAt])
		b.WriteString(breaking)
		key = key[breakAt:]
	}
	b.WriteString(key)
	return b.String()
}

// key is the blob's key of an object, or false for objects that are no blobs: a key
// is only what its own name makes, so that no other object is taken for its blob.
func (s *Store) key(object string) (string, bool) {
	key, ok := strings.CutPrefix(object, s.prefix)
	if ok && s.fileKeys {
		key, ok = strings.CutSuffix(key, endMark)
		key = strings.ReplaceAll(key, breaking, "")
	}
	return key, ok && ports.ValidKey(key) && *s.object(key) == object
}
