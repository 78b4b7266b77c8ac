package domain

import (
	"bytes"
	"strings"
)

// ForeignLength is the number of bytes that Foreign makes use of.
const ForeignLength = 512

// Foreign names what a file is that begins no accepted format, for a refusal that
// says what to do, such as "AVIF" and "save it as JPEG". It is false where nobody knows.
func Foreign(head []byte) (name, advice string, ok bool) {
	has := func(at int, s string) bool { return len(head) >= at+len(s) && string(head[at:at+len(s)]) == s }
	const asJPEG = "save it as JPEG or PNG"
	const develop = "develop it to JPEG, which cameras and raw converters do"
	const still = "take a still picture from it"
	switch {
	case len(head) == 0:
		return "empty", "choose the file again", true
	case has(4, "ftyp"): // ISO/IEC 14496-12, 4.3
		switch brand := string(head[8:min(12, len(head))]); brand {
		case "avif", "avis":
			return "AVIF", asJPEG, true
		case "crx ":
			return "a raw photo (Canon CR3)", develop, true
		case "jp2 ", "jpx ", "jpm ":
			return "JPEG 2000", asJPEG, true
		case "avci", "avcs":
			return "HEIF coded as H.264 (AVC)", asJPEG, true
		case "vvic", "vvis":
			return "HEIF coded as H.266 (VVC)", asJPEG, true
		case "j2ki", "j2is":
			return "HEIF coded as JPEG 2000", asJPEG, true
		case "jpeg", "jpgs":
			return "HEIF coded as JPEG", asJPEG, true
		case "mif3": // the brand of what is coded comes in place of its version
			return "a minimized HEIF or AVIF", asJPEG, true
		case "isom", "iso2", "iso3", "iso4", "iso5", "iso6", "iso7", "iso8", "iso9", "mp41", "mp42", "mp71", "avc1", "qt  ", "M4V ", "M4A ", "M4P ",
			"MSNV", "dash", "mmp4", "XAVC", "f4v ", "3gp4", "3gp5", "3gp6", "3gp7", "3g2a", "3g2b", "3g2c":
			return "a video or audio file (" + strings.TrimSpace(brand) + ")", still, true
		default:
			if len(brand) == 4 && printable(brand) {
				return "of another kind (" + strings.TrimSpace(brand) + ")", asJPEG, true
			}
			return "", "", false
		}
	case has(0, "\x00\x00\x00\x0cJXL \r\n\x87\n"), has(0, "\xff\x0a"): // ISO/IEC 18181-2, 18181-1
		return "JPEG XL", asJPEG, true
	case has(0, "\x00\x00\x00\x0cjP  \r\n\x87\n"), has(0, "\xff\x4f\xff\x51"): // ISO/IEC 15444-1, I.5.1, A.4.1
		return "JPEG 2000", asJPEG, true
	case has(0, "II*\x00") && has(8, "CR"):
		return "a raw photo (Canon CR2)", develop, true
	case has(0, "IIRO"), has(0, "IIRS"), has(0, "MMOR"), has(0, "IIU\x00"), has(0, "FUJIFILMCCD-RAW"), has(0, "FOVb"):
		return "a raw photo", develop, true
	case has(0, "II*\x00"), has(0, "MM\x00*"), has(0, "II+\x00"), has(0, "MM\x00+"): // TIFF 6.0, section 2
		if raw, ok := rawTIFF(head); ok {
			return "a raw photo (" + raw + ")", develop, true
		}
		return "TIFF, or a raw photo (NEF, DNG, ARW …)", asJPEG, true
	case has(0, "BM") && has(6, "\x00\x00\x00\x00"):
		return "BMP", "save it as PNG", true
	case has(0, "%PDF-"):
		return "PDF", "export its page as JPEG or PNG", true
	case has(0, "\x1a\x45\xdf\xa3"): // Matroska
		return "a video (WebM or Matroska)", still, true
	case has(0, "RIFF") && has(8, "AVI "), has(0, "\x00\x00\x01\xba"), has(0, "FLV\x01"):
		return "a video", still, true
	case has(0, "\x00\x00\x01\x00"), has(0, "\x00\x00\x02\x00"):
		return "an icon (ICO)", "save it as PNG", true
	case has(0, "8BPS"):
		return "a Photoshop document", asJPEG, true
	case has(0, "PK\x03\x04"), has(0, "\x1f\x8b"), has(0, "Rar!"), has(0, "7z\xbc\xaf\x27\x1c"):
		return "an archive", "unpack it and send the pictures in it", true
	}
	text := strings.ToLower(string(bytes.TrimLeft(bytes.TrimPrefix(head[:min(len(head), ForeignLength)], []byte("\xef\xbb\xbf")), " \t\r\n")))
	switch {
	case strings.HasPrefix(text, "<svg"), (strings.HasPrefix(text, "<?xml") || strings.HasPrefix(text, "<!")) && strings.Contains(text, "<svg"):
		return "SVG", "save it as PNG", true
	case strings.HasPrefix(text, "<!doctype html"), strings.HasPrefix(text, "<html"):
		return "a web page", "save the picture in it, not the page", true
	}
	return "", "", false
}

// rawTIFF tells the makers of raw photos whose TIFF names them near its beginning.
func rawTIFF(head []byte) (string, bool) {
	for _, m := range []struct{ maker, name string }{{"NIKON", "Nikon NEF"}, {"SONY", "Sony ARW"}, {"PENTAX", "Pentax PEF"}, {"Adobe DNG", "DNG"}} {
		if bytes.Contains(head[:min(len(head), ForeignLength)], []byte(m.maker)) {
			return m.name, true
		}
	}
	return "", false
}

func printable(s string) bool {
	return strings.IndexFunc(s, func(r rune) bool { return r < ' ' || r > '~' }) < 0
}

// RefuseFormat is the error for a file that begins with head and is none of the accepted formats.
func RefuseFormat(head []byte, accepted []Format) error {
	if f, ok := Sniff(head); ok {
		return Errorf(UnsupportedImage, "the file is %s, which this server does not accept: send %s", f.Name(), Names(accepted))
	}
	if name, advice, ok := Foreign(head); ok {
		return Errorf(UnsupportedImage, "the file is %s, which is not accepted: %s. This server takes %s", name, advice, Names(accepted))
	}
	return Errorf(UnsupportedImage, "the file is not a picture of an accepted format: send %s", Names(accepted))
}

// Names lists formats for people: "JPEG, PNG, WebP or GIF".
func Names(formats []Format) string {
	var b strings.Builder
	for i, f := range formats {
		switch {
		case i == 0:
		case i == len(formats)-1:
			b.WriteString(" or ")
		default:
			b.WriteString(", ")
		}
		b.WriteString(f.Name())
	}
	return b.String()
}
