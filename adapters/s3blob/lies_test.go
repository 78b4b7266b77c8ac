package s3blob_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
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

// liar stands before a real service and answers one operation wrongly.
type liar struct {
	t       *testing.T
	service *realserver.S3Server
	honest  *httputil.ReverseProxy
	server  *httptest.Server
	done    chan struct{}

	mu sync.Mutex
	op string
	is func(w http.ResponseWriter, r *http.Request, honest *http.Response)
	// forwards says that the service gets the request all the same.
	forwards bool
	lied     atomic.Int64
	pushed   atomic.Int64 // bytes of bodies that were sent
}

func newLiar(t *testing.T, service *realserver.S3Server) *liar {
	t.Helper()
	to, err := url.Parse(service.URL)
	require.NoError(t, err)
	l := &liar{t: t, service: service, done: make(chan struct{}), honest: &httputil.ReverseProxy{
		Rewrite:  func(r *httputil.ProxyRequest) { r.SetURL(to); r.Out.Host = r.In.Host }, // which is signed
		ErrorLog: log.New(io.Discard, "", 0),                                              // of clients that gave up
	}}
	l.server = httptest.NewServer(http.HandlerFunc(l.serve))
	t.Cleanup(func() {
		close(l.done)
		l.server.Close()
	})
	return l
}

// operation names what a request asks for.
func operation(r *http.Request) string {
	q := r.URL.Query()
	object := strings.Count(strings.Trim(r.URL.Path, "/"), "/") > 0
	switch {
	case r.Method == http.MethodPost && q.Has("uploads"):
		return "CreateMultipartUpload"
	case r.Method == http.MethodPost && q.Has("uploadId"):
		return "CompleteMultipartUpload"
	case r.Method == http.MethodPost && q.Has("delete"):
		return "DeleteObjects"
	case r.Method == http.MethodPut && r.Header.Get("X-Amz-Copy-Source") != "":
		return "CopyObject"
	case r.Method == http.MethodPut && q.Has("partNumber"):
		return "UploadPart"
	case r.Method == http.MethodPut && object:
		return "PutObject"
	case r.Method == http.MethodGet && q.Has("uploads"):
		return "ListMultipartUploads"
	case r.Method == http.MethodGet && !object:
		return "ListObjectsV2"
	case r.Method == http.MethodGet:
		return "GetObject"
	case r.Method == http.MethodHead && object:
		return "HeadObject"
	}
	return r.Method + " " + r.URL.String()
}

func (l *liar) serve(w http.ResponseWriter, r *http.Request) {
	l.mu.Lock()
	op, lie, forwards := l.op, l.is, l.forwards
	l.mu.Unlock()
	if lie == nil || operation(r) != op {
		l.honest.ServeHTTP(&counting{w, &l.pushed}, r)
		return
	}
	l.lied.Add(1)
	var honest *http.Response
	if forwards {
		rec := httptest.NewRecorder()
		l.honest.ServeHTTP(rec, r)
		honest = rec.Result()
	} else {
		_, _ = io.Copy(io.Discard, r.Body)
	}
	lie(w, r, honest)
}

type counting struct {
	http.ResponseWriter
	n *atomic.Int64
}

func (c *counting) Write(p []byte) (int, error) {
	n, err := c.ResponseWriter.Write(p)
	c.n.Add(int64(n))
	return n, err
}

func (c *counting) Unwrap() http.ResponseWriter { return c.ResponseWriter }

// tell has the liar answer an operation so until the test ends; "" is honest again.
func (l *liar) tell(op string, forwards bool, lie func(w http.ResponseWriter, r *http.Request, honest *http.Response)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.op, l.is, l.forwards = op, lie, forwards
	l.lied.Store(0)
}

const page = "<!DOCTYPE html>\n<html><head><title>Sign in</title></head><body><p>Welcome to the hotel's network.</p></body></html>\n"

// pass sends an answer on.
func pass(w http.ResponseWriter, res *http.Response, body []byte) {
	for name, values := range res.Header {
		if name != "Content-Length" {
			w.Header()[name] = values
		}
	}
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(res.StatusCode)
	_, _ = w.Write(body)
}

var (
	xmlField    = regexp.MustCompile(`<(UploadId|Key|Bucket|Name|ETag|KeyCount|Size|ChecksumCRC32|IsTruncated|LastModified)>[^<]*</`)
	xmlChecksum = regexp.MustCompile(`<(Checksum\w+)>[^<]*</\w+>`)
)

type lie struct {
	name     string
	forwards bool
	tell     func(l *liar, w http.ResponseWriter, r *http.Request, honest *http.Response)
}

func lies() []lie {
	body := func(res *http.Response) []byte { b, _ := io.ReadAll(res.Body); return b }
	return []lie{
		{"empty", false, func(_ *liar, w http.ResponseWriter, _ *http.Request, _ *http.Response) { w.WriteHeader(http.StatusOK) }},
		{"HTML", false, func(_ *liar, w http.ResponseWriter, r *http.Request, _ *http.Response) {
			w.Header().Set("Content-Type", "text/html")
			w.Header().Set("Etag", `"5f3c-page"`) // as nginx gives for a file
			w.Header().Set("Last-Modified", "Sat, 03 Jan 2026 03:04:05 GMT")
			w.Header().Set("Content-Length", strconv.Itoa(len(page)))
			if r.Method != http.MethodHead {
				_, _ = io.WriteString(w, page)
			}
		}},
		{"cut", true, func(_ *liar, w http.ResponseWriter, _ *http.Request, honest *http.Response) {
			b := body(honest)
			pass(w, honest, b[:len(b)/2])
		}},
		{"cut, of the announced length", true, func(_ *liar, w http.ResponseWriter, _ *http.Request, honest *http.Response) {
			b := body(honest)
			w.Header().Set("Content-Length", strconv.Itoa(len(b)+10))
			for name, values := range honest.Header {
				if name != "Content-Length" {
					w.Header()[name] = values
				}
			}
			w.WriteHeader(honest.StatusCode)
			_, _ = w.Write(b[:len(b)/2])
		}},
		{"wrong fields", true, func(_ *liar, w http.ResponseWriter, _ *http.Request, honest *http.Response) {
			b := xmlField.ReplaceAll(body(honest), []byte("<$1>elsewhere</"))
			for name := range honest.Header {
				if strings.HasPrefix(name, "X-Amz-Checksum") || name == "Etag" || name == "Content-Range" {
					honest.Header.Set(name, "AAAAAA==")
				}
			}
			honest.Header.Set("X-Amz-Meta-Imagify-Put", "ANOTHER")
			pass(w, honest, b)
		}},
		{"no fields", true, func(_ *liar, w http.ResponseWriter, _ *http.Request, honest *http.Response) {
			b := xmlField.ReplaceAll(body(honest), []byte("<X$1></"))
			w.Header().Set("Content-Type", honest.Header.Get("Content-Type"))
			w.Header().Set("Content-Length", strconv.Itoa(len(b)))
			_, _ = w.Write(b)
		}},
		{"no checksum", true, func(_ *liar, w http.ResponseWriter, _ *http.Request, honest *http.Response) {
			for name := range honest.Header {
				if strings.HasPrefix(name, "X-Amz-Checksum") {
					honest.Header.Del(name)
				}
			}
			pass(w, honest, xmlChecksum.ReplaceAll(body(honest), nil))
		}},
		{"says done and does nothing", false, func(l *liar, w http.ResponseWriter, r *http.Request, _ *http.Response) {
			// What the service would answer, of another object.
			rec := httptest.NewRecorder()
			l.asOther(rec, r)
			for name, values := range rec.Header() {
				w.Header()[name] = values
			}
			w.WriteHeader(rec.Code)
			_, _ = w.Write(rec.Body.Bytes())
		}},
		{"stall", false, func(l *liar, _ http.ResponseWriter, r *http.Request, _ *http.Response) {
			select {
			case <-r.Context().Done():
			case <-l.done:
			}
		}},
		{"stall in the body", true, func(l *liar, w http.ResponseWriter, r *http.Request, honest *http.Response) {
			b := body(honest)
			w.Header().Set("Content-Length", strconv.Itoa(len(b)+1))
			_, _ = w.Write(b[:len(b)/2])
			_ = http.NewResponseController(w).Flush()
			select {
			case <-r.Context().Done():
			case <-l.done:
			}
		}},
		{"ignores Range", false, func(l *liar, w http.ResponseWriter, r *http.Request, _ *http.Response) {
			l.get(w, r, strings.TrimPrefix(r.URL.Path, "/pictures/"), "")
		}},
		{"another part", false, func(l *liar, w http.ResponseWriter, r *http.Request, _ *http.Response) {
			l.get(w, r, strings.TrimPrefix(r.URL.Path, "/pictures/"), "bytes=7-100")
		}},
	}
}

// other is the object of another's that the liar gives in place of any.
const other = "z/other"

// asOther answers as if the request had been about the other object.
func (l *liar) asOther(w http.ResponseWriter, r *http.Request) {
	key := other
	switch operation(r) {
	case "GetObject", "HeadObject":
		l.get(w, r, key, r.Header.Get("Range"))
	case "PutObject", "UploadPart":
		w.Header().Set("Etag", `"900150983cd24fb0d6963f7d28e17f72"`)
	case "CopyObject":
		fmt.Fprint(w, `<CopyObjectResult><ETag>"900150983cd24fb0d6963f7d28e17f72"</ETag><LastModified>2026-01-02T03:04:05Z</LastModified></CopyObjectResult>`)
	case "CreateMultipartUpload":
		fmt.Fprintf(w, `<InitiateMultipartUploadResult><Bucket>pictures</Bucket><Key>%s</Key><UploadId>1</UploadId></InitiateMultipartUploadResult>`, key)
	case "CompleteMultipartUpload":
		fmt.Fprintf(w, `<CompleteMultipartUploadResult><Bucket>pictures</Bucket><Key>%s</Key><ETag>"a-2"</ETag></CompleteMultipartUploadResult>`, key)
	case "DeleteObjects":
		fmt.Fprintf(w, `<DeleteResult><Deleted><Key>%s</Key></Deleted></DeleteResult>`, key)
	case "ListObjectsV2": // the same page for ever
		fmt.Fprintf(w, `<ListBucketResult><Name>pictures</Name><KeyCount>1</KeyCount><MaxKeys>1</MaxKeys><IsTruncated>true</IsTruncated>`+
			`<NextContinuationToken>%d</NextContinuationToken><Contents><Key>%s</Key><Size>1</Size><LastModified>2026-01-02T03:04:05Z</LastModified></Contents></ListBucketResult>`, l.lied.Load(), key)
	case "ListMultipartUploads":
		fmt.Fprint(w, `<ListMultipartUploadsResult><Bucket>pictures</Bucket><IsTruncated>true</IsTruncated><NextKeyMarker>a</NextKeyMarker><NextUploadIdMarker>1</NextUploadIdMarker></ListMultipartUploadsResult>`)
	default:
		l.t.Errorf("what is %s?", operation(r))
	}
}

// get answers with an object of the service, or a part of it.
func (l *liar) get(w http.ResponseWriter, r *http.Request, key, part string) {
	in := &s3.GetObjectInput{Bucket: aws.String("pictures"), Key: &key}
	if part != "" {
		in.Range = &part
	}
	out, err := client(l.service).GetObject(r.Context(), in)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	defer out.Body.Close()
	w.Header().Set("Etag", *out.ETag)
	w.Header().Set("Last-Modified", out.LastModified.UTC().Format(http.TimeFormat))
	w.Header().Set("Content-Length", strconv.FormatInt(*out.ContentLength, 10))
	if out.ContentRange != nil {
		w.Header().Set("Content-Range", *out.ContentRange)
		w.WriteHeader(http.StatusPartialContent)
	}
	if r.Method != http.MethodHead {
		n, _ := io.Copy(w, out.Body)
		l.pushed.Add(n)
	}
}

// TestPromiseX4 has each operation answered wrongly in each way. Whatever comes: the
// process lives, every call ends, a Put or a Delete that reports success has
// happened, and bytes are those of the object or an error.
func TestPromiseX4(t *testing.T) {
	s, bucket := service(t)
	l := newLiar(t, s)
	direct := open(t, s.URL, bucket, "")
	small, large := noise(300_000), noise(6<<20)
	flipped := func(b []byte) []byte {
		c := bytes.Clone(b)
		for i := range c {
			c[i] ^= 0x55
		}
		return c
	}
	same := func(t *testing.T, b *s3blob.Store, key string, want []byte) {
		t.Helper()
		blob, err := b.Open(t.Context(), key)
		if err != nil {
			wantAway(t, err)
			return
		}
		defer blob.Body.Close()
		got, err := io.ReadAll(blob.Body)
		if err != nil {
			wantAway(t, err)
			return
		}
		assert.True(t, bytes.Equal(want, got), "other bytes without an error")
	}
	putOver := func(old []byte) func(t *testing.T, b *s3blob.Store) {
		return func(t *testing.T, b *s3blob.Store) {
			put(t, direct, "a/x", old)
			fresh := flipped(old) // of the same length: a lost overwrite does not show in the size
			if err := b.Put(t.Context(), "a/x", bytes.NewReader(fresh), ports.PutOptions{Size: int64(len(fresh))}); err != nil {
				wantAway(t, err)
				return
			}
			got, err := read(t, direct, "a/x")
			require.NoError(t, err)
			require.True(t, bytes.Equal(fresh, got), "acknowledged, and not stored")
		}
	}
	putNew := func(data []byte) func(t *testing.T, b *s3blob.Store) {
		return func(t *testing.T, b *s3blob.Store) {
			require.NoError(t, direct.Delete(t.Context(), "a/x"))
			if err := b.Put(t.Context(), "a/x", onlyReader{bytes.NewReader(data)}, ports.PutOptions{Size: -1, IfAbsent: true}); err != nil {
				wantAway(t, err)
				return
			}
			got, err := read(t, direct, "a/x")
			require.NoError(t, err, "acknowledged, and not stored")
			require.True(t, bytes.Equal(data, got))
		}
	}
	both := func(calls ...func(t *testing.T, b *s3blob.Store)) func(t *testing.T, b *s3blob.Store) {
		return func(t *testing.T, b *s3blob.Store) {
			for _, call := range calls {
				call(t, b)
			}
		}
	}
	put(t, direct, other, flipped(small))
	for op, use := range map[string]func(t *testing.T, b *s3blob.Store){
		"PutObject":               both(putOver(small), putNew(small)),
		"CreateMultipartUpload":   both(putOver(large), putNew(large)),
		"UploadPart":              both(putOver(large), putNew(large)),
		"CompleteMultipartUpload": both(putOver(large), putNew(large)),
		"CopyObject": func(t *testing.T, b *s3blob.Store) {
			put(t, direct, "a/from", small)
			put(t, direct, "a/to", flipped(small)) // in the way, of the same length
			err := b.Move(t.Context(), "a/from", "a/to")
			if err != nil {
				wantAway(t, err)
				got, err := read(t, direct, "a/from")
				require.NoError(t, err, "not moved, and gone")
				require.True(t, bytes.Equal(small, got))
			} else {
				got, err := read(t, direct, "a/to")
				require.NoError(t, err)
				require.True(t, bytes.Equal(small, got), "acknowledged, and lost")
			}
			require.NoError(t, direct.Delete(t.Context(), "a/from", "a/to"))
		},
		"HeadObject": func(t *testing.T, b *s3blob.Store) {
			put(t, direct, "a/x", small) // in the way
			err := b.Put(t.Context(), "a/x", bytes.NewReader(small), ports.PutOptions{Size: int64(len(small)), IfAbsent: true})
			require.Error(t, err)
			require.Contains(t, []domain.Code{domain.Conflict, domain.Unavailable}, domain.CodeOf(err))
		},
		"GetObject": func(t *testing.T, b *s3blob.Store) {
			put(t, direct, "a/x", small)
			if !strings.HasSuffix(t.Name(), "does_nothing") && !strings.HasSuffix(t.Name(), "HTML") {
				same(t, b, "a/x", small) // whose bytes they are from the first to the last answer, the app compares
			}
			l.tell("", false, nil)
		},
		"DeleteObjects": func(t *testing.T, b *s3blob.Store) {
			put(t, direct, "a/x", small)
			if err := b.Delete(t.Context(), "a/x", "a/none"); err != nil {
				wantAway(t, err)
				return
			}
			_, err := direct.Open(t.Context(), "a/x")
			require.ErrorIs(t, err, domain.NotFound, "acknowledged, and still there")
		},
		"ListObjectsV2": func(t *testing.T, b *s3blob.Store) {
			for _, key := range []string{"a/x", "a/y", "b"} {
				put(t, direct, key, []byte("x"))
			}
			list, err := b.List(t.Context(), "a/", "", 10)
			if err != nil {
				wantAway(t, err)
			} else {
				require.Len(t, list, 2, "what is there is not listed")
			}
			if err := b.Ping(t.Context()); err != nil {
				wantAway(t, err)
			} else { // what names the bucket is believed: it is there
				require.Regexp(t, "no_checksum$|does_nothing$", t.Name())
			}
			require.NoError(t, direct.Delete(t.Context(), "a/x", "a/y", "b"))
		},
		"ListMultipartUploads": func(t *testing.T, b *s3blob.Store) {
			n, err := b.SweepPartial(t.Context(), time.Now().Add(time.Hour), true)
			if err != nil {
				wantAway(t, err)
			} else {
				require.Zero(t, n)
			}
		},
	} {
		for _, lie := range lies() {
			if (lie.name == "ignores Range" || lie.name == "another part") && op != "GetObject" {
				continue
			}
			if op == "HeadObject" && lie.name == "stall in the body" {
				continue // it has none
			}
			t.Run(op+"/"+lie.name, func(t *testing.T) {
				b := open(t, l.server.URL, bucket, impatient)
				l.tell(op, lie.forwards, func(w http.ResponseWriter, r *http.Request, honest *http.Response) { lie.tell(l, w, r, honest) })
				use(t, b)
				l.tell("", false, nil)
				_, err := direct.SweepPartial(t.Context(), time.Now().Add(time.Hour), false)
				require.NoError(t, err)
				put(t, b, "after", []byte("it goes on"))
				same(t, b, "after", []byte("it goes on"))
			})
		}
	}
}

type onlyReader struct{ io.Reader }

// TestRangeLies reads on after a seek, from a service that answers the Range wrongly.
func TestRangeLies(t *testing.T) {
	s, bucket := service(t)
	l := newLiar(t, s)
	b := open(t, l.server.URL, bucket, impatient)
	data, foreign := noise(3<<20), noise(3<<20)
	for i := range foreign {
		foreign[i] ^= 1
	}
	put(t, b, "a/x", data)
	put(t, b, other, foreign)
	for _, lie := range lies() {
		for _, at := range []int{1, 300_000, 2 << 20} {
			t.Run(fmt.Sprintf("%s/%d", lie.name, at), func(t *testing.T) {
				l.tell("", false, nil)
				blob, err := b.Open(t.Context(), "a/x")
				require.NoError(t, err)
				defer blob.Body.Close()
				_, err = blob.Body.Seek(int64(at), io.SeekStart)
				require.NoError(t, err)
				l.tell("GetObject", lie.forwards, func(w http.ResponseWriter, r *http.Request, honest *http.Response) { lie.tell(l, w, r, honest) })
				got := make([]byte, 1000)
				n, err := io.ReadFull(blob.Body, got)
				require.Positive(t, l.lied.Load())
				require.True(t, bytes.Equal(data[at:at+n], got[:n]), "other bytes")
				if lie.name == "ignores Range" && at <= 1<<20 {
					require.NoError(t, err, "it is cheap to skip to the place")
				}
				if err != nil {
					wantAway(t, err)
				}
			})
		}
	}
}

// TestSeeksAskForWindows: eight ranges of a large blob, a few bytes each, do not make
// the service push what nobody reads.
func TestSeeksAskForWindows(t *testing.T) {
	s, bucket := service(t)
	var asked atomic.Int64
	o := client(s).Options()
	o.HTTPClient = doFunc(func(r *http.Request) (*http.Response, error) {
		res, err := http.DefaultClient.Do(r)
		if err == nil && r.Method == http.MethodGet && r.Header.Get("Range") != "" {
			asked.Add(res.ContentLength)
		}
		return res, err
	})
	b, err := s3blob.New(s3.New(o), bucket, s3blob.Options{})
	require.NoError(t, err)
	data := noise(64 << 20)
	put(t, b, "a", data)
	blob, err := b.Open(t.Context(), "a")
	require.NoError(t, err)
	defer blob.Body.Close()
	for i := range 8 {
		at := int64(7-i) * 8 << 20
		_, err = blob.Body.Seek(at, io.SeekStart)
		require.NoError(t, err)
		got := make([]byte, 10)
		_, err = io.ReadFull(blob.Body, got)
		require.NoError(t, err)
		require.Equal(t, data[at:at+10], got)
	}
	require.LessOrEqual(t, asked.Load(), int64(8*256<<10), "bytes that the service was asked for")
	// Who reads on gets larger windows: the rest costs few requests.
	requests := 0
	o.HTTPClient = doFunc(func(r *http.Request) (*http.Response, error) { requests++; return http.DefaultClient.Do(r) })
	again, err := s3blob.New(s3.New(o), bucket, s3blob.Options{})
	require.NoError(t, err)
	blob, err = again.Open(t.Context(), "a")
	require.NoError(t, err)
	defer blob.Body.Close()
	_, err = blob.Body.Seek(100, io.SeekStart)
	require.NoError(t, err)
	got, err := io.ReadAll(blob.Body)
	require.NoError(t, err)
	require.True(t, bytes.Equal(data[100:], got))
	require.Less(t, requests, 16)
}

// TestSilentConnections: connections that died without a word cost one try each,
// not a request (O42).
func TestSilentConnections(t *testing.T) {
	s, bucket := service(t)
	relay := realserver.NewRelay(t, s.Addr)
	b := open(t, "http://"+relay.Addr, bucket, "")
	data := noise(100_000)
	put(t, b, "a", data)
	const n = 9
	all := func(call func(i int) error) {
		var wg sync.WaitGroup
		for i := range n {
			wg.Go(func() { assert.NoError(t, call(i)) })
		}
		wg.Wait()
	}
	get := func(int) error { _, err := read(t, b, "a"); return err }
	all(get)
	for what, call := range map[string]func(i int) error{
		"GET": get,
		"PUT": func(i int) error {
			return b.Put(context.WithoutCancel(t.Context()), fmt.Sprintf("b%d", i), bytes.NewReader(noise(4<<20)), ports.PutOptions{Size: 4 << 20})
		},
	} {
		t.Run(what, func(t *testing.T) {
			relay.Silence()
			all(call)
		})
	}
}
