package bildresizer

import (
	"context"
	"fmt"
	"io"
	"runtime/debug"
	"time"

	"github.com/imagify-api/imagify/adapters/internal/admission"
	"github.com/imagify-api/imagify/adapters/internal/imagefile"
	"github.com/imagify-api/imagify/domain"
	"github.com/imagify-api/imagify/ports"
)

// The defaults of Options.
const (
	DefaultMaxPixels = 50_000_000
	DefaultMaxBytes  = 256 << 20
	DefaultMemory    = 512 << 20
)

// Options are the process's own caps, which hold whatever a tier allows. A zero
// field takes its default.
type Options struct {
	// MaxPixels of a canvas or frame.
	MaxPixels int64
	// MaxBytes of one source.
	MaxBytes int64
	// Memory, in bytes, for all the pictures that are decoded at a time. A picture
	// that alone needs more is refused as domain.TooLarge. The garbage collector
	// needs room beside it: set the process's memory limit (GOMEMLIMIT) above it.
	Memory int64
	// MaxQueue is how many pictures of one share may wait for a turn, and for Memory,
	// MaxWait for how long; 0 means 64 and 10 seconds.
	MaxQueue int
	MaxWait  time.Duration
}

// Resizer is the ports.Resizer.
type Resizer struct {
	opt  Options
	work *admission.Work
}

var _ ports.Resizer = (*Resizer)(nil)

// New returns a Resizer. A negative option is domain.Invalid.
func New(o Options) (*Resizer, error) {
	for _, f := range []struct {
		value    *int64
		standard int64
	}{
		{&o.MaxPixels, DefaultMaxPixels},
		{&o.MaxBytes, DefaultMaxBytes},
		{&o.Memory, DefaultMemory},
	} {
		if *f.value < 0 {
			return nil, domain.Errorf(domain.Invalid, "bildresizer: an option is negative: %+v", o)
		}
		if *f.value == 0 {
			*f.value = f.standard
		}
	}
	work, err := admission.NewWork(o.Memory, o.MaxQueue, o.MaxWait)
	if err != nil {
		return nil, err
	}
	return &Resizer{opt: o, work: work}, nil
}

// Version implements ports.Resizer.
func (*Resizer) Version() string { return "bild1" }

// Scan implements ports.Resizer.
func (r *Resizer) Scan(lim domain.ImageLimits) ports.Scan {
	lim.MaxPixels = lim.MaxPixels.Within(domain.Limit(r.opt.MaxPixels))
	return imagefile.NewScanner(imagefile.Limits{ImageLimits: lim})
}

// Inspect implements ports.Resizer.
func (r *Resizer) Inspect(ctx context.Context, src io.ReadSeeker, q ports.InspectRequest) (info domain.ImageInfo, err error) {
	err = r.decoded(ctx, src, q, nil, func(f *frame) error {
		info.Format, info.Frames = f.info.Format, f.info.Frames
		info.Width, info.Height = f.info.Size()
		info.Alpha = f.alpha
		info.Placeholder, err = placeholder(ctx, f)
		return err
	})
	if err != nil {
		return domain.ImageInfo{}, err
	}
	return info, nil
}

// Resize implements ports.Resizer.
func (r *Resizer) Resize(ctx context.Context, src io.ReadSeeker, q ports.ResizeRequest) ([]ports.Thumbnail, error) {
	for _, h := range q.Heights {
		if _, ok := domain.Thumbnail(h); !ok {
			return nil, domain.Errorf(domain.Invalid, "a thumbnail is %d to %d pixels high, not %d", domain.MinHeight, domain.MaxHeight, h)
		}
	}
	thumbs := make([]ports.Thumbnail, 0, len(q.Heights))
	noLimits := ports.InspectRequest{Limits: domain.ImageLimits{MaxPixels: domain.NoLimit, MaxFrames: domain.NoLimit}, Share: q.Share}
	err := r.decoded(ctx, src, noLimits, q.Heights, func(f *frame) error {
		for _, h := range q.Heights {
			t, err := thumbnail(ctx, f, h)
			if err != nil {
				return err
			}
			thumbs = append(thumbs, t)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return thumbs, nil
}

// scanned tells the structure of src, which the request's scan may know already.
func (r *Resizer) scanned(ctx context.Context, src io.ReadSeeker, q ports.InspectRequest) (imagefile.Info, error) {
	if s, ok := q.Scanned.(*imagefile.Scanner); ok {
		return s.Info(), s.Finish()
	}
	if _, err := src.Seek(0, io.SeekStart); err != nil {
		return imagefile.Info{}, fmt.Errorf("reading the image: %w", err)
	}
	s := r.Scan(q.Limits).(*imagefile.Scanner)
	err := s.ScanAll(ctx, &bounded{r: src, left: r.opt.MaxBytes, max: r.opt.MaxBytes})
	if ctx.Err() != nil {
		err = cancelled(ctx)
	}
	return s.Info(), err
}

// decodable are the formats that the standard library and x/image decode.
var decodable = []domain.Format{domain.JPEG, domain.PNG, domain.WebP, domain.GIF}

// decoded checks, admits and decodes a source for use, which is done
// with the picture when it returns. Inspect and Resize both come this way, so
// that what the one accepts the other can do.
func (r *Resizer) decoded(ctx context.Context, src io.ReadSeeker, q ports.InspectRequest, heights []int, use func(*frame) error) (err error) {
	turn, err := r.work.Turn(ctx, q.Share)
	if err != nil {
		return err
	}
	defer turn()
	info, err := r.scanned(ctx, src, q)
	if err != nil {
		return err
	}
	if info.Format == domain.HEIC {
		return domain.Errorf(domain.UnsupportedImage, "the file is HEIC, which this resizer does not decode: send %s", domain.Names(decodable))
	}
	if need := memory(info, domain.MaxHeight); need > r.opt.Memory {
		return domain.LimitError(domain.TooLarge, r.opt.Memory,
			"decoding the picture takes %d bytes of memory, at most %d are allowed; save it smaller or in a simpler form", need, r.opt.Memory)
	}
	tallest := 0
	for _, h := range heights {
		tallest = max(tallest, h)
	}
	release, err := r.work.Memory(ctx, q.Share, memory(info, tallest))
	if err != nil {
		return err
	}
	defer release()
	// All of the work is done in this goroutine, and whatever goes wrong in it ends here.
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("bildresizer: panic at work on a %s: %v\n%s", info.Format, p, debug.Stack())
		}
	}()
	f, err := decode(ctx, &source{ReadSeeker: src}, info)
	if err != nil {
		return err
	}
	return use(f)
}

// memory returns about how many bytes it takes at the most to decode a picture
// and to make thumbnails up to a height (0: only a placeholder). The steps
// follow one another, so it is what the greatest of them takes.
func memory(info imagefile.Info, height int) int64 {
	const small = 1 << 20 // tables and buffers
	width, full := info.Size()
	decoding, picture := decodingMemory(info)
	strip := int64(info.Width) * stripRows * 4 * 3 // as converted, and as bild works on it
	if height == 0 {
		return max(decoding, picture+strip) + small
	}
	tw, th := domain.ThumbnailSize(width, full, height)
	// The picture narrowed to the thumbnail's width at its own height (or, of one
	// that lies on its side, the other way round), and the thumbnail, turned.
	across, down := tw, info.Height
	if imagefile.Swapped(info.Orientation) {
		across = th
	}
	thumb := int64(tw) * int64(th) * 4
	narrowed := int64(across) * int64(down) * 4
	encoded := thumb // what cannot be compressed, while its buffer grows
	if !info.Alpha {
		encoded /= 4
	}
	return max(decoding, picture+narrowed+strip+thumb, picture+2*thumb+encoded) + small
}

// decodingMemory returns what decoding takes at its peak, and what is left of it
// in the picture, in bytes: what the decoders allocate.
func decodingMemory(info imagefile.Info) (peak, picture int64) {
	area := int64(info.First.Width) * int64(info.First.Height)
	switch info.Format {
	case domain.JPEG:
		most := info.JPEG.MaxSampling()
		mcus := int64((info.Width+8*most.H-1)/(8*most.H)) * int64((info.Height+8*most.V-1)/(8*most.V))
		var samples int64
		for _, c := range info.JPEG.Sampling[:info.JPEG.Components] {
			samples += mcus * int64(64*c.H*c.V)
		}
		peak, picture = samples, samples
		if info.JPEG.Progressive {
			peak += 4 * samples // all coefficients, as int32
		}
		if info.JPEG.Components == 4 || info.JPEG.RGB() || string(info.JPEG.IDs[:3]) == "RGB" { // a copy, its samples side by side
			peak += 4 * area
			picture = max(picture, 4*area)
		}
	case domain.PNG:
		sample := int64(1)
		if info.PNG.BitDepth == 16 {
			sample = 2
		}
		channels := int64(4)
		if c := info.PNG.ColorType; c == imagefile.Palette || c == imagefile.Gray && !info.PNG.Transparency {
			channels = 1
		}
		peak = area * sample * channels
		picture = peak
		if info.PNG.Interlaced {
			peak += peak / 2 // the greatest of the passes, which are images of their own
		}
	case domain.GIF:
		peak, picture = area, area
	case domain.WebP:
		// VP8L: the pixels twice where a transform makes new ones, and its Huffman
		// trees: x/image allows 2,600 groups of up to 52 KB, one at most for each 4 × 4
		// pixels, and each byte of the file makes no more than some 200 of it.
		lossless := func(data int64) int64 {
			return 8*area + min(2600*52_000, (area/16+1)*52_000, data*200)
		}
		if info.WebP.Lossless {
			return lossless(info.WebP.Bitstream.Length), 4 * area
		}
		luma := int64((info.First.Width+15)&^15) * int64((info.First.Height+15)&^15)
		peak = luma*3/2 + info.WebP.Bitstream.Length
		picture = peak
		if info.WebP.AlphaPlane.Length > 0 {
			peak += area + lossless(info.WebP.AlphaPlane.Length)
			picture += area
		}
	}
	return peak, picture
}
