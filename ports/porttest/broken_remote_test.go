package porttest_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/imagify-api/imagify/adapters/bildresizer"
	"github.com/imagify-api/imagify/adapters/memory"
	"github.com/imagify-api/imagify/domain"
	"github.com/imagify-api/imagify/ports"
	"github.com/imagify-api/imagify/ports/porttest"
)

// storedFunc is a ports.RemoteResizer.
type storedFunc func(ctx context.Context, job ports.RemoteJob) error

func (f storedFunc) ResizeRemote(ctx context.Context, job ports.RemoteJob) error { return f(ctx, job) }

// stored breaks what does a job: the store and the resizer that it works with, and the right one to call.
func stored(fault, finds string, do func(ctx context.Context, job ports.RemoteJob, blobs ports.Blobs, right ports.RemoteResizer) error) broken {
	return storedOn(fault, finds, nil, do)
}

func storedOn(fault, finds string, breakBlobs func(b ports.Blobs) ports.Blobs, do func(ctx context.Context, job ports.RemoteJob, blobs ports.Blobs, right ports.RemoteResizer) error) broken {
	return broken{fault, "RemoteResizer/" + finds, func(t *testing.T) {
		porttest.RemoteResizer(t, func(t *testing.T) porttest.Remote {
			resizer, err := bildresizer.New(bildresizer.Options{})
			require.NoError(t, err)
			store := memory.NewBlobs(memory.Options{})
			var works ports.Blobs = store
			if breakBlobs != nil {
				works = breakBlobs(store)
			}
			right := memory.NewRemoteResizer(works, resizer)
			return porttest.Remote{
				RemoteResizer: storedFunc(func(ctx context.Context, job ports.RemoteJob) error {
					if do == nil {
						return right.ResizeRemote(ctx, job)
					}
					return do(ctx, job, store, right)
				}),
				Blobs: store, Version: resizer.Version(),
			}
		})
	}}
}

// storedPuts breaks what is put.
func storedPuts(fault, finds string, put func(b ports.Blobs, ctx context.Context, key string, r io.ReadSeeker, o ports.PutOptions) error) broken {
	return storedOn(fault, finds, func(b ports.Blobs) ports.Blobs {
		return blobsFault{Blobs: b, put: func(ctx context.Context, key string, r io.ReadSeeker, o ports.PutOptions) error {
			return put(b, ctx, key, r, o)
		}}
	}, nil)
}

func brokenStored() []broken {
	return []broken{
		stored(control, "Makes", nil),
		stored(control, "BadPictures", nil),
		stored("puts nothing", "Makes", func(context.Context, ports.RemoteJob, ports.Blobs, ports.RemoteResizer) error { return nil }),
		stored("does not look at the digest", "OtherDigest", func(ctx context.Context, job ports.RemoteJob, _ ports.Blobs, right ports.RemoteResizer) error {
			job.SHA256 = [32]byte{}
			return right.ResizeRemote(ctx, job)
		}),
		storedPuts("puts no seal", "Makes", func(b ports.Blobs, ctx context.Context, key string, r io.ReadSeeker, o ports.PutOptions) error {
			o.Size -= int64(ports.SealSize)
			return b.Put(ctx, key, io.NewSectionReader(r.(io.ReaderAt), 0, o.Size), o)
		}),
		stored("makes the first only", "Makes", func(ctx context.Context, job ports.RemoteJob, _ ports.Blobs, right ports.RemoteResizer) error {
			job.Thumbnails = job.Thumbnails[:min(1, len(job.Thumbnails))]
			return right.ResizeRemote(ctx, job)
		}),
		stored("puts them in the wrong order", "Makes", func(ctx context.Context, job ports.RemoteJob, _ ports.Blobs, right ports.RemoteResizer) error {
			if n := len(job.Thumbnails); n > 1 {
				swapped := append([]ports.RemoteThumbnail(nil), job.Thumbnails...)
				swapped[0].Key, swapped[n-1].Key = swapped[n-1].Key, swapped[0].Key
				job.Thumbnails = swapped
			}
			return right.ResizeRemote(ctx, job)
		}),
		stored("takes the original away", "Makes", func(ctx context.Context, job ports.RemoteJob, b ports.Blobs, right ports.RemoteResizer) error {
			return errors.Join(right.ResizeRemote(ctx, job), b.Delete(ctx, job.Source))
		}),
		stored("leaves something beside", "Makes", func(ctx context.Context, job ports.RemoteJob, b ports.Blobs, right ports.RemoteResizer) error {
			return errors.Join(right.ResizeRemote(ctx, job), b.Put(ctx, "lock", bytes.NewReader(nil), ports.PutOptions{}))
		}),
		storedPuts("half of each", "Makes", func(b ports.Blobs, ctx context.Context, key string, r io.ReadSeeker, o ports.PutOptions) error {
			return b.Put(ctx, key, io.NewSectionReader(r.(io.ReaderAt), 0, o.Size/2), ports.PutOptions{Size: o.Size / 2, IfAbsent: true})
		}),
		storedPuts("replaces what is there", "KeyExists", func(b ports.Blobs, ctx context.Context, key string, r io.ReadSeeker, o ports.PutOptions) error {
			o.IfAbsent = false
			return b.Put(ctx, key, r, o)
		}),
		stored("a key that exists is an error", "KeyExists", func(ctx context.Context, job ports.RemoteJob, b ports.Blobs, right ports.RemoteResizer) error {
			for _, t := range job.Thumbnails {
				if blob, err := b.Open(ctx, t.Key); err == nil {
					blob.Body.Close()
					return domain.Errorf(domain.Conflict, "it is there")
				}
			}
			return right.ResizeRemote(ctx, job)
		}),
		storedPuts("a key that exists ends the job", "KeyExists", func(b ports.Blobs, ctx context.Context, key string, r io.ReadSeeker, o ports.PutOptions) error {
			if blob, err := b.Open(ctx, key); err == nil {
				blob.Body.Close()
				return domain.Errorf(domain.Invalid, "it is there")
			}
			return b.Put(ctx, key, r, o)
		}),
		func() broken {
			n := 0
			return storedPuts("other bytes each time", "Repeated", func(b ports.Blobs, ctx context.Context, key string, r io.ReadSeeker, o ports.PutOptions) error {
				n++
				data, err := io.ReadAll(r)
				data = append(data, byte(n))
				return errors.Join(err, b.Put(ctx, key, bytes.NewReader(data), ports.PutOptions{Size: int64(len(data)), IfAbsent: true}))
			})
		}(),
		stored("big jobs are too big", "MostThumbnails", func(ctx context.Context, job ports.RemoteJob, _ ports.Blobs, right ports.RemoteResizer) error {
			if n := len(fmt.Sprint(job)); n > 8<<10 {
				return domain.Errorf(domain.TooLarge, "the job has %d bytes", n)
			}
			return right.ResizeRemote(ctx, job)
		}),
		stored("a missing source is no error", "NoSource", func(ctx context.Context, job ports.RemoteJob, _ ports.Blobs, right ports.RemoteResizer) error {
			err := right.ResizeRemote(ctx, job)
			if errors.Is(err, domain.NotFound) {
				err = nil
			}
			return err
		}),
		stored("the size is not looked at", "OtherSize", func(ctx context.Context, job ports.RemoteJob, b ports.Blobs, right ports.RemoteResizer) error {
			if blob, err := b.Open(ctx, job.Source); err == nil {
				job.Size = blob.Size
				blob.Body.Close()
			}
			return right.ResizeRemote(ctx, job)
		}),
		stored("the version is not looked at", "OtherVersion", func(ctx context.Context, job ports.RemoteJob, _ ports.Blobs, right ports.RemoteResizer) error {
			job.Version = "bild1"
			return right.ResizeRemote(ctx, job)
		}),
		stored("takes any job", "BadJobs", func(ctx context.Context, job ports.RemoteJob, _ ports.Blobs, right ports.RemoteResizer) error {
			err := right.ResizeRemote(ctx, job)
			if errors.Is(err, domain.Invalid) {
				err = nil
			}
			return err
		}),
		stored("every failure is internal", "BadPictures", func(ctx context.Context, job ports.RemoteJob, _ ports.Blobs, right ports.RemoteResizer) error {
			if err := right.ResizeRemote(ctx, job); err != nil {
				return fmt.Errorf("the function failed: %s", err.Error())
			}
			return nil
		}),
		stored("the limit is lost", "BadPictures", func(ctx context.Context, job ports.RemoteJob, _ ports.Blobs, right ports.RemoteResizer) error {
			if err := right.ResizeRemote(ctx, job); err != nil {
				return domain.Errorf(domain.CodeOf(err), "it cannot be made")
			}
			return nil
		}),
		stored("goes on without anybody", "EndedContext", func(ctx context.Context, job ports.RemoteJob, _ ports.Blobs, right ports.RemoteResizer) error {
			return right.ResizeRemote(context.WithoutCancel(ctx), job)
		}),
		storedPuts("the losers of a race fail", "Racers", func(b ports.Blobs, ctx context.Context, key string, r io.ReadSeeker, o ports.PutOptions) error {
			if err := b.Put(ctx, key, r, o); err != nil {
				return domain.Errorf(domain.Unavailable, "another one made it")
			}
			return nil
		}),
	}
}
