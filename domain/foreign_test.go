package domain_test

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/imagify-api/imagify/domain"
)

// TestRefusalsNameWhatAFileIs: each says what the file is and what to do.
func TestRefusalsNameWhatAFileIs(t *testing.T) {
	for _, c := range []struct{ head, name, advice string }{
		{"", "empty", "choose the file again"},
		{"\x00\x00\x00\x1cftypavif\x00\x00\x00\x00", "AVIF", "save it as JPEG"},
		{"\x00\x00\x00\x1cftypavis\x00\x00\x00\x00", "AVIF", "save it as JPEG"},
		{"\x00\x00\x00\x1cftypavci\x00\x00\x00\x00", "H.264", "save it as JPEG"},
		{"\x00\x00\x00\x1cftypvvic\x00\x00\x00\x00", "H.266", "save it as JPEG"},
		{"\x00\x00\x00\x1cftypj2ki\x00\x00\x00\x00", "JPEG 2000", "save it as JPEG"},
		{"\x00\x00\x00\x1cftypjpeg\x00\x00\x00\x00", "HEIF coded as JPEG", "save it as JPEG"},
		{"\x00\x00\x00\x14ftypmif3avif", "minimized", "save it as JPEG"},
		{"\x00\x00\x00\x0cJXL \r\n\x87\n", "JPEG XL", "save it as JPEG"},
		{"\xff\x0a\xfa\x7f", "JPEG XL", "save it as JPEG"},
		{"\x00\x00\x00\x0cjP  \r\n\x87\n", "JPEG 2000", "save it as JPEG"},
		{"II*\x00\x08\x00\x00\x00", "TIFF", "save it as JPEG"},
		{"MM\x00*\x00\x00\x00\x08", "TIFF", "save it as JPEG"},
		{"II+\x00\x08\x00\x00\x00", "TIFF", "save it as JPEG"},
		{"II*\x00\x10\x00\x00\x00CR\x02\x00", "Canon CR2", "develop it"},
		{"\x00\x00\x00\x18ftypcrx \x00\x00\x00\x01", "Canon CR3", "develop it"},
		{"MM\x00*\x00\x00\x00\x08....NIKON CORPORATION", "Nikon NEF", "develop it"},
		{"II*\x00\x08\x00\x00\x00....SONY", "Sony ARW", "develop it"},
		{"FUJIFILMCCD-RAW 0201", "raw photo", "develop it"},
		{"BM\x36\x00\x00\x00\x00\x00\x00\x00", "BMP", "save it as PNG"},
		{"<svg xmlns='http://www.w3.org/2000/svg'/>", "SVG", "save it as PNG"},
		{"\xef\xbb\xbf<?xml version='1.0'?>\n<!-- drawn --><svg/>", "SVG", "save it as PNG"},
		{"<!DOCTYPE html><html>", "web page", "save the picture"},
		{"%PDF-1.7", "PDF", "export"},
		{"\x00\x00\x00\x20ftypisom\x00\x00\x02\x00", "video", "still picture"},
		{"\x00\x00\x00\x14ftypqt  \x00\x00\x02\x00", "video", "still picture"},
		{"\x1a\x45\xdf\xa3\x9f\x42\x86", "WebM", "still picture"},
		{"RIFF\x00\x00\x00\x00AVI LIST", "video", "still picture"},
		{"PK\x03\x04", "archive", "unpack"},
		{"8BPS\x00\x01", "Photoshop", "save it as JPEG"},
	} {
		err := domain.RefuseFormat([]byte(c.head), domain.Formats())
		assert.ErrorIs(t, err, domain.UnsupportedImage)
		assert.ErrorContains(t, err, c.name, "%q", c.head)
		assert.ErrorContains(t, err, c.advice, "%q", c.head)
	}
	for _, unknown := range []string{"hello", "BMX and other things", "\x00\x00\x00\x10ftyp\x01\x02\x03\x04", "\xff\xd8"} {
		_, _, ok := domain.Foreign([]byte(unknown))
		assert.False(t, ok, "%q", unknown)
	}
}

// TestRefusalOfAFormatThatIsSwitchedOff names it, and what is accepted.
func TestRefusalOfAFormatThatIsSwitchedOff(t *testing.T) {
	err := domain.RefuseFormat([]byte("\x00\x00\x00\x18ftypheic"), []domain.Format{domain.JPEG, domain.WebP})
	assert.ErrorIs(t, err, domain.UnsupportedImage)
	assert.ErrorContains(t, err, "HEIC")
	assert.ErrorContains(t, err, "JPEG or WebP")
}
