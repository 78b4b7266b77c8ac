package app

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/maypok86/otter/v2"
	"golang.org/x/crypto/argon2"

	"github.com/imagify-api/imagify/domain"
)

// Argon2 is the cost of an Argon2id hash (RFC 9106).
type Argon2 struct {
	MemoryKiB   uint32
	Iterations  uint32
	Parallelism uint8
}

// owaspArgon2 is the minimum that OWASP's Password Storage Cheat Sheet recommends: 19 MiB, 2 iterations, 1 lane.
var owaspArgon2 = Argon2{MemoryKiB: 19 * 1024, Iterations: 2, Parallelism: 1}

// passwordHasher makes and checks Argon2id hashes, few at a time so that
// sign-ins cannot take the whole machine.
type passwordHasher struct {
	cost  Argon2
	queue *hashQueue
	// dummy is checked for users that do not exist, so that they take as long as those that do.
	dummy string
}

func newPasswordHasher(cost Argon2, parallel int) (*passwordHasher, error) {
	if cost == (Argon2{}) {
		cost = owaspArgon2
	}
	if cost.MemoryKiB < 8 || cost.Iterations < 1 || cost.Parallelism < 1 {
		return nil, errors.New("imagify: Config.Argon2 needs at least 8 KiB, 1 iteration and 1 lane")
	}
	h := &passwordHasher{cost: cost, queue: newHashQueue(parallel)}
	// The dummy's digest need not be of any password: it must only cost the same to check.
	h.dummy = h.encode(make([]byte, 16), make([]byte, 32))
	return h, nil
}

func (h *passwordHasher) encode(salt, sum []byte) string {
	b64 := base64.RawStdEncoding
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, h.cost.MemoryKiB, h.cost.Iterations, h.cost.Parallelism,
		b64.EncodeToString(salt), b64.EncodeToString(sum))
}

// hash returns an encoded hash of a new password.
func (h *passwordHasher) hash(ctx context.Context, password string) (string, error) {
	if err := domain.CheckPassword(password); err != nil {
		return "", err
	}
	release, err := h.queue.take(ctx, "", true) // who sets a password has been let in already
	if err != nil {
		return "", err
	}
	defer release()
	salt := make([]byte, 16)
	rand.Read(salt)
	sum := argon2.IDKey([]byte(password), salt, h.cost.Iterations, h.cost.MemoryKiB, h.cost.Parallelism, 32)
	return h.encode(salt, sum), nil
}

// check reports whether the password is the hash's. An empty hash is no user's: it takes as long and is never right.
// client is whose turn it takes, known whether the account has been opened from there.
func (h *passwordHasher) check(ctx context.Context, encoded, password, client string, known bool) (bool, error) {
	exists := encoded != ""
	if !exists {
		encoded = h.dummy
	}
	cost, salt, want, err := parseHash(encoded)
	if err != nil {
		return false, err
	}
	if len(password) > domain.MaxPassword {
		return false, nil // no such password can have been set, and length is no secret
	}
	release, err := h.queue.take(ctx, client, known)
	if err != nil {
		return false, err
	}
	defer release()
	got := argon2.IDKey([]byte(password), salt, cost.Iterations, cost.MemoryKiB, cost.Parallelism, uint32(len(want)))
	return subtle.ConstantTimeCompare(got, want) == 1 && exists, nil
}

// parseHash reads the PHC string format of an Argon2id hash.
func parseHash(encoded string) (cost Argon2, salt, sum []byte, err error) {
	bad := errors.New("a stored password hash is not an Argon2id hash")
	parts := strings.Split(encoded, "$")
	if len(parts) != 6 || parts[0] != "" || parts[1] != "argon2id" || parts[2] != "v="+strconv.Itoa(argon2.Version) {
		return cost, nil, nil, bad
	}
	if n, err := fmt.Sscanf(parts[3], "m=%d,t=%d,p=%d", &cost.MemoryKiB, &cost.Iterations, &cost.Parallelism); err != nil || n != 3 ||
		cost.MemoryKiB > 1<<20 || cost.Iterations < 1 || cost.Iterations > 100 || cost.Parallelism < 1 {
		return cost, nil, nil, bad
	}
	if salt, err = base64.RawStdEncoding.Strict().DecodeString(parts[4]); err != nil {
		return cost, nil, nil, bad
	}
	if sum, err = base64.RawStdEncoding.Strict().DecodeString(parts[5]); err != nil || len(sum) < 16 {
		return cost, nil, nil, bad
	}
	return cost, salt, sum, nil
}

// GeneratePassword returns a random password of 20 characters that are easy to tell apart: over 100 bits.
func GeneratePassword() string {
	const letters = "abcdefghijkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789"
	out := make([]byte, 0, 20)
	var b [1]byte
	for len(out) < cap(out) {
		rand.Read(b[:])
		if int(b[0]) < 256-256%len(letters) {
			out = append(out, letters[int(b[0])%len(letters)])
		}
	}
	return string(out)
}

// credentialCache remembers for a minute which user name and password were right
// together, so that HTTP Basic does not cost an Argon2id hash a request. It is
// bounded, keyed by a secret of this process, and an entry counts only while the
// user's epoch is what it was: a password change or a deactivation ends it.
type credentialCache struct {
	key     [32]byte
	entries *otter.Cache[[32]byte, basicEntry]
}

type basicEntry struct {
	user  domain.ID
	epoch int64
}

func newCredentialCache() (*credentialCache, error) {
	m := &credentialCache{}
	rand.Read(m.key[:])
	var err error
	m.entries, err = otter.New(&otter.Options[[32]byte, basicEntry]{
		MaximumSize: 10_000, ExpiryCalculator: otter.ExpiryWriting[[32]byte, basicEntry](time.Minute),
	})
	return m, err
}

func (m *credentialCache) mac(username, password string) [32]byte {
	h := hmac.New(sha256.New, m.key[:])
	fmt.Fprintf(h, "%d:%s%s", len(username), username, password)
	return [32]byte(h.Sum(nil))
}
