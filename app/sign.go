package app

import (
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"hash"
	"strconv"
	"sync"
	"time"

	"github.com/imagify-api/imagify/domain"
)

// encoding is for secrets and signatures in URLs. Strict: of each value exactly one text is accepted.
var encoding = base64.RawURLEncoding.Strict()

func encodeSecret(b []byte) string { return encoding.EncodeToString(b) }

// hashSecret returns what is stored of a secret.
func hashSecret(secret string) domain.SecretHash { return sha256.Sum256([]byte(secret)) }

// signWindow is how long a signed URL stays the same string; it expires one
// window after the end of the window it was made in.
const signWindow = time.Hour

// macSize is the length of a signature: HMAC-SHA256 truncated to 128 bits (RFC 2104, section 5).
const macSize = 16

// signer signs URLs with one key.
type signer struct{ macs *sync.Pool }

// macState is one HMAC in use, and the memory that it reads and writes.
type macState struct {
	hash hash.Hash
	msg  [44]byte
	sum  [sha256.Size]byte
}

func newSigner(secret []byte) (signer, error) {
	if len(secret) < 16 {
		return signer{}, errors.New("imagify: a secret key needs at least 16 bytes")
	}
	key, err := hkdf.Key(sha256.New, secret, nil, "imagify signed url v1", sha256.Size)
	if err != nil {
		return signer{}, err
	}
	return signer{macs: &sync.Pool{New: func() any { return &macState{hash: hmac.New(sha256.New, key)} }}}, nil
}

// mac signs owner, image, variant and expiry: what the path names, whose rights count, and until when.
func (s signer) mac(owner, image domain.ID, v domain.Variant, expires int64) [macSize]byte {
	m := s.macs.Get().(*macState)
	defer s.macs.Put(m)
	copy(m.msg[0:16], owner[:])
	copy(m.msg[16:32], image[:])
	binary.BigEndian.PutUint32(m.msg[32:36], uint32(v.Height()))
	binary.BigEndian.PutUint64(m.msg[36:44], uint64(expires))
	m.hash.Reset()
	m.hash.Write(m.msg[:])
	return [macSize]byte(m.hash.Sum(m.sum[:0]))
}

// Signature is what makes a URL signed: the query ?expires=…&owner=…&signature=…
type Signature struct {
	expires int64 // Unix time in seconds
	owner   domain.ID
	mac     [macSize]byte
}

// AppendQuery appends the query's parameters, URL-safe as they are.
func (sig Signature) AppendQuery(b []byte) []byte {
	b = append(b, "expires="...)
	b = strconv.AppendInt(b, sig.expires, 10)
	b = append(b, "&owner="...)
	b = encoding.AppendEncode(b, sig.owner[:])
	b = append(b, "&signature="...)
	return encoding.AppendEncode(b, sig.mac[:])
}

// Query returns the query's parameters, URL-safe as they are.
func (sig Signature) Query() string { return string(sig.AppendQuery(nil)) }

// SignatureText is a signature as it came in a URL's query, not yet verified.
type SignatureText struct{ Expires, Owner, Signature string }

// Present reports whether any part is there.
func (q SignatureText) Present() bool { return q.Expires != "" || q.Owner != "" || q.Signature != "" }

// sign signs a variant's URL: the same text for an hour, from a moment that
// differs by image so that not all change at once.
func (s *Service) sign(owner, image domain.ID, v domain.Variant, now time.Time) Signature {
	window := int64(signWindow / time.Second)
	stagger := int64(binary.BigEndian.Uint32(image[12:16])) % window
	end := ((now.Unix()+stagger)/window+1)*window - stagger
	expires := end + window
	return Signature{expires: expires, owner: owner, mac: s.keys[0].mac(owner, image, v, expires)}
}

// verify returns whose rights a signed URL carries and when it ends. The error says nothing but that it is no good.
func (s *Service) verify(q SignatureText, image domain.ID, v domain.Variant, now time.Time) (owner domain.ID, expires time.Time, err error) {
	unix, err := strconv.ParseInt(q.Expires, 10, 64)
	if err != nil || strconv.FormatInt(unix, 10) != q.Expires || len(q.Owner) != 22 || len(q.Signature) != 22 {
		return owner, expires, badSignature()
	}
	var got [macSize]byte
	if _, err := encoding.Decode(owner[:], []byte(q.Owner)); err != nil {
		return owner, expires, badSignature()
	}
	if _, err := encoding.Decode(got[:], []byte(q.Signature)); err != nil {
		return owner, expires, badSignature()
	}
	for _, k := range s.keys {
		if want := k.mac(owner, image, v, unix); subtle.ConstantTimeCompare(got[:], want[:]) == 1 {
			if expires = time.Unix(unix, 0); now.Before(expires) {
				return owner, expires, nil
			}
			return owner, expires, badSignature()
		}
	}
	return owner, expires, badSignature()
}

func badSignature() error {
	return domain.Errorf(domain.Denied, "the URL's signature is wrong or has expired")
}
