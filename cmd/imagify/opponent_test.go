package main

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"maps"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// beginnings are files that stop where their reader holds the most, or decodes soonest.
func beginnings() map[string][]byte {
	le := binary.LittleEndian
	riff := func(chunks ...[]byte) []byte {
		body := append([]byte("WEBP"), slices.Concat(chunks...)...)
		return append(le.AppendUint32([]byte("RIFF"), 64<<20), body...)
	}
	chunk := func(name string, size uint32, data []byte) []byte {
		return append(le.AppendUint32([]byte(name), size), data...)
	}
	extended := chunk("VP8X", 10, []byte{0x02 | 0x08, 0, 0, 0, 0xff, 0x03, 0, 0xff, 0x03, 0})
	frame := chunk("ANMF", 5<<20, append([]byte{0, 0, 0, 0, 0, 0, 0xff, 0x03, 0, 0xff, 0x03, 0, 10, 0, 0, 0}, chunk("VP8L", 4<<20, []byte{0x2f, 0xff, 0xc3, 0xff, 0x00})...))
	lossless := chunk("VP8L", 8<<20, []byte{0x2f, 0xb7, 0xcb, 0xfe, 0x0f})                                   // 3000 × 16380
	png := []byte("\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00\x10\x00\x00\x00\x10\x00\x08\x06\x00\x00\x00") // 4096 × 4096
	png = binary.BigEndian.AppendUint32(png, crc32.ChecksumIEEE(png[12:]))
	return map[string][]byte{
		"a JPEG's APP1":    append([]byte("\xff\xd8\xff\xe1\xff\xffExif\x00\x00"), make([]byte, 65000)...),
		"a PNG's eXIf":     append(append(slices.Clone(png), 0, 0, 0xff, 0xf0, 'e', 'X', 'I', 'f'), make([]byte, 65000)...),
		"a PNG's text":     append(append(slices.Clone(png), 0, 0, 0xff, 0xf0, 't', 'E', 'X', 't'), make([]byte, 30000)...),
		"a lossless WebP":  riff(lossless),
		"an animated WebP": append(riff(extended, frame), make([]byte, 1<<20)...),
		"a GIF":            append([]byte("GIF89a\x00\x10\x00\x10\xf7\x00\x00"), make([]byte, 700)...),
		"a JPEG's magic":   []byte("\xff\xd8"),
		"nothing":          nil,
	}
}

// stall begins uploads that never end, n of each user, in turn of every form, and returns when all have said what they have to.
func (srv *server) stall(tokens []string, n int) (stop func()) {
	srv.t.Helper()
	var conns []net.Conn
	files := beginnings()
	names := slices.Sorted(maps.Keys(files))
	var wg sync.WaitGroup
	for i := range n {
		conn, err := net.Dial("tcp", strings.TrimPrefix(srv.url, "http://"))
		require.NoError(srv.t, err)
		conns = append(conns, conn)
		begin := files[names[i%len(names)]]
		head := "POST /v1/images HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + tokens[i%len(tokens)] + "\r\n"
		switch i / len(names) % 3 {
		case 0:
			head += "Content-Type: image/png\r\nContent-Length: 9000000\r\n\r\n"
		case 1:
			head += fmt.Sprintf("Content-Type: image/png\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n", 9000000)
		default:
			head += "Content-Type: multipart/form-data; boundary=b\r\nContent-Length: 9000000\r\n\r\n" +
				"--b\r\nContent-Disposition: form-data; name=file; filename=a.png\r\n\r\n"
		}
		wg.Go(func() { _, _ = conn.Write(append([]byte(head), begin...)) })
	}
	wg.Wait()
	return func() {
		for _, c := range conns {
			_ = c.Close()
		}
	}
}

// Silence is cheap: connections of every format and route that send a beginning and then nothing
// hold little, and another user's uploads and cold thumbnails go on.
func promiseX1(t *testing.T) {
	n := scaled(96, 504)
	s := newSite(t)
	other := s.user("other", "--tier", "PremiumTierUsers")
	var tokens []string
	for i := range n / 8 {
		tokens = append(tokens, s.user(fmt.Sprint("silent", i)))
	}
	srv := s.serve()
	status, _ := srv.upload(other, photo(1, 1600, 1200))
	require.Equal(t, 201, status)
	before := srv.status("VmRSS")
	stop := srv.stall(tokens, n)
	defer stop()
	time.Sleep(2 * time.Second)
	peak := srv.status("VmHWM")
	t.Logf("%d stalled: resident %d MiB before, %d MiB then, %d MiB at most", n, before>>10, srv.status("VmRSS")>>10, peak>>10)
	assert.LessOrEqual(t, peak, 600<<10)
	// Beside the program itself, 128 KiB a connection and as much again for what the collector has not taken yet.
	assert.LessOrEqual(t, srv.status("VmRSS")-before, 2*128*n+64<<10, "KiB")
	for i := range 5 {
		began := time.Now()
		status, img := srv.upload(other, photo(2+i, 1600, 1200))
		require.Equal(t, 201, status, "another user's upload")
		uploaded := time.Since(began)
		status, _, _, err := call(t.Context(), http.MethodGet, img.Thumbnails["200"].URL, "", nil, "")
		require.NoError(t, err)
		require.Equal(t, 200, status, "another user's cold thumbnail")
		t.Logf("upload %v, cold thumbnail %v", uploaded, time.Since(began)-uploaded)
	}
}

// A user with many connections and costly files takes a share, and no more: nobody else's
// upload is a 503, and each is answered soon.
func promiseX3(t *testing.T) {
	n := scaled(100, 1000)
	s := newSite(t)
	greedy, other := s.user("greedy", "--tier", "PremiumTierUsers"), s.user("other", "--tier", "PremiumTierUsers")
	srv := s.serve()
	status, _ := srv.upload(other, photo(1, 1600, 1200))
	require.Equal(t, 201, status)
	data := costly(scaled(2000, 6000), scaled(1500, 4500))
	var kept, refused, end atomic.Int64
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			for end.Load() == 0 {
				status, answer, header, err := call(t.Context(), http.MethodPost, srv.url+"/v1/images", greedy, slices.Concat(data, fmt.Append(nil, i)), "image/png")
				if err != nil {
					return // cut while it sent
				}
				switch status {
				case 201:
					kept.Add(1)
				case 429, 503:
					refused.Add(1)
					assert.NotEmpty(t, header.Get("Retry-After"))
					time.Sleep(100 * time.Millisecond)
				default:
					t.Errorf("status %d: %s", status, bytes.TrimSpace(answer))
					return
				}
			}
		})
	}
	defer func() { end.Store(1); wg.Wait() }()
	time.Sleep(time.Second)
	for i := range 10 {
		began := time.Now()
		status, img := srv.upload(other, photo(2+i, 1600, 1200))
		require.Equal(t, 201, status, "another user's upload")
		uploaded := time.Since(began)
		status, _, _, err := call(t.Context(), http.MethodGet, img.Thumbnails["200"].URL, "", nil, "")
		require.NoError(t, err)
		require.Equal(t, 200, status, "another user's cold thumbnail")
		t.Logf("upload %v, cold thumbnail %v", uploaded, time.Since(began)-uploaded)
	}
	end.Store(1)
	wg.Wait()
	t.Logf("the greedy user: %d kept, %d refused; peak %d MiB", kept.Load(), refused.Load(), srv.status("VmHWM")>>10)
	assert.Positive(t, refused.Load())
	assert.LessOrEqual(t, srv.status("VmHWM"), 600<<10)
}
