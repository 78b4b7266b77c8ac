package nativeresizer_test

import (
	"bytes"
	"encoding/binary"
	"image"
	"image/color"
	_ "image/gif"
	_ "image/jpeg"
	_ "image/png"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/anthonynsimon/bild/transform"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	_ "golang.org/x/image/webp"

	"github.com/imagify-api/imagify/adapters/nativeresizer"
	"github.com/imagify-api/imagify/domain"
)

// plain is the obvious way: the standard library's decoder, turned, brought down by bild.
func plain(t *testing.T, file []byte, orientation, height int) *image.NRGBA {
	t.Helper()
	m, _, err := image.Decode(bytes.NewReader(file))
	require.NoError(t, err)
	m = turned(m, orientation)
	w, h := domain.ThumbnailSize(m.Bounds().Dx(), m.Bounds().Dy(), height)
	if h == m.Bounds().Dy() {
		return toNRGBA(m)
	}
	return toNRGBA(transform.Resize(m, w, h, transform.Lanczos))
}

func toNRGBA(m image.Image) *image.NRGBA {
	b := m.Bounds()
	out := image.NewNRGBA(image.Rect(0, 0, b.Dx(), b.Dy()))
	for y := range b.Dy() {
		for x := range b.Dx() {
			out.Set(x, y, m.At(b.Min.X+x, b.Min.Y+y))
		}
	}
	return out
}

// turned applies an EXIF orientation pixel by pixel.
func turned(m image.Image, orientation int) image.Image {
	b := m.Bounds()
	w, h := b.Dx(), b.Dy()
	at := map[int]func(x, y int) (int, int){
		2: func(x, y int) (int, int) { return w - 1 - x, y },
		3: func(x, y int) (int, int) { return w - 1 - x, h - 1 - y },
		4: func(x, y int) (int, int) { return x, h - 1 - y },
		5: func(x, y int) (int, int) { return y, x },
		6: func(x, y int) (int, int) { return h - 1 - y, x },
		7: func(x, y int) (int, int) { return h - 1 - y, w - 1 - x },
		8: func(x, y int) (int, int) { return y, w - 1 - x },
	}[orientation]
	if at == nil {
		return m
	}
	size := image.Rect(0, 0, w, h)
	if orientation >= 5 {
		size = image.Rect(0, 0, h, w)
	}
	out := image.NewNRGBA(size)
	for y := range h {
		for x := range w {
			ox, oy := at(x, y)
			out.Set(ox, oy, m.At(b.Min.X+x, b.Min.Y+y))
		}
	}
	return out
}

// psnr is over RGB, in dB, both over black where they are transparent.
func psnr(a, b *image.NRGBA) float64 {
	sum, n := 0.0, 0
	for y := range a.Rect.Dy() {
		for x := range a.Rect.Dx() {
			p, q := color.RGBAModel.Convert(a.NRGBAAt(x, y)).(color.RGBA), color.RGBAModel.Convert(b.NRGBAAt(x, y)).(color.RGBA)
			for _, d := range []float64{float64(p.R) - float64(q.R), float64(p.G) - float64(q.G), float64(p.B) - float64(q.B)} {
				sum += d * d
				n++
			}
		}
	}
	return 10 * math.Log10(255*255*float64(n)/max(sum, 1e-9))
}

func (c *corpus) rightWayUp(t *testing.T) {
	res := resizer(t, nativeresizer.Options{})
	files := 0
	for _, r := range c.rows {
		if !strings.HasPrefix(r.Path, "orientation/") {
			continue
		}
		files++
		file := r.Read(t)
		info, err := res.Inspect(t.Context(), bytes.NewReader(file), limits)
		require.NoError(t, err, r.Path)
		heights := []int{50}
		if c.full {
			heights = []int{50, 200, 4320}
		}
		for _, height := range heights {
			thumbs, err := res.Resize(t.Context(), bytes.NewReader(file), []int{height})
			require.NoError(t, err, r.Path)
			got := toNRGBA(check(t, info, height, thumbs[0], r.Path))
			want := encoded(t, plain(t, file, r.Orientation, height), info.ThumbnailFormat())
			if assert.Equal(t, want.Rect, got.Rect, r.Path) {
				assert.GreaterOrEqual(t, psnr(want, got), 30.0, "%s at %d", r.Path, height)
			}
		}
	}
	assert.NotZero(t, files)
}

func (c *corpus) rightColours(t *testing.T) {
	res := resizer(t, nativeresizer.Options{})
	compare := func(t *testing.T, name string, file []byte, want *image.NRGBA, height int) {
		t.Helper()
		info, err := res.Inspect(t.Context(), bytes.NewReader(file), limits)
		require.NoError(t, err, name)
		thumbs, err := res.Resize(t.Context(), bytes.NewReader(file), []int{height})
		require.NoError(t, err, name)
		got := toNRGBA(check(t, info, height, thumbs[0], name))
		want = encoded(t, want, info.ThumbnailFormat())
		if assert.Equal(t, want.Rect, got.Rect, name) {
			// Averages of 4 × 4 pixels: what is promised is colour, and what JPEG does to
			// the finest detail of a small picture is not that.
			e, alpha := difference(coarse(want), coarse(got))
			assert.LessOrEqual(t, e, 3.0, "%s: mean ΔE2000", name)
			assert.LessOrEqual(t, alpha, 3.0, "%s: mean difference of alpha", name)
		}
	}
	// CMYK without a profile, gray, 16 bit, palette, alpha: against the standard library.
	files := 0
	for _, r := range c.rows {
		if !strings.HasPrefix(r.Path, "colour/") || r.Expectation != "accept" {
			continue
		}
		file := r.Read(t)
		m, _, err := image.Decode(bytes.NewReader(file))
		if err != nil || r.Format == "WEBP" || profiled(file) || coded(file) {
			continue // libvips judges profiles: x/image takes lossy WebP's range for JPEG's
		}
		files++
		height := min(100, m.Bounds().Dy())
		if cm, ok := m.(*image.CMYK); ok {
			m = naive(cm)
		}
		w, h := domain.ThumbnailSize(m.Bounds().Dx(), m.Bounds().Dy(), height)
		want := toNRGBA(m)
		if h < m.Bounds().Dy() {
			want = toNRGBA(transform.Resize(m, w, h, transform.Lanczos))
		}
		compare(t, r.Path, file, want, height)
	}
	assert.NotZero(t, files)

	vips, err := exec.LookPath("vipsthumbnail")
	if err != nil {
		t.Log("libvips' vipsthumbnail is not installed: pictures with a profile are tried against the tables of package icc's tests only")
		return
	}
	// WebP, and pictures with a profile: the corpus's, and those that libvips has built in.
	judged := map[string][]byte{}
	for i, r := range c.rows {
		if !c.full && i%4 != 0 {
			continue
		}
		if file := r.Read(t); r.Expectation == "accept" && r.Frames <= 1 && min(r.Width, r.Height) >= 64 && r.Width*r.Height < 500_000 &&
			(r.Format == "WEBP" || (r.Format == "JPEG" || r.Format == "PNG") && profiled(file)) {
			judged[r.Path] = file
		}
	}
	dir := t.TempDir()
	source := filepath.Join(dir, "source.png")
	writePNG(t, source, wheel())
	for _, profile := range []string{"p3", "cmyk"} {
		made := filepath.Join(dir, profile+".jpg")
		if _, err := exec.LookPath("vips"); err != nil {
			continue
		}
		out, err := exec.Command("vips", "icc_transform", source, made+"[Q=98]", profile, "--input-profile", "srgb").CombinedOutput()
		require.NoError(t, err, string(out))
		judged[profile], err = os.ReadFile(made)
		require.NoError(t, err)
	}
	for name, file := range judged {
		in, out := filepath.Join(dir, "in"), filepath.Join(dir, "out.png")
		require.NoError(t, os.WriteFile(in, file, 0o600))
		const height = 64
		args := []string{in, "-s", "x64>", "-o", out}
		if profiled(file) { // others would be converted from a profile that they do not have
			args = append(args, "-e", "srgb")
		}
		said, err := exec.Command(vips, args...).CombinedOutput()
		require.NoError(t, err, "%s: %s", name, said)
		data, err := os.ReadFile(out)
		require.NoError(t, err)
		m, _, err := image.Decode(bytes.NewReader(data))
		require.NoError(t, err)
		compare(t, name, file, toNRGBA(m), height)
	}
}

// coded reports whether a PNG tells its colours by a gAMA that is not sRGB's, which the
// standard library and libvips ignore. TestColoursOfPNG is about these.
func coded(file []byte) bool {
	at := bytes.Index(file, []byte("gAMA"))
	return at > 0 && binary.BigEndian.Uint32(file[at+4:]) != 45455 && !bytes.Contains(file, []byte("sRGB"))
}

// profiled reports whether a file carries an ICC profile.
func profiled(file []byte) bool {
	return bytes.Contains(file, []byte("acsp")) || bytes.Contains(file, []byte("iCCP"))
}

// coarse averages 4 × 4 pixels, colours weighed by alpha.
func coarse(m *image.NRGBA) *image.NRGBA {
	w, h := max(m.Rect.Dx()/4, 1), max(m.Rect.Dy()/4, 1)
	out := image.NewNRGBA(image.Rect(0, 0, w, h))
	for y := range h {
		for x := range w {
			var r, g, b, a, n int
			for j := 4 * y; j < min(4*y+4, m.Rect.Dy()); j++ {
				for i := 4 * x; i < min(4*x+4, m.Rect.Dx()); i++ {
					c := m.NRGBAAt(i, j)
					r, g, b = r+int(c.R)*int(c.A), g+int(c.G)*int(c.A), b+int(c.B)*int(c.A)
					a, n = a+int(c.A), n+1
				}
			}
			if a > 0 {
				out.SetNRGBA(x, y, color.NRGBA{byte(r / a), byte(g / a), byte(b / a), byte(a / n)})
			}
		}
	}
	return out
}

func naive(m *image.CMYK) *image.NRGBA {
	out := image.NewNRGBA(m.Rect)
	for y := m.Rect.Min.Y; y < m.Rect.Max.Y; y++ {
		for x := m.Rect.Min.X; x < m.Rect.Max.X; x++ {
			c := m.CMYKAt(x, y)
			k := 255 - int(c.K)
			out.Set(x, y, color.NRGBA{byte((255 - int(c.C)) * k / 255), byte((255 - int(c.M)) * k / 255), byte((255 - int(c.Y)) * k / 255), 255})
		}
	}
	return out
}

// wheel has all hues from dark to light, smoothly.
func wheel() *image.NRGBA {
	m := image.NewNRGBA(image.Rect(0, 0, 256, 256))
	for y := range 256 {
		for x := range 256 {
			h, v := float64(x)/256*2*math.Pi, float64(y)/255
			s := math.Sin(v * math.Pi)
			c := func(phase float64) byte { return byte(255 * min(max(v+0.45*s*math.Cos(h+phase), 0), 1)) }
			m.SetNRGBA(x, y, color.NRGBA{c(0), c(2 * math.Pi / 3), c(4 * math.Pi / 3), 255})
		}
	}
	return m
}

// difference returns the means of ΔE2000, over white, and of the difference in alpha.
func difference(a, b *image.NRGBA) (colour, alpha float64) {
	n := 0.0
	for y := range a.Rect.Dy() {
		for x := range a.Rect.Dx() {
			p, q := a.NRGBAAt(x, y), b.NRGBAAt(x, y)
			alpha += math.Abs(float64(p.A) - float64(q.A))
			colour += deltaE2000(lab(overWhite(p)), lab(overWhite(q)))
			n++
		}
	}
	return colour / n, alpha / n
}

func overWhite(c color.NRGBA) color.NRGBA {
	over := func(v uint8) uint8 { return uint8((int(v)*int(c.A) + 255*(255-int(c.A))) / 255) }
	return color.NRGBA{over(c.R), over(c.G), over(c.B), 255}
}

func lab(c color.NRGBA) [3]float64 {
	lin := func(v uint8) float64 {
		f := float64(v) / 255
		if f <= 0.04045 {
			return f / 12.92
		}
		return math.Pow((f+0.055)/1.055, 2.4)
	}
	r, g, b := lin(c.R), lin(c.G), lin(c.B)
	f := func(t float64) float64 {
		if t > 216.0/24389 {
			return math.Cbrt(t)
		}
		return (24389.0/27*t + 16) / 116
	}
	x := f((0.4124564*r + 0.3575761*g + 0.1804375*b) / 0.95047)
	y := f(0.2126729*r + 0.7151522*g + 0.0721750*b)
	z := f((0.0193339*r + 0.1191920*g + 0.9503041*b) / 1.08883)
	return [3]float64{116*y - 16, 500 * (x - y), 200 * (y - z)}
}

// deltaE2000 is CIEDE2000, after Sharma, Wu and Dalal (2005).
func deltaE2000(a, b [3]float64) float64 {
	pow7 := func(v float64) float64 { return math.Pow(v, 7) }
	c1, c2 := math.Hypot(a[1], a[2]), math.Hypot(b[1], b[2])
	cm := (c1 + c2) / 2
	g := 0.5 * (1 - math.Sqrt(pow7(cm)/(pow7(cm)+pow7(25))))
	a1, a2 := (1+g)*a[1], (1+g)*b[1]
	c1, c2 = math.Hypot(a1, a[2]), math.Hypot(a2, b[2])
	hue := func(x, y float64) float64 {
		if x == 0 && y == 0 {
			return 0
		}
		h := math.Atan2(y, x)
		if h < 0 {
			h += 2 * math.Pi
		}
		return h
	}
	h1, h2 := hue(a1, a[2]), hue(a2, b[2])
	dl, dc, dh := b[0]-a[0], c2-c1, h2-h1
	switch {
	case c1*c2 == 0:
		dh = 0
	case dh > math.Pi:
		dh -= 2 * math.Pi
	case dh < -math.Pi:
		dh += 2 * math.Pi
	}
	dH := 2 * math.Sqrt(c1*c2) * math.Sin(dh/2)
	lm, cm := (a[0]+b[0])/2, (c1+c2)/2
	hm := h1 + h2
	if c1*c2 != 0 {
		switch {
		case math.Abs(h1-h2) <= math.Pi:
			hm = (h1 + h2) / 2
		case h1+h2 < 2*math.Pi:
			hm = (h1 + h2 + 2*math.Pi) / 2
		default:
			hm = (h1 + h2 - 2*math.Pi) / 2
		}
	}
	deg := math.Pi / 180
	t := 1 - 0.17*math.Cos(hm-30*deg) + 0.24*math.Cos(2*hm) + 0.32*math.Cos(3*hm+6*deg) - 0.20*math.Cos(4*hm-63*deg)
	theta := 30 * deg * math.Exp(-math.Pow((hm/deg-275)/25, 2))
	rc := 2 * math.Sqrt(pow7(cm)/(pow7(cm)+pow7(25)))
	sl := 1 + 0.015*(lm-50)*(lm-50)/math.Sqrt(20+(lm-50)*(lm-50))
	sc, sh := 1+0.045*cm, 1+0.015*cm*t
	rt := -math.Sin(2*theta) * rc
	return math.Sqrt(dl/sl*dl/sl + dc/sc*dc/sc + dH/sh*dH/sh + rt*dc/sc*dH/sh)
}

func TestDeltaE2000(t *testing.T) {
	t.Parallel()
	// Pairs 1, 7 and 17 of Sharma, Wu and Dalal's table 1.
	for _, c := range []struct {
		a, b [3]float64
		want float64
	}{
		{[3]float64{50, 2.6772, -79.7751}, [3]float64{50, 0, -82.7485}, 2.0425},
		{[3]float64{50, 0, 0}, [3]float64{50, -1, 2}, 2.3669},
		{[3]float64{50, 2.5, 0}, [3]float64{73, 25, -18}, 27.1492},
	} {
		assert.InDelta(t, c.want, deltaE2000(c.a, c.b), 1e-4)
	}
}
