package jpeg

import (
	"bytes"
	"context"
	"fmt"
	"image"
	stdjpeg "image/jpeg"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// segments returns marker segments given as marker and parameters in turn.
func segments(parts ...any) []byte {
	e := &encoder{}
	for i := 0; i < len(parts); i += 2 {
		e.segment(byte(parts[i].(int)), []byte(parts[i+1].(string))...)
	}
	return e.Bytes()
}

func adobe(transform int) []byte {
	return segments(markerAPP14, "Adobe\x00\x64\x00\x00\x00\x00"+string(rune(transform)))
}

func header(t *testing.T, data []byte, o Options) *Header {
	t.Helper()
	d := NewDecoder(bytes.NewReader(data), o)
	defer d.Close()
	h, err := d.Header(context.Background())
	require.NoError(t, err)
	return h
}

func TestHeader(t *testing.T) {
	g := sampled(203, 77, 0x22, 0x11, 0x12)
	g.progressive, g.table, g.restart = true, flatTable(), 9
	g.extra = segments(
		markerAPP0, "JFIF\x00\x01\x01\x00\x00\x01\x00\x01\x00\x00",
		markerAPP2, "ICC_PROFILE\x00\x02\x02world",
		markerAPP1, "http://ns.adobe.com/xap/1.0/\x00<xmp/>",
		markerAPP1, "Exif\x00\x00MM first",
		markerAPP1, "Exif\x00\x00MM second",
		markerAPP2, "MPF\x00",
		markerAPP2, "ICC_PROFILE\x00\x01\x02hello ",
	)
	assert.Equal(t, &Header{
		Width: 203, Height: 77, Precision: 8, Progressive: true, Model: YCbCr,
		Components:      []ComponentInfo{{1, 2, 2}, {2, 1, 1}, {3, 1, 2}},
		AdobeTransform:  -1,
		RestartInterval: 9,
		EXIF:            []byte("MM first"),
		ICC:             []byte("hello world"),
	}, header(t, encode(g), Options{}))
}

func TestICCProfile(t *testing.T) {
	for name, test := range map[string]struct {
		extra []byte
		limit int
		want  string
	}{
		"whole":         {segments(markerAPP2, "ICC_PROFILE\x00\x01\x01abc"), 0, "abc"},
		"at the limit":  {segments(markerAPP2, "ICC_PROFILE\x00\x01\x01abc"), 3, "abc"},
		"too large":     {segments(markerAPP2, "ICC_PROFILE\x00\x01\x01abc"), 2, ""},
		"not wanted":    {segments(markerAPP2, "ICC_PROFILE\x00\x01\x01abc"), -1, ""},
		"piece missing": {segments(markerAPP2, "ICC_PROFILE\x00\x01\x02abc"), 0, ""},
		"piece twice":   {segments(markerAPP2, "ICC_PROFILE\x00\x01\x02a", markerAPP2, "ICC_PROFILE\x00\x01\x02b"), 0, ""},
		"counts differ": {segments(markerAPP2, "ICC_PROFILE\x00\x01\x02a", markerAPP2, "ICC_PROFILE\x00\x02\x03b"), 0, ""},
		"piece zero":    {segments(markerAPP2, "ICC_PROFILE\x00\x00\x01a"), 0, ""},
		"no pieces":     {segments(markerAPP2, "ICC_PROFILE\x00\x01\x00a"), 0, ""},
		"short":         {segments(markerAPP2, "ICC_PROFILE\x00\x01"), 0, ""},
	} {
		t.Run(name, func(t *testing.T) {
			g := sampled(8, 8, 0x11)
			g.extra = test.extra
			assert.Equal(t, test.want, string(header(t, encode(g), Options{MaxICC: test.limit}).ICC))
		})
	}
}

func TestColorModel(t *testing.T) {
	jfif := segments(markerAPP0, "JFIF\x00\x01\x01\x00\x00\x01\x00\x01\x00\x00")
	for _, test := range []struct {
		ids      string
		extra    []byte
		want     ColorModel
		inverted bool
	}{
		{"\x01", nil, Gray, false},
		{"\x01", adobe(1), Gray, false},
		{"\x01\x02\x03", nil, YCbCr, false},
		{"\x00\x01\x02", nil, YCbCr, false},
		{"RGB", nil, RGB, false},
		{"RGB", jfif, YCbCr, false},
		{"\x01\x02\x03", adobe(0), RGB, false},
		{"\x01\x02\x03", adobe(1), YCbCr, false},
		{"\x01\x02\x03\x04", nil, CMYK, false},
		{"\x01\x02\x03\x04", adobe(0), CMYK, true},
		{"\x01\x02\x03\x04", adobe(2), YCCK, true},
	} {
		t.Run(fmt.Sprintf("%q %d", test.ids, len(test.extra)), func(t *testing.T) {
			g := sampled(40, 24, []int{0x11, 0x11, 0x11, 0x11}[:len(test.ids)]...)
			for i := range g.comps {
				g.comps[i].id = test.ids[i]
			}
			g.extra = test.extra
			data := encode(g)
			p := decodeClean(t, data, Full)
			assert.Equal(t, test.want, p.Model)
			assert.Equal(t, test.inverted, p.Inverted)
			if test.want == CMYK && !test.inverted {
				// The standard library wants an Adobe marker.
				m := p.Image().(*image.CMYK)
				assert.Equal(t, p.Planes[3].Pix[5], m.Pix[4*5+3])
				return
			}
			want, err := stdjpeg.Decode(bytes.NewReader(data))
			require.NoError(t, err)
			got := p.Image()
			require.IsType(t, want, got)
			for y := range 24 {
				for x := range 40 {
					r, g, b, _ := got.At(x, y).RGBA()
					wr, wg, wb, _ := want.At(x, y).RGBA()
					require.InDelta(t, wr>>8, r>>8, 4)
					require.InDelta(t, wg>>8, g>>8, 4)
					require.InDelta(t, wb>>8, b>>8, 4)
				}
			}
		})
	}
	assert.Equal(t, "Gray YCbCr RGB CMYK YCCK unknown",
		fmt.Sprint(Gray, " ", YCbCr, " ", RGB, " ", CMYK, " ", YCCK, " ", ColorModel(0)))
}

func TestImageSharesPlanes(t *testing.T) {
	p := decodeClean(t, encode(sampled(40, 24, 0x22, 0x11, 0x11)), Half)
	m := p.Image().(*image.YCbCr)
	assert.Equal(t, image.Rect(0, 0, 20, 12), m.Rect)
	assert.Same(t, &p.Planes[1].Pix[0], &m.Cb[0])
	assert.Nil(t, p.Gray())
	p = decodeClean(t, encode(sampled(40, 24, 0x22)), Half)
	assert.Same(t, &p.Planes[0].Pix[0], &p.Gray().Pix[0])
	assert.Nil(t, p.YCbCr())
	// A sampling that image.YCbCr does not have: brought to 4:4:4.
	p = decodeClean(t, encode(sampled(41, 24, 0x31, 0x11, 0x21)), Full)
	assert.Nil(t, p.YCbCr())
	m = p.Image().(*image.YCbCr)
	assert.Equal(t, image.YCbCrSubsampleRatio444, m.SubsampleRatio)
	for x := range 41 {
		assert.Equal(t, p.Planes[1].Pix[x/3], m.Cb[x])
		assert.Equal(t, p.Planes[2].Pix[x*2/3], m.Cr[x])
	}
}

func TestHeaderErrors(t *testing.T) {
	const (
		soi = "\xff\xd8"
		dqt = "\xff\xdb\x00\x43\x00"
		sof = "\xff\xc0\x00\x0b\x08\x00\x08\x00\x08\x01\x01\x11\x00"
		sos = "\xff\xda\x00\x08\x01\x01\x00\x00\x3f\x00"
	)
	q := dqt + strings.Repeat("\x01", 64)
	three := func(first, second, third string) string {
		return "\xff\xc0\x00\x11\x08\x00\x08\x00\x08\x03" + first + second + third
	}
	progressive := strings.Replace(sof, "\xc0", "\xc2", 1)
	good := decode(t, []byte(soi+q+sof+sos+"\x00\xff\xd9"), Full)
	assert.Equal(t, 8, good.Width)
	for name, data := range map[string]string{
		"empty":                   "",
		"one byte":                "\xff",
		"PNG":                     "\x89PNG\r\n\x1a\n",
		"only SOI":                soi,
		"only SOI, EOI":           soi + "\xff\xd9",
		"no frame":                soi + q + sos,
		"no scan":                 soi + q + sof + "\xff\xd9",
		"cut in the frame header": soi + q + sof[:8],
		"cut in the scan header":  soi + q + sof + sos[:6],
		"length 1":                soi + "\xff\xdb\x00\x01",
		"skipped length 1":        soi + "\xff\xfe\x00\x01",
		"no quantization table":   soi + sof + sos,
		"short quantization":      soi + "\xff\xdb\x00\x04\x00\x01",
		"quantization precision":  soi + "\xff\xdb\x00\x43\x20" + q[5:],
		"quantization id":         soi + "\xff\xdb\x00\x43\x04" + q[5:],
		"short DHT":               soi + "\xff\xc4\x00\x04\x00\x01",
		"DHT class":               soi + "\xff\xc4\x00\x13\x20" + strings.Repeat("\x00", 16),
		"DHT id":                  soi + "\xff\xc4\x00\x13\x04" + strings.Repeat("\x00", 16),
		"DHT too long":            soi + "\xff\xc4\x00\x13\x00" + strings.Repeat("\xff", 16),
		"DHT too many codes":      soi + "\xff\xc4\x00\x16\x00\x03" + strings.Repeat("\x00", 15) + "abc",
		"DC category":             soi + "\xff\xc4\x00\x14\x00\x01" + strings.Repeat("\x00", 15) + "\x10" + q + sof + sos,
		"short DRI":               soi + "\xff\xdd\x00\x03\x00",
		"two frames":              soi + q + sof + sof + sos,
		"short frame":             soi + "\xff\xc0\x00\x07\x08\x00\x08\x00\x08",
		"width 0":                 soi + q + strings.Replace(sof, "\x00\x08\x00\x08", "\x00\x08\x00\x00", 1) + sos,
		"precision 7":             soi + q + strings.Replace(sof, "\x0b\x08", "\x0b\x07", 1) + sos,
		"no components":           soi + q + "\xff\xc0\x00\x08\x08\x00\x08\x00\x08\x00" + sos,
		"components missing":      soi + q + strings.Replace(sof, "\x01\x01", "\x03\x01", 1) + sos,
		"sampling 0":              soi + q + strings.Replace(sof, "\x11", "\x01", 1) + sos,
		"sampling 5":              soi + q + strings.Replace(sof, "\x11", "\x15", 1) + sos,
		"quantization selector":   soi + q + strings.Replace(sof, "\x11\x00", "\x11\x04", 1) + sos,
		"same id":                 soi + q + three("\x01\x11\x00", "\x01\x11\x00", "\x02\x11\x00") + sos,
		"short scan":              soi + q + sof + "\xff\xda\x00\x02",
		"scan without components": soi + q + sof + strings.Replace(sos, "\x01\x01", "\x00\x01", 1),
		"scan of too many":        soi + q + sof + strings.Replace(sos, "\x01\x01", "\x02\x01", 1),
		"unknown component":       soi + q + sof + strings.Replace(sos, "\x01\x01", "\x01\x02", 1),
		"component twice":         soi + q + three("\x01\x11\x00", "\x02\x11\x00", "\x03\x11\x00") + "\xff\xda\x00\x0a\x02\x01\x00\x01\x00\x00\x3f\x00",
		"table selector":          soi + q + sof + strings.Replace(sos, "\x01\x00", "\x01\x40", 1),
		"table not defined":       soi + q + sof + strings.Replace(sos, "\x01\x00", "\x01\x22", 1),
		"MCU of 12 blocks":        soi + q + three("\x01\x22\x00", "\x02\x22\x00", "\x03\x22\x00") + "\xff\xda\x00\x0c\x03\x01\x00\x02\x00\x03\x00\x00\x3f\x00",
		"progressive, no tables":  soi + q + progressive + strings.Replace(sos, "\x00\x3f", "\x00\x00", 1),
		"DC with AC":              soi + q + progressive + sos,
		"band upside down":        soi + q + progressive + strings.Replace(sos, "\x00\x3f", "\x05\x04", 1),
		"band too long":           soi + q + progressive + strings.Replace(sos, "\x00\x3f", "\x05\x40", 1),
		"approximation":           soi + q + progressive + strings.Replace(sos, "\x00\x3f\x00", "\x00\x00\x31", 1),
		"point transform":         soi + q + progressive + strings.Replace(sos, "\x00\x3f\x00", "\x00\x00\x0e", 1),
	} {
		t.Run(name, func(t *testing.T) {
			d := NewDecoder(strings.NewReader(data), Options{})
			_, err := d.Header(context.Background())
			assert.IsType(t, FormatError(""), err)
			assert.ErrorContains(t, err, "jpeg: invalid format: ")
			_, again := d.Decode(context.Background(), Full)
			assert.Equal(t, err, again)
		})
	}
	for name, data := range map[string]string{
		"lossless":       soi + q + strings.Replace(sof, "\xc0", "\xc3", 1) + sos,
		"hierarchical":   soi + q + strings.Replace(sof, "\xc0", "\xc5", 1) + sos,
		"arithmetic":     soi + q + strings.Replace(sof, "\xc0", "\xc9", 1) + sos,
		"12 bit":         soi + q + strings.Replace(strings.Replace(sof, "\xc0", "\xc1", 1), "\x0b\x08", "\x0b\x0c", 1) + sos,
		"DNL":            soi + q + strings.Replace(sof, "\x00\x08\x00\x08", "\x00\x00\x00\x08", 1) + sos,
		"two components": soi + q + "\xff\xc0\x00\x0e\x08\x00\x08\x00\x08\x02\x01\x11\x00\x02\x11\x00" + sos,
	} {
		t.Run(name, func(t *testing.T) {
			_, err := NewDecoder(strings.NewReader(data), Options{}).Decode(context.Background(), Full)
			assert.IsType(t, UnsupportedError(""), err)
			assert.ErrorContains(t, err, "jpeg: unsupported: ")
		})
	}
}
