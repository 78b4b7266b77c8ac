package s3blob

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go"

	"github.com/imagify-api/imagify/domain"
	"github.com/imagify-api/imagify/ports"
)

func check(ctx context.Context, key string) error {
	if !ports.ValidKey(key) {
		return domain.Errorf(domain.Invalid, "a blob's key is 1 to %d of the characters a-z 0-9 . _ - and / between elements", ports.MaxKey)
	}
	return ended(ctx)
}

// ended is the error of a context that has ended.
func ended(ctx context.Context) error {
	if ctx.Err() == nil {
		return nil
	}
	return domain.Wrap(domain.Unavailable, context.Cause(ctx), "the request was given up")
}

// within makes one request, bounded in time, its retries included. A panic of the
// SDK's over an answer that it did not expect is an error like any other.
func within[In, Out any](ctx context.Context, d time.Duration, call func(context.Context, *In, ...func(*s3.Options)) (*Out, error), in *In, o []func(*s3.Options)) (out *Out, err error) {
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	defer recovered(&err)
	out, err = call(ctx, in, o...)
	if err == nil && out == nil {
		err = errors.New("there is no answer")
	}
	return out, err
}

// recovered makes a panic an error; it is deferred.
func recovered(err *error) {
	if p := recover(); p != nil {
		*err = fmt.Errorf("the SDK panicked: %v", p)
	}
}

// fail gives an error of the service its code. Whatever it is (the network, 5xx,
// SlowDown, a refusal, a bucket that is gone), it may be otherwise later, and is
// nobody's fault who sent a request.
func fail(ctx context.Context, err error) error {
	if err := ended(ctx); err != nil {
		return err
	}
	e := domain.Wrap(domain.Unavailable, fmt.Errorf("s3blob: %w", err), "the store does not answer now, try again")
	e.RetryAfter = 5 * time.Second
	return e
}

// apiCode is the service's word for an error, such as NoSuchKey; empty if it did not answer.
func apiCode(err error) string {
	var api smithy.APIError
	if errors.As(err, &api) {
		return api.ErrorCode()
	}
	return ""
}

func status(err error) int {
	var response *awshttp.ResponseError
	if errors.As(err, &response) {
		return response.HTTPStatusCode()
	}
	return 0
}

// isNotFound reports that there is no such object. That there is no such bucket is another thing.
func isNotFound(err error) bool {
	code := apiCode(err)
	return code == "NoSuchKey" || code == "NotFound"
}

// isConflict reports that an object was in the way of a conditional Put.
func isConflict(err error) bool {
	code := status(err)
	return code == http.StatusPreconditionFailed || code == http.StatusConflict
}
