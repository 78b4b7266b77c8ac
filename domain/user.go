package domain

import (
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// User is an account. There is no self-registration: admins make them.
type User struct {
	ID       ID
	Username string // in Unicode's form NFKC and shown as given; unique by UserNameKey
	Email    string
	// PasswordHash is an encoded Argon2id hash; empty means that no password signs in.
	PasswordHash string
	Tiers        []string    // names, sorted, each once
	Grants       Permissions // given directly
	IsAdmin      bool
	IsActive     bool
	// Epoch counts what ends every session of the user: a password change, a
	// deactivation, "sign out everywhere". A session of another epoch is dead.
	Epoch int64
	// Deleting is set from the moment a deletion is acknowledged until the user's images are gone.
	Deleting             bool
	CreatedAt, UpdatedAt time.Time
}

// MaxUsername bounds a user name, in characters.
const MaxUsername = 150

// Validate refuses a user that may not be kept.
func (u User) Validate() error {
	if !validUsername(u.Username) {
		return InvalidField("username", "format", "1 to %d characters, each a letter or digit of any script or one of @ . + - _", MaxUsername)
	}
	if err := validText("email", u.Email, 254); err != nil {
		return err
	}
	if u.Email != "" && (strings.Count(u.Email, "@") != 1 || strings.HasPrefix(u.Email, "@") || strings.HasSuffix(u.Email, "@") || strings.ContainsAny(u.Email, " \t")) {
		return InvalidField("email", "format", "not an e-mail address")
	}
	return nil
}

// validUsername reports whether a name, which is in NFKC already, may be a user's. Marks
// (vowel signs, accents that no letter has built in) count as part of the letter before
// them: scripts such as Devanagari or Thai cannot be written without them. The names "."
// and ".." are refused because no URL can end with them.
func validUsername(name string) bool {
	if n := utf8.RuneCountInString(name); n == 0 || n > MaxUsername || !utf8.ValidString(name) || name == "." || name == ".." {
		return false
	}
	letter := false // the character before was a letter, with its marks
	for _, r := range name {
		switch {
		case unicode.IsLetter(r):
			letter = true
		case letter && unicode.In(r, unicode.Mn, unicode.Mc):
		case unicode.IsNumber(r), strings.ContainsRune("@.+-_", r):
			letter = false
		default:
			return false
		}
	}
	return true
}

// UserNameKey is by what user names are unique: names that differ only in case have the
// same key. The name is in NFKC. A key has as many characters as its name.
func UserNameKey(name string) string {
	return strings.Map(func(r rune) rune {
		if r < utf8.RuneSelf {
			if 'A' <= r && r <= 'Z' {
				r += 'a' - 'A'
			}
			return r
		}
		// Of all characters that fold into each other (as k, K and the Kelvin sign do) the lowest stands for them.
		low := r
		for f := unicode.SimpleFold(r); f != r; f = unicode.SimpleFold(f) {
			low = min(low, f)
		}
		return unicode.ToLower(low)
	}, name)
}

// SetTiers keeps the names sorted, each once.
func (u *User) SetTiers(names []string) {
	names = slices.Clone(names)
	slices.Sort(names)
	u.Tiers = slices.Compact(names)
}

// MinPassword and MaxPassword bound a password, in characters and in bytes.
const (
	MinPassword = 8
	MaxPassword = 1024
)

// CheckPassword refuses a new password that is too short, or longer than is worth hashing.
func CheckPassword(password string) error {
	switch {
	case len(password) > MaxPassword:
		return InvalidField("password", "range", "at most %d bytes", MaxPassword)
	case !utf8.ValidString(password):
		return InvalidField("password", "format", "must be UTF-8")
	case utf8.RuneCountInString(password) < MinPassword:
		return InvalidField("password", "range", "at least %d characters", MinPassword)
	}
	return nil
}

// Session is a browser's sign-in. Its secret is kept only as a hash.
type Session struct {
	Hash                 SecretHash
	UserID               ID
	Epoch                int64 // the user's at sign-in
	CreatedAt, ExpiresAt time.Time
}

// Token is an API token. Its secret is kept only as a hash. A token can do what its user can, never more.
type Token struct {
	ID        ID
	Hash      SecretHash
	UserID    ID
	Name      string
	CreatedAt time.Time
	ExpiresAt time.Time // zero: never
}

// MaxTokens is how many API tokens a user may have, whatever their tier says.
const MaxTokens = 1_000

// MaxSessions is how many sign-ins of a user live at once: more than one person has
// browsers, and few enough that no account fills the table. One more ends the oldest, so
// that nobody is kept from signing in.
const MaxSessions = 100

// Validate refuses a token that may not be kept.
func (t Token) Validate() error {
	if t.Name == "" {
		return InvalidField("name", "required", "give the token a name")
	}
	return validText("name", t.Name, 100)
}

// Expired reports whether the token is dead at that time.
func (t Token) Expired(now time.Time) bool { return !t.ExpiresAt.IsZero() && !now.Before(t.ExpiresAt) }

// SecretHash is the SHA-256 of a random secret of at least 128 bits: a session's, a token's, a link's.
type SecretHash [32]byte

// AuthMethod is by what an actor signed in.
type AuthMethod string

// The methods.
const (
	AuthSession AuthMethod = "session" // a browser's cookie
	AuthToken   AuthMethod = "token"   // an API token
	AuthBasic   AuthMethod = "basic"   // HTTP Basic
	AuthSystem  AuthMethod = "system"  // an operator at the machine
	AuthExplain AuthMethod = "explain" // nobody: a decision is only explained
)

// Actor is who asks, and by what credentials.
type Actor struct {
	User         User
	Entitlements Entitlements
	// Via is by what the actor signed in; empty for nobody.
	Via AuthMethod
	// Credential is the hash of the session's or the token's secret, by which a long
	// answer asks whether it still holds; zero for others.
	Credential SecretHash
	// RequestID and Address (the client's, without port) go to the audit log.
	RequestID, Address string
}

// SystemActor acts for an operator at the machine (the command line, the first start): an admin without an account.
func SystemActor(name string) Actor {
	return Actor{User: User{Username: name, IsAdmin: true, IsActive: true}, Via: AuthSystem}
}

// SignedIn reports whether somebody is signed in.
func (a Actor) SignedIn() bool { return a.Via != "" && a.User.IsActive && !a.User.Deleting }

// Admin reports whether the actor may manage users, tiers, images and links.
func (a Actor) Admin() bool { return a.SignedIn() && a.User.IsAdmin }

// AuditEntry is one administrative change.
type AuditEntry struct {
	ID        ID
	At        time.Time
	ActorID   ID     // zero for the system
	Actor     string // the user name
	Action    string // "user.create", "tier.update", "image.delete", …
	Target    string // what was changed: a user name, a tier's name, an id
	Before    []byte // JSON, without secrets; nil where there is none
	After     []byte
	RequestID string
	Address   string
}
