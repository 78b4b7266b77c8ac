package nativeresizer

import (
	"context"
	"errors"
	"fmt"
	"image/png"
	"io"

	"github.com/imagify-api/imagify/adapters/nativeresizer/work"
	"github.com/imagify-api/imagify/domain"
)

// headerMemory is what a header of more than work.FreeHeader bytes may take, in bytes: a
// HEIC's metadata of 8 MiB with all that is in it, or a profile of 4 MiB with its tables.
const headerMemory = 48 << 20

// opened is a file whose header was read for a share. It must be closed.
type opened struct {
	file
	r     *Resizer
	ctx   context.Context
	share string
	src   io.ReadSeeker
	// release gives back what was admitted; nil: nothing was.
	release func()
}

// openAt opens a file at its beginning. A header that is large is admitted as headerMemory.
func (r *Resizer) openAt(ctx context.Context, share string, src io.ReadSeeker) (*opened, error) {
	o := &opened{r: r, ctx: ctx, share: share, src: src}
	err := o.open(func() (err error) {
		o.release, err = r.work.Memory(ctx, share, headerMemory)
		return err
	})
	if err != nil {
		o.end()
		return nil, err
	}
	return o, nil
}

func (o *opened) open(ask func() error) error {
	if _, err := o.src.Seek(0, io.SeekStart); err != nil {
		return fmt.Errorf("reading the picture: %w", err)
	}
	f, err := open(o.ctx, o.src, ask)
	if err != nil {
		return err
	}
	o.file = f
	return nil
}

// admit waits for the memory that work on the file takes, its header included. A header that
// was admitted is dropped first and read again afterwards: a job that waits for memory holds
// none, since two that did could wait for each other forever.
func (o *opened) admit(bytes int64) (err error) {
	large := o.release != nil
	if large {
		o.end()
	}
	if o.release, err = o.r.work.Memory(o.ctx, o.share, bytes); err != nil || !large {
		return err
	}
	return o.open(nil)
}

// again opens the file once more, for another decode within what was admitted.
func (o *opened) again() error {
	o.close()
	o.file = nil
	return o.open(nil)
}

// end closes the file and gives back what was admitted.
func (o *opened) end() {
	if o.file != nil {
		o.close()
		o.file = nil
	}
	if o.release != nil {
		o.release()
		o.release = nil
	}
}

// open tells the format and reads the header. The file has a budget of its own: what
// it may cost depends on nothing but its bytes, so that all who open it agree. ask is asked
// before a header takes more than a little memory; nil: it may.
func open(ctx context.Context, src io.ReadSeeker, ask func() error) (file, error) {
	budget := work.ForFile()
	budget.OnHold(ask)
	f, err := openFormat(ctx, budget.Reader(src), budget)
	if err != nil {
		return nil, err
	}
	h := f.header()
	budget.Pixels(h.pixels)
	if err := budget.Spend(encodingWork(h)); err != nil {
		f.close()
		return nil, err
	}
	return f, nil
}

// pngEncoder is for thumbnails with alpha. To compress them as well as the standard library
// can takes 2.6 times as long for 6 % fewer bytes (1080 px of a photograph).
var pngEncoder = png.Encoder{CompressionLevel: png.BestSpeed}

// encodingWork is what the costliest thumbnail with alpha takes, in units of work, beyond
// what decoding is weighed at: its file is compressed, at some 60 ns a pixel if it is
// large. A very wide picture may have one of as many pixels as itself. Every height is
// judged by it, so that what is accepted once always is.
func encodingWork(h header) int64 {
	if !h.alpha {
		return 0
	}
	to := thumbnailOf(domain.MaxHeight)(h)
	turned := h
	turned.orientation = 6
	if h.mayTurn {
		other := thumbnailOf(domain.MaxHeight)(turned)
		if other.shown.X*other.shown.Y > to.shown.X*to.shown.Y {
			to = other
		}
	}
	const perPixel = 45
	return perPixel * int64(to.shown.X) * int64(to.shown.Y)
}

func openFormat(ctx context.Context, src io.ReadSeeker, budget *work.Budget) (file, error) {
	head := make([]byte, domain.ForeignLength)
	n, err := io.ReadFull(src, head)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return nil, err
	}
	format, ok := domain.Sniff(head[:n])
	if !ok {
		return nil, domain.RefuseFormat(head[:n], domain.Formats())
	}
	src = &peeked{src: src, head: head[:n]}
	switch format {
	case domain.JPEG:
		return openJPEG(ctx, src, budget)
	case domain.PNG:
		return openPNG(ctx, src, budget)
	case domain.WebP:
		return openWebP(ctx, src, budget)
	case domain.GIF:
		return openGIF(ctx, src, budget)
	case domain.HEIC:
		return openHEIC(ctx, src, budget)
	}
	return nil, domain.RefuseFormat(head[:n], domain.Formats())
}

// peeked is a file of which the beginning was read: it is given once more without being asked for.
type peeked struct {
	src  io.ReadSeeker // stands behind head
	head []byte
	at   int // in head
}

// Read implements io.Reader.
func (p *peeked) Read(b []byte) (int, error) {
	if p.at < len(p.head) {
		n := copy(b, p.head[p.at:])
		p.at += n
		return n, nil
	}
	return p.src.Read(b)
}

// Seek implements io.Seeker.
func (p *peeked) Seek(offset int64, whence int) (int64, error) {
	if whence == io.SeekCurrent {
		offset -= int64(len(p.head) - p.at)
	}
	p.at = len(p.head)
	return p.src.Seek(offset, whence)
}

// classify gives a codec's error its code; what no codec says stays as it is.
func classify(err error) error {
	if errors.Is(err, work.ErrExceeded) {
		return &domain.Error{
			Code: domain.TooLarge, Err: err, Limit: new(int64(work.Max)),
			Msg: "the file takes more work than allowed for what it shows; save it again with an ordinary encoder, or smaller",
		}
	}
	for _, f := range []func(error) error{classifyJPEG, classifyPNG, classifyWebP, classifyGIF, classifyHEIC} {
		if c := f(err); c != nil {
			return c
		}
	}
	return err
}

func cutShort(cause error) error {
	return domain.Wrap(domain.CorruptImage, cause, "the file ends before the picture does: it was cut short")
}
