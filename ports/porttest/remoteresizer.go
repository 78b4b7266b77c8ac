package porttest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"image"
	"io"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/imagify-api/imagify/domain"
	"github.com/imagify-api/imagify/ports"
)

// Remote is a RemoteResizer under test, with what it works on.
type Remote struct {
	ports.RemoteResizer
	// Blobs is the store that it reads from and puts to.
	Blobs ports.Blobs
	// Version is what it works as.
	Version string
}

// RemoteResizer is the suite of ports.RemoteResizer. It makes its pictures itself.
func RemoteResizer(t *testing.T, newStored func(t *testing.T) Remote) {
	t.Helper()
	run(t, "RemoteResizer", newStored, []check[Remote]{
		{"Makes", storedMakes},
		{"KeyExists", storedKeyExists},
		{"Repeated", storedRepeated},
		{"MostThumbnails", storedMost},
		{"NoSource", storedNoSource},
		{"OtherSize", storedOtherSize},
		{"OtherDigest", storedOtherDigest},
		{"OtherVersion", remoteOtherVersion},
		{"BadJobs", storedBadJobs},
		{"BadPictures", storedBadPictures},
		{"EndedContext", storedEnded},
		{"Racers", storedRacers},
	})
}

const storedSource = "images/a/original"

// original puts the source and returns the job that makes thumbnails of those heights from it.
func (s Remote) original(t *testing.T, data []byte, heights ...int) ports.RemoteJob {
	t.Helper()
	require.NoError(t, s.Blobs.Put(t.Context(), storedSource, bytes.NewReader(data), ports.PutOptions{Size: int64(len(data))}))
	job := ports.RemoteJob{Source: storedSource, Size: int64(len(data)), Version: s.Version}
	for _, h := range heights {
		job.Thumbnails = append(job.Thumbnails, ports.RemoteThumbnail{Height: h, Key: "images/a/thumbnails/" + strconv.Itoa(h)})
	}
	return job
}

func (s Remote) read(t *testing.T, key string) []byte {
	t.Helper()
	b, err := s.Blobs.Open(t.Context(), key)
	require.NoError(t, err, key)
	defer b.Body.Close()
	data, err := io.ReadAll(b.Body)
	require.NoError(t, err, key)
	require.Len(t, data, int(b.Size))
	return data
}

// thumbnail reads a stored thumbnail without its seal, which must be that of its key.
func (s Remote) thumbnail(t *testing.T, key string) []byte {
	t.Helper()
	data, ok := ports.Unseal(key, s.read(t, key))
	require.True(t, ok, "%s: a thumbnail is stored as ports.Seal has it", key)
	return data
}

// wantKeys requires exactly these keys, in byte order.
func (s Remote) wantKeys(t *testing.T, keys ...string) {
	t.Helper()
	list, err := s.Blobs.List(t.Context(), "", "", 1000)
	require.NoError(t, err)
	var got []string
	for _, b := range list {
		got = append(got, b.Key)
	}
	require.Equal(t, keys, got)
}

func storedMakes(t *testing.T, s Remote) {
	for _, c := range []struct {
		name   string
		data   []byte
		format domain.Format
		q      quadrants
	}{
		{"opaque", encodeJPEG(paint(image.NewNRGBA(image.Rect(0, 0, 256, 192)), plain)), domain.JPEG, plain},
		{"with alpha", encodePNG(paint(image.NewNRGBA(image.Rect(0, 0, 256, 192)), quadrants{red, clean, blue, half})), domain.PNG, quadrants{red, clean, blue, half}},
	} {
		job := s.original(t, c.data, 300, 96, 64) // the first is higher than the picture
		require.NoError(t, s.ResizeRemote(t.Context(), job), c.name)
		s.wantKeys(t, storedSource, job.Thumbnails[0].Key, job.Thumbnails[2].Key, job.Thumbnails[1].Key)
		for _, want := range job.Thumbnails {
			w, h := domain.ThumbnailSize(256, 192, want.Height)
			m := decodeThumbnail(t, ports.Thumbnail{Width: w, Height: h, Format: c.format, Data: s.thumbnail(t, want.Key)})
			wantQuadrants(t, c.q, m)
			require.NoError(t, s.Blobs.Delete(t.Context(), want.Key))
		}
		require.Equal(t, c.data, s.read(t, storedSource), "the original is never altered")
	}
}

func storedKeyExists(t *testing.T, s Remote) {
	job := s.original(t, encodePNG(paint(image.NewNRGBA(image.Rect(0, 0, 64, 48)), plain)), 24, 12)
	require.NoError(t, s.Blobs.Put(t.Context(), job.Thumbnails[0].Key, strings.NewReader("kept"), ports.PutOptions{Size: 4}))
	require.NoError(t, s.ResizeRemote(t.Context(), job))
	require.Equal(t, "kept", string(s.read(t, job.Thumbnails[0].Key)), "a key that exists stays as it is")
	require.NotEmpty(t, s.read(t, job.Thumbnails[1].Key), "the others are made")
}

func storedRepeated(t *testing.T, s Remote) {
	job := s.original(t, encodeJPEG(busy(160, 120)), 40)
	require.NoError(t, s.ResizeRemote(t.Context(), job))
	first := s.read(t, job.Thumbnails[0].Key)
	require.NoError(t, s.ResizeRemote(t.Context(), job), "a job may be repeated")
	require.NoError(t, s.Blobs.Delete(t.Context(), job.Thumbnails[0].Key))
	require.NoError(t, s.ResizeRemote(t.Context(), job))
	require.Equal(t, first, s.read(t, job.Thumbnails[0].Key), "one version makes the same of the same")
}

// storedMost is the biggest job that there is.
func storedMost(t *testing.T, s Remote) {
	job := s.original(t, encodePNG(paint(image.NewNRGBA(image.Rect(0, 0, 16, 40)), plain)))
	long := strings.Repeat(strings.Repeat("k", 99)+"/", 5)
	for h := 1; h <= ports.MaxRemoteThumbnails; h++ {
		key := long + strconv.Itoa(1000+h)
		key += strings.Repeat("-", ports.MaxKey-len(key))
		job.Thumbnails = append(job.Thumbnails, ports.RemoteThumbnail{Height: h, Key: key})
	}
	require.NoError(t, s.ResizeRemote(t.Context(), job))
	for _, want := range job.Thumbnails {
		w, h := domain.ThumbnailSize(16, 40, want.Height)
		decodeThumbnail(t, ports.Thumbnail{Width: w, Height: h, Format: domain.JPEG, Data: s.thumbnail(t, want.Key)})
	}
}

func storedNoSource(t *testing.T, s Remote) {
	job := s.original(t, encodePNG(paint(image.NewNRGBA(image.Rect(0, 0, 8, 8)), plain)), 4)
	require.NoError(t, s.Blobs.Delete(t.Context(), storedSource))
	wantCode(t, domain.NotFound, s.ResizeRemote(t.Context(), job))
	s.wantKeys(t)
}

func storedOtherSize(t *testing.T, s Remote) {
	job := s.original(t, encodePNG(paint(image.NewNRGBA(image.Rect(0, 0, 8, 8)), plain)), 4)
	for _, by := range []int64{-1, 1} {
		other := job
		other.Size += by
		wantCode(t, domain.Unavailable, s.ResizeRemote(t.Context(), other))
		s.wantKeys(t, storedSource)
	}
}

// storedOtherDigest has the store give another picture of the same size: of that no
// thumbnail may be kept.
func storedOtherDigest(t *testing.T, s Remote) {
	data := encodeJPEG(paint(image.NewNRGBA(image.Rect(0, 0, 64, 48)), plain))
	job := s.original(t, data, 24)
	job.SHA256 = sha256.Sum256([]byte("another"))
	wantCode(t, domain.Unavailable, s.ResizeRemote(t.Context(), job))
	s.wantKeys(t, storedSource)
	job.SHA256 = sha256.Sum256(data)
	require.NoError(t, s.ResizeRemote(t.Context(), job))
	s.wantKeys(t, storedSource, job.Thumbnails[0].Key)
}

func remoteOtherVersion(t *testing.T, s Remote) {
	job := s.original(t, encodePNG(paint(image.NewNRGBA(image.Rect(0, 0, 8, 8)), plain)), 4)
	job.Version += "x"
	wantCode(t, domain.Conflict, s.ResizeRemote(t.Context(), job))
	s.wantKeys(t, storedSource)
}

func storedBadJobs(t *testing.T, s Remote) {
	good := s.original(t, encodePNG(paint(image.NewNRGBA(image.Rect(0, 0, 8, 8)), plain)), 4)
	for name, change := range map[string]func(j *ports.RemoteJob){
		"no source":          func(j *ports.RemoteJob) { j.Source = "" },
		"a source outside":   func(j *ports.RemoteJob) { j.Source = "../original" },
		"no size":            func(j *ports.RemoteJob) { j.Size = 0 },
		"a negative size":    func(j *ports.RemoteJob) { j.Size = -1 },
		"no pipeline":        func(j *ports.RemoteJob) { j.Version = "" },
		"a strange pipeline": func(j *ports.RemoteJob) { j.Version = "a/b" },
		"no thumbnail":       func(j *ports.RemoteJob) { j.Thumbnails = nil },
		"too many thumbnails": func(j *ports.RemoteJob) {
			j.Thumbnails = nil
			for h := 1; h <= ports.MaxRemoteThumbnails+1; h++ {
				j.Thumbnails = append(j.Thumbnails, ports.RemoteThumbnail{Height: h, Key: strconv.Itoa(h)})
			}
		},
		"height 0":         func(j *ports.RemoteJob) { j.Thumbnails[0].Height = 0 },
		"height 4321":      func(j *ports.RemoteJob) { j.Thumbnails[0].Height = 4321 },
		"no key":           func(j *ports.RemoteJob) { j.Thumbnails[0].Key = "" },
		"a key too long":   func(j *ports.RemoteJob) { j.Thumbnails[0].Key = strings.Repeat("k", ports.MaxKey+1) },
		"over the source":  func(j *ports.RemoteJob) { j.Thumbnails[0].Key = j.Source },
		"the same key":     func(j *ports.RemoteJob) { j.Thumbnails = append(j.Thumbnails, j.Thumbnails[0]) },
		"a key in capital": func(j *ports.RemoteJob) { j.Thumbnails[0].Key = "A" },
	} {
		job := good
		job.Thumbnails = append([]ports.RemoteThumbnail(nil), good.Thumbnails...)
		change(&job)
		wantCode(t, domain.Invalid, s.ResizeRemote(t.Context(), job), name)
		s.wantKeys(t, storedSource)
	}
}

func storedBadPictures(t *testing.T, s Remote) {
	whole := encodePNG(busy(40, 40))
	for _, c := range []struct {
		name string
		data []byte
		want domain.Code
	}{
		{"no picture", []byte("<svg xmlns='http://www.w3.org/2000/svg'/>"), domain.UnsupportedImage},
		{"cut short", whole[:len(whole)/2], domain.CorruptImage},
		{"a bomb", bombs()["png"], domain.TooLarge},
	} {
		job := s.original(t, c.data, 20)
		err := s.ResizeRemote(t.Context(), job)
		wantCode(t, c.want, err, c.name)
		if c.want == domain.TooLarge {
			require.NotNil(t, domain.AsError(err).Limit, "too_large tells the limit")
		}
		require.NotEmpty(t, domain.AsError(err).Msg, "the message is for the client: %s", c.name)
		s.wantKeys(t, storedSource)
	}
}

func storedEnded(t *testing.T, s Remote) {
	job := s.original(t, encodePNG(paint(image.NewNRGBA(image.Rect(0, 0, 8, 8)), plain)), 4)
	wantAllEnded(t, []call{{"ResizeRemote", func(ctx context.Context) error { return s.ResizeRemote(ctx, job) }}})
	s.wantKeys(t, storedSource)
}

func storedRacers(t *testing.T, s Remote) {
	job := s.original(t, encodeJPEG(busy(160, 120)), 40)
	errs := make([]error, racers)
	race(racers, func(i int) { errs[i] = s.ResizeRemote(t.Context(), job) })
	for _, err := range errs {
		require.NoError(t, err)
	}
	s.wantKeys(t, storedSource, job.Thumbnails[0].Key)
	w, h := domain.ThumbnailSize(160, 120, 40)
	decodeThumbnail(t, ports.Thumbnail{Width: w, Height: h, Format: domain.JPEG, Data: s.thumbnail(t, job.Thumbnails[0].Key)})
}
