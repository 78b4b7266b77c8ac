package lambdaresizer_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"image"
	"image/png"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/imagify-api/imagify/adapters/fileblob"
	"github.com/imagify-api/imagify/adapters/lambdaresizer"
	"github.com/imagify-api/imagify/adapters/lambdaresizer/lambdatest"
	"github.com/imagify-api/imagify/adapters/memory"
	"github.com/imagify-api/imagify/adapters/nativeresizer"
	"github.com/imagify-api/imagify/adapters/s3blob"
	"github.com/imagify-api/imagify/domain"
	"github.com/imagify-api/imagify/ports"
	"github.com/imagify-api/imagify/ports/porttest"
	"github.com/imagify-api/imagify/ports/porttest/realserver"
)

// actEnv makes this test's binary a function that misbehaves in the way it names.
const actEnv = "IMAGIFY_LAMBDATEST_ACT"

func TestMain(m *testing.M) {
	if act := os.Getenv(actEnv); act != "" {
		lambda.Start(func(ctx context.Context, _ json.RawMessage) (any, error) { return actors[act](ctx) })
		return
	}
	// Any credentials do: the platform of the tests does not check them.
	for name, value := range map[string]string{
		"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "testtesttest", "AWS_EC2_METADATA_DISABLED": "true",
		"AWS_CONFIG_FILE": "none", "AWS_SHARED_CREDENTIALS_FILE": "none",
	} {
		if err := os.Setenv(name, value); err != nil {
			panic(err)
		}
	}
	code := m.Run()
	if dir, err := built.dir, built.err; dir != "" && err == nil {
		os.RemoveAll(dir)
	}
	os.Exit(code)
}

type unexpected struct{}

func (unexpected) Error() string { return "this was not foreseen" }

// actors are functions that misbehave.
var actors = map[string]func(ctx context.Context) (any, error){
	"dies":                func(context.Context) (any, error) { os.Exit(3); return nil, nil },
	"panics":              func(context.Context) (any, error) { panic("in the decoder") },
	"hangs":               func(context.Context) (any, error) { time.Sleep(time.Minute); return nil, nil },
	"does not start":      nil,
	"fails":               func(context.Context) (any, error) { return nil, unexpected{} },
	"says nothing":        func(context.Context) (any, error) { return nil, nil },
	"is another function": func(context.Context) (any, error) { return map[string]string{"hello": "world"}, nil },
	"says no JSON object": func(context.Context) (any, error) { return "done", nil },
	"makes too few":       func(context.Context) (any, error) { return map[string]int{"resized": 1}, nil },
	"says too much": func(context.Context) (any, error) {
		return map[string]any{"resized": 2, "x": strings.Repeat("x", 100_000)}, nil
	},
	"says more than Lambda carries": func(context.Context) (any, error) {
		return map[string]any{"resized": 2, "x": strings.Repeat("x", 7<<20)}, nil
	},
	"has a code of its own": func(context.Context) (any, error) {
		return map[string]any{"error": map[string]any{"code": "permission_denied", "message": "secret"}}, nil
	},
}

// built is the function's binary, built once.
var built struct {
	sync.Once
	dir, path string
	err       error
}

func bootstrap(t *testing.T) string {
	t.Helper()
	built.Do(func() {
		if built.dir, built.err = os.MkdirTemp("", "imagify-lambda-"); built.err == nil {
			built.path, built.err = lambdatest.Build(context.Background(), built.dir)
		}
	})
	require.NoError(t, built.err)
	return built.path
}

// platform runs a function and opens its caller by a URL with a query of its own.
func platform(t *testing.T, fn lambdatest.Function, name, query string) (*lambdatest.Lambda, *lambdaresizer.Resizer) {
	t.Helper()
	l := lambdatest.New(fn)
	t.Cleanup(l.Close)
	r, err := lambdaresizer.Open(t.Context(), "lambda:"+name+"?region=eu-central-1&endpoint="+l.URL+query)
	require.NoError(t, err)
	return l, r
}

// The real binary, called through the real SDK, on files.
func TestConformanceFiles(t *testing.T) {
	t.Parallel()
	path := bootstrap(t)
	porttest.RemoteResizer(t, func(t *testing.T) porttest.Remote {
		dir := t.TempDir()
		blobs, err := fileblob.New(dir)
		require.NoError(t, err)
		t.Cleanup(func() { blobs.Close() })
		_, r := platform(t, lambdatest.Function{Path: path, Env: []string{"IMAGIFY_STORAGE_URL=file://" + dir}, MaxConcurrency: 2}, "imagify", "&max_calls=2")
		return porttest.Remote{RemoteResizer: r, Blobs: blobs, Version: version(t)}
	})
}

// The same on S3.
func TestConformanceS3(t *testing.T) {
	t.Parallel()
	server := realserver.S3(t)
	path := bootstrap(t)
	var n atomic.Int64
	porttest.RemoteResizer(t, func(t *testing.T) porttest.Remote {
		bucket := server.Bucket(t, fmt.Sprintf("bucket-%d", n.Add(1)))
		storage := "s3://" + bucket + "?region=us-east-1&path_style=true&file_keys=true&endpoint=" + server.URL
		blobs, err := s3blob.Open(t.Context(), storage)
		require.NoError(t, err)
		_, r := platform(t, lambdatest.Function{Path: path, Env: []string{"IMAGIFY_STORAGE_URL=" + storage}, MaxConcurrency: 2}, "imagify:live", "&max_calls=2")
		return porttest.Remote{RemoteResizer: r, Blobs: blobs, Version: version(t)}
	})
}

func version(t *testing.T) string {
	t.Helper()
	r, err := nativeresizer.New(nativeresizer.Options{})
	require.NoError(t, err)
	return r.Version()
}

// someJob is a job that keeps its rules, of a version that no function has.
func someJob() ports.RemoteJob {
	return ports.RemoteJob{Source: "a", Size: 1, Version: "none", Thumbnails: []ports.RemoteThumbnail{{Height: 1, Key: "b"}, {Height: 2, Key: "c"}}}
}

// Whatever becomes of the function, it is neither the picture's nor the client's fault.
func TestFunctionFails(t *testing.T) {
	t.Parallel()
	self, err := os.Executable()
	require.NoError(t, err)
	for act := range actors {
		t.Run(act, func(t *testing.T) {
			t.Parallel()
			fn := lambdatest.Function{Path: self, Env: []string{actEnv + "=" + act}}
			if act == "hangs" {
				fn.Timeout = time.Second
			}
			if act == "does not start" {
				fn.Path, fn.Env = "/bin/false", nil
			}
			l, r := platform(t, fn, "imagify", "")
			err := r.ResizeRemote(t.Context(), someJob())
			require.Error(t, err)
			e := domain.AsError(err)
			assert.NotContains(t, e.Msg, "secret")
			if act == "has a code of its own" {
				assert.Equal(t, domain.Internal, e.Code, "%v", err)
				return
			}
			assert.Equal(t, domain.Unavailable, e.Code, "%v", err)
			assert.Positive(t, e.RetryAfter)
			assert.EqualValues(t, 1, l.Calls(), "a function that failed is not called again")
		})
	}
}

// What Lambda answers in the function's place.
func TestLambdaFails(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		status int
		kind   string
		calls  int64
		after  time.Duration
	}{
		{http.StatusTooManyRequests, "TooManyRequestsException", 1, 2 * time.Second},
		{http.StatusInternalServerError, "ServiceException", 3, 5 * time.Second},
		{http.StatusBadGateway, "EC2UnexpectedException", 3, 5 * time.Second},
		{http.StatusForbidden, "AccessDeniedException", 1, 5 * time.Second},
		{http.StatusConflict, "ResourceConflictException", 1, 5 * time.Second},
		{http.StatusRequestEntityTooLarge, "RequestTooLargeException", 1, 5 * time.Second},
	} {
		t.Run(c.kind, func(t *testing.T) {
			t.Parallel()
			l, r := platform(t, lambdatest.Function{Path: "/bin/false"}, "imagify", "")
			l.Fail = func() (int, string) { return c.status, c.kind }
			err := r.ResizeRemote(t.Context(), someJob())
			require.Equal(t, domain.Unavailable, domain.CodeOf(err), "%v", err)
			assert.Equal(t, c.after, domain.AsError(err).RetryAfter)
			assert.Equal(t, c.calls, l.Calls())
			assert.NotContains(t, domain.AsError(err).Msg, "Exception")
		})
	}
	t.Run("no such function", func(t *testing.T) {
		t.Parallel()
		_, r := platform(t, lambdatest.Function{Path: "/bin/false"}, "missing", "")
		require.Equal(t, domain.Unavailable, domain.CodeOf(r.ResizeRemote(t.Context(), someJob())))
		require.Equal(t, domain.Unavailable, domain.CodeOf(r.Ping(t.Context())))
	})
	t.Run("no Lambda", func(t *testing.T) {
		t.Parallel()
		r, err := lambdaresizer.Open(t.Context(), "lambda:imagify?region=eu-central-1&endpoint=http://"+realserver.FreeAddr(t))
		require.NoError(t, err)
		require.Equal(t, domain.Unavailable, domain.CodeOf(r.ResizeRemote(t.Context(), someJob())))
	})
	t.Run("ping", func(t *testing.T) {
		t.Parallel()
		l, r := platform(t, lambdatest.Function{Path: "/bin/false"}, "imagify", "")
		require.NoError(t, r.Ping(t.Context()))
		assert.Zero(t, l.Starts(), "the function is not called")
	})
}

// A burst: what Lambda's concurrency does not carry is refused with a hint, what waits is bounded too.
func TestBackPressure(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	blobs, err := fileblob.New(dir)
	require.NoError(t, err)
	t.Cleanup(func() { blobs.Close() })
	data := noise(t, 400, 300)
	require.NoError(t, blobs.Put(t.Context(), "src", bytes.NewReader(data), ports.PutOptions{Size: int64(len(data))}))
	l, r := platform(t, lambdatest.Function{Path: bootstrap(t), Env: []string{"IMAGIFY_STORAGE_URL=file://" + dir}, MaxConcurrency: 1}, "imagify", "")
	own, errs := version(t), make([]error, 40)
	var all sync.WaitGroup
	for i := range errs {
		all.Go(func() {
			errs[i] = r.ResizeRemote(t.Context(), ports.RemoteJob{
				Source: "src", Size: int64(len(data)), Version: own, Thumbnails: []ports.RemoteThumbnail{{Height: 100, Key: fmt.Sprintf("t%d", i)}},
			})
		})
	}
	all.Wait()
	var made int
	for _, err := range errs {
		if err == nil {
			made++
			continue
		}
		require.Equal(t, domain.Unavailable, domain.CodeOf(err), "%v", err)
		assert.Positive(t, domain.AsError(err).RetryAfter)
	}
	assert.Positive(t, made)
	assert.Less(t, made, len(errs), "one environment cannot have taken all at once")
	assert.EqualValues(t, 1, l.Starts(), "cold once, then warm")
	assert.EqualValues(t, len(errs), l.Calls(), "throttled calls are not repeated")
}

// A caller that stops waiting is answered at once, and the function puts nothing once its time is over.
func TestCallerGivesUp(t *testing.T) {
	t.Parallel()
	self, err := os.Executable()
	require.NoError(t, err)
	_, r := platform(t, lambdatest.Function{Path: self, Env: []string{actEnv + "=hangs"}, Timeout: 3 * time.Second}, "imagify", "")
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	began := time.Now()
	err = r.ResizeRemote(ctx, someJob())
	assert.Equal(t, domain.Unavailable, domain.CodeOf(err), "%v", err)
	assert.Less(t, time.Since(began), 2*time.Second)
}

func noise(t *testing.T, w, h int) []byte {
	t.Helper()
	m := image.NewGray(image.Rect(0, 0, w, h))
	for i := range m.Pix {
		m.Pix[i] = uint8(i * i >> 3)
	}
	var b bytes.Buffer
	require.NoError(t, png.Encode(&b, m))
	return b.Bytes()
}

func TestFunction(t *testing.T) {
	t.Parallel()
	resizer, err := nativeresizer.New(nativeresizer.Options{})
	require.NoError(t, err)
	data := noise(t, 40, 30)
	good := fmt.Sprintf(`{"resize":{"source":"src","size":%d,"pipeline":%q,"timeout_ms":%%d,"thumbnails":[{"height":10,"key":"t"}]}}`, len(data), resizer.Version())
	for _, c := range []struct {
		name, event, want string
		left              time.Duration // of the function's time; 0: it has no end
		keys              int
	}{
		{"done", fmt.Sprintf(good, 5000), `{"resized":1}`, time.Minute, 2},
		{"no time said", fmt.Sprintf(good, 0), `{"resized":1}`, 0, 2},
		{"the caller has stopped waiting", fmt.Sprintf(good, 1), `"code":"unavailable"`, time.Minute, 1},
		{"no time to answer", fmt.Sprintf(good, 0), `"code":"unavailable"`, 400 * time.Millisecond, 1},
		{"no job", `{}`, `"code":"invalid_request"`, 0, 1},
		{"no JSON", `x`, `"code":"invalid_request"`, 0, 1},
		{"another release", strings.Replace(fmt.Sprintf(good, 0), resizer.Version(), "another7", 1), `"code":"conflict"`, 0, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			blobs := memory.NewBlobs(memory.Options{})
			require.NoError(t, blobs.Put(t.Context(), "src", bytes.NewReader(data), ports.PutOptions{Size: int64(len(data))}))
			f, err := lambdaresizer.NewFunction(slowOpen{blobs, 20 * time.Millisecond}, resizer)
			require.NoError(t, err)
			ctx := t.Context()
			if c.left != 0 {
				var cancel context.CancelFunc
				ctx, cancel = context.WithTimeout(ctx, c.left)
				defer cancel()
			}
			got, err := f.Handle(ctx, []byte(c.event))
			require.NoError(t, err)
			assert.Contains(t, string(got), c.want)
			list, err := blobs.List(t.Context(), "", "", 10)
			require.NoError(t, err)
			assert.Len(t, list, c.keys)
		})
	}
	f, err := lambdaresizer.NewFunction(slowOpen{}, resizer)
	require.NoError(t, err)
	_, err = f.Handle(t.Context(), []byte(fmt.Sprintf(good, 0)))
	assert.ErrorIs(t, err, assert.AnError, "what is not foreseen is Lambda's to count")
	_, err = lambdaresizer.NewFunction(nil, nil)
	assert.Error(t, err)
}

// slowOpen takes its time to open, or fails where it has no store.
type slowOpen struct {
	ports.Blobs
	takes time.Duration
}

func (s slowOpen) Open(ctx context.Context, key string) (ports.Blob, error) {
	if s.Blobs == nil {
		return ports.Blob{}, assert.AnError
	}
	time.Sleep(s.takes)
	return s.Blobs.Open(ctx, key)
}

func TestOpen(t *testing.T) {
	t.Parallel()
	for _, good := range []string{
		"lambda:imagify?region=eu-central-1",
		"lambda:imagify:live?region=eu-central-1&timeout=20s&max_calls=100",
		"lambda:arn:aws:lambda:eu-central-1:123456789012:function:imagify:live?region=eu-central-1&endpoint=http://127.0.0.1:1",
	} {
		_, err := lambdaresizer.Open(t.Context(), good)
		assert.NoError(t, err, good)
	}
	for _, bad := range []string{
		"", "local:", "lambda:", "lambda://imagify", "lambda:imagify", "lambda:imagify#x", "lambda:imagify?region=", "lambda:imagify?region=a&region=b",
		"lambda:imagify?region=a&zone=b", "lambda:imagify?region=a&timeout=0s", "lambda:imagify?region=a&timeout=x", "lambda:imagify?region=a&max_calls=0",
		"lambda:imagify?region=a&endpoint=x", "lambda:imagify?region=a&endpoint=http://u:p@h", "lambda:imagify?region=%zz",
	} {
		_, err := lambdaresizer.Open(t.Context(), bad)
		assert.Error(t, err, bad)
	}
	_, err := lambdaresizer.New(nil, "imagify", lambdaresizer.Options{})
	assert.Error(t, err)
}
