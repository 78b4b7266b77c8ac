// Command httpclient is a client of imagify's HTTP API on the standard library
// alone: it uploads a picture, lists the newest ones, downloads a thumbnail and
// makes an expiring link.
//
//	IMAGIFY_TOKEN=imgf_… go run ./examples/httpclient -server http://127.0.0.1:8080 cat.jpg
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"mime"
	"net/http"
	"os"
	"path/filepath"
	"time"
)

func main() {
	server := flag.String("server", "http://127.0.0.1:8080", "the server's address")
	flag.Parse()
	if flag.NArg() != 1 {
		fmt.Fprintln(os.Stderr, "usage: httpclient [-server URL] FILE, with an API token in IMAGIFY_TOKEN")
		os.Exit(2)
	}
	c := client{server: *server, token: os.Getenv("IMAGIFY_TOKEN"), http: &http.Client{Timeout: time.Minute}}
	if err := run(context.Background(), c, flag.Arg(0), os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "httpclient:", err)
		os.Exit(1)
	}
}

// run does each thing once and says what came of it.
func run(ctx context.Context, c client, file string, out io.Writer) error {
	img, err := c.upload(ctx, file)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "uploaded %s as %s: %d × %d pixels\n", img.Filename, img.ID, img.Width, img.Height)

	newest, err := c.list(ctx, 3)
	if err != nil {
		return err
	}
	for _, it := range newest {
		fmt.Fprintf(out, "have %s %s, of %d bytes\n", it.ID, it.Filename, it.Size)
	}

	for height, thumb := range img.Thumbnails {
		name := filepath.Join(filepath.Dir(file), "thumbnail-"+height+filepath.Ext(file))
		n, err := c.download(ctx, thumb.URL, name)
		if err != nil {
			return err
		}
		fmt.Fprintf(out, "downloaded %s: %d × %d pixels, %d bytes\n", name, thumb.Width, thumb.Height, n)
	}

	link, err := c.link(ctx, img.ID, 5*time.Minute)
	var p problem
	switch {
	case errors.As(err, &p) && p.Code == "permission_denied":
		fmt.Fprintln(out, "no link:", p.Detail)
	case err != nil:
		return err
	default:
		fmt.Fprintf(out, "anybody may see the %s until %s: %s\n", link.Variant, link.ExpiresAt.Format(time.RFC3339), link.URL)
	}
	return nil
}

// Image is what this client reads of the API's Image.
type Image struct {
	ID       string `json:"id"`
	Filename string `json:"filename"`
	Width    int    `json:"width"`
	Height   int    `json:"height"`
	Size     int64  `json:"size"`
	// Thumbnails holds the heights that the owner's tier permits, and no other.
	Thumbnails map[string]struct {
		URL    string `json:"url"`
		Width  int    `json:"width"`
		Height int    `json:"height"`
	} `json:"thumbnails"`
}

// Link is an expiring link; its URL is told this once.
type Link struct {
	Variant   string    `json:"variant"`
	URL       string    `json:"url"`
	ExpiresAt time.Time `json:"expires_at"`
}

// problem is every error of the API (RFC 9457). Code tells problems apart.
type problem struct {
	Status    int    `json:"status"`
	Code      string `json:"code"`
	Detail    string `json:"detail"`
	RequestID string `json:"request_id"`
}

func (p problem) Error() string {
	return fmt.Sprintf("%s (%d %s, request %s)", p.Detail, p.Status, p.Code, p.RequestID)
}

type client struct {
	server, token string
	http          *http.Client
}

// do sends a request with the token and reads a JSON answer.
func (c client) do(req *http.Request, into any) error {
	req.Header.Set("Authorization", "Bearer "+c.token)
	res, err := c.http.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode >= http.StatusBadRequest {
		p := problem{Status: res.StatusCode, Detail: res.Status}
		_ = json.NewDecoder(res.Body).Decode(&p) // a proxy's answer is no problem document: the status says it all
		return p
	}
	return json.NewDecoder(res.Body).Decode(into)
}

// upload sends a file as it is. The key makes it safe to send the request again
// when its answer was lost: the server then gives the image that it has.
func (c client) upload(ctx context.Context, path string) (img Image, err error) {
	f, err := os.Open(path)
	if err != nil {
		return img, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return img, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.server+"/v1/images", f)
	if err != nil {
		return img, err
	}
	req.ContentLength = info.Size()
	req.Header.Set("Content-Type", "image/*") // the server looks at the content
	req.Header.Set("Content-Disposition", mime.FormatMediaType("attachment", map[string]string{"filename": filepath.Base(path)}))
	req.Header.Set("Idempotency-Key", fmt.Sprintf("%s %d %d", info.Name(), info.Size(), info.ModTime().UnixNano()))
	err = c.do(req, &img)
	return img, err
}

// list returns the newest n images.
func (c client) list(ctx context.Context, n int) ([]Image, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprintf("%s/v1/images?limit=%d", c.server, n), nil)
	if err != nil {
		return nil, err
	}
	var page struct {
		Items []Image `json:"items"`
	}
	err = c.do(req, &page)
	return page.Items, err
}

// download fetches a signed URL, which needs no token.
func (c client) download(ctx context.Context, url, path string) (int64, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return 0, err
	}
	res, err := c.http.Do(req)
	if err != nil {
		return 0, err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return 0, fmt.Errorf("GET %s: %s", url, res.Status)
	}
	f, err := os.Create(path)
	if err != nil {
		return 0, err
	}
	n, err := io.Copy(f, res.Body)
	return n, errors.Join(err, f.Close())
}

// link makes an expiring link to an image.
func (c client) link(ctx context.Context, id string, life time.Duration) (l Link, err error) {
	body, err := json.Marshal(map[string]int64{"expires_in": int64(life / time.Second)})
	if err != nil {
		return l, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.server+"/v1/images/"+id+"/links", bytes.NewReader(body))
	if err != nil {
		return l, err
	}
	req.Header.Set("Content-Type", "application/json")
	err = c.do(req, &l)
	return l, err
}
