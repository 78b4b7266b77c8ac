package domain

import "strings"

// Format is an image format that imagify accepts.
type Format string

// The formats. Nothing else is accepted, whatever a name or a header claims.
const (
	JPEG Format = "jpeg"
	PNG  Format = "png"
	WebP Format = "webp"
	GIF  Format = "gif"
	HEIC Format = "heic"
)

// Formats lists those that this build can decode.
func Formats() []Format {
	f := []Format{JPEG, PNG, WebP, GIF}
	if withHEIC {
		f = append(f, HEIC)
	}
	return f
}

// Name is what people call the format.
func (f Format) Name() string {
	if f == WebP {
		return "WebP"
	}
	return strings.ToUpper(string(f))
}

// ContentType is the format's media type.
func (f Format) ContentType() string { return "image/" + string(f) }

// Extension is the format's usual file name extension, with its dot.
func (f Format) Extension() string {
	if f == JPEG {
		return ".jpg"
	}
	return "." + string(f)
}

// SniffLength is the number of bytes that Sniff needs to see.
const SniffLength = 12

// Sniff tells the format by the first bytes of a file, or false if they begin none that is accepted.
func Sniff(head []byte) (Format, bool) {
	has := func(at int, s string) bool { return len(head) >= at+len(s) && string(head[at:at+len(s)]) == s }
	switch {
	case has(0, "\xff\xd8\xff"): // T.81 B.2.1: SOI, then another marker
		return JPEG, true
	case has(0, "\x89PNG\r\n\x1a\n"): // PNG 3rd edition, 5.2
		return PNG, true
	case has(0, "RIFF") && has(8, "WEBP"): // WebP container, "WebP file header"
		return WebP, true
	case has(0, "GIF87a"), has(0, "GIF89a"): // GIF89a, section 17
		return GIF, true
	case has(4, "ftyp") && len(head) >= 12: // ISO/IEC 23008-12, 10 and annex B
		switch string(head[8:12]) {
		// mif1 and msf1 hold pictures of any coding; the decoder names one that is not HEVC.
		case "heic", "heix", "heim", "heis", "hevc", "hevx", "hevm", "hevs", "mif1", "mif2", "msf1", "miaf", "heif":
			return HEIC, true
		}
	}
	return "", false
}
