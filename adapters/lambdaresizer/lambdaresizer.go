// Package lambdaresizer is the ports.RemoteResizer as calls of an AWS Lambda
// function, and the function's side of it. The function is told keys, never bytes:
// it reads from the same bucket and puts into it.
//
// The caller's credentials need lambda:InvokeFunction on the function; the function's
// own need s3:GetObject, s3:PutObject and s3:AbortMultipartUpload on the bucket's
// objects, and s3:ListBucket on the bucket (without it a missing original looks like a
// refusal).
//
// A call costs a few milliseconds over the resizing itself, and some hundred when a
// function has to start first. Calls are repeated where the network or Lambda fails,
// because a job may be repeated; not where Lambda throttles or the function died: those
// are domain.Unavailable, for the client to come again. A caller that gives up does
// not stop the function, which sees by the job's time that nobody waits any more.
package lambdaresizer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"

	"github.com/imagify-api/imagify/adapters/internal/admission"
	"github.com/imagify-api/imagify/domain"
	"github.com/imagify-api/imagify/ports"
)

const (
	defaultTimeout  = 30 * time.Second
	defaultMaxCalls = 64

	// retryAfter is the hint where Lambda gives none.
	retryAfter = 5 * time.Second
	// throttledAfter is the same for throttling, which passes sooner.
	throttledAfter = time.Second
)

// Options are the optional settings; the zero value is ready to use.
type Options struct {
	// Timeout bounds a call with its retries; zero means 30 seconds. It should be
	// above the function's own.
	Timeout time.Duration
	// MaxCalls is how many calls are under way at once; zero means 64. It should be
	// no more than the function's concurrency.
	MaxCalls int
	// MaxQueue is how many calls of one share may wait for their turn, MaxWait for how long; zero
	// means 64 and 10 seconds. Beyond, a call is domain.Unavailable.
	MaxQueue int
	MaxWait  time.Duration
}

// Resizer is the ports.RemoteResizer. It is safe for concurrent use.
type Resizer struct {
	client   *lambda.Client
	function string
	timeout  time.Duration
	gate     *admission.Gate
}

var (
	_ ports.RemoteResizer = (*Resizer)(nil)
	_ ports.Pinger        = (*Resizer)(nil)
)

// New returns a Resizer that calls a function, named by its name, ARN, or one of them
// with a version or alias behind a colon. The client should not retry throttled calls:
// Open makes such a client.
func New(client *lambda.Client, function string, o Options) (*Resizer, error) {
	if o.Timeout == 0 {
		o.Timeout = defaultTimeout
	}
	if o.MaxCalls == 0 {
		o.MaxCalls = defaultMaxCalls
	}
	switch {
	case client == nil:
		return nil, errors.New("lambdaresizer: there is no client")
	case function == "":
		return nil, errors.New("lambdaresizer: there is no function's name")
	case o.Timeout < 0 || o.MaxCalls < 0 || o.MaxQueue < 0 || o.MaxWait < 0:
		return nil, fmt.Errorf("lambdaresizer: an option is negative: %+v", o)
	}
	gate, err := admission.New(admission.Options{
		Budget: int64(o.MaxCalls), ShareMax: int64(o.MaxCalls - o.MaxCalls/8), MaxShareQueue: o.MaxQueue, MaxWait: o.MaxWait,
	})
	if err != nil {
		return nil, err
	}
	return &Resizer{client: client, function: function, timeout: o.Timeout, gate: gate}, nil
}

// ResizeRemote implements ports.RemoteResizer.
func (r *Resizer) ResizeRemote(ctx context.Context, j ports.RemoteJob) error {
	if err := j.Check(); err != nil {
		return err
	}
	release, err := r.gate.Acquire(ctx, j.Share, 1)
	if err != nil {
		return err
	}
	defer release()
	ctx, cancel := context.WithTimeout(ctx, r.timeout)
	defer cancel()
	deadline, _ := ctx.Deadline()
	payload, err := json.Marshal(toWire(j, time.Until(deadline)))
	if err != nil {
		return err
	}
	if len(payload) > maxPayload { // no job that keeps its rules is
		return domain.LimitError(domain.Invalid, maxPayload, "the job has %d bytes, at most %d are sent", len(payload), maxPayload)
	}
	out, err := r.client.Invoke(ctx, &lambda.InvokeInput{
		FunctionName: &r.function, InvocationType: types.InvocationTypeRequestResponse, Payload: payload,
	})
	if err != nil {
		return callFailed(ctx, err)
	}
	if out.FunctionError != nil {
		return functionFailed(out)
	}
	var a answer
	if len(out.Payload) > maxPayload {
		return wrongFunction(fmt.Errorf("an answer of %d bytes", len(out.Payload)))
	}
	if err := json.Unmarshal(out.Payload, &a); err != nil {
		return wrongFunction(err)
	}
	if a.Error != nil {
		return a.Error.err()
	}
	if a.Resized != len(j.Thumbnails) {
		return wrongFunction(fmt.Errorf("%d thumbnails of %d", a.Resized, len(j.Thumbnails)))
	}
	return nil
}

// Ping implements ports.Pinger: it asks Lambda whether the function is there and may be called, without calling it.
func (r *Resizer) Ping(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, r.timeout)
	defer cancel()
	_, err := r.client.Invoke(ctx, &lambda.InvokeInput{FunctionName: &r.function, InvocationType: types.InvocationTypeDryRun})
	if err != nil {
		return callFailed(ctx, err)
	}
	return nil
}

// unavailable is an error whose cause is not the picture, and that may be otherwise later.
func unavailable(cause error, after time.Duration, msg string) error {
	e := domain.Wrap(domain.Unavailable, fmt.Errorf("lambdaresizer: %w", cause), msg)
	e.RetryAfter = after
	return e
}

// callFailed gives an error of the call its code: whatever it is, no picture is at fault.
func callFailed(ctx context.Context, err error) error {
	if isThrottled(err) {
		after := throttledAfter
		var t *types.TooManyRequestsException
		if errors.As(err, &t) {
			if n, err := strconv.Atoi(aws.ToString(t.RetryAfterSeconds)); err == nil && n > 0 {
				after = time.Duration(n) * time.Second
			}
		}
		return unavailable(err, after, "too many thumbnails are being made, try again")
	}
	if ctx.Err() != nil {
		return unavailable(err, retryAfter, "the thumbnail took too long to make, try again")
	}
	return unavailable(err, retryAfter, "thumbnails cannot be made now, try again")
}

func isThrottled(err error) bool {
	var t *types.TooManyRequestsException
	return errors.As(err, &t)
}

// functionFailed gives a function that ended without an answer its code. One that
// crashed, ran out of time or out of memory may do better the next time.
func functionFailed(out *lambda.InvokeOutput) error {
	var e struct {
		Type    string `json:"errorType"`
		Message string `json:"errorMessage"`
	}
	_ = json.Unmarshal(out.Payload[:min(len(out.Payload), maxPayload)], &e) // what is no JSON leaves it empty
	cause := fmt.Errorf("the function failed (%s): %s: %s", aws.ToString(out.FunctionError), e.Type, cut(e.Message))
	if e.Type == errorTypeInternal {
		return domain.Wrap(domain.Internal, fmt.Errorf("lambdaresizer: %w", cause), "the thumbnail cannot be made")
	}
	return unavailable(cause, retryAfter, "the thumbnail could not be made, try again")
}

func wrongFunction(cause error) error {
	return unavailable(fmt.Errorf("the function does not answer as imagify's does: %w", cause), retryAfter, "thumbnails cannot be made now, try again")
}
