package heif

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"image"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/imagify-api/imagify/adapters/internal/corpustest"
	"github.com/imagify-api/imagify/adapters/nativeresizer/hevc"
)

// samples are planes of a picture in its own depth.
type samples struct {
	info  hevc.Info
	pix   [3][]uint16
	size  [3][2]int
	crop  image.Rectangle
	orien int
}

// exact decodes the primary picture to its own samples.
func exact(ctx context.Context, data []byte) (*samples, error) {
	d := NewDecoder(bytes.NewReader(data), Options{})
	defer d.Close()
	h, err := d.Header(ctx)
	if err != nil {
		return nil, err
	}
	spans, err := d.read(h)
	if err != nil {
		return nil, err
	}
	l := h.layers[0]
	s := &samples{info: l.info, crop: l.crop, orien: l.orientation}
	for c := range l.info.Components() {
		x, y := l.info.Subsampling(c)
		s.size[c] = [2]int{(l.width + x - 1) / x, (l.height + y - 1) / y}
		s.pix[c] = make([]uint16, s.size[c][0]*s.size[c][1])
	}
	var decoder hevc.Decoder
	for i, t := range l.tiles {
		nals, err := units(d.data(t, spans), l.lengths[i])
		if err != nil {
			return nil, err
		}
		err = decoder.Decode(ctx, l.sets[i], l.info, nals, hevc.Options{}, func(b hevc.Band) error {
			for c, p := range b.Planes {
				sx, sy := l.info.Subsampling(c)
				w, h := s.size[c][0], s.size[c][1]
				x, y := i%l.columns*l.info.Width/sx, i/l.columns*l.info.Height/sy+p.Y
				for r := range p.Rows {
					if y+r < h && x < w {
						copy(s.pix[c][(y+r)*w+x:(y+r+1)*w], p.Pix[r*p.Stride:][:p.Width])
					}
				}
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return s, nil
}

// shown crops and turns the samples.
func (s *samples) shown() *samples {
	out := &samples{info: s.info}
	m := turns[s.orien]
	for c := range s.info.Components() {
		sx, sy := s.info.Subsampling(c)
		x0, y0, w, h := s.crop.Min.X/sx, s.crop.Min.Y/sy, (s.crop.Dx()+sx-1)/sx, (s.crop.Dy()+sy-1)/sy
		tw, th := w, h
		if m[0] == 0 {
			tw, th = h, w
		}
		out.size[c] = [2]int{tw, th}
		out.pix[c] = make([]uint16, w*h)
		for y := range h {
			for x := range w {
				// From the middle, in half samples.
				cx, cy := 2*x-w+1, 2*y-h+1
				px, py := (int(m[0])*cx+int(m[1])*cy+tw-1)/2, (int(m[2])*cx+int(m[3])*cy+th-1)/2
				out.pix[c][py*tw+px] = s.pix[c][(y0+y)*s.size[c][0]+x0+x]
			}
		}
	}
	return out
}

// hashes are the planes as the set's manifest has them.
func (s *samples) hashes() string {
	var parts []string
	for c := range s.info.Components() {
		depth := s.info.Depth
		if c > 0 {
			depth = s.info.DepthC
		}
		var raw []byte
		for _, v := range s.pix[c] {
			raw = append(raw, byte(v))
			if depth > 8 {
				raw = append(raw, byte(v>>8))
			}
		}
		sum := sha256.Sum256(raw)
		parts = append(parts, fmt.Sprintf("%s:%dx%dx%d:%s", []string{"Y", "Cb", "Cr"}[c], s.size[c][0], s.size[c][1], depth, hex.EncodeToString(sum[:])))
	}
	return strings.Join(parts, ";")
}

// TestFilesAreBitExact compares the picture of every file of the set with the hashes of independent
// decoders: as coded, and where turning and cropping moves whole samples, as shown.
func TestFilesAreBitExact(t *testing.T) {
	for _, row := range corpustest.OpenHEIC(t) {
		if row.Kind == "annexb" {
			continue
		}
		t.Run(row.Path, func(t *testing.T) {
			if strings.Contains(row.Path, "200mp") && testing.Short() {
				t.Skip("200 megapixels")
			}
			s, err := exact(t.Context(), row.Read(t))
			if row.Kind == "track" {
				require.ErrorAs(t, err, new(UnsupportedError))
				return
			}
			require.NoError(t, err)
			if row.Shown != "-" {
				require.Equal(t, row.Shown, s.shown().hashes())
			}
			if row.Planes != "-" && !strings.Contains(row.Path, "iden_of_irot") { // whose planes are turned once already
				require.Equal(t, row.Planes, s.hashes())
			}
		})
	}
}
