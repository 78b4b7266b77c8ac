package main

import (
	"bytes"
	"fmt"
	"image"
	"math"
	"os"

	"github.com/imagify-api/imagify/domain"
)

// reference is what a thumbnail would ideally be: the whole picture decoded by
// the standard library and brought down by Lanczos3 in floating point.
type reference struct {
	w, h int
	rgb  [3][]float64
}

func newReference(file string, height int) (*reference, error) {
	m, err := load(file)
	if err != nil {
		return nil, err
	}
	b := m.Bounds()
	w, h := domain.ThumbnailSize(b.Dx(), b.Dy(), height)
	src := rgbOf(m)
	r := &reference{w: w, h: h}
	for c := range r.rgb {
		wide := lanczos(src[c], b.Dx(), b.Dy(), w)
		tall := lanczos(transpose(wide, w, b.Dy()), b.Dy(), w, h)
		r.rgb[c] = transpose(tall, h, w)
		for i, v := range r.rgb[c] {
			r.rgb[c][i] = min(max(v, 0), 255)
		}
	}
	return r, nil
}

func load(file string) (image.Image, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	m, _, err := image.Decode(bytes.NewReader(data))
	return m, err
}

func rgbOf(m image.Image) (out [3][]float64) {
	b := m.Bounds()
	for c := range out {
		out[c] = make([]float64, b.Dx()*b.Dy())
	}
	i := 0
	for y := b.Min.Y; y < b.Max.Y; y++ {
		for x := b.Min.X; x < b.Max.X; x++ {
			r, g, bl, _ := m.At(x, y).RGBA()
			out[0][i], out[1][i], out[2][i] = float64(r)/257, float64(g)/257, float64(bl)/257
			i++
		}
	}
	return out
}

// lanczos brings rows of w samples to n.
func lanczos(src []float64, w, h, n int) []float64 {
	out := make([]float64, n*h)
	scale := max(float64(w)/float64(n), 1)
	for x := range n {
		centre := (float64(x)+0.5)*float64(w)/float64(n) - 0.5
		from, to := max(int(math.Ceil(centre-3*scale)), 0), min(int(math.Floor(centre+3*scale)), w-1)
		weights := make([]float64, to-from+1)
		sum := 0.0
		for i := range weights {
			t := math.Abs(float64(from+i)-centre) / scale
			switch {
			case t < 1e-9:
				weights[i] = 1
			case t < 3:
				weights[i] = 3 * math.Sin(math.Pi*t) * math.Sin(math.Pi*t/3) / (math.Pi * math.Pi * t * t)
			}
			sum += weights[i]
		}
		for y := range h {
			v := 0.0
			for i, k := range weights {
				v += k * src[y*w+from+i]
			}
			out[y*n+x] = v / sum
		}
	}
	return out
}

func transpose(src []float64, w, h int) []float64 {
	out := make([]float64, len(src))
	for y := range h {
		for x := range w {
			out[x*h+y] = src[y*w+x]
		}
	}
	return out
}

// compare returns the PSNR in dB over RGB, and the mean SSIM of the luminance
// (Wang et al. 2004: windows of 11×11, σ 1.5), of a thumbnail against the reference.
func (r *reference) compare(file string) (psnr, ssim float64, err error) {
	m, err := load(file)
	if err != nil {
		return 0, 0, err
	}
	if m.Bounds().Dx() != r.w || m.Bounds().Dy() != r.h {
		return 0, 0, fmt.Errorf("%s is %v, not %d × %d", file, m.Bounds().Size(), r.w, r.h)
	}
	got := rgbOf(m)
	sum := 0.0
	for c := range got {
		for i, v := range got[c] {
			d := v - r.rgb[c][i]
			sum += d * d
		}
	}
	psnr = 10 * math.Log10(255*255*float64(3*r.w*r.h)/sum)
	return psnr, structural(luma(r.rgb), luma(got), r.w, r.h), nil
}

func luma(rgb [3][]float64) []float64 {
	y := make([]float64, len(rgb[0]))
	for i := range y {
		y[i] = 0.299*rgb[0][i] + 0.587*rgb[1][i] + 0.114*rgb[2][i]
	}
	return y
}

func structural(a, b []float64, w, h int) float64 {
	const c1, c2 = (0.01 * 255) * (0.01 * 255), (0.03 * 255) * (0.03 * 255)
	product := func(x, y []float64) []float64 {
		p := make([]float64, len(x))
		for i := range p {
			p[i] = x[i] * y[i]
		}
		return blur(p, w, h)
	}
	ma, mb := blur(a, w, h), blur(b, w, h)
	aa, bb, ab := product(a, a), product(b, b), product(a, b)
	sum := 0.0
	for i := range ma {
		va, vb, cov := aa[i]-ma[i]*ma[i], bb[i]-mb[i]*mb[i], ab[i]-ma[i]*mb[i]
		sum += (2*ma[i]*mb[i] + c1) * (2*cov + c2) / ((ma[i]*ma[i] + mb[i]*mb[i] + c1) * (va + vb + c2))
	}
	return sum / float64(len(ma))
}

// blur is a Gaussian of σ 1.5 over 11 samples each way; at the edge what is there.
func blur(src []float64, w, h int) []float64 {
	row := func(src []float64, w, h int) []float64 {
		out := make([]float64, len(src))
		for y := range h {
			for x := range w {
				v, sum := 0.0, 0.0
				for i := max(x-5, 0); i <= min(x+5, w-1); i++ {
					k := math.Exp(-float64((i-x)*(i-x)) / (2 * 1.5 * 1.5))
					v, sum = v+k*src[y*w+i], sum+k
				}
				out[y*w+x] = v / sum
			}
		}
		return out
	}
	return transpose(row(transpose(row(src, w, h), w, h), h, w), h, w)
}
