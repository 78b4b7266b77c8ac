package objectlambda_test

import (
	"bytes"
	"context"
	"encoding/json"
	"image"
	"image/color"
	"image/jpeg"
	"image/png"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go/middleware"
	smithyhttp "github.com/aws/smithy-go/transport/http"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/imagify-api/imagify/adapters/lambdaresizer/objectlambda"
	"github.com/imagify-api/imagify/adapters/memory"
	"github.com/imagify-api/imagify/adapters/nativeresizer"
	"github.com/imagify-api/imagify/domain"
	"github.com/imagify-api/imagify/ports"
)

// sink is S3's end of WriteGetObjectResponse: what it was sent last.
type sink struct {
	mu     sync.Mutex
	path   string
	header http.Header
	body   []byte
	status int // to answer; 0: 200
}

func (s *sink) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.path, s.header, s.body = r.Method+" "+r.URL.Path, r.Header, body
	if s.status != 0 {
		w.WriteHeader(s.status)
	}
}

// newHandler makes a Handler on the store whose answers arrive at a sink over https.
func newHandler(t *testing.T, blobs ports.Blobs) (*objectlambda.Handler, *sink) {
	t.Helper()
	s := &sink{}
	server := httptest.NewTLSServer(s)
	t.Cleanup(server.Close)
	client := s3.New(s3.Options{
		Region: "eu-central-1", BaseEndpoint: &server.URL, HTTPClient: server.Client(), RetryMaxAttempts: 1,
		Credentials: credentials.NewStaticCredentialsProvider("key", "secret", ""),
		APIOptions: []func(*middleware.Stack) error{func(stack *middleware.Stack) error {
			// The route becomes the first label of the host's name, which a local sink has not.
			return stack.Initialize.Add(middleware.InitializeMiddlewareFunc("NoRouteInHost",
				func(ctx context.Context, in middleware.InitializeInput, next middleware.InitializeHandler) (middleware.InitializeOutput, middleware.Metadata, error) {
					return next.HandleInitialize(smithyhttp.DisableEndpointHostPrefix(ctx, true), in)
				}), middleware.Before)
		}},
	})
	resizer, err := nativeresizer.New(nativeresizer.Options{})
	require.NoError(t, err)
	h, err := objectlambda.New(blobs, resizer, client)
	require.NoError(t, err)
	return h, s
}

func event(t *testing.T, url string) []byte {
	t.Helper()
	b, err := json.Marshal(map[string]any{
		"xAmzRequestId":    "id",
		"getObjectContext": map[string]string{"inputS3Url": "https://example.org/", "outputRoute": "io-route", "outputToken": "the token"},
		"userRequest":      map[string]any{"url": url, "headers": map[string]string{"Host": "x"}},
		"protocolVersion":  "1.00",
	})
	require.NoError(t, err)
	return b
}

func picture(alpha uint8) image.Image {
	m := image.NewNRGBA(image.Rect(0, 0, 80, 60))
	for i := 0; i < len(m.Pix); i += 4 {
		c := color.NRGBA{uint8(i), uint8(i >> 8), 100, alpha}
		m.SetNRGBA(i/4%80, i/4/80, c)
	}
	return m
}

func TestHandler(t *testing.T) {
	t.Parallel()
	blobs := memory.NewBlobs(memory.Options{})
	var jpg, half bytes.Buffer
	require.NoError(t, jpeg.Encode(&jpg, picture(255), nil))
	require.NoError(t, png.Encode(&half, picture(128)))
	for key, data := range map[string][]byte{"cat.jpg": jpg.Bytes(), "a/half.png": half.Bytes(), "text": []byte("no picture"), "cut.png": half.Bytes()[:half.Len()/2]} {
		require.NoError(t, blobs.Put(t.Context(), key, bytes.NewReader(data), ports.PutOptions{Size: int64(len(data))}))
	}
	h, s := newHandler(t, blobs)
	const base = "https://ap-123456789012.s3-object-lambda.eu-central-1.amazonaws.com/"

	for _, c := range []struct {
		path, contentType string
	}{
		{"cat.jpg@30", "image/jpeg"},
		{"cat.jpg%4030?X-Amz-Expires=60", "image/jpeg"},
		{"a/half.png@30", "image/png"},
	} {
		require.NoError(t, h.Handle(t.Context(), event(t, base+c.path)), c.path)
		assert.Equal(t, "POST /WriteGetObjectResponse", s.path)
		assert.Equal(t, "io-route", s.header.Get("X-Amz-Request-Route"))
		assert.Equal(t, "the token", s.header.Get("X-Amz-Request-Token"))
		assert.Equal(t, "200", s.header.Get("X-Amz-Fwd-Status"))
		assert.Equal(t, c.contentType, s.header.Get("X-Amz-Fwd-Header-Content-Type"))
		m, _, err := image.Decode(bytes.NewReader(s.body))
		require.NoError(t, err, c.path)
		assert.Equal(t, image.Pt(40, 30), m.Bounds().Size())
	}

	for _, c := range []struct {
		path, status, code string
	}{
		{"cat.jpg", "400", "InvalidRequest"},
		{"cat.jpg@", "400", "InvalidRequest"},
		{"cat.jpg@0", "400", "InvalidRequest"},
		{"cat.jpg@0200", "400", "InvalidRequest"},
		{"cat.jpg@4321", "400", "InvalidRequest"},
		{"cat.jpg@x", "400", "InvalidRequest"},
		{"%zz@30", "400", "InvalidRequest"},
		{"dog.jpg@30", "404", "NoSuchKey"},
		{"../cat.jpg@30", "404", "NoSuchKey"},
		{"Cat.JPG@30", "404", "NoSuchKey"},
		{"@30", "404", "NoSuchKey"},
		{"text@30", "400", "UnsupportedImage"},
		{"cut.png@30", "400", "CorruptImage"},
	} {
		require.NoError(t, h.Handle(t.Context(), event(t, base+c.path)), c.path)
		assert.Equal(t, c.status, s.header.Get("X-Amz-Fwd-Status"), c.path)
		assert.Equal(t, c.code, s.header.Get("X-Amz-Fwd-Error-Code"), c.path)
		assert.NotEmpty(t, s.header.Get("X-Amz-Fwd-Error-Message"), c.path)
		assert.Empty(t, s.body, c.path)
	}
}

// What is the function's own failure is told to the caller and to Lambda.
func TestHandlerFails(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		err          error
		status, code string
	}{
		{domain.Errorf(domain.Unavailable, "the store is unavailable — for now"), "503", "SlowDown"},
		{assert.AnError, "500", "InternalError"},
	} {
		h, s := newHandler(t, failing{err: c.err})
		assert.ErrorIs(t, h.Handle(t.Context(), event(t, "https://x/cat.jpg@30")), c.err)
		assert.Equal(t, c.status, s.header.Get("X-Amz-Fwd-Status"))
		assert.Equal(t, c.code, s.header.Get("X-Amz-Fwd-Error-Code"))
		assert.NotContains(t, s.header.Get("X-Amz-Fwd-Error-Message"), assert.AnError.Error(), "causes are private")
	}
	h, s := newHandler(t, memory.NewBlobs(memory.Options{}))
	s.status = http.StatusForbidden
	assert.Equal(t, domain.Unavailable, domain.CodeOf(h.Handle(t.Context(), event(t, "https://x/cat.jpg@30"))))
	for _, payload := range []string{``, `{}`, `[]`, `{"getObjectContext":{}}`} {
		assert.Equal(t, domain.Invalid, domain.CodeOf(h.Handle(t.Context(), []byte(payload))), payload)
	}
	_, err := objectlambda.New(nil, nil, nil)
	assert.Error(t, err)
}

// failing is a store that opens nothing.
type failing struct {
	ports.Blobs
	err error
}

func (f failing) Open(context.Context, string) (ports.Blob, error) { return ports.Blob{}, f.err }
