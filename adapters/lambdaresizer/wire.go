package lambdaresizer

import (
	"errors"
	"slices"
	"time"

	"github.com/imagify-api/imagify/domain"
	"github.com/imagify-api/imagify/ports"
)

// maxPayload bounds a job and an answer, in bytes of JSON: the biggest job that
// keeps its rules has some 19,000. Lambda itself takes 6 MiB.
const maxPayload = 64 << 10

// event is what the function is invoked with. Its one field tells a job from other
// events, such as the platform's own.
type event struct {
	Resize *job `json:"resize"`
}

type job struct {
	Source     string      `json:"source"`
	Size       int64       `json:"size"`
	SHA256     []byte      `json:"sha256,omitempty"`
	Pipeline   string      `json:"pipeline"`
	Thumbnails []thumbnail `json:"thumbnails"`
	// TimeoutMS is how many milliseconds the caller still waits; 0 if it did not say.
	// A span, not an instant: the two clocks need not agree.
	TimeoutMS int64 `json:"timeout_ms,omitempty"`
}

type thumbnail struct {
	Height int    `json:"height"`
	Key    string `json:"key"`
}

// answer is what the function returns: how many thumbnails it made, or why it could not.
type answer struct {
	Resized int    `json:"resized,omitempty"`
	Error   *fault `json:"error,omitempty"`
}

// fault is a domain.Error on its way.
type fault struct {
	Code         domain.Code `json:"code"`
	Message      string      `json:"message,omitempty"`
	Cause        string      `json:"cause,omitempty"` // for the caller's log
	Limit        *int64      `json:"limit,omitempty"`
	RetryAfterMS int64       `json:"retry_after_ms,omitempty"`
}

// faults are the codes that a job may end with; see ports.RemoteResizer. Any other
// is a failure of the function, which Lambda's metrics ought to count.
var faults = []domain.Code{
	domain.Invalid, domain.Conflict, domain.NotFound, domain.Unavailable,
	domain.UnsupportedImage, domain.CorruptImage, domain.TooLarge,
}

func toWire(j ports.RemoteJob, left time.Duration) event {
	w := job{Source: j.Source, Size: j.Size, Pipeline: j.Version, TimeoutMS: left.Milliseconds()}
	if j.SHA256 != [32]byte{} {
		w.SHA256 = j.SHA256[:]
	}
	for _, t := range j.Thumbnails {
		w.Thumbnails = append(w.Thumbnails, thumbnail(t))
	}
	return event{Resize: &w}
}

func (w job) fromWire() ports.RemoteJob {
	j := ports.RemoteJob{Source: w.Source, Size: w.Size, Version: w.Pipeline}
	copy(j.SHA256[:], w.SHA256)
	for _, t := range w.Thumbnails {
		j.Thumbnails = append(j.Thumbnails, ports.RemoteThumbnail(t))
	}
	return j
}

// toFault turns a job's error into what is sent; nil for one that is no job's.
func toFault(err error) *fault {
	e := domain.AsError(err)
	if !slices.Contains(faults, e.Code) {
		return nil
	}
	f := &fault{Code: e.Code, Message: cut(e.Msg), Limit: e.Limit, RetryAfterMS: e.RetryAfter.Milliseconds()}
	if e.Err != nil {
		f.Cause = cut(e.Err.Error())
	}
	return f
}

// err is the error that toFault was given.
func (f fault) err() error {
	if !slices.Contains(faults, f.Code) {
		return domain.Wrap(domain.Internal, errors.New(string(f.Code)+": "+f.Message), "the thumbnail cannot be made")
	}
	e := &domain.Error{Code: f.Code, Msg: f.Message, Limit: f.Limit, RetryAfter: time.Duration(max(f.RetryAfterMS, 0)) * time.Millisecond}
	if f.Cause != "" {
		e.Err = errors.New(f.Cause)
	}
	return e
}

// cut bounds a text that is sent.
func cut(s string) string { return s[:min(len(s), 1024)] }
