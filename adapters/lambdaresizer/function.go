package lambdaresizer

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/imagify-api/imagify/adapters/internal/storedresize"
	"github.com/imagify-api/imagify/domain"
	"github.com/imagify-api/imagify/ports"
)

// answerTime is kept of the function's own time for its answer: one that is cut off by
// Lambda's time-out tells nothing and costs the next call a cold start.
const answerTime = 500 * time.Millisecond

// Function is the function's side: it does the jobs that a Resizer sends.
type Function struct {
	blobs   ports.Blobs
	resizer ports.Resizer
}

// NewFunction returns the function's side on the store that the caller's Blobs works on.
func NewFunction(blobs ports.Blobs, resizer ports.Resizer) (*Function, error) {
	if blobs == nil || resizer == nil {
		return nil, errors.New("lambdaresizer: a function needs a store and a resizer")
	}
	return &Function{blobs: blobs, resizer: resizer}, nil
}

// internalError is a failure that is no answer to a job. Its name is what aws-lambda-go sends as errorType.
type internalError struct{ error }

func (e internalError) Unwrap() error { return e.error }

// errorTypeInternal is internalError's name, as the caller sees it.
const errorTypeInternal = "internalError"

// Handle does one job and returns its answer, as JSON. What a job may end with is
// in the answer; an error is a failure of the function itself. It gives up
// half a second before ctx ends, or when the caller has stopped waiting.
func (f *Function) Handle(ctx context.Context, payload []byte) (json.RawMessage, error) {
	var e event
	err := json.Unmarshal(payload, &e)
	if err != nil || e.Resize == nil {
		return f.answer(0, domain.Wrap(domain.Invalid, err, `the event is not like {"resize":{"source":…}}`))
	}
	if deadline, ok := ctx.Deadline(); ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, deadline.Add(-answerTime))
		defer cancel()
	}
	if e.Resize.TimeoutMS > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Duration(e.Resize.TimeoutMS)*time.Millisecond)
		defer cancel()
	}
	err = storedresize.Run(ctx, f.blobs, f.resizer, e.Resize.fromWire())
	if err != nil && ctx.Err() != nil && domain.CodeOf(err) == domain.Internal {
		err = domain.Wrap(domain.Unavailable, err, "the thumbnail took too long to make, try again")
	}
	return f.answer(len(e.Resize.Thumbnails), err)
}

func (*Function) answer(made int, err error) (json.RawMessage, error) {
	a := answer{Resized: made}
	if err != nil {
		if a = (answer{Error: toFault(err)}); a.Error == nil {
			return nil, internalError{err}
		}
	}
	return json.Marshal(a)
}
