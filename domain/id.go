package domain

import (
	"bytes"
	"encoding/hex"
	"time"
)

// ID is a UUID (RFC 9562), version 7 wherever imagify makes it: ids of one
// kind sort by the millisecond of their creation.
type ID [16]byte

// ParseID reads canonical text: 36 characters, lower-case hexadecimal, hyphens
// at 8, 13, 18 and 23. Anything else is NotFound: an id that cannot be one
// names nothing that ever existed.
func ParseID(s string) (ID, error) {
	var id ID
	if len(s) != 36 || s[8] != '-' || s[13] != '-' || s[18] != '-' || s[23] != '-' {
		return ID{}, Errorf(NotFound, "no such id")
	}
	for i := 0; i < len(s); i++ {
		if 'A' <= s[i] && s[i] <= 'F' {
			return ID{}, Errorf(NotFound, "no such id")
		}
	}
	packed := s[:8] + s[9:13] + s[14:18] + s[19:23] + s[24:]
	if _, err := hex.Decode(id[:], []byte(packed)); err != nil || id.IsZero() {
		return ID{}, Errorf(NotFound, "no such id")
	}
	return id, nil
}

// String returns the canonical text.
func (id ID) String() string {
	var b [36]byte
	hex.Encode(b[0:8], id[0:4])
	hex.Encode(b[9:13], id[4:6])
	hex.Encode(b[14:18], id[6:8])
	hex.Encode(b[19:23], id[8:10])
	hex.Encode(b[24:36], id[10:16])
	b[8], b[13], b[18], b[23] = '-', '-', '-', '-'
	return string(b[:])
}

// IsZero reports whether the id is not set.
func (id ID) IsZero() bool { return id == ID{} }

// Compare orders ids by their bytes, and so by creation time.
func (id ID) Compare(other ID) int { return bytes.Compare(id[:], other[:]) }

// Time returns the millisecond in a version 7 id.
func (id ID) Time() time.Time {
	var ms int64
	for _, b := range id[:6] {
		ms = ms<<8 | int64(b)
	}
	return time.UnixMilli(ms).UTC()
}

// FirstIDAt returns the lowest version 7 id of t's millisecond: a bound for
// keyset queries by time. Times before 1970 give the lowest id of all.
func FirstIDAt(t time.Time) ID {
	var id ID
	ms := max(t.UnixMilli(), 0)
	for i := 5; i >= 0; i-- {
		id[i] = byte(ms)
		ms >>= 8
	}
	id[6], id[8] = 0x70, 0x80
	return id
}
