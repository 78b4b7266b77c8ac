package main

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"image"
	"image/color"
	"image/jpeg"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	awslambda "github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/imagify-api/imagify/adapters/lambdaresizer"
	"github.com/imagify-api/imagify/adapters/lambdaresizer/lambdatest"
	"github.com/imagify-api/imagify/adapters/memory"
	"github.com/imagify-api/imagify/adapters/nativeresizer"
	"github.com/imagify-api/imagify/adapters/s3blob"
	"github.com/imagify-api/imagify/app"
	"github.com/imagify-api/imagify/domain"
	"github.com/imagify-api/imagify/ports"
	"github.com/imagify-api/imagify/ports/porttest/realserver"
)

// built is the real binary, built once.
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

func run(m *testing.M) int {
	for name, value := range map[string]string{
		"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "testtesttest", "AWS_EC2_METADATA_DISABLED": "true",
		"AWS_CONFIG_FILE": "none", "AWS_SHARED_CREDENTIALS_FILE": "none",
	} {
		if err := os.Setenv(name, value); err != nil {
			panic(err)
		}
	}
	defer func() {
		if built.dir != "" {
			os.RemoveAll(built.dir)
		}
	}()
	return m.Run()
}

func photo(t *testing.T) []byte {
	t.Helper()
	m := image.NewRGBA(image.Rect(0, 0, 800, 600))
	for y := range 600 {
		for x := range 800 {
			m.SetRGBA(x, y, color.RGBA{uint8(x), uint8(y), uint8(x ^ y), 255})
		}
	}
	var b bytes.Buffer
	require.NoError(t, jpeg.Encode(&b, m, nil))
	return b.Bytes()
}

// A server whose cold thumbnails are made by the function, on one bucket.
func TestColdThumbnailByFunction(t *testing.T) {
	t.Parallel()
	server := realserver.S3(t)
	storage := "s3://" + server.Bucket(t, "imagify") + "?region=us-east-1&path_style=true&file_keys=true&endpoint=" + server.URL
	l := lambdatest.New(lambdatest.Function{Path: bootstrap(t), Env: []string{"IMAGIFY_STORAGE_URL=" + storage}})
	t.Cleanup(l.Close)
	blobs, err := s3blob.Open(t.Context(), storage)
	require.NoError(t, err)
	there, err := lambdaresizer.Open(t.Context(), "lambda:imagify?region=eu-central-1&endpoint="+l.URL)
	require.NoError(t, err)
	resizer, err := nativeresizer.New(nativeresizer.Options{})
	require.NoError(t, err)
	svc, err := app.New(app.Config{
		Records: memory.NewRecords(memory.Options{}), Blobs: blobs, Resizer: resizer, RemoteResizer: there,
		RateLimits: memory.NewRateLimits(memory.Options{}), SecretKeys: [][]byte{[]byte("a secret key of the tests")},
		Argon2: app.Argon2{MemoryKiB: 64, Iterations: 1, Parallelism: 1}, SweepEvery: -1,
	})
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, svc.Close()) })
	ctx := t.Context()
	_, err = svc.Bootstrap(ctx, "admin password")
	require.NoError(t, err)
	password := "correct horse"
	_, err = svc.CreateUser(ctx, domain.SystemActor("test"), "anna", app.UserChange{Password: &password, Tiers: &[]string{domain.EnterpriseTier}})
	require.NoError(t, err)
	anna, err := svc.ByPassword(ctx, "anna", password, "192.0.2.1")
	require.NoError(t, err)
	img, err := svc.Upload(ctx, anna, app.UploadInput{Body: bytes.NewReader(photo(t)), Size: -1, Filename: "cat.jpg"})
	require.NoError(t, err)

	get := func(height int) []byte {
		v, _ := domain.Thumbnail(height)
		c, err := svc.Open(ctx, anna, img.ID, v)
		require.NoError(t, err)
		defer c.Body.Close()
		data, err := io.ReadAll(c.Body)
		require.NoError(t, err)
		m, _, err := image.Decode(bytes.NewReader(data))
		require.NoError(t, err)
		assert.Equal(t, image.Pt(height*4/3, height).Y, m.Bounds().Dy())
		return data
	}
	cold := get(200)
	assert.EqualValues(t, 1, l.Starts(), "a cold function")
	assert.Equal(t, cold, get(200))
	assert.EqualValues(t, 1, l.Calls(), "a thumbnail that is there needs no function")
	get(400)
	assert.EqualValues(t, 1, l.Starts(), "a warm function")
	assert.EqualValues(t, 2, l.Calls())

	// Where the function's policy lets it write (see examples/serverless).
	keys, err := blobs.List(ctx, "images/", "", 10)
	require.NoError(t, err)
	require.Len(t, keys, 3)
	for _, k := range keys {
		assert.Regexp(t, `^images/.+/(original|thumbnails/.+)$`, k.Key)
	}

	// The function's environments are gone: the next call starts one.
	l.Recycle()
	require.NoError(t, svc.DeleteImage(ctx, anna, img.ID))
	img, err = svc.Upload(ctx, anna, app.UploadInput{Body: bytes.NewReader(photo(t)), Size: -1, Filename: "cat.jpg"})
	require.NoError(t, err)
	assert.Equal(t, cold, get(200), "the same bytes from another environment")
	assert.EqualValues(t, 2, l.Starts())

	// A bucket that is away is told as such.
	server.Stop()
	v, _ := domain.Thumbnail(400)
	_, err = svc.Open(ctx, anna, img.ID, v)
	assert.Equal(t, domain.Unavailable, domain.CodeOf(err), "%v", err)
}

// The real binary behind an access point: it reads the original from S3 and answers to
// the host that AWS's documentation names, which a proxy leads to a sink.
func TestObjectLambda(t *testing.T) {
	t.Parallel()
	server := realserver.S3(t)
	storage := "s3://" + server.Bucket(t, "pictures") + "?region=us-east-1&path_style=true&file_keys=true&endpoint=" + server.URL
	blobs, err := s3blob.Open(t.Context(), storage)
	require.NoError(t, err)
	require.NoError(t, blobs.Put(t.Context(), "a/cat.jpg", bytes.NewReader(photo(t)), ports.PutOptions{Size: int64(len(photo(t)))}))

	const host = "io-route.s3-object-lambda.eu-central-1.amazonaws.com"
	answers := make(chan *http.Request, 1)
	bodies := make(chan []byte, 1)
	sink := httptest.NewUnstartedServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		answers <- r
		bodies <- body
	}))
	var authority string
	sink.TLS, authority = certificate(t, host)
	sink.StartTLS()
	t.Cleanup(sink.Close)
	proxy := httptest.NewServer(connectTo(sink.Listener.Addr().String()))
	t.Cleanup(proxy.Close)

	l := lambdatest.New(lambdatest.Function{Path: bootstrap(t), Env: []string{
		"IMAGIFY_STORAGE_URL=" + storage, "AWS_REGION=eu-central-1", "HTTPS_PROXY=" + proxy.URL, "SSL_CERT_FILE=" + authority, "AWS_CA_BUNDLE=" + authority, "NO_PROXY=127.0.0.1",
	}})
	t.Cleanup(l.Close)
	client := awslambda.New(awslambda.Options{
		Region: "eu-central-1", BaseEndpoint: &l.URL, Credentials: credentials.NewStaticCredentialsProvider("key", "secret", ""),
	})
	for _, c := range []struct{ path, status, contentType, code string }{
		{"a/cat.jpg@150", "200", "image/jpeg", ""},
		{"a/dog.jpg@150", "404", "", "NoSuchKey"},
		{"a/cat.jpg", "400", "", "InvalidRequest"},
	} {
		event, err := json.Marshal(map[string]any{
			"getObjectContext": map[string]string{"inputS3Url": "https://example.org/", "outputRoute": "io-route", "outputToken": "token"},
			"userRequest":      map[string]any{"url": "https://ap-123456789012.s3-object-lambda.eu-central-1.amazonaws.com/" + c.path},
		})
		require.NoError(t, err)
		out, err := client.Invoke(t.Context(), &awslambda.InvokeInput{FunctionName: aws.String("imagify"), Payload: event})
		require.NoError(t, err)
		require.Nil(t, out.FunctionError, "%s\n%s", out.Payload, l.Output())
		r, body := <-answers, <-bodies
		assert.Equal(t, host, r.Host)
		assert.Equal(t, "/WriteGetObjectResponse", r.URL.Path)
		assert.Equal(t, "token", r.Header.Get("X-Amz-Request-Token"))
		assert.Equal(t, c.status, r.Header.Get("X-Amz-Fwd-Status"), c.path)
		assert.Equal(t, c.contentType, r.Header.Get("X-Amz-Fwd-Header-Content-Type"))
		assert.Equal(t, c.code, r.Header.Get("X-Amz-Fwd-Error-Code"))
		if c.status == "200" {
			m, _, err := image.Decode(bytes.NewReader(body))
			require.NoError(t, err)
			assert.Equal(t, image.Pt(200, 150), m.Bounds().Size())
		}
	}
}

// connectTo is a proxy that leads every tunnel to one address.
func connectTo(addr string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodConnect {
			w.WriteHeader(http.StatusMethodNotAllowed)
			return
		}
		to, err := net.Dial("tcp", addr)
		if err != nil {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		defer to.Close()
		w.WriteHeader(http.StatusOK)
		from, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		defer from.Close()
		go func() { _, _ = io.Copy(to, from); to.Close() }()
		_, _ = io.Copy(from, to)
	})
}

// certificate makes a certificate for a host, and a file that makes a program trust it.
func certificate(t *testing.T, host string) (*tls.Config, string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: host}, DNSNames: []string{host}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	require.NoError(t, err)
	path := filepath.Join(t.TempDir(), "ca.pem")
	require.NoError(t, os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600))
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}, path
}
