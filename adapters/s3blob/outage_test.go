package s3blob_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/iotest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/imagify-api/imagify/adapters/s3blob"
	"github.com/imagify-api/imagify/domain"
	"github.com/imagify-api/imagify/ports"
	"github.com/imagify-api/imagify/ports/porttest/realserver"
)

// impatient is how long a store waits whose service is away. R4 allows 10 s a request.
const impatient = "&timeout=500ms"

func noise(n int) []byte {
	data := make([]byte, n)
	src := rand.NewChaCha8([32]byte{1})
	_, _ = src.Read(data)
	return data
}

func put(t *testing.T, b ports.Blobs, key string, data []byte) {
	t.Helper()
	require.NoError(t, b.Put(t.Context(), key, bytes.NewReader(data), ports.PutOptions{Size: int64(len(data))}))
}

func read(t *testing.T, b ports.Blobs, key string) ([]byte, error) {
	t.Helper()
	blob, err := b.Open(t.Context(), key)
	if err != nil {
		return nil, err
	}
	defer blob.Body.Close()
	return io.ReadAll(blob.Body)
}

func wantAway(t *testing.T, err error) {
	t.Helper()
	require.Error(t, err)
	require.Equal(t, domain.Unavailable, domain.CodeOf(err), "%v", err)
	assert.Positive(t, domain.AsError(err).RetryAfter)
	assert.NotContains(t, domain.AsError(err).Msg, "pictures", "the public text names no bucket")
}

// wantNothing requires that nothing is kept of a Put that failed: no blob, and no upload under way.
func wantNothing(t *testing.T, s *realserver.S3Server, b ports.Blobs, key string) {
	t.Helper()
	_, err := b.Open(t.Context(), key)
	require.ErrorIs(t, err, domain.NotFound)
	list, err := b.List(t.Context(), "", "", 10)
	require.NoError(t, err)
	require.Empty(t, list)
	uploads, err := client(s).ListMultipartUploads(t.Context(), &s3.ListMultipartUploadsInput{Bucket: aws.String("pictures")})
	require.NoError(t, err)
	require.Empty(t, uploads.Uploads)
}

// TestMultipart puts and reads a blob of many parts, and one whose reader fails in its middle.
func TestMultipart(t *testing.T) {
	s, bucket := service(t)
	b := open(t, s.URL, bucket, "")
	const part = 5 << 20
	data := noise(4*part + 12345)
	for _, n := range []int{part - 1, part, part + 1, 2 * part, len(data)} {
		require.NoError(t, b.Put(t.Context(), "a/original", bytes.NewReader(data[:n]), ports.PutOptions{Size: int64(n), ContentType: "image/png"}))
		got, err := read(t, b, "a/original")
		require.NoError(t, err)
		require.True(t, bytes.Equal(data[:n], got))
	}
	head, err := client(s).HeadObject(t.Context(), &s3.HeadObjectInput{Bucket: &bucket, Key: aws.String("a/original")})
	require.NoError(t, err)
	assert.Equal(t, "image/png", aws.ToString(head.ContentType))

	blob, err := b.Open(t.Context(), "a/original")
	require.NoError(t, err)
	defer blob.Body.Close()
	for _, at := range []int64{3 * part, 7, blob.Size - 1, part - 1} {
		_, err = blob.Body.Seek(at, io.SeekStart)
		require.NoError(t, err)
		got := make([]byte, min(1000, blob.Size-at))
		_, err = io.ReadFull(blob.Body, got)
		require.NoError(t, err)
		require.True(t, bytes.Equal(data[at:at+int64(len(got))], got))
	}

	// A condition holds for parts too.
	err = b.Put(t.Context(), "a/original", bytes.NewReader(data), ports.PutOptions{Size: int64(len(data)), IfAbsent: true})
	require.ErrorIs(t, err, domain.Conflict)
	require.NoError(t, b.Delete(t.Context(), "a/original"))
	require.NoError(t, b.Put(t.Context(), "a/original", bytes.NewReader(data), ports.PutOptions{Size: int64(len(data)), IfAbsent: true}))
	require.NoError(t, b.Delete(t.Context(), "a/original"))

	boom := errors.New("boom")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	for name, r := range map[string]io.Reader{
		"fails":     iotest.ErrReader(boom),
		"too short": bytes.NewReader(nil),
		"too long":  bytes.NewReader(make([]byte, 100)),
		"cancelled": readFunc(func([]byte) (int, error) { cancel(); return 0, nil }),
	} {
		err := b.Put(ctx, "a/original", once{io.MultiReader(bytes.NewReader(data[:3*part]), r)}, ports.PutOptions{Size: 3*part + 50})
		require.Error(t, err, name)
		if name == "fails" {
			require.ErrorIs(t, err, boom)
		}
		wantNothing(t, s, b, "a/original")
		if name == "cancelled" {
			require.Error(t, ctx.Err())
			require.Equal(t, domain.Unavailable, domain.CodeOf(err))
			ctx, cancel = context.WithCancel(t.Context())
			defer cancel()
		}
	}
}

type readFunc func(p []byte) (int, error)

func (f readFunc) Read(p []byte) (int, error) { return f(p) }

// TestPromiseD3ResetUpload cuts the connection in the middle of an upload.
func TestPromiseD3ResetUpload(t *testing.T) {
	s, bucket := service(t)
	proxy := realserver.ToxiProxy(t, s.Addr)
	b, direct := open(t, "http://"+proxy.Addr, bucket, "&timeout=10s"), open(t, s.URL, bucket, "")
	for name, n := range map[string]int{"one request": 3 << 20, "parts": 12 << 20} {
		proxy.ResetUpload(t, 1<<20)
		err := b.Put(t.Context(), "a/original", bytes.NewReader(noise(n)), ports.PutOptions{Size: int64(len(noise(n)))})
		wantAway(t, err)
		proxy.Heal(t)
		_, err = direct.SweepPartial(t.Context(), time.Now().Add(time.Hour), false)
		require.NoError(t, err)
		wantNothing(t, s, direct, "a/original")
		put(t, b, "a/original", noise(n))
		got, err := read(t, b, "a/original")
		require.NoError(t, err, name)
		require.True(t, bytes.Equal(noise(n), got))
		require.NoError(t, b.Delete(t.Context(), "a/original"))
	}
}

// TestPromiseR4TruncatedRead cuts the connection in the middle of a read: that is
// an error, never a short blob.
func TestPromiseR4TruncatedRead(t *testing.T) {
	s, bucket := service(t)
	proxy := realserver.ToxiProxy(t, s.Addr)
	b := open(t, "http://"+proxy.Addr, bucket, "&timeout=10s")
	data := noise(3 << 20)
	put(t, b, "a/original", data)
	proxy.ResetDownload(t, 1<<20)
	blob, err := b.Open(t.Context(), "a/original")
	require.NoError(t, err)
	got, err := io.ReadAll(blob.Body)
	wantAway(t, err)
	require.Less(t, len(got), len(data))
	require.True(t, bytes.HasPrefix(data, got))
	proxy.Heal(t)
	rest, err := io.ReadAll(blob.Body) // goes on where it stopped
	require.NoError(t, err)
	require.True(t, bytes.Equal(data, append(got, rest...)))
	require.NoError(t, blob.Body.Close())
	_, err = blob.Body.Read(make([]byte, 1))
	require.ErrorIs(t, err, os.ErrClosed)
}

// TestPromiseR4Away tries every way in which S3 can be away.
func TestPromiseR4Away(t *testing.T) {
	s, bucket := service(t)
	proxy := realserver.ToxiProxy(t, s.Addr)
	b := open(t, "http://"+proxy.Addr, bucket, impatient)
	data := noise(6 << 20)
	put(t, b, "a/original", data)
	for name, c := range map[string]struct{ away, back func() }{
		"Cut":     {func() { proxy.Cut(t) }, func() { proxy.Heal(t) }},
		"Swallow": {func() { proxy.Swallow(t) }, func() { proxy.Heal(t) }},
		"Slow":    {func() { proxy.Latency(t, 3*time.Second) }, func() { proxy.Heal(t) }},
		"Killed":  {s.Kill, func() { s.Restart(t) }},
		"Paused":  {s.Pause, s.Resume},
	} {
		t.Run(name, func(t *testing.T) {
			open, err := b.Open(t.Context(), "a/original")
			require.NoError(t, err)
			defer open.Body.Close()
			head := make([]byte, 1000)
			_, err = io.ReadFull(open.Body, head)
			require.NoError(t, err)

			c.away()
			healed := false
			defer func() {
				if !healed {
					c.back()
				}
			}()
			start := time.Now()
			var all sync.WaitGroup
			for what, call := range map[string]func() error{
				"Ping":      func() error { return b.Ping(t.Context()) },
				"Open":      func() error { _, err := b.Open(t.Context(), "a/original"); return err },
				"Open none": func() error { _, err := b.Open(t.Context(), "a/none"); return err },
				"Put": func() error {
					return b.Put(t.Context(), "b", bytes.NewReader(data[:1000]), ports.PutOptions{Size: 1000})
				},
				"Put parts": func() error {
					return b.Put(t.Context(), "b", bytes.NewReader(data), ports.PutOptions{Size: int64(len(data))})
				},
				"Delete": func() error { return b.Delete(t.Context(), "a/original") },
				"List":   func() error { _, err := b.List(t.Context(), "", "", 1); return err },
				"Sweep":  func() error { _, err := b.SweepPartial(t.Context(), time.Now(), true); return err },
			} {
				all.Go(func() {
					err := call()
					assert.Equal(t, domain.Unavailable, domain.CodeOf(err), "%s: %v", what, err)
				})
			}
			all.Wait()
			// What is on its way may arrive: all of it, or an error.
			rest, err := io.ReadAll(open.Body)
			if err != nil {
				require.Equal(t, domain.Unavailable, domain.CodeOf(err), "%v", err)
				require.True(t, bytes.HasPrefix(data, append(head, rest...)))
			} else {
				require.True(t, bytes.Equal(data, append(head, rest...)))
			}
			require.Error(t, b.Doctor(t.Context()))
			require.Less(t, time.Since(start), time.Minute, "calls hang")
			c.back()
			healed = true
			require.Eventually(t, func() bool { return b.Ping(t.Context()) == nil }, 20*time.Second, 50*time.Millisecond)
			got, err := read(t, b, "a/original")
			if errors.Is(err, domain.NotFound) { // the Delete whose answer was lost
				put(t, b, "a/original", data)
				got = data
			} else {
				require.NoError(t, err)
			}
			require.True(t, bytes.Equal(data, got))
		})
	}
}

// TestChecksum damages the object behind the service's back.
func TestChecksum(t *testing.T) {
	s, bucket := service(t)
	injected, err := s3blob.New(client(s), bucket, s3blob.Options{})
	require.NoError(t, err)
	for _, b := range []*s3blob.Store{open(t, s.URL, bucket, ""), injected} {
		for what, n := range map[string]int{"one request": 300000, "parts": 12 << 20} {
			data := noise(n)
			put(t, b, "a/original", data)
			f, err := os.OpenFile(filepath.Join(s.Dir, bucket, "a", "original"), os.O_WRONLY, 0)
			require.NoError(t, err)
			_, err = f.WriteAt([]byte{^data[n/2]}, int64(n/2))
			require.NoError(t, err)
			require.NoError(t, f.Close())
			blob, err := b.Open(t.Context(), "a/original")
			require.NoError(t, err)
			// As http.ServeContent does, which reads no further than Size.
			copied, err := io.CopyN(io.Discard, blob.Body, blob.Size)
			require.ErrorContains(t, err, "checksum", what)
			require.Less(t, copied, blob.Size, "the last bytes are held back")
			require.NoError(t, blob.Body.Close())
		}
	}
}

// TestLostAnswer loses the answer to a conditional Put: the client's second try
// finds the first one's object, which is no conflict.
func TestLostAnswer(t *testing.T) {
	s, bucket := service(t)
	lossy := &lossyClient{}
	c := client(s)
	o := c.Options()
	o.HTTPClient = lossy
	b, err := s3blob.New(s3.New(o), bucket, s3blob.Options{})
	require.NoError(t, err)
	for name, n := range map[string]int{"one request": 1000, "parts": 6 << 20} {
		lossy.lose = 1
		key := "a/" + name[:3]
		require.NoError(t, b.Put(t.Context(), key, bytes.NewReader(noise(n)), ports.PutOptions{Size: int64(len(noise(n))), IfAbsent: true}), name)
		require.Zero(t, lossy.lose)
		got, err := read(t, b, key)
		require.NoError(t, err, name)
		require.True(t, bytes.Equal(noise(n), got))
		require.ErrorIs(t, b.Put(t.Context(), key, bytes.NewReader(noise(n)), ports.PutOptions{Size: int64(len(noise(n))), IfAbsent: true}), domain.Conflict)
	}
}

// lossyClient loses the answers to requests that make an object appear.
type lossyClient struct{ lose int }

func (l *lossyClient) Do(r *http.Request) (*http.Response, error) {
	res, err := http.DefaultClient.Do(r)
	appears := r.Method == http.MethodPut && r.URL.Query().Get("partNumber") == "" || r.Method == http.MethodPost && r.URL.Query().Has("uploadId")
	if err == nil && appears && l.lose > 0 {
		l.lose--
		res.Body.Close()
		return nil, io.ErrUnexpectedEOF
	}
	return res, err
}

// TestOthersObjects leaves alone what is beside the prefix, or no blob.
func TestOthersObjects(t *testing.T) {
	s, bucket := service(t)
	c := client(s)
	for _, key := range []string{"other", "pre/UPPER", "pre/with space", "prefix/a"} {
		_, err := c.PutObject(t.Context(), &s3.PutObjectInput{Bucket: &bucket, Key: &key, Body: bytes.NewReader([]byte("x"))})
		require.NoError(t, err, key)
	}
	b := open(t, s.URL, bucket+"/pre", "")
	put(t, b, "a", []byte("ours"))
	list, err := b.List(t.Context(), "", "", 100)
	require.NoError(t, err)
	require.Len(t, list, 1)
	require.Equal(t, "a", list[0].Key)
	for _, key := range []string{"prefix/a", "other"} {
		up, err := c.CreateMultipartUpload(t.Context(), &s3.CreateMultipartUploadInput{Bucket: &bucket, Key: &key})
		require.NoError(t, err)
		n, err := b.SweepPartial(t.Context(), time.Now().Add(time.Hour), false)
		require.NoError(t, err)
		require.Zero(t, n, "another's upload")
		_, err = c.AbortMultipartUpload(t.Context(), &s3.AbortMultipartUploadInput{Bucket: &bucket, Key: &key, UploadId: up.UploadId})
		require.NoError(t, err)
	}
	_, err = c.CreateMultipartUpload(t.Context(), &s3.CreateMultipartUploadInput{Bucket: &bucket, Key: aws.String("pre/b")})
	require.NoError(t, err)
	n, err := b.SweepPartial(t.Context(), time.Now().Add(-time.Hour), false)
	require.NoError(t, err)
	require.Zero(t, n, "not old enough")
	n, err = b.SweepPartial(t.Context(), time.Now().Add(time.Hour), false)
	require.NoError(t, err)
	require.Equal(t, 1, n)
}

func TestDoctor(t *testing.T) {
	s, bucket := service(t)
	require.NoError(t, open(t, s.URL, bucket+"/pre", "").Doctor(t.Context()))
	require.NoError(t, open(t, s.URL, bucket, "&file_keys=true").Doctor(t.Context()))
	list, err := open(t, s.URL, bucket, "").List(t.Context(), "", "", 10)
	require.NoError(t, err)
	require.Empty(t, list, "it leaves nothing behind")

	missing := open(t, s.URL, "elsewhere", "")
	require.ErrorContains(t, missing.Doctor(t.Context()), "does not exist")
	wantAway(t, missing.Ping(t.Context()))
	_, err = missing.Open(t.Context(), "a")
	wantAway(t, err) // not domain.NotFound: the bucket is gone, not the blob
	require.ErrorContains(t, open(t, "http://"+realserver.FreeAddr(t), bucket, impatient).Doctor(t.Context()), "does not answer")

	// Everybody may read.
	policy := `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::pictures/*"}]}`
	_, err = client(s).PutBucketPolicy(t.Context(), &s3.PutBucketPolicyInput{Bucket: &bucket, Policy: &policy})
	require.NoError(t, err)
	require.ErrorContains(t, open(t, s.URL, bucket, "").Doctor(t.Context()), "block public access")

	t.Setenv("AWS_SECRET_ACCESS_KEY", "wrong")
	wrong := open(t, s.URL, bucket, "")
	require.ErrorContains(t, wrong.Doctor(t.Context()), "correct AWS_SECRET_ACCESS_KEY")
	wantAway(t, wrong.Put(t.Context(), "a", bytes.NewReader(nil), ports.PutOptions{}))
	t.Setenv("AWS_ACCESS_KEY_ID", "nobody")
	require.ErrorContains(t, open(t, s.URL, bucket, "").Doctor(t.Context()), "correct AWS_ACCESS_KEY_ID")
	t.Setenv("AWS_ACCESS_KEY_ID", "")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "")
	t.Setenv("AWS_EC2_METADATA_DISABLED", "true")
	require.ErrorContains(t, open(t, s.URL, bucket, "").Doctor(t.Context()), "there are no credentials")
}

// The actions that the package's comment names are enough; Doctor names each that is missing.
func TestNeededActions(t *testing.T) {
	s, bucket := service(t, "--iam-dir", t.TempDir())
	const user, secret = "imagify", "imagifysecret"
	s.User(t, user, secret)
	admin := client(s)
	grant := func(actions ...string) {
		t.Helper()
		policy, err := json.Marshal(map[string]any{"Version": "2012-10-17", "Statement": []any{map[string]any{
			"Effect": "Allow", "Principal": map[string]any{"AWS": []string{user}}, "Action": actions,
			"Resource": []string{"arn:aws:s3:::" + bucket, "arn:aws:s3:::" + bucket + "/*"},
		}}})
		require.NoError(t, err)
		_, err = admin.PutBucketPolicy(t.Context(), &s3.PutBucketPolicyInput{Bucket: &bucket, Policy: aws.String(string(policy))})
		require.NoError(t, err)
	}
	needed := []string{
		"s3:ListBucket", "s3:ListBucketMultipartUploads", "s3:GetObject", "s3:PutObject", "s3:DeleteObject", "s3:AbortMultipartUpload",
	}
	t.Setenv("AWS_ACCESS_KEY_ID", user)
	t.Setenv("AWS_SECRET_ACCESS_KEY", secret)
	b := open(t, s.URL, bucket, "")
	for i, missing := range needed {
		grant(slices.Concat(needed[:i], needed[i+1:])...)
		if missing != "s3:AbortMultipartUpload" { // nothing to abort
			require.ErrorContains(t, b.Doctor(t.Context()), "grant "+missing)
		}
	}
	grant(needed...)
	for _, err := range []error{b.Doctor(t.Context()), b.Ping(t.Context())} {
		require.NoError(t, err)
	}
	data := noise(11 << 20)
	put(t, b, "many/parts", data)
	got, err := read(t, b, "many/parts")
	require.NoError(t, err)
	require.Equal(t, data, got)
	require.ErrorIs(t, b.Put(t.Context(), "many/parts", bytes.NewReader(data), ports.PutOptions{Size: int64(len(data)), IfAbsent: true}), domain.Conflict)
	_, err = b.Open(t.Context(), "missing")
	require.ErrorIs(t, err, domain.NotFound)
	require.Error(t, b.Put(t.Context(), "broken", once{io.MultiReader(bytes.NewReader(data), iotest.ErrReader(io.ErrUnexpectedEOF))}, ports.PutOptions{Size: int64(len(data)) + 1}))
	_, err = client(s).CreateMultipartUpload(t.Context(), &s3.CreateMultipartUploadInput{Bucket: &bucket, Key: aws.String("left")})
	require.NoError(t, err)
	n, err := b.SweepPartial(t.Context(), time.Now().Add(time.Hour), false)
	require.NoError(t, err)
	require.Equal(t, 1, n, "the Put that failed aborted its own")
	require.NoError(t, b.Delete(t.Context(), "many/parts"))
}

// TestPromiseA5Anonymous asks for a blob without a signature.
func TestPromiseA5Anonymous(t *testing.T) {
	s, bucket := service(t)
	put(t, open(t, s.URL, bucket, ""), "a/original", noise(1000))
	for _, method := range []string{http.MethodGet, http.MethodHead, http.MethodDelete, http.MethodPut} {
		for _, path := range []string{"/pictures/a/original", "/pictures", "/pictures?list-type=2", "/pictures/a/original?acl", "/"} {
			req, err := http.NewRequestWithContext(t.Context(), method, s.URL+path, http.NoBody)
			require.NoError(t, err)
			res, err := http.DefaultClient.Do(req)
			require.NoError(t, err)
			res.Body.Close()
			require.Contains(t, []int{http.StatusForbidden, http.StatusUnauthorized, http.StatusMethodNotAllowed}, res.StatusCode, "%s %s", method, path)
		}
	}
}

// TestRequests looks at what is sent: as the options say, with checksums, and never
// an ACL.
func TestRequests(t *testing.T) {
	s, bucket := service(t)
	seen := &recorder{}
	o := client(s).Options()
	o.HTTPClient = seen
	b, err := s3blob.New(s3.New(o), bucket, s3blob.Options{ServerSideEncryption: "AES256", StorageClass: "STANDARD_IA"})
	require.NoError(t, err)
	for _, n := range []int{10, 11 << 20} {
		// The service may refuse what it has not.
		_ = b.Put(t.Context(), "a", bytes.NewReader(noise(n)), ports.PutOptions{Size: int64(len(noise(n))), IfAbsent: true, ContentType: "image/png"})
	}
	plain, err := s3blob.New(s3.New(o), bucket, s3blob.Options{Concurrency: 1})
	require.NoError(t, err)
	put(t, plain, "b", noise(11<<20))
	require.NoError(t, plain.Delete(t.Context(), "b", "c"))
	begun := 0
	for _, r := range seen.requests {
		for _, name := range []string{"X-Amz-Acl", "X-Amz-Grant-Read", "X-Amz-Grant-Full-Control"} {
			assert.Empty(t, r.Header.Get(name), "%s %s", r.Method, r.URL)
		}
		q := r.URL.Query()
		if r.Method == http.MethodPut || q.Has("delete") {
			assert.NotEmpty(t, r.Header.Get("X-Amz-Checksum-Crc32"), "%s %s", r.Method, r.URL)
		}
		if r.URL.Path == "/pictures/a" && (r.Method == http.MethodPut && !q.Has("partNumber") || q.Has("uploads")) {
			begun++
			assert.Equal(t, "AES256", r.Header.Get("X-Amz-Server-Side-Encryption"))
			assert.Equal(t, "STANDARD_IA", r.Header.Get("X-Amz-Storage-Class"))
			assert.Equal(t, "image/png", r.Header.Get("Content-Type"))
			if !q.Has("uploads") {
				assert.Equal(t, "*", r.Header.Get("If-None-Match"))
			}
		}
	}
	require.Equal(t, 2, begun)
}

// recorder keeps the requests it passes on.
type recorder struct {
	mu       sync.Mutex
	requests []*http.Request
}

func (l *recorder) Do(r *http.Request) (*http.Response, error) {
	l.mu.Lock()
	l.requests = append(l.requests, r)
	l.mu.Unlock()
	return http.DefaultClient.Do(r)
}

// TestBoundedMemory holds up every part: an upload reads no further ahead than the
// parts that it may hold.
func TestBoundedMemory(t *testing.T) {
	s, bucket := service(t)
	gate := make(chan struct{})
	o := client(s).Options()
	o.HTTPClient = doFunc(func(r *http.Request) (*http.Response, error) {
		if r.URL.Query().Has("partNumber") {
			<-gate
		}
		return http.DefaultClient.Do(r)
	})
	const part, concurrency, total = 5 << 20, 3, 60 << 20
	b, err := s3blob.New(s3.New(o), bucket, s3blob.Options{Concurrency: concurrency, PartSize: part, Timeout: time.Minute})
	require.NoError(t, err)
	var n atomic.Int64
	done := make(chan error)
	go func() {
		r := io.LimitReader(readFunc(func(p []byte) (int, error) { n.Add(int64(len(p))); return len(p), nil }), total)
		done <- b.Put(t.Context(), "a", once{r}, ports.PutOptions{Size: total})
	}()
	for last := int64(-1); last < part || last != n.Load(); time.Sleep(200 * time.Millisecond) {
		last = n.Load()
	}
	require.LessOrEqual(t, n.Load(), int64((concurrency+2)*part))
	close(gate)
	require.NoError(t, <-done)
	require.EqualValues(t, total, n.Load())
}

// once is a source that is read from its beginning and no more than once.
type once struct{ io.Reader }

func (once) Seek(int64, int) (int64, error) { return 0, nil }

type doFunc func(r *http.Request) (*http.Response, error)

func (f doFunc) Do(r *http.Request) (*http.Response, error) { return f(r) }
