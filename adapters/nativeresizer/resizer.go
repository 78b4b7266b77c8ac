// Package nativeresizer is the ports.Resizer in pure Go that imagify uses by
// default. What makes it cheap is to decode no more than a thumbnail needs: a JPEG
// is reduced inside its transform, a PNG while it is inflated, and planes stay
// in the file's own colour space from the decoder through the resampler to the encoder.
//
// The codecs are packages of their own below this one.
package nativeresizer

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"image"
	"io"
	"runtime/debug"
	"slices"
	"time"

	"github.com/imagify-api/imagify/adapters/internal/admission"
	"github.com/imagify-api/imagify/adapters/internal/imagefile"
	"github.com/imagify-api/imagify/adapters/internal/thumbhash"
	"github.com/imagify-api/imagify/adapters/nativeresizer/jpegenc"
	"github.com/imagify-api/imagify/adapters/nativeresizer/resample"
	"github.com/imagify-api/imagify/domain"
	"github.com/imagify-api/imagify/ports"
)

var _ ports.Resizer = (*Resizer)(nil)

// version changes whenever the pixels or bytes of a thumbnail would.
const version = "native3"

// The defaults of Options.
const (
	DefaultMemory    = 512 << 20
	DefaultMaxPixels = 100_000_000
	DefaultMaxFrames = 10_000
)

// Options are a Resizer's bounds, which hold whatever a tier allows. The zero value is good for most uses.
type Options struct {
	// Memory is the bytes that all work at a time may need. A picture whose
	// thumbnails could need more than that alone is domain.TooLarge. 0 means DefaultMemory.
	Memory int64
	// MaxPixels bounds a picture's width × height, 0 means DefaultMaxPixels; MaxFrames
	// an animation's frames, 0 means DefaultMaxFrames.
	MaxPixels, MaxFrames int64
	// MaxQueue is how many jobs of one share may wait for a turn, and for memory, and
	// MaxWait for how long; 0 means 64 and 10 seconds.
	MaxQueue int
	MaxWait  time.Duration
}

// Resizer makes thumbnails. It is safe for concurrent use.
type Resizer struct {
	memory int64
	caps   domain.ImageLimits
	work   *admission.Work
}

// New returns a Resizer. Options out of range are domain.Invalid.
func New(o Options) (*Resizer, error) {
	if o.Memory < 0 || o.MaxPixels < 0 || o.MaxFrames < 0 {
		return nil, domain.Errorf(domain.Invalid, "nativeresizer: memory, pixels and frames must not be negative")
	}
	if o.Memory == 0 {
		o.Memory = DefaultMemory
	}
	if o.MaxPixels == 0 {
		o.MaxPixels = DefaultMaxPixels
	}
	if o.MaxFrames == 0 {
		o.MaxFrames = DefaultMaxFrames
	}
	work, err := admission.NewWork(o.Memory, o.MaxQueue, o.MaxWait)
	if err != nil {
		return nil, err
	}
	return &Resizer{
		memory: o.Memory,
		caps:   domain.ImageLimits{MaxPixels: domain.Limit(o.MaxPixels), MaxFrames: domain.Limit(o.MaxFrames)},
		work:   work,
	}, nil
}

// Version implements ports.Resizer.
func (r *Resizer) Version() string { return version }

// file is a picture file whose header was read, of any format.
type file interface {
	// header tells what is known before anything of the picture's size is
	// allocated. The orientation may still change: see decode.
	header() header
	// shrink returns by how much, 1 or more in each direction, a picture may be
	// reduced while it is decoded for something that is smaller by ratio, so that what
	// is decoded is larger than that by margin at least. A margin above 1 is the
	// header's; where a reduction needs more than that, the file takes more.
	shrink(ratio, margin float64) int
	// memory returns an upper bound of the bytes that decode allocates.
	memory(shrinks ...int) int64
	// joins reports whether two reductions can be of one decode.
	joins(a, b int) bool
	// decode decodes the file, once, by reductions that shrink returned and that join. Each
	// gives the picture that it would give alone.
	decode(ctx context.Context, shrinks ...int) ([]*picture, error)
	// close gives back what the file holds; decoded pictures stay valid.
	close()
}

// header is what a file tells about itself.
type header struct {
	format        domain.Format
	width, height int // in pixels, as coded
	// pixels is width × height, or those of the first frame if that has more.
	pixels      int64
	orientation int // EXIF's, 1 to 8
	// mayTurn: the file may still tell another orientation, behind the picture.
	mayTurn bool
	// alpha: some pixel may be transparent. The decoded picture knows.
	alpha bool
	// direct: thumbnails go from plane to plane, see picture.direct.
	direct bool
	// margin is by how much what is decoded ought to be larger than the thumbnail,
	// for the resampler's sake.
	margin float64
}

// boxMargin is the margin of what is averaged in boxes while it is decoded: a
// box lets more through than it should, which a larger margin hides.
const boxMargin = 2

// plan is how something of a size is made. It depends on nothing but the file
// and the size, so that a thumbnail is the same whatever is made beside it.
type plan struct {
	shrink int
	render int64 // upper bounds in bytes: of what comes after decoding,
	memory int64 // and of all
}

// batch is thumbnails of one decode.
type batch struct {
	shrinks []int
	render  int64
	memory  int64 // in bytes, an upper bound
}

// batches puts plans that can be decoded together into as few batches as the memory allows.
func (r *Resizer) batches(f file, plans []plan) (all []batch) {
	for _, p := range plans {
		if slices.ContainsFunc(all, func(b batch) bool { return slices.Contains(b.shrinks, p.shrink) && b.render >= p.render }) {
			continue
		}
		if n := len(all); n > 0 && f.joins(all[n-1].shrinks[0], p.shrink) {
			b := batch{shrinks: all[n-1].shrinks, render: max(all[n-1].render, p.render)}
			if !slices.Contains(b.shrinks, p.shrink) {
				b.shrinks = append(slices.Clip(b.shrinks), p.shrink)
			}
			if b.memory = f.memory(b.shrinks...) + b.render; b.memory <= r.memory {
				all[n-1] = b
				continue
			}
		}
		all = append(all, batch{[]int{p.shrink}, p.render, p.memory})
	}
	return all
}

// plan takes the file's own margin. Where decoding would then need more memory than
// there is, it makes do without; at last what is decoded may even be a little smaller.
func (r *Resizer) plan(f file, of func(header) size) plan {
	h := f.header()
	// The least that must be left, and the most memory, however the picture turns out to lie.
	ratio, render := ratioOf(h, of(h)), renderMemory(h, of(h))
	if h.mayTurn {
		turned := h
		turned.orientation = 6
		ratio, render = min(ratio, ratioOf(h, of(turned))), max(render, renderMemory(h, of(turned)))
	}
	var p plan
	for _, margin := range []float64{h.margin, 1, 0.5} {
		p.shrink = 1
		if ratio > 1 || margin < 1 { // what is not smaller than the picture is that picture
			from := ratio
			if margin >= 1 {
				from = min(from, margin*fewest(h))
			}
			p.shrink = f.shrink(from, margin)
		}
		p.render, p.memory = render, f.memory(p.shrink)+render
		if p.memory <= r.memory {
			break
		}
	}
	return p
}

// fewest is by how much a picture may shrink and still be a number of samples in its shorter
// direction, so that one that is cut by the edge weighs little.
func fewest(h header) float64 {
	return max(1, float64(min(h.width, h.height))/resample.Fewest)
}

// ratioOf is by how much a size is smaller than the file.
func ratioOf(h header, to size) float64 {
	// A side of one pixel may be less than its share.
	return max(float64(h.height)/float64(to.coded.Y), float64(h.width)/float64(to.coded.X))
}

// renderMemory returns an upper bound of the bytes that a thumbnail takes, with what is
// needed to make it.
func renderMemory(h header, to size) int64 {
	px := int64(to.shown.X) * int64(to.shown.Y)
	planes := int64(10) // four bytes a pixel, turned, and one plane beside them
	if h.direct {
		planes = 3 // turned
	}
	encoded := jpegenc.MemoryNeeded(to.shown.X, to.shown.Y)
	if h.alpha {
		encoded = 10*px + 1<<20 // the file, in a buffer that grows by doubling
	}
	return planes*px + encoded + int64(h.width)*64
}

// Scan implements ports.Resizer.
func (r *Resizer) Scan(lim domain.ImageLimits) ports.Scan {
	return imagefile.NewScanner(imagefile.Limits{ImageLimits: domain.ImageLimits{
		MaxPixels: lim.MaxPixels.Within(r.caps.MaxPixels), MaxFrames: lim.MaxFrames.Within(r.caps.MaxFrames),
	}})
}

// scanned returns what the request's scan found, or scans src.
func (r *Resizer) scanned(ctx context.Context, src io.ReadSeeker, q ports.InspectRequest) (*imagefile.Scanner, error) {
	if s, ok := q.Scanned.(*imagefile.Scanner); ok {
		return s, s.Finish()
	}
	s := r.Scan(q.Limits).(*imagefile.Scanner)
	if _, err := src.Seek(0, io.SeekStart); err != nil {
		return nil, fmt.Errorf("reading the picture: %w", err)
	}
	return s, s.ScanAll(ctx, src)
}

// Inspect implements ports.Resizer.
func (r *Resizer) Inspect(ctx context.Context, src io.ReadSeeker, q ports.InspectRequest) (info domain.ImageInfo, err error) {
	defer func() {
		if p := recover(); p != nil {
			// A bug of ours; to the uploader it is a file that cannot be read.
			info, err = domain.ImageInfo{}, domain.Wrap(domain.CorruptImage, panicked(p), "the picture cannot be decoded")
		}
	}()
	release, err := r.work.Turn(ctx, q.Share)
	if err != nil {
		return domain.ImageInfo{}, err
	}
	defer release()
	info, err = r.inspect(ctx, src, q)
	if err != nil {
		return domain.ImageInfo{}, failure(ctx, err)
	}
	return info, nil
}

func (r *Resizer) inspect(ctx context.Context, src io.ReadSeeker, q ports.InspectRequest) (domain.ImageInfo, error) {
	// What the decoder reads the scanner has checked before.
	scanner, err := r.scanned(ctx, src, q)
	if err != nil {
		return domain.ImageInfo{}, err
	}
	f, err := r.openAt(ctx, q.Share, src)
	if err != nil {
		return domain.ImageInfo{}, err
	}
	defer f.end()
	h := f.header()
	// Every height that may be asked for later has to be possible.
	if r.plan(f, thumbnailOf(domain.MaxHeight)).memory > r.memory {
		return domain.ImageInfo{}, domain.LimitError(domain.TooLarge, r.memory,
			"a picture of %d × %d pixels of this kind takes more memory than this server has for one; reduce its size or save it as baseline JPEG", h.width, h.height)
	}
	small := r.plan(f, header.placeholder)
	if err := f.admit(small.memory); err != nil {
		return domain.ImageInfo{}, err
	}
	decoded, err := f.decode(ctx, small.shrink)
	if err != nil {
		return domain.ImageInfo{}, err
	}
	p := decoded[0]
	h.orientation = p.orientation
	m, err := p.colour(ctx, new(resample.Resampler), h.placeholder())
	if err != nil {
		return domain.ImageInfo{}, err
	}
	hash, err := thumbhash.Encode(m)
	if err != nil {
		return domain.ImageInfo{}, err
	}
	info := domain.ImageInfo{Format: h.format, Frames: scanner.Info().Frames, Alpha: p.alpha, Placeholder: hash}
	info.Width, info.Height = shownSize(h.width, h.height, h.orientation)
	return info, nil
}

// placeholder is the size of what ThumbHash takes: as large as it may be.
func (h header) placeholder() size {
	w, hh := shownSize(h.width, h.height, h.orientation)
	if longer := max(w, hh); longer > thumbhash.MaxSide {
		w, hh = max(1, w*thumbhash.MaxSide/longer), max(1, hh*thumbhash.MaxSide/longer)
	}
	return sizeOf(w, hh, h.orientation)
}

// thumbnailOf tells the size of the thumbnail of a height.
func thumbnailOf(height int) func(header) size {
	return func(h header) size { return thumbnailSize(h.width, h.height, h.orientation, height) }
}

// Resize implements ports.Resizer.
func (r *Resizer) Resize(ctx context.Context, src io.ReadSeeker, q ports.ResizeRequest) (out []ports.Thumbnail, err error) {
	defer func() {
		if p := recover(); p != nil {
			out, err = nil, panicked(p)
		}
	}()
	for _, h := range q.Heights {
		if h < domain.MinHeight || h > domain.MaxHeight {
			return nil, domain.Errorf(domain.Invalid, "a thumbnail is %d to %d pixels high, not %d", domain.MinHeight, domain.MaxHeight, h)
		}
	}
	release, err := r.work.Turn(ctx, q.Share)
	if err != nil {
		return nil, err
	}
	defer release()
	out, err = r.resize(ctx, src, q)
	if err != nil {
		return nil, failure(ctx, err)
	}
	return out, nil
}

func (r *Resizer) resize(ctx context.Context, src io.ReadSeeker, q ports.ResizeRequest) ([]ports.Thumbnail, error) {
	f, err := r.openAt(ctx, q.Share, src)
	if err != nil {
		return nil, err
	}
	defer f.end()
	h := f.header()
	if !r.caps.MaxPixels.Allows(h.pixels) {
		return nil, domain.LimitError(domain.TooLarge, r.caps.MaxPixels.Max(),
			"the picture has %d pixels; at most %d are allowed", h.pixels, r.caps.MaxPixels.Max())
	}
	plans := make([]plan, len(q.Heights))
	for i, height := range q.Heights {
		plans[i] = r.plan(f, thumbnailOf(height))
		if plans[i].memory > r.memory {
			return nil, domain.LimitError(domain.TooLarge, r.memory,
				"a thumbnail of a picture of %d × %d pixels takes more memory than this server has for one", h.width, h.height)
		}
	}
	batches := r.batches(f, plans)
	var memory int64
	for _, b := range batches {
		memory = max(memory, b.memory)
	}
	if err := f.admit(memory); err != nil {
		return nil, err
	}
	var rs resample.Resampler
	out := make([]ports.Thumbnail, len(q.Heights))
	for i, b := range batches {
		if i > 0 {
			if err := f.again(); err != nil {
				return nil, err
			}
		}
		pictures, err := f.decode(ctx, b.shrinks...)
		if err != nil {
			return nil, err
		}
		for j, height := range q.Heights {
			at := slices.Index(b.shrinks, plans[j].shrink)
			if at < 0 || plans[j].render > b.render || out[j].Data != nil {
				continue
			}
			if out[j], err = pictures[at].thumbnail(ctx, &rs, height); err != nil {
				return nil, err
			}
		}
	}
	return out, nil
}

// thumbnail renders and encodes one height.
func (p *picture) thumbnail(ctx context.Context, rs *resample.Resampler, height int) (ports.Thumbnail, error) {
	to := thumbnailSize(p.width, p.height, p.orientation, height)
	t := ports.Thumbnail{Width: to.shown.X, Height: to.shown.Y, Format: domain.JPEG}
	var m image.Image
	var err error
	if p.direct() {
		m, err = p.grayOrYCbCr(ctx, rs, to)
	} else {
		m, err = p.colour(ctx, rs, to)
	}
	if err != nil {
		return t, err
	}
	if p.alpha {
		t.Format = domain.PNG
		var b bytes.Buffer
		if err := pngEncoder.Encode(&cancelled{ctx: ctx, w: &b}, m); err != nil {
			return t, err
		}
		t.Data = b.Bytes()
		return t, nil
	}
	if c, ok := m.(*image.NRGBA); ok {
		m = toYCbCr(c)
	}
	t.Data, err = jpegenc.Encode(ctx, m, ports.ThumbnailQuality)
	return t, err
}

// cancelled makes an encoder that knows no context stop at its next write.
type cancelled struct {
	ctx context.Context
	w   io.Writer
}

func (c *cancelled) Write(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	return c.w.Write(p)
}

// failure gives errors their code.
func failure(ctx context.Context, err error) error {
	var coded *domain.Error
	if errors.As(err, &coded) {
		return err
	}
	if ctx.Err() != nil && errors.Is(err, ctx.Err()) {
		return domain.Wrap(domain.Unavailable, context.Cause(ctx), "the work was cancelled")
	}
	return classify(err)
}

func panicked(p any) error { return fmt.Errorf("nativeresizer: panic: %v\n%s", p, debug.Stack()) }
