package porttest_test

import (
	"bytes"
	"context"
	"errors"
	"image"
	"image/color"
	"image/jpeg"
	"image/png"
	"io"
	"slices"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/imagify-api/imagify/adapters/bildresizer"
	"github.com/imagify-api/imagify/domain"
	"github.com/imagify-api/imagify/ports"
	"github.com/imagify-api/imagify/ports/porttest"
)

// resizerFault replaces some of a Resizer.
type resizerFault struct {
	ports.Resizer
	scan    func(lim domain.ImageLimits) ports.Scan
	inspect func(ctx context.Context, src io.ReadSeeker, q ports.InspectRequest) (domain.ImageInfo, error)
	resize  func(ctx context.Context, src io.ReadSeeker, q ports.ResizeRequest) ([]ports.Thumbnail, error)
	version string
}

func (f resizerFault) Scan(lim domain.ImageLimits) ports.Scan {
	if f.scan != nil {
		return f.scan(lim)
	}
	return f.Resizer.Scan(lim)
}

func (f resizerFault) Inspect(ctx context.Context, src io.ReadSeeker, q ports.InspectRequest) (domain.ImageInfo, error) {
	if f.inspect != nil {
		return f.inspect(ctx, src, q)
	}
	return f.Resizer.Inspect(ctx, src, q)
}

func (f resizerFault) Resize(ctx context.Context, src io.ReadSeeker, q ports.ResizeRequest) ([]ports.Thumbnail, error) {
	if f.resize != nil {
		return f.resize(ctx, src, q)
	}
	return f.Resizer.Resize(ctx, src, q)
}

func (f resizerFault) Version() string {
	if f.version != "" {
		return f.version
	}
	return f.Resizer.Version()
}

func resizers(fault, finds string, breakIt func(r ports.Resizer) ports.Resizer) broken {
	return broken{fault, finds, func(t *testing.T) {
		porttest.Resizer(t, func(t *testing.T) ports.Resizer {
			r, err := bildresizer.New(bildresizer.Options{})
			require.NoError(t, err)
			return breakIt(r)
		})
	}}
}

func inspects(fault, finds string, inspect func(r ports.Resizer, ctx context.Context, src io.ReadSeeker, q ports.InspectRequest) (domain.ImageInfo, error)) broken {
	return resizers(fault, finds, func(r ports.Resizer) ports.Resizer {
		return resizerFault{Resizer: r, inspect: func(ctx context.Context, src io.ReadSeeker, q ports.InspectRequest) (domain.ImageInfo, error) {
			return inspect(r, ctx, src, q)
		}}
	})
}

// thumbs breaks each thumbnail that is made.
func thumbs(fault, finds string, breakIt func(th *ports.Thumbnail, m image.Image, heights []int)) broken {
	return resizers(fault, finds, func(r ports.Resizer) ports.Resizer {
		return resizerFault{Resizer: r, resize: func(ctx context.Context, src io.ReadSeeker, q ports.ResizeRequest) ([]ports.Thumbnail, error) {
			list, err := r.Resize(ctx, src, q)
			for i := range list {
				m, _, _ := decode(list[i])
				breakIt(&list[i], m, q.Heights)
			}
			return list, err
		}}
	})
}

func decode(th ports.Thumbnail) (image.Image, domain.Format, error) {
	if th.Format == domain.PNG {
		m, err := png.Decode(bytes.NewReader(th.Data))
		return m, th.Format, err
	}
	m, err := jpeg.Decode(bytes.NewReader(th.Data))
	return m, th.Format, err
}

func toJPEG(m image.Image, quality int) []byte {
	var b bytes.Buffer
	_ = jpeg.Encode(&b, m, &jpeg.Options{Quality: quality})
	return b.Bytes()
}

func toPNG(m image.Image) []byte {
	var b bytes.Buffer
	_ = png.Encode(&b, m)
	return b.Bytes()
}

// recoloured is a picture with its colours changed.
func recoloured(m image.Image, change func(c color.NRGBA) color.NRGBA) image.Image {
	out := image.NewNRGBA(m.Bounds())
	for y := m.Bounds().Min.Y; y < m.Bounds().Max.Y; y++ {
		for x := m.Bounds().Min.X; x < m.Bounds().Max.X; x++ {
			out.SetNRGBA(x, y, change(color.NRGBAModel.Convert(m.At(x, y)).(color.NRGBA)))
		}
	}
	return out
}

func reencode(th *ports.Thumbnail, m image.Image) {
	if th.Format == domain.PNG {
		th.Data = toPNG(m)
	} else {
		th.Data = toJPEG(m, 90)
	}
}

// unturned takes a JPEG's orientation away.
func unturned(src io.Reader) io.ReadSeeker {
	data, _ := io.ReadAll(src)
	return bytes.NewReader(bytes.Replace(data, []byte("Exif\x00\x00"), []byte("Xxif\x00\x00"), 1))
}

// lateScan keeps what it knows to itself until the file is over.
type lateScan struct{ ports.Scan }

func (s lateScan) Write(p []byte) (int, error) {
	_, _ = s.Scan.Write(p)
	return len(p), nil
}

// carelessScan does not look whether the picture has ended.
type carelessScan struct{ ports.Scan }

func (carelessScan) Finish() error { return nil }

func brokenResizers() []broken {
	var calls atomic.Int64
	return []broken{
		resizers(control, "Resizer/Limits", func(r ports.Resizer) ports.Resizer { return r }),
		resizers("a scan tells when all is over", "Resizer/ScanRefusesEarly", func(r ports.Resizer) ports.Resizer {
			return resizerFault{Resizer: r, scan: func(lim domain.ImageLimits) ports.Scan { return lateScan{r.Scan(lim)} }}
		}),
		resizers("a scan does not miss the end", "Resizer/Scan", func(r ports.Resizer) ports.Resizer {
			return resizerFault{Resizer: r, scan: func(lim domain.ImageLimits) ports.Scan { return carelessScan{r.Scan(lim)} }}
		}),
		resizers("a file that a scan let through is not decoded", "Resizer/Scan", func(r ports.Resizer) ports.Resizer {
			return resizerFault{Resizer: r, inspect: func(ctx context.Context, src io.ReadSeeker, q ports.InspectRequest) (domain.ImageInfo, error) {
				info, err := r.Inspect(ctx, src, q)
				if q.Scanned != nil && q.Scanned.Finish() == nil {
					err = nil
				}
				return info, err
			}}
		}),
		resizers("a scan does not look at the limits", "Resizer/ScanRefusesEarly", func(r ports.Resizer) ports.Resizer {
			return resizerFault{Resizer: r, scan: func(domain.ImageLimits) ports.Scan {
				return r.Scan(domain.ImageLimits{MaxPixels: domain.NoLimit, MaxFrames: domain.NoLimit})
			}}
		}),
		resizers("a name that no key may have", "Resizer/Version", func(r ports.Resizer) ports.Resizer { return resizerFault{Resizer: r, version: "Bild/1"} }),
		resizers("sorts the heights", "Resizer/Sizes", func(r ports.Resizer) ports.Resizer {
			return resizerFault{Resizer: r, resize: func(ctx context.Context, src io.ReadSeeker, q ports.ResizeRequest) ([]ports.Thumbnail, error) {
				q.Heights = slices.Clone(q.Heights)
				slices.Sort(q.Heights)
				return r.Resize(ctx, src, q)
			}}
		}),
		thumbs("all is JPEG", "Resizer/Samples", func(th *ports.Thumbnail, m image.Image, _ []int) {
			th.Format, th.Data = domain.JPEG, toJPEG(m, 80)
		}),
		thumbs("red and blue change places", "Resizer/Samples", func(th *ports.Thumbnail, m image.Image, _ []int) {
			reencode(th, recoloured(m, func(c color.NRGBA) color.NRGBA { return color.NRGBA{c.B, c.G, c.R, c.A} }))
		}),
		thumbs("forgets that colours are premultiplied", "Resizer/Samples", func(th *ports.Thumbnail, m image.Image, _ []int) {
			reencode(th, recoloured(m, func(c color.NRGBA) color.NRGBA {
				p := color.RGBAModel.Convert(c).(color.RGBA)
				return color.NRGBA(p)
			}))
		}),
		thumbs("says another size", "Resizer/Sizes", func(th *ports.Thumbnail, _ image.Image, _ []int) { th.Width++ }),
		thumbs("says PNG and is JPEG", "Resizer/Samples", func(th *ports.Thumbnail, m image.Image, _ []int) { th.Data = toJPEG(m, 80) }),
		resizers("enlarges", "Resizer/Samples", func(r ports.Resizer) ports.Resizer {
			return resizerFault{Resizer: r, resize: func(ctx context.Context, src io.ReadSeeker, q ports.ResizeRequest) ([]ports.Thumbnail, error) {
				list, err := r.Resize(ctx, src, q)
				for i := range list {
					if q.Heights[i] == 63 { // one more than the sample has
						m := image.NewNRGBA(image.Rect(0, 0, list[i].Width, 63))
						list[i].Height = 63
						reencode(&list[i], m)
					}
				}
				return list, err
			}}
		}),
		thumbs("no two alike", "Resizer/SameBytesSameThumbnail", func(th *ports.Thumbnail, _ image.Image, _ []int) {
			th.Data = append(th.Data, byte(calls.Add(1)))
		}),
		thumbs("depends on what else is asked for", "Resizer/SameBytesSameThumbnail", func(th *ports.Thumbnail, m image.Image, heights []int) {
			if th.Format == domain.JPEG && len(heights) > 1 {
				th.Data = toJPEG(m, 81)
			}
		}),
		resizers("does not turn", "Resizer/Orientation", func(r ports.Resizer) ports.Resizer {
			return resizerFault{
				Resizer: r,
				inspect: func(ctx context.Context, src io.ReadSeeker, q ports.InspectRequest) (domain.ImageInfo, error) {
					return r.Inspect(ctx, unturned(src), q)
				},
				resize: func(ctx context.Context, src io.ReadSeeker, q ports.ResizeRequest) ([]ports.Thumbnail, error) {
					return r.Resize(ctx, unturned(src), q)
				},
			}
		}),
		thumbs("mirrors", "Resizer/Orientation", func(th *ports.Thumbnail, m image.Image, _ []int) {
			b := m.Bounds()
			out := image.NewNRGBA(b)
			for y := b.Min.Y; y < b.Max.Y; y++ {
				for x := b.Min.X; x < b.Max.X; x++ {
					out.Set(b.Max.X-1-x, y, m.At(x, y))
				}
			}
			reencode(th, out)
		}),
		inspects("every picture stands still", "Resizer/Animation", func(r ports.Resizer, ctx context.Context, src io.ReadSeeker, q ports.InspectRequest) (domain.ImageInfo, error) {
			info, err := r.Inspect(ctx, src, q)
			info.Frames = min(info.Frames, 1)
			return info, err
		}),
		resizers("carries metadata over", "Resizer/NoMetadata", func(r ports.Resizer) ports.Resizer {
			return resizerFault{Resizer: r, resize: func(ctx context.Context, src io.ReadSeeker, q ports.ResizeRequest) ([]ports.Thumbnail, error) {
				seen, _ := io.ReadAll(src)
				list, err := r.Resize(ctx, src, q)
				for i := range list {
					if at := bytes.Index(seen, []byte("CANARY")); at >= 0 {
						list[i].Data = append(list[i].Data, seen[at:]...)
					}
				}
				return list, err
			}}
		}),
		inspects("does not look at the limits", "Resizer/Limits", func(r ports.Resizer, ctx context.Context, src io.ReadSeeker, q ports.InspectRequest) (domain.ImageInfo, error) {
			q.Limits = domain.ImageLimits{MaxPixels: domain.NoLimit, MaxFrames: domain.NoLimit}
			return r.Inspect(ctx, src, q)
		}),
		inspects("frames have no limit", "Resizer/Limits", func(r ports.Resizer, ctx context.Context, src io.ReadSeeker, q ports.InspectRequest) (domain.ImageInfo, error) {
			q.Limits.MaxFrames = domain.NoLimit
			return r.Inspect(ctx, src, q)
		}),
		inspects("a limit is one too strict", "Resizer/Limits", func(r ports.Resizer, ctx context.Context, src io.ReadSeeker, q ports.InspectRequest) (domain.ImageInfo, error) {
			if q.Limits.MaxPixels > 0 {
				q.Limits.MaxPixels--
			}
			return r.Inspect(ctx, src, q)
		}),
		inspects("does not tell the limit", "Resizer/HeaderBombs", func(r ports.Resizer, ctx context.Context, src io.ReadSeeker, q ports.InspectRequest) (domain.ImageInfo, error) {
			info, err := r.Inspect(ctx, src, q)
			if domain.CodeOf(err) == domain.TooLarge {
				err = domain.Errorf(domain.TooLarge, "too large")
			}
			return info, err
		}),
		inspects("reads headers and no further", "Resizer/CutShort", func(r ports.Resizer, ctx context.Context, src io.ReadSeeker, q ports.InspectRequest) (domain.ImageInfo, error) {
			info, err := r.Inspect(ctx, src, q)
			if domain.CodeOf(err) == domain.CorruptImage {
				return domain.ImageInfo{Format: domain.JPEG, Width: 300, Height: 200, Frames: 1, Placeholder: []byte{1}}, nil
			}
			return info, err
		}),
		inspects("what is damaged is unsupported", "Resizer/Damaged", func(r ports.Resizer, ctx context.Context, src io.ReadSeeker, q ports.InspectRequest) (domain.ImageInfo, error) {
			info, err := r.Inspect(ctx, src, q)
			if domain.CodeOf(err) == domain.CorruptImage {
				err = domain.UnsupportedImage
			}
			return info, err
		}),
		inspects("what is unsupported is damaged", "Resizer/Unsupported", func(r ports.Resizer, ctx context.Context, src io.ReadSeeker, q ports.InspectRequest) (domain.ImageInfo, error) {
			info, err := r.Inspect(ctx, src, q)
			if domain.CodeOf(err) == domain.UnsupportedImage {
				err = domain.CorruptImage
			}
			return info, err
		}),
		inspects("bytes after the end are damage", "Resizer/BytesAfterTheEnd", func(r ports.Resizer, ctx context.Context, src io.ReadSeeker, q ports.InspectRequest) (domain.ImageInfo, error) {
			data, err := io.ReadAll(src)
			if err == nil && !bytes.HasSuffix(data, []byte{0xff, 0xd9}) && !bytes.HasSuffix(data, []byte{0x3b}) && !bytes.HasSuffix(data, []byte("IEND\xaeB`\x82")) {
				return domain.ImageInfo{}, domain.CorruptImage
			}
			return r.Inspect(ctx, src, q)
		}),
		inspects("the source's error is the picture's fault", "Resizer/SourceError", func(r ports.Resizer, ctx context.Context, src io.ReadSeeker, q ports.InspectRequest) (domain.ImageInfo, error) {
			info, err := r.Inspect(ctx, src, q)
			if domain.CodeOf(err) == domain.Internal && err != nil && ctx.Err() == nil {
				err = domain.Wrap(domain.CorruptImage, err, "damaged")
			}
			return info, err
		}),
		inspects("swallows the source's error", "Resizer/SourceError", func(r ports.Resizer, ctx context.Context, src io.ReadSeeker, q ports.InspectRequest) (domain.ImageInfo, error) {
			info, err := r.Inspect(ctx, src, q)
			if domain.CodeOf(err) == domain.Internal {
				err = errors.New("reading failed")
			}
			return info, err
		}),
		inspects("does not look at the context", "Resizer/EndedContext", func(r ports.Resizer, ctx context.Context, src io.ReadSeeker, q ports.InspectRequest) (domain.ImageInfo, error) {
			return r.Inspect(context.WithoutCancel(ctx), src, q)
		}),
		inspects("an ended context is damage", "Resizer/ContextEndsMidway", func(r ports.Resizer, ctx context.Context, src io.ReadSeeker, q ports.InspectRequest) (domain.ImageInfo, error) {
			info, err := r.Inspect(ctx, src, q)
			if ctx.Err() != nil {
				err = domain.CorruptImage
			}
			return info, err
		}),
	}
}
