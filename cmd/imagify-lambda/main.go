// Command imagify-lambda is imagify as an AWS Lambda function. By its event one
// binary is
//
//   - the function that a server's IMAGIFY_RESIZER_URL=lambda:… calls for thumbnails
//     on first access ({"resize":{…}}; see package lambdaresizer);
//   - the function of an S3 Object Lambda access point, GET {key}@{height}, for accounts
//     that still have one (AWS takes no new customers since 7 November 2025; see package
//     objectlambda);
//   - the whole HTTP API behind a function URL with invoke mode RESPONSE_STREAM, or
//     behind API Gateway, an HTTP API (payload format 2.0 or 1.0) or a REST API (with
//     */* among its binary media types); and its sweep, for a schedule to ask for
//     ({"sweep":{}}): in Lambda nothing runs in the background.
//
// It is configured by the same variables as imagify. The first two use
// IMAGIFY_STORAGE_URL alone; the API needs a database and IMAGIFY_SECRET_KEY too, and
// takes uploads of at most 4.5 MB, because Lambda takes no bigger events. What a
// kind of event needs is opened with the first one.
//
// Build it with -tags lambda.norpc and call it bootstrap; runtime provided.al2023.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"os"
	"runtime/debug"
	"strconv"
	"sync"

	"github.com/aws/aws-lambda-go/lambda"
)

// version is set by the linker.
var version = "dev"

func main() {
	slog.SetDefault(slog.New(slog.NewJSONHandler(os.Stderr, nil)))
	if limit := memoryLimit(os.Getenv); limit > 0 {
		debug.SetMemoryLimit(limit)
	}
	lambda.Start(newFunction(os.Getenv).handle)
}

// memoryLimit is what the garbage collector is told, in bytes: four fifths of the
// function's memory. 0: nothing, because GOMEMLIMIT is set or the size is not known.
func memoryLimit(getenv func(string) string) int64 {
	mb, err := strconv.ParseInt(getenv("AWS_LAMBDA_FUNCTION_MEMORY_SIZE"), 10, 32)
	if err != nil || mb <= 0 || getenv("GOMEMLIMIT") != "" {
		return 0
	}
	return mb << 20 / 5 * 4
}

// serve answers events of one kind.
type serve func(ctx context.Context, payload []byte) (any, error)

// function is what runs in one environment of Lambda: one event at a time. A kind of
// event that is nil is not served.
type function struct {
	resize, objectLambda, http, sweep func(ctx context.Context) (serve, error)
}

// errEvent is an event of no kind that the function serves.
var errEvent = errors.New(`the event is neither {"resize":…}, nor {"sweep":{}}, nor one of S3 Object Lambda, nor an HTTP request of a function URL or of API Gateway`)

// handle serves an event.
func (f *function) handle(ctx context.Context, payload json.RawMessage) (any, error) {
	var kind struct {
		Resize         json.RawMessage `json:"resize"`
		Sweep          json.RawMessage `json:"sweep"`
		GetObject      json.RawMessage `json:"getObjectContext"`
		RequestContext struct {
			HTTP     json.RawMessage `json:"http"`     // payload format 2.0
			Identity json.RawMessage `json:"identity"` // payload format 1.0
		} `json:"requestContext"`
	}
	if err := json.Unmarshal(payload, &kind); err != nil {
		return nil, errEvent
	}
	var open func(ctx context.Context) (serve, error)
	web := kind.RequestContext.HTTP != nil || kind.RequestContext.Identity != nil
	switch {
	case web:
		open = f.http
	case kind.Resize != nil:
		open = f.resize
	case kind.GetObject != nil:
		open = f.objectLambda
	case kind.Sweep != nil:
		open = f.sweep
	}
	if open == nil {
		return nil, errEvent
	}
	serve, err := open(ctx)
	if err != nil {
		slog.ErrorContext(ctx, "the function cannot start", "error", err)
		if web { // the client is told to come again, not that the function failed
			return unavailable.serve(ctx, payload)
		}
		return nil, err
	}
	return serve(ctx, payload)
}

// once opens something when it is first needed. A failure is not remembered: a
// backend may be back for the next event.
func once[T any](open func(ctx context.Context) (T, error)) func(ctx context.Context) (T, error) {
	var mu sync.Mutex
	var opened bool
	var v T
	return func(ctx context.Context) (T, error) {
		mu.Lock()
		defer mu.Unlock()
		if opened {
			return v, nil
		}
		got, err := open(ctx)
		if err == nil {
			v, opened = got, true
		}
		return got, err
	}
}
