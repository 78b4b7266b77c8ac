package domain

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
)

type permissionKind uint8

const (
	permNone permissionKind = iota
	permThumbnail
	permOriginal
	permLink
)

// Permission is one thing that a tier or a direct grant allows. Permissions
// are comparable; the zero value is none.
type Permission struct {
	kind   permissionKind
	height int
}

// The two permissions without a parameter; ThumbnailPermission makes the others.
var (
	AccessOriginal = Permission{kind: permOriginal}
	GenerateLink   = Permission{kind: permLink}
)

const (
	codenameOriginal  = "can_access_original_image"
	codenameLink      = "can_generate_expiring_link"
	codenameThumbnail = "thumbnail:"
)

// ThumbnailPermission returns the permission for the thumbnail of that height in pixels; false outside of 1 to 4320.
func ThumbnailPermission(height int) (Permission, bool) {
	if height < MinHeight || height > MaxHeight {
		return Permission{}, false
	}
	return Permission{kind: permThumbnail, height: height}, true
}

// ParsePermission reads a codename: thumbnail:{height}, can_access_original_image or can_generate_expiring_link.
func ParsePermission(codename string) (Permission, error) {
	switch codename {
	case codenameOriginal:
		return AccessOriginal, nil
	case codenameLink:
		return GenerateLink, nil
	}
	if h, ok := strings.CutPrefix(codename, codenameThumbnail); ok {
		height, err := ParseHeight(h)
		if err != nil {
			return Permission{}, err
		}
		return Permission{kind: permThumbnail, height: height}, nil
	}
	return Permission{}, Errorf(Invalid, "no such permission: there are %s{height}, %s and %s", codenameThumbnail, codenameOriginal, codenameLink)
}

// Height is the height in pixels of a thumbnail permission, else 0.
func (p Permission) Height() int { return p.height }

// String returns the codename.
func (p Permission) String() string {
	switch p.kind {
	case permThumbnail:
		return codenameThumbnail + strconv.Itoa(p.height)
	case permOriginal:
		return codenameOriginal
	case permLink:
		return codenameLink
	}
	return ""
}

// Permissions is a set. The zero value is the empty set; a set is never
// changed once made, so it may be shared.
type Permissions struct{ sorted []Permission }

// NewPermissions returns the set of the given permissions; the zero Permission is left out.
func NewPermissions(ps ...Permission) Permissions {
	s := make([]Permission, 0, len(ps))
	for _, p := range ps {
		if p.kind != permNone {
			s = append(s, p)
		}
	}
	slices.SortFunc(s, comparePermissions)
	return Permissions{sorted: slices.Compact(s)}
}

// ParsePermissions reads codenames; the error names the first invalid one.
func ParsePermissions(codenames []string) (Permissions, error) {
	ps := make([]Permission, len(codenames))
	for i, c := range codenames {
		p, err := ParsePermission(c)
		if err != nil {
			return Permissions{}, InvalidField("permissions["+strconv.Itoa(i)+"]", "format", "%s", AsError(err).Msg)
		}
		ps[i] = p
	}
	return NewPermissions(ps...), nil
}

func comparePermissions(a, b Permission) int {
	return cmp.Or(cmp.Compare(a.kind, b.kind), cmp.Compare(a.height, b.height))
}

// Has reports whether p is in the set.
func (s Permissions) Has(p Permission) bool {
	_, ok := slices.BinarySearchFunc(s.sorted, p, comparePermissions)
	return ok
}

// Len is the number of permissions.
func (s Permissions) Len() int { return len(s.sorted) }

// All returns the permissions: thumbnails by height, then the original, then links.
func (s Permissions) All() []Permission { return slices.Clone(s.sorted) }

// Codenames returns their texts in the same order, never nil.
func (s Permissions) Codenames() []string {
	out := make([]string, len(s.sorted))
	for i, p := range s.sorted {
		out[i] = p.String()
	}
	return out
}

// Heights returns the permitted thumbnail heights in pixels, ascending.
func (s Permissions) Heights() []int {
	var hs []int
	for _, p := range s.sorted {
		if p.kind == permThumbnail {
			hs = append(hs, p.height)
		}
	}
	return hs
}

// Union returns what is in either set.
func (s Permissions) Union(other Permissions) Permissions {
	return NewPermissions(append(s.All(), other.sorted...)...)
}

// Equal reports whether both hold the same permissions.
func (s Permissions) Equal(other Permissions) bool { return slices.Equal(s.sorted, other.sorted) }
