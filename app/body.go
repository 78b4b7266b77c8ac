package app

import (
	"fmt"
	"io"
	"time"

	"github.com/imagify-api/imagify/domain"
)

const (
	// recheckAfter is how old a decision may be when the next bytes of a body are given:
	// a slow store must not stretch it, whatever the pieces are in which it is sent.
	recheckAfter = time.Second
	// readyBytes is what of a body is read before its answer begins.
	readyBytes = 32 << 10
)

// sentBody is a variant's body on its way out. It asks again by time whether the rest
// may go, and a panic of a store's is an error: http.ServeContent reads parts on a
// goroutine of its own.
type sentBody struct {
	body    io.ReadSeekCloser
	recheck func() error
	decided time.Time
	ahead   []byte // read, and not yet given
	failed  error  // what ended the reading ahead; given after it
}

func (b *sentBody) Read(p []byte) (n int, err error) {
	if len(b.ahead) > 0 {
		n = copy(p, b.ahead)
		b.ahead = b.ahead[n:]
		return n, nil
	}
	if b.failed != nil {
		return 0, b.failed
	}
	return b.read(p)
}

func (b *sentBody) read(p []byte) (n int, err error) {
	defer recoverStore(&err)
	n, err = b.body.Read(p)
	if n > 0 && time.Since(b.decided) > recheckAfter {
		if rerr := b.recheck(); rerr != nil {
			return 0, rerr
		}
		b.decided = time.Now()
	}
	return n, err
}

// ready reads the first bytes and then decides again, so that a store that fails, and an
// access that ended meanwhile, are told by a status and not by an answer that is cut.
func (b *sentBody) ready() error {
	if b.ahead != nil {
		return nil
	}
	b.ahead = make([]byte, readyBytes)
	n := 0
	for n < len(b.ahead) && b.failed == nil {
		var k int
		k, b.failed = b.read(b.ahead[n:])
		n += k
	}
	b.ahead = b.ahead[:n]
	if b.failed != nil && b.failed != io.EOF { //nolint:errorlint // the value itself, as io.Reader has it
		return b.failed
	}
	b.decided = time.Now()
	return b.recheck()
}

func (b *sentBody) Seek(offset int64, whence int) (at int64, err error) {
	defer recoverStore(&err)
	if whence == io.SeekCurrent {
		offset -= int64(len(b.ahead))
	}
	b.ahead, b.failed = nil, nil
	return b.body.Seek(offset, whence)
}

func (b *sentBody) Close() (err error) {
	defer recoverStore(&err)
	return b.body.Close()
}

// recoverStore makes a panic in a store's code an error; it is deferred.
func recoverStore(err *error) {
	if p := recover(); p != nil {
		*err = domain.Wrap(domain.Unavailable, fmt.Errorf("the store panicked: %v", p), "the image's bytes are not available")
	}
}
