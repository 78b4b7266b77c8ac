package fileblob

import (
	"strings"

	"github.com/imagify-api/imagify/ports"
)

// How a key becomes a path. A blob's file is called as the last element of its
// key. The folder of an element has a '+' at its end, so that the keys "a" and
// "a/b" may both exist. No file system takes names as long as keys may be: of an
// element of maxName bytes or more the first maxName become a folder with a '~' at
// its end, and the rest, empty or not, goes on in there after a '='. None of these
// signs may be in a key, and letters in keys are small, so no two keys share a
// path, even where a file system ignores case.
const (
	folderSign = "+"
	longSign   = "~"
	restSign   = "="
	maxName    = 200
)

// pathOf returns the path of a valid key, name by name.
func pathOf(key string) []string {
	var path []string
	elements := strings.Split(key, "/")
	for i, e := range elements {
		sign := ""
		for len(e) >= maxName {
			path = append(path, sign+e[:maxName]+longSign)
			e, sign = e[maxName:], restSign
		}
		if i < len(elements)-1 {
			e += folderSign
		}
		path = append(path, sign+e)
	}
	return path
}

// part is what a name on disk adds to a key.
type part struct {
	text   string
	folder bool
	// long: the element goes on in the folder.
	long bool
}

// partOf reads a name within a folder that is long or not; false if it is no name
// of ours. Sorted by their texts, the parts of one folder are in the order of the
// keys beneath them: a folder's ends with '/', and all that share the first
// maxName bytes of an element are in one folder.
func partOf(name string, long bool) (p part, ok bool) {
	if long {
		if name, ok = strings.CutPrefix(name, restSign); !ok {
			return p, false
		}
	}
	rest, folder := strings.CutSuffix(name, folderSign)
	rest, goesOn := strings.CutSuffix(rest, longSign)
	switch {
	case folder && goesOn, goesOn != (len(rest) == maxName), len(rest) > maxName:
		return p, false
	case rest == "" && !long, !long && !goesOn && (rest == "." || rest == ".."), !plain(rest):
		return p, false
	}
	if folder {
		rest += "/"
	}
	return part{text: rest, folder: folder || goesOn, long: goesOn}, true
}

// plain reports whether a name has only characters of a key's element.
func plain(name string) bool { return !strings.Contains(name, "/") && ports.ValidKey("x"+name) }
