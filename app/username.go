package app

import (
	"strings"

	"golang.org/x/text/unicode/norm"
)

// cleanUsername is a user name as it is kept and looked up: in Unicode's form NFKC, so that
// one name has one spelling, and without the spaces that a phone's keyboard puts around it.
func cleanUsername(name string) string {
	if isPlain(name) {
		return name // nearly every name, and no copy of it
	}
	return norm.NFKC.String(strings.TrimSpace(name))
}

// isPlain reports whether a name has only printable ASCII characters and no spaces.
func isPlain(name string) bool {
	for i := range len(name) {
		if name[i] <= ' ' || name[i] > '~' {
			return false
		}
	}
	return true
}
