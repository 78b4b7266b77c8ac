package main

import (
	"bytes"
	"encoding/binary"
	"errors"
	"image"
	"image/color"
	"image/jpeg"
	"image/png"
	"math"
	"runtime"
	"sync"
)

// A painter gives the colour at a point: x and y run from 0 to 1 over the
// picture's width and height; the channels from 0 to 1, alpha last, not premultiplied.
type painter func(x, y float64) [4]float64

// drawPictures draws the sample pictures: the same ones every time. Their sides are divided by shrink.
func drawPictures(shrink int) ([]samplePicture, error) {
	list := []struct {
		name   string
		w, h   int
		paint  painter
		encode func(image.Image) ([]byte, error)
	}{
		{"mountains-at-dusk.jpg", 2000, 1250, mountains, asJPEG},
		{"sunset-over-the-sea.jpg", 1800, 1200, sunset, asJPEG},
		{"julia-glow.jpg", 1600, 1200, julia, asJPEG},
		{"contours.jpg", 1600, 1600, contours, asJPEG},
		// Drawn lying and shown standing, as phones do it.
		{"lighthouse-portrait.jpg", 1600, 1200, turned(lighthouse), asRotatedJPEG},
		{"bubbles-with-alpha.png", 900, 900, bubbles, asPNG},
	}
	out := make([]samplePicture, len(list))
	errs := make([]error, len(list))
	slots := make(chan struct{}, runtime.GOMAXPROCS(0))
	var wg sync.WaitGroup
	for i, pic := range list {
		wg.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			out[i].name = pic.name
			out[i].data, errs[i] = pic.encode(draw(pic.w/shrink, pic.h/shrink, pic.paint))
		})
	}
	wg.Wait()
	return out, errors.Join(errs...)
}

func draw(w, h int, paint painter) *image.NRGBA {
	m := image.NewNRGBA(image.Rect(0, 0, w, h))
	for y := range h {
		for x := range w {
			c := paint((float64(x)+0.5)/float64(w), (float64(y)+0.5)/float64(h))
			// A grain finer than a step of 8 bits keeps gradients from banding.
			g := (noise(float64(x)*1.37, float64(y)*1.73) - 0.5) / 90
			m.SetNRGBA(x, y, color.NRGBA{byte255(c[0] + g), byte255(c[1] + g), byte255(c[2] + g), byte255(c[3])})
		}
	}
	return m
}

func byte255(v float64) uint8 { return uint8(min(max(v, 0), 1)*255 + 0.5) }

func asJPEG(m image.Image) ([]byte, error) {
	var b bytes.Buffer
	err := jpeg.Encode(&b, m, &jpeg.Options{Quality: 88})
	return b.Bytes(), err
}

func asPNG(m image.Image) ([]byte, error) {
	var b bytes.Buffer
	err := png.Encode(&b, m)
	return b.Bytes(), err
}

// asRotatedJPEG puts EXIF orientation 6 (turn right to show) into the file.
func asRotatedJPEG(m image.Image) ([]byte, error) {
	data, err := asJPEG(m)
	if err != nil {
		return nil, err
	}
	exif := append([]byte("Exif\x00\x00MM\x00*\x00\x00\x00\x08\x00\x01"), 0x01, 0x12, 0, 3, 0, 0, 0, 1, 0, 6, 0, 0, 0, 0, 0, 0)
	app1 := binary.BigEndian.AppendUint16([]byte{0xff, 0xe1}, uint16(len(exif)+2))
	return append(append(append(bytes.Clone(data[:2]), app1...), exif...), data[2:]...), nil
}

// turned paints a standing picture lying, as a camera held upright stores it.
func turned(p painter) painter {
	return func(x, y float64) [4]float64 { return p(1-y, x) }
}

func rgb(hex uint32) [3]float64 {
	return [3]float64{float64(hex>>16&255) / 255, float64(hex>>8&255) / 255, float64(hex&255) / 255}
}

func mix(a, b [3]float64, t float64) [3]float64 {
	t = min(max(t, 0), 1)
	return [3]float64{a[0] + (b[0]-a[0])*t, a[1] + (b[1]-a[1])*t, a[2] + (b[2]-a[2])*t}
}

func opaque(c [3]float64) [4]float64 { return [4]float64{c[0], c[1], c[2], 1} }

func smooth(lo, hi, v float64) float64 {
	t := min(max((v-lo)/(hi-lo), 0), 1)
	return t * t * (3 - 2*t)
}

// noise is a hash of a lattice point, from 0 up to 1: of multiplications and shifts,
// because a picture takes a hundred of them a pixel.
func noise(x, y float64) float64 {
	h := uint64(int64(math.Floor(x)))*0x9e3779b97f4a7c15 ^ uint64(int64(math.Floor(y)))*0xc2b2ae3d27d4eb4f
	h = (h ^ h>>29) * 0xbf58476d1ce4e5b9
	h = (h ^ h>>32) * 0x94d049bb133111eb
	return float64(h>>11) / (1 << 53)
}

// value is noise that runs smoothly between lattice points.
func value(x, y float64) float64 {
	fx, fy := x-math.Floor(x), y-math.Floor(y)
	ux, uy := fx*fx*(3-2*fx), fy*fy*(3-2*fy)
	a := noise(x, y) + (noise(x+1, y)-noise(x, y))*ux
	b := noise(x, y+1) + (noise(x+1, y+1)-noise(x, y+1))*ux
	return a + (b-a)*uy
}

// fractal adds up octaves of value.
func fractal(x, y float64, octaves int) float64 {
	sum, weight := 0.0, 0.5
	for range octaves {
		sum += weight * value(x, y)
		x, y, weight = x*2.03+17.3, y*2.01+9.1, weight/2
	}
	return sum
}

func mountains(x, y float64) [4]float64 {
	c := mix(rgb(0x1b2a4e), rgb(0xf6b27a), smooth(0.05, 0.62, y))
	c = mix(c, rgb(0xfde3b8), 0.8*math.Exp(-((x-0.68)*(x-0.68)*14+(y-0.47)*(y-0.47)*60)))
	if d := math.Hypot((x-0.68)*1.6, y-0.44); d < 0.035 {
		c = mix(rgb(0xfff3d6), c, smooth(0.030, 0.035, d))
	}
	if n := noise(x*420, y*260); y < 0.3 && n > 0.9985 {
		c = mix(c, rgb(0xffffff), 0.7*(1-y/0.3))
	}
	layers := []struct {
		base, height, scale, seed float64
		colour                    uint32
	}{
		{0.52, 0.16, 3, 1, 0xa27a8c}, {0.60, 0.17, 4, 7, 0x6d5a80}, {0.69, 0.17, 5, 13, 0x44426b}, {0.79, 0.16, 6, 29, 0x272b4d}, {0.90, 0.14, 9, 41, 0x12152b},
	}
	for i, l := range layers {
		ridge := l.base - l.height*(fractal(x*l.scale+l.seed, l.seed, 6)-0.35)
		if edge := smooth(ridge-0.0012, ridge+0.0012, y); edge > 0 {
			tone := mix(rgb(l.colour), rgb(0xf2b58c), 0.34*(1-float64(i)/5)*smooth(ridge, ridge+0.16, y))
			c = mix(c, tone, edge)
		}
	}
	return opaque(c)
}

func sunset(x, y float64) [4]float64 {
	const horizon = 0.56
	sky := func(y float64) [3]float64 {
		c := mix(rgb(0x2b1e55), rgb(0xd8456b), smooth(0, 0.36, y))
		c = mix(c, rgb(0xffa24d), smooth(0.26, 0.54, y))
		clouds := smooth(0.42, 0.72, fractal(x*3+y*2, y*11+3, 6))
		c = mix(c, rgb(0xffd9a0), 0.5*clouds*smooth(0.05, 0.45, y))
		d := math.Hypot((x-0.5)*1.5, y-0.45)
		c = mix(c, rgb(0xffe9ad), 0.9*math.Exp(-d*d*70))
		return mix(c, rgb(0xfffbe6), 1-smooth(0.066, 0.070, d))
	}
	if y < horizon {
		return opaque(sky(y))
	}
	depth := (y - horizon) / (1 - horizon)
	ripple := math.Sin(300/(depth+0.06)+6*fractal(x*9, y*60, 3)) * (0.012 + 0.05*depth)
	c := mix(sky(horizon-(y-horizon)*0.9+ripple), rgb(0x1a1040), 0.30+0.45*depth)
	glitter := math.Exp(-math.Pow((x-0.5+ripple)/(0.03+0.16*depth), 2)) * smooth(0.35, 0.85, value(x*90, y*420))
	return opaque(mix(c, rgb(0xffe2a0), 0.85*glitter))
}

func julia(x, y float64) [4]float64 {
	zx, zy := (x-0.5)*3.2, (y-0.5)*2.4
	const cx, cy, limit = -0.7885, 0.1551, 220
	trap := 1e9
	n := 0
	for ; n < limit && zx*zx+zy*zy < 64; n++ {
		zx, zy = zx*zx-zy*zy+cx, 2*zx*zy+cy
		trap = min(trap, math.Abs(zx*zy))
	}
	t := 1.0
	if n < limit {
		t = (float64(n) - math.Log2(math.Log2(zx*zx+zy*zy)/2)) / 90
	}
	c := mix(rgb(0x060818), rgb(0x1c3f8f), smooth(0, 0.30, t))
	c = mix(c, rgb(0x28c2b8), smooth(0.18, 0.62, t))
	c = mix(c, rgb(0xfff0c2), smooth(0.5, 1.0, t))
	return opaque(mix(c, rgb(0xff7a59), 0.6*math.Exp(-trap*60)*smooth(0.05, 0.4, t)))
}

func contours(x, y float64) [4]float64 {
	h := fractal(x*3.1+2.2*fractal(x*2, y*2+5, 4), y*3.1+2.2*fractal(x*2+9, y*2, 4), 6)
	c := mix(rgb(0x0f4c5c), rgb(0x5fa8a0), smooth(0.22, 0.42, h))
	c = mix(c, rgb(0xf3e9d2), smooth(0.42, 0.52, h))
	c = mix(c, rgb(0xe36414), smooth(0.52, 0.64, h))
	c = mix(c, rgb(0x9a031e), smooth(0.64, 0.78, h))
	band := math.Abs(math.Mod(h*42, 1) - 0.5)
	c = mix(c, rgb(0x0a2a33), 0.55*(1-smooth(0.02, 0.07, band)))
	return opaque(mix(c, rgb(0xffffff), 0.10*math.Mod(math.Floor(h*42), 2)))
}

func lighthouse(x, y float64) [4]float64 {
	c := mix(rgb(0x081230), rgb(0x33558f), smooth(0.0, 0.72, y))
	c = mix(c, rgb(0xe8a87c), 0.75*smooth(0.45, 0.80, y))
	if n := noise(x*300, y*400); y < 0.55 && n > 0.9982 {
		c = mix(c, rgb(0xffffff), 0.8*(1-y/0.55))
	}
	// The beam widens from the lamp.
	dx, dy := x-0.52, y-0.265
	if dx < 0 {
		spread := math.Abs(dy+dx*0.22) / (-dx*0.16 + 0.004)
		c = mix(c, rgb(0xfff2c4), 0.55*math.Exp(-spread*spread)*math.Exp(dx*1.6))
	}
	c = mix(c, rgb(0xfff8dd), math.Exp(-(dx*dx+dy*dy)*900))
	half := 0.045 + 0.045*(y-0.30)
	if y > 0.30 && y < 0.86 && math.Abs(dx) < half {
		tone := rgb(0xf1ece2)
		if int((y-0.30)/0.095)%2 == 1 {
			tone = rgb(0xb23a48)
		}
		c = mix(tone, rgb(0x1d2238), 0.75*smooth(-0.2, 1.1, dx/half))
	}
	if y > 0.235 && y < 0.30 && math.Abs(dx) < 0.034 && math.Abs(dx) > 0.028 || y > 0.285 && y <= 0.302 && math.Abs(dx) < 0.062 {
		c = rgb(0x141a2e)
	}
	if y > 0.195 && y <= 0.237 && math.Abs(dx) < (y-0.19) {
		c = rgb(0x7a2230)
	}
	sea := 0.83 + 0.004*math.Sin(x*40)
	if y > sea {
		c = mix(rgb(0x5b6f96), rgb(0x0b1430), smooth(sea, 1, y))
		c = mix(c, rgb(0xe8a87c), 0.5*smooth(0.55, 0.9, value(x*26, y*300))*(1-smooth(sea, 0.97, y)))
	}
	if rock := 0.90 - 0.10*math.Exp(-math.Pow((x-0.55)*3.4, 2)) - 0.05*fractal(x*9, 3, 5); y > rock {
		c = mix(rgb(0x20263c), rgb(0x080b16), smooth(rock, rock+0.12, y))
	}
	return opaque(c)
}

func bubbles(x, y float64) [4]float64 {
	out := [4]float64{}
	palette := []uint32{0xff6b6b, 0xfeca57, 0x48dbfb, 0x1dd1a1, 0x5f27cd, 0xff9ff3}
	for i := range 26 {
		s := float64(i)
		bx, by := 0.08+0.84*noise(s*3.1, 1), 0.08+0.84*noise(s*5.7, 2)
		r := 0.035 + 0.10*noise(s*7.3, 3)
		d := math.Hypot(x-bx, y-by) / r
		if d > 1 {
			continue
		}
		c := mix(rgb(palette[i%len(palette)]), rgb(0xffffff), 0.75*math.Exp(-(math.Pow((x-bx)/r+0.35, 2)+math.Pow((y-by)/r+0.4, 2))*9))
		a := (0.30 + 0.55*d*d) * (1 - smooth(0.985, 1, d))
		under := out[3] * (1 - a)
		total := a + under
		for k := range 3 {
			out[k] = (c[k]*a + out[k]*under) / max(total, 1e-9)
		}
		out[3] = total
	}
	return out
}
