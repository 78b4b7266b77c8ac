package imagefile

import (
	"bytes"
	"encoding/binary"
)

// exifPrefix comes before the TIFF structure in a JPEG's APP1 segment (Exif 2.32, 4.7.2).
const exifPrefix = "Exif\x00\x00"

// Orientation returns the value of the orientation tag in EXIF data, 1 to 8
// (Exif 2.32, 4.6.4.A), and 1 where there is none, or none that makes sense.
// The data is a TIFF structure, with or without JPEG's prefix "Exif\0\0". Only
// the tags of the first directory are looked at, each once; no offset but the
// one to that directory is followed.
func Orientation(exif []byte) int {
	if o, ok := orientation(exif); ok {
		return o
	}
	return 1
}

func orientation(exif []byte) (int, bool) {
	exif = bytes.TrimPrefix(exif, []byte(exifPrefix))
	if len(exif) < 8 {
		return 0, false
	}
	var order binary.ByteOrder
	switch string(exif[:4]) {
	case "II*\x00":
		order = binary.LittleEndian
	case "MM\x00*":
		order = binary.BigEndian
	default:
		return 0, false
	}
	at := int64(order.Uint32(exif[4:]))
	if at > int64(len(exif))-2 {
		return 0, false
	}
	dir := exif[at:]
	entries := int(order.Uint16(dir))
	for dir = dir[2:]; entries > 0 && len(dir) >= 12; entries, dir = entries-1, dir[12:] {
		const tagOrientation = 0x0112
		if order.Uint16(dir) != tagOrientation {
			continue
		}
		var v uint32
		switch order.Uint16(dir[2:]) { // the type; the value is in the entry's last four bytes
		case 1: // BYTE
			v = uint32(dir[8])
		case 3: // SHORT, the one that the standard asks for
			v = uint32(order.Uint16(dir[8:]))
		case 4: // LONG
			v = order.Uint32(dir[8:])
		}
		return int(v), 1 <= v && v <= 8
	}
	return 0, false
}

// Swapped reports whether an orientation turns the picture by a quarter, so
// that width and height change places.
func Swapped(orientation int) bool { return 5 <= orientation && orientation <= 8 }
