package domain_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/imagify-api/imagify/domain"
)

func TestErrors(t *testing.T) {
	inner := domain.Errorf(domain.NotFound, "no such row")
	outer := fmt.Errorf("reading: %w", domain.Wrap(domain.Unavailable, inner, "try again"))
	assert.Equal(t, domain.Unavailable, domain.CodeOf(outer), "the outermost code wins")
	assert.ErrorIs(t, outer, domain.Unavailable)
	assert.ErrorIs(t, outer, domain.NotFound, "and the inner one can still be asked for")
	assert.Equal(t, domain.Internal, domain.CodeOf(errors.New("x")))
	assert.Equal(t, domain.Code(""), domain.CodeOf(nil))
	assert.Equal(t, domain.Conflict, domain.CodeOf(errors.Join(errors.New("x"), domain.Conflict)))
	assert.Equal(t, domain.Conflict, domain.CodeOf(domain.Conflict))
	assert.Equal(t, "try again", domain.AsError(outer).Msg)
	assert.Equal(t, domain.Internal, domain.AsError(errors.New("x")).Code)
	assert.Contains(t, outer.Error(), "no such row", "a log sees the cause")
	seen := map[domain.Code]bool{}
	for _, c := range domain.Codes() {
		assert.False(t, seen[c], c)
		seen[c] = true
		assert.NotEmpty(t, c.Error())
	}
	e := domain.LimitError(domain.TooLarge, 5, "more than %d", 5)
	assert.EqualValues(t, 5, *e.Limit)
}

func TestParseID(t *testing.T) {
	const text = "01900000-0000-7abc-8def-0123456789ab"
	id, err := domain.ParseID(text)
	require.NoError(t, err)
	assert.Equal(t, text, id.String())
	for _, bad := range []string{
		"", "x", strings.ToUpper(text), "{" + text + "}", "urn:uuid:" + text, strings.ReplaceAll(text, "-", ""), text + "0",
		"01900000-0000-7abc-8def-0123456789ag", "01900000+0000-7abc-8def-0123456789ab", "00000000-0000-0000-0000-000000000000", "../../../../../etc/passwd-aaaaaaaaaaa",
	} {
		_, err := domain.ParseID(bad)
		assert.ErrorIs(t, err, domain.NotFound, "%q", bad)
	}
	at := time.Date(2026, 5, 6, 7, 8, 9, 123e6, time.UTC)
	first := domain.FirstIDAt(at)
	assert.Equal(t, at, first.Time())
	assert.Negative(t, first.Compare(domain.FirstIDAt(at.Add(time.Millisecond))))
	assert.Equal(t, domain.FirstIDAt(time.Unix(0, 0)), domain.FirstIDAt(time.Date(1900, 1, 1, 0, 0, 0, 0, time.UTC)))
}

func FuzzParseID(f *testing.F) {
	f.Add("01900000-0000-7abc-8def-0123456789ab")
	f.Fuzz(func(t *testing.T, s string) {
		if id, err := domain.ParseID(s); err == nil {
			assert.Equal(t, s, id.String(), "one text an id")
		}
	})
}

func TestCleanFilename(t *testing.T) {
	for in, want := range map[string]string{
		"cat.jpg":                     "cat.jpg",
		"../../etc/passwd":            "passwd",
		`C:\Users\me\cat.jpg`:         "cat.jpg",
		"":                            "image.png",
		"..":                          "image.png",
		"a\r\nSet-Cookie: x.jpg":      "aSet-Cookie: x.jpg",
		"tab\there":                   "tabhere",
		"nul\x00.jpg":                 "nul.jpg",
		"bad\xff.jpg":                 "bad.jpg",
		"gpj.\u202egnp":               "gpj.gnp", // right-to-left override
		"ünïcödé 猫.jpg":               "ünïcödé 猫.jpg",
		"<script>alert(1)<_script>.x": "<script>alert(1)<_script>.x", // inert: it is escaped where it is shown
		"  spaced  ":                  "spaced",
		strings.Repeat("é", 200):      strings.Repeat("é", 127),
		"👩\u200d👧.jpg":                "👩\u200d👧.jpg", // one picture of two people
		"می\u200cخواهم.jpg":           "می\u200cخواهم.jpg",
		"\u200d.\u200c":               "image.png",
		"a\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u061cb": "ab",     // everything that turns the direction
		"a\u200b\ufeff\u00ad\u2060b.jpg":                                             "ab.jpg", // other format characters
	} {
		assert.Equal(t, want, domain.CleanFilename(in, domain.PNG), "%q", in)
	}
}

func FuzzCleanFilename(f *testing.F) {
	f.Add("cat.jpg")
	f.Add("../\x00\u2028\xff")
	f.Fuzz(func(t *testing.T, s string) {
		got := domain.CleanFilename(s, domain.JPEG)
		assert.True(t, utf8.ValidString(got) && got != "" && len(got) <= domain.MaxFilename)
		assert.False(t, strings.ContainsAny(got, "/\\\r\n\x00"))
		assert.Equal(t, got, domain.CleanFilename(got, domain.JPEG), "clean stays clean")
	})
}

func TestSniff(t *testing.T) {
	for in, want := range map[string]domain.Format{
		"\xff\xd8\xff\xe0":             domain.JPEG,
		"\x89PNG\r\n\x1a\n":            domain.PNG,
		"RIFF\x00\x00\x00\x00WEBPVP8 ": domain.WebP,
		"GIF87a":                       domain.GIF,
		"GIF89a":                       domain.GIF,
		"\x00\x00\x00\x18ftypheic":     domain.HEIC,
		"\x00\x00\x00\x18ftypmif1":     domain.HEIC,
		"\x00\x00\x00\x18ftypmsf1":     domain.HEIC,
	} {
		got, ok := domain.Sniff([]byte(in))
		assert.True(t, ok)
		assert.Equal(t, want, got)
	}
	for _, in := range []string{"", "\xff\xd8", "%PDF-1.4", "BM", "II*\x00", "RIFF\x00\x00\x00\x00WAVE", "<svg", "GIF88a"} {
		_, ok := domain.Sniff([]byte(in))
		assert.False(t, ok, "%q", in)
	}
	assert.Subset(t, []domain.Format{domain.JPEG, domain.PNG, domain.WebP, domain.GIF, domain.HEIC}, domain.Formats())
	assert.GreaterOrEqual(t, len(domain.Formats()), 4) // HEIC may be left out of a build
	assert.Equal(t, "image/heic", domain.HEIC.ContentType())
	assert.Equal(t, "image/webp", domain.WebP.ContentType())
	assert.Equal(t, domain.PNG, domain.ImageInfo{Alpha: true}.ThumbnailFormat())
	assert.Equal(t, domain.JPEG, domain.ImageInfo{}.ThumbnailFormat())
}

func TestUserValidate(t *testing.T) {
	for _, good := range []string{
		"a", "anna", "Anna.Smith-2", "anna@example.org", "a+b", "0x", "_a", "-a", "@a", "+a", ".a", "...", "ä", "José", "Ольга", "张伟", "हिन्दी", "ผู้ใช้", "٣",
		strings.Repeat("é", 150),
	} {
		assert.NoError(t, domain.User{Username: good}.Validate(), good)
	}
	for _, bad := range []string{
		"", ".", "..", "a b", "a/b", "a\x00", "a:b", "a\u200db", "a\u202eb", "\u0301a", "1\u0301", "a\u00a0b", "a\xff", "😀", "a–b", "a$", strings.Repeat("é", 151),
	} {
		err := domain.User{Username: bad}.Validate()
		assert.ErrorIs(t, err, domain.Invalid, "%q", bad)
		assert.Contains(t, domain.AsError(err).Msg, "any script", "the message says which letters")
	}
	assert.NoError(t, domain.User{Username: "a", Email: "a@b.c"}.Validate())
	for _, bad := range []string{"a", "@b", "a@", "a@b@c", "a @b", strings.Repeat("a", 250) + "@b.cd", "a@b\n"} {
		assert.ErrorIs(t, domain.User{Username: "a", Email: bad}.Validate(), domain.Invalid, "%q", bad)
	}
	var u domain.User
	u.SetTiers([]string{"b", "a", "b"})
	assert.Equal(t, []string{"a", "b"}, u.Tiers)
}

func TestUserNameKey(t *testing.T) {
	for _, same := range [][]string{
		{"anna", "Anna", "ANNA"},
		{"josé", "JOSÉ"},
		{"ольга", "Ольга"},
		{"σοφος", "ΣΟΦΟΣ", "σοφοσ", "σοφος"}, // a sigma at the end of a word is a sigma
		{"k", "K", "\u212a"},                 // the Kelvin sign
		{"straße", "STRAẞE"},
		{"ꭰ", "Ꭰ"}, // Cherokee, whose capitals are the older letters
	} {
		for _, name := range same {
			assert.Equal(t, domain.UserNameKey(same[0]), domain.UserNameKey(name), name)
			assert.Equal(t, domain.UserNameKey(name), domain.UserNameKey(domain.UserNameKey(name)), "the key of a key is itself: %q", name)
		}
	}
	assert.Equal(t, "a.b+c-d_e@f9", domain.UserNameKey("A.b+C-d_E@F9"))
	assert.NotEqual(t, domain.UserNameKey("jose"), domain.UserNameKey("josé"))
	assert.NotEqual(t, domain.UserNameKey("张"), domain.UserNameKey("章"))
}

func FuzzUserNameKey(f *testing.F) {
	f.Add("Anna")
	f.Add("İıſK")
	f.Fuzz(func(t *testing.T, s string) {
		if !utf8.ValidString(s) {
			return
		}
		key := domain.UserNameKey(s)
		assert.Equal(t, utf8.RuneCountInString(s), utf8.RuneCountInString(key))
		assert.Equal(t, key, domain.UserNameKey(key))
		if strings.EqualFold(s, key) {
			return
		}
		assert.Contains(t, s, "İ", "the one letter that has a lower case and folds into nothing")
	})
}

func TestTierValidate(t *testing.T) {
	ok := domain.Tier{Name: "Gold", Title: "Gold", Limits: domain.DefaultLimits()}
	require.NoError(t, ok.Validate())
	for _, bad := range []string{"", " ", "a b", "../x", "é", strings.Repeat("a", 65), ".x"} {
		tier := ok
		tier.Name = bad
		assert.ErrorIs(t, tier.Validate(), domain.Invalid, "%q", bad)
	}
	for _, bad := range []string{strings.Repeat("a", 101), "a\x00b", "\xff"} {
		tier := ok
		tier.Title = bad
		assert.ErrorIs(t, tier.Validate(), domain.Invalid, "%q", bad)
	}
	all := domain.PredefinedTiers(t0)
	require.Len(t, all, 3)
	for _, tier := range all {
		assert.NoError(t, tier.Validate())
		assert.True(t, tier.Predefined)
	}
}

func TestPasswordsAndTokens(t *testing.T) {
	assert.NoError(t, domain.CheckPassword("12345678"))
	assert.NoError(t, domain.CheckPassword(strings.Repeat("ö", 128)))
	for _, bad := range []string{"", "1234567", strings.Repeat("a", 1025), "\xff\xff\xff\xff\xff\xff\xff\xff"} {
		assert.ErrorIs(t, domain.CheckPassword(bad), domain.Invalid)
	}
	assert.ErrorIs(t, domain.Token{}.Validate(), domain.Invalid)
	assert.NoError(t, domain.Token{Name: "ci"}.Validate())
	assert.False(t, domain.Token{}.Expired(t0), "no end: never")
	assert.False(t, domain.Token{ExpiresAt: t0}.Expired(t0.Add(-1)))
	assert.True(t, domain.Token{ExpiresAt: t0}.Expired(t0))
}
