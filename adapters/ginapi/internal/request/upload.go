package request

import (
	"bufio"
	"errors"
	"io"
	"mime"
	"mime/multipart"
	"strings"
	"sync"
	"time"

	"github.com/imagify-api/imagify/app"
	"github.com/imagify-api/imagify/domain"
)

// The bounds on what may stand beside the file in a multipart upload.
const (
	maxParts    = 100
	maxOverhead = 1 << 20 // bytes, headers and boundaries included
)

// uploadBuffers hold what comes from the connection, so that its deadline moves once a buffer. They
// are small because one is held for each client that is waited for.
var uploadBuffers = sync.Pool{New: func() any { return bufio.NewReaderSize(nil, 16<<10) }}

// minUploadRate is the least that a client has to send, in bytes a second, taken over each
// Options.IdleTimeout: one that sends a byte now and then is as good as one that sends none.
const minUploadRate = 1 << 10

// Upload keeps the image that the request's body holds.
func (q *Request) Upload() (domain.Image, error) {
	in := app.UploadInput{Size: -1}
	var none domain.Image
	switch keys := q.HTTP.Header["Idempotency-Key"]; len(keys) {
	case 0:
	case 1:
		in.IdempotencyKey = keys[0]
	default:
		return none, domain.InvalidField("Idempotency-Key", "format", "is a duplicate")
	}
	if q.HTTP.Header["Content-Encoding"] != nil {
		return none, domain.Errorf(domain.Invalid, "send the file as it is, without Content-Encoding")
	}
	wire := &uploadBody{q: q, until: q.begun.Add(q.server.UploadTimeout), left: -1}
	buffered := uploadBuffers.Get().(*bufio.Reader)
	buffered.Reset(wire)
	defer func() {
		buffered.Reset(nil)
		uploadBuffers.Put(buffered)
		q.server.Metrics.Uploaded(wire.read)
	}()

	typ, params, err := mime.ParseMediaType(q.HTTP.Header.Get("Content-Type"))
	switch {
	case err == nil && typ == "multipart/form-data":
		if n := len(params["boundary"]); n == 0 || n > 70 { // RFC 2046, section 5.1.1
			return none, domain.Errorf(domain.Invalid, "the multipart Content-Type has no valid boundary")
		}
		f := &formFile{form: multipart.NewReader(buffered, params["boundary"]), wire: wire}
		in.Body, in.FilenameOf = f, func() string { return f.filename }
	case err == nil && strings.HasPrefix(typ, "image/"):
		in.Body, in.Size = buffered, q.HTTP.ContentLength
		if _, params, err := mime.ParseMediaType(q.HTTP.Header.Get("Content-Disposition")); err == nil {
			in.Filename = params["filename"]
		}
	default:
		return none, domain.Errorf(domain.Invalid, "send the file as the field \"file\" of multipart/form-data, or as the body with an image/* Content-Type")
	}

	img, err := q.Service.Upload(q.Context(), q.Actor, in)
	if err != nil {
		if wire.failed != nil {
			return none, wire.failed // a failed read also ends the context: this came first
		}
		return none, err
	}
	return img, nil
}

// uploadBody reads the connection. Each wait for bytes is bounded, and all of
// them together; left bounds what may come that is no file.
type uploadBody struct {
	q     *Request
	until time.Time
	read  int64
	left  int64 // negative: not bounded
	// lap is when the rate is looked at next, and inLap what came since the last time.
	lap   time.Time
	inLap int64
	// failed is why the connection could not be read.
	failed error
}

func (b *uploadBody) Read(p []byte) (int, error) {
	if b.left == 0 {
		return 0, domain.LimitError(domain.Invalid, maxOverhead, "the form holds more than %d bytes beside the file", int64(maxOverhead))
	}
	if b.left > 0 {
		p = p[:min(int64(len(p)), b.left)]
	}
	idle := b.q.server.IdleTimeout
	enough := int64(minUploadRate * idle.Seconds())
	now := time.Now()
	if !now.Before(b.lap) {
		if !b.lap.IsZero() && b.inLap < enough {
			b.failed = domain.Errorf(domain.Timeout, "the upload stalled: send at least %d bytes a second", minUploadRate)
			return 0, b.failed
		}
		b.lap, b.inLap = now.Add(idle), 0
	}
	next := b.lap
	if b.inLap >= enough {
		next = now.Add(idle)
	}
	if b.until.Before(next) {
		next = b.until
	}
	b.q.readDeadline(next)
	n, err := b.q.HTTP.Body.Read(p)
	b.read += int64(n)
	b.inLap += int64(n)
	if b.left > 0 {
		b.left -= int64(n)
	}
	if errors.Is(err, io.EOF) {
		b.q.bodyRead()
		return n, io.EOF
	}
	if err != nil {
		b.failed = readError(err)
		return n, b.failed
	}
	return n, nil
}

// formFile is the one file of a multipart form. It goes to the file when it is first read, so that
// a client that sends no file is admitted like one that does. At its end it reads the rest of
// the form: a second file makes the whole upload fail, before any of it is kept.
type formFile struct {
	form     *multipart.Reader
	wire     *uploadBody
	part     *multipart.Part // nil until it is first read
	filename string
	parts    int
	spent    int64 // of the overhead
	ended    error
}

// next goes to the next part, within what may come beside the file.
func (f *formFile) next() (*multipart.Part, error) {
	if f.parts++; f.parts > maxParts {
		return nil, domain.Errorf(domain.Invalid, "the form has more than %d parts", maxParts)
	}
	p, err := f.form.NextRawPart()
	switch {
	case err == nil, err == io.EOF: // not errors.Is: a wrapped EOF is a form that was cut short
		return p, err
	case domain.CodeOf(err) != domain.Internal:
		return nil, err
	}
	return nil, domain.Wrap(domain.Invalid, err, "the multipart form is malformed")
}

// bound begins counting what is no file; free ends it.
func (f *formFile) bound() { f.wire.left = maxOverhead - f.spent }

func (f *formFile) free() { f.spent, f.wire.left = maxOverhead-f.wire.left, -1 }

// open goes to the file.
func (f *formFile) open() error {
	f.bound()
	for {
		p, err := f.next()
		if err == io.EOF { //nolint:errorlint // as next returns it
			return domain.InvalidField("file", "required", "the form has no file: send one as the field \"file\"")
		}
		if err != nil {
			return err
		}
		if p.FormName() != "file" {
			continue
		}
		if p.FileName() == "" {
			return domain.InvalidField("file", "type", "is a text field: send a file, with a file name")
		}
		f.part, f.filename = p, p.FileName()
		f.free()
		return nil
	}
}

func (f *formFile) Read(p []byte) (int, error) {
	if f.ended != nil {
		return 0, f.ended
	}
	if f.part == nil {
		if f.ended = f.open(); f.ended != nil {
			return 0, f.ended
		}
	}
	n, err := f.part.Read(p)
	switch {
	case err == nil:
		return n, nil
	case err == io.EOF: //nolint:errorlint // a wrapped EOF is a part that was cut short
		f.ended = f.finish()
	case domain.CodeOf(err) != domain.Internal:
		f.ended = err
	default:
		f.ended = domain.Wrap(domain.Invalid, err, "the multipart form was cut short")
	}
	return n, f.ended
}

// finish reads what comes after the file; io.EOF says that all is well.
func (f *formFile) finish() error {
	f.bound()
	defer f.free()
	for {
		p, err := f.next()
		if err == io.EOF { //nolint:errorlint // as next returns it
			return f.epilogue()
		}
		if err != nil {
			return err
		}
		if p.FormName() == "file" {
			return domain.InvalidField("file", "format", "is a duplicate: upload one file at a time")
		}
	}
}

// epilogue reads what follows the form and means nothing (RFC 2046, section 5.1.1), so that the body
// is at its end and the connection can be used again. What is longer than may come beside a file is
// dropped after the answer.
func (f *formFile) epilogue() error {
	if _, err := io.Copy(io.Discard, f.wire); err != nil && f.wire.left != 0 {
		return err
	}
	return io.EOF
}
