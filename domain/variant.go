package domain

import (
	"strconv"
	"strings"
)

// MinHeight and MaxHeight bound a thumbnail's height, in pixels.
const (
	MinHeight = 1
	MaxHeight = 4320
)

// MaxHeightsPerUser bounds the different heights that one user's tiers and grants may add up to.
const MaxHeightsPerUser = 32

// Variant is what of an image is asked for: the original, or the thumbnail of
// a height. The zero value is the original.
type Variant struct{ height int }

// Original is the uploaded bytes, never altered.
var Original = Variant{}

// Thumbnail returns the variant of that height in pixels; false if no permission can have that height.
func Thumbnail(height int) (Variant, bool) {
	if height < MinHeight || height > MaxHeight {
		return Variant{}, false
	}
	return Variant{height: height}, true
}

// ParseVariant reads "original" or "thumbnail:{height}".
func ParseVariant(s string) (Variant, error) {
	if s == "original" {
		return Original, nil
	}
	if h, ok := strings.CutPrefix(s, "thumbnail:"); ok {
		height, err := ParseHeight(h)
		if err != nil {
			return Variant{}, err
		}
		return Variant{height: height}, nil
	}
	return Variant{}, Errorf(Invalid, `a variant is "original" or "thumbnail:{height}"`)
}

// ParseHeight reads a decimal height of 1 to 4320 with no sign and no leading zero.
func ParseHeight(s string) (int, error) {
	if s == "" || len(s) > 4 || s[0] == '0' {
		return 0, badHeight()
	}
	for i := 0; i < len(s); i++ {
		if s[i] < '0' || s[i] > '9' {
			return 0, badHeight()
		}
	}
	h, err := strconv.Atoi(s)
	if err != nil || h < MinHeight || h > MaxHeight {
		return 0, badHeight()
	}
	return h, nil
}

func badHeight() error {
	return Errorf(Invalid, "a height is a whole number from %d to %d without sign or leading zero", MinHeight, MaxHeight)
}

// IsOriginal reports whether the variant is the original.
func (v Variant) IsOriginal() bool { return v.height == 0 }

// Height is the thumbnail's height in pixels as asked for; 0 for the original.
func (v Variant) Height() int { return v.height }

// String returns "original" or "thumbnail:{height}".
func (v Variant) String() string {
	if v.IsOriginal() {
		return "original"
	}
	return "thumbnail:" + strconv.Itoa(v.height)
}

// Permission returns the permission that opens the variant.
func (v Variant) Permission() Permission {
	if v.IsOriginal() {
		return AccessOriginal
	}
	return Permission{kind: permThumbnail, height: v.height}
}

// ThumbnailSize returns the size in pixels of the thumbnail of that height: the
// width follows the aspect ratio, rounded to the nearest pixel (half up), never
// less than 1, and nothing is enlarged.
func ThumbnailSize(width, height, thumbHeight int) (w, h int) {
	if thumbHeight >= height {
		return width, height
	}
	w = int((2*int64(width)*int64(thumbHeight) + int64(height)) / (2 * int64(height)))
	return max(w, 1), thumbHeight
}
