package porttest_test

import (
	"context"
	"fmt"
	"io"
	"iter"
	"testing"
	"time"

	"github.com/imagify-api/imagify/ports"
	"github.com/imagify-api/imagify/ports/porttest"
)

// able is all that a store may be.
type able interface {
	ports.Blobs
	ports.BlobWalker
	ports.BlobSweeper
	ports.Pinger
}

// wrapFault hands every call on, but for what is replaced.
type wrapFault struct {
	able
	put   func(ctx context.Context, key string, body io.ReadSeeker, o ports.PutOptions) error
	open  func(ctx context.Context, key string) (ports.Blob, error)
	move  func(ctx context.Context, from, to string) error
	walk  func(ctx context.Context, prefix, after string, foreign func(string)) iter.Seq2[ports.BlobInfo, error]
	sweep func(ctx context.Context, before time.Time, dryRun bool) (int, error)
}

func (f wrapFault) Put(ctx context.Context, key string, body io.ReadSeeker, o ports.PutOptions) error {
	if f.put != nil {
		return f.put(ctx, key, body, o)
	}
	return f.able.Put(ctx, key, body, o)
}

func (f wrapFault) Open(ctx context.Context, key string) (ports.Blob, error) {
	if f.open != nil {
		return f.open(ctx, key)
	}
	return f.able.Open(ctx, key)
}

func (f wrapFault) Move(ctx context.Context, from, to string) error {
	if f.move != nil {
		return f.move(ctx, from, to)
	}
	return f.able.Move(ctx, from, to)
}

func (f wrapFault) Walk(ctx context.Context, prefix, after string, foreign func(string)) iter.Seq2[ports.BlobInfo, error] {
	if f.walk != nil {
		return f.walk(ctx, prefix, after, foreign)
	}
	return f.able.Walk(ctx, prefix, after, foreign)
}

func (f wrapFault) SweepPartial(ctx context.Context, before time.Time, dryRun bool) (int, error) {
	if f.sweep != nil {
		return f.sweep(ctx, before, dryRun)
	}
	return f.able.SweepPartial(ctx, before, dryRun)
}

// wraps breaks a wrapper.
func wraps(fault, finds string, breakIt func(b able) ports.Blobs) broken {
	return broken{fault, "BlobsWrapper/" + finds, func(t *testing.T) {
		porttest.BlobsWrapper(t, func(b ports.Blobs) ports.Blobs { return breakIt(b.(able)) })
	}}
}

func brokenWrappers() []broken {
	var all []broken
	for _, suite := range []string{"OneCall", "Errors", "Bodies", "Walk", "Abilities"} {
		all = append(all, wraps(control, suite, func(b able) ports.Blobs { return wrapFault{able: b} }))
	}
	return append(all,
		wraps("hides what the store can do", "Abilities", func(b able) ports.Blobs { return blobsFault{Blobs: b} }),
		wraps("a dry run sweeps", "OneCall", func(b able) ports.Blobs {
			return wrapFault{able: b, sweep: func(ctx context.Context, before time.Time, _ bool) (int, error) {
				return b.SweepPartial(ctx, before, false)
			}}
		}),
		wraps("puts again what failed", "Errors", func(b able) ports.Blobs {
			return wrapFault{able: b, put: func(ctx context.Context, key string, body io.ReadSeeker, o ports.PutOptions) error {
				if b.Put(ctx, key, body, o) == nil {
					return nil
				}
				return b.Put(ctx, key, body, o)
			}}
		}),
		wraps("looks before it puts", "OneCall", func(b able) ports.Blobs {
			return wrapFault{able: b, put: func(ctx context.Context, key string, body io.ReadSeeker, o ports.PutOptions) error {
				_, _ = b.Open(ctx, key)
				return b.Put(ctx, key, body, o)
			}}
		}),
		wraps("drops an option", "OneCall", func(b able) ports.Blobs {
			return wrapFault{able: b, put: func(ctx context.Context, key string, body io.ReadSeeker, o ports.PutOptions) error {
				return b.Put(ctx, key, body, ports.PutOptions{Size: o.Size, IfAbsent: o.IfAbsent, ContentType: o.ContentType})
			}}
		}),
		wraps("an error loses its code", "Errors", func(b able) ports.Blobs {
			return wrapFault{able: b, move: func(ctx context.Context, from, to string) error {
				if err := b.Move(ctx, from, to); err != nil {
					return fmt.Errorf("moving: %s", err.Error())
				}
				return nil
			}}
		}),
		wraps("swallows an error", "Errors", func(b able) ports.Blobs {
			return wrapFault{able: b, move: func(ctx context.Context, from, to string) error {
				_ = b.Move(ctx, from, to)
				return nil
			}}
		}),
		wraps("goes on without its caller", "OneCall", func(b able) ports.Blobs {
			return wrapFault{able: b, move: func(ctx context.Context, from, to string) error { return b.Move(context.WithoutCancel(ctx), from, to) }}
		}),
		wraps("hides that a body may be taken over", "Bodies", func(b able) ports.Blobs {
			return wrapFault{able: b, put: func(ctx context.Context, key string, body io.ReadSeeker, o ports.PutOptions) error {
				return b.Put(ctx, key, struct{ io.ReadSeeker }{body}, o)
			}}
		}),
		wraps("never closes", "Bodies", func(b able) ports.Blobs {
			return wrapFault{able: b, open: func(ctx context.Context, key string) (ports.Blob, error) {
				blob, err := b.Open(ctx, key)
				if blob.Body != nil {
					blob.Body = unclosed{blob.Body}
				}
				return blob, err
			}}
		}),
		wraps("forgets the time", "Bodies", func(b able) ports.Blobs {
			return wrapFault{able: b, open: func(ctx context.Context, key string) (ports.Blob, error) {
				blob, err := b.Open(ctx, key)
				return ports.Blob{Body: blob.Body, Size: blob.Size}, err
			}}
		}),
		wraps("passes over foreign names", "Walk", func(b able) ports.Blobs {
			return wrapFault{able: b, walk: func(ctx context.Context, prefix, after string, _ func(string)) iter.Seq2[ports.BlobInfo, error] {
				return b.Walk(ctx, prefix, after, nil)
			}}
		}),
		wraps("a walk that broke off is whole", "Walk", func(b able) ports.Blobs {
			return wrapFault{able: b, walk: func(ctx context.Context, prefix, after string, foreign func(string)) iter.Seq2[ports.BlobInfo, error] {
				return func(yield func(ports.BlobInfo, error) bool) {
					for i, err := range b.Walk(ctx, prefix, after, foreign) {
						if err != nil || !yield(i, nil) {
							return
						}
					}
				}
			}}
		}),
		wraps("walks through everything first", "Walk", func(b able) ports.Blobs {
			return wrapFault{able: b, walk: func(ctx context.Context, prefix, after string, foreign func(string)) iter.Seq2[ports.BlobInfo, error] {
				return func(yield func(ports.BlobInfo, error) bool) {
					var all []ports.BlobInfo
					var failed error
					for i, err := range b.Walk(ctx, prefix, after, foreign) {
						if failed = err; err == nil {
							all = append(all, i)
						}
					}
					for _, i := range all {
						if !yield(i, nil) {
							return
						}
					}
					if failed != nil {
						yield(ports.BlobInfo{}, failed)
					}
				}
			}}
		}),
	)
}

// unclosed is a body whose Close does nothing.
type unclosed struct{ io.ReadSeekCloser }

func (unclosed) Close() error { return nil }
