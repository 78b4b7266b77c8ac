// Package objectlambda answers the GetObject requests of an S3 Object Lambda access
// point: GET {key}@{height} is the thumbnail of that height of the original under the
// key, made on each request.
//
// AWS has taken no new customers for S3 Object Lambda since 7 November 2025: this is
// for accounts that have it. Others call the function by package lambdaresizer, or
// serve the whole API.
//
// Who may read from the access point gets thumbnails of everything that the function
// may read: no tier of imagify is asked, so its policy has to say who may. Originals
// are not served. The function needs s3:GetObject and s3:ListBucket on the bucket and
// s3-object-lambda:WriteGetObjectResponse on the access point.
package objectlambda

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/imagify-api/imagify/domain"
	"github.com/imagify-api/imagify/ports"
)

// Handler answers events. It is safe for concurrent use.
type Handler struct {
	blobs   ports.Blobs
	resizer ports.Resizer
	client  *s3.Client
}

// New returns a Handler that reads originals from the store and answers through the client.
func New(blobs ports.Blobs, resizer ports.Resizer, client *s3.Client) (*Handler, error) {
	if blobs == nil || resizer == nil || client == nil {
		return nil, errors.New("objectlambda: a store, a resizer and a client are needed")
	}
	return &Handler{blobs: blobs, resizer: resizer, client: client}, nil
}

// event is what is used of an S3 Object Lambda event.
type event struct {
	GetObject *struct {
		Route string `json:"outputRoute"`
		Token string `json:"outputToken"`
	} `json:"getObjectContext"`
	UserRequest struct {
		URL string `json:"url"`
	} `json:"userRequest"`
}

// Handle makes the thumbnail and sends it, or the error that the caller of GetObject
// shall see. Its own error says that nothing could be sent, or that the function
// failed after telling so.
func (h *Handler) Handle(ctx context.Context, payload []byte) error {
	var e event
	if err := json.Unmarshal(payload, &e); err != nil || e.GetObject == nil || e.GetObject.Route == "" || e.GetObject.Token == "" {
		return domain.Wrap(domain.Invalid, err, "not a GetObject event of S3 Object Lambda")
	}
	out := &s3.WriteGetObjectResponseInput{RequestRoute: &e.GetObject.Route, RequestToken: &e.GetObject.Token}
	blob, thumb, failed := h.make(ctx, e.UserRequest.URL)
	if failed != nil {
		status, code := errorOf(domain.CodeOf(failed))
		out.StatusCode, out.ErrorCode = aws.Int32(status), &code
		out.ErrorMessage = aws.String("The thumbnail cannot be made.")
		if msg := domain.AsError(failed).Msg; msg != "" {
			out.ErrorMessage = aws.String(header(msg))
		}
	} else {
		out.StatusCode, out.Body = aws.Int32(http.StatusOK), bytes.NewReader(thumb.Data)
		out.ContentLength = aws.Int64(int64(len(thumb.Data)))
		out.ContentType = aws.String(thumb.Format.ContentType())
		out.LastModified = &blob.ModTime
		out.CacheControl = aws.String("private")
	}
	if _, err := h.client.WriteGetObjectResponse(ctx, out); err != nil {
		return domain.Wrap(domain.Unavailable, errors.Join(err, failed), "the answer could not be sent")
	}
	if code := domain.CodeOf(failed); code == domain.Internal || code == domain.Unavailable {
		return failed // for Lambda's metrics and log
	}
	return nil
}

func (h *Handler) make(ctx context.Context, rawURL string) (ports.Blob, ports.Thumbnail, error) {
	key, height, err := parse(rawURL)
	if err != nil {
		return ports.Blob{}, ports.Thumbnail{}, err
	}
	blob, err := h.blobs.Open(ctx, key)
	if err != nil {
		return ports.Blob{}, ports.Thumbnail{}, err
	}
	defer blob.Body.Close()
	made, err := h.resizer.Resize(ctx, blob.Body, ports.ResizeRequest{Heights: []int{height}})
	if err != nil {
		return ports.Blob{}, ports.Thumbnail{}, err
	}
	return blob, made[0], nil
}

// parse takes the key and the height from the URL that was asked for.
func parse(rawURL string) (key string, height int, err error) {
	u, err := url.Parse(rawURL)
	if err != nil {
		return "", 0, domain.Wrap(domain.Invalid, err, "the URL cannot be read")
	}
	path := strings.TrimPrefix(u.Path, "/")
	at := strings.LastIndexByte(path, '@')
	if at < 0 {
		return "", 0, domain.Errorf(domain.Invalid, "ask for {key}@{height}, such as cat.jpg@200: originals are not served here")
	}
	if height, err = domain.ParseHeight(path[at+1:]); err != nil {
		return "", 0, err
	}
	if key = path[:at]; !ports.ValidKey(key) {
		return "", 0, domain.Errorf(domain.NotFound, "there is no such image")
	}
	return key, height, nil
}

// errorOf is the status and the code, in S3's words, for an error. S3 takes few statuses here.
func errorOf(c domain.Code) (int32, string) {
	switch c {
	case domain.Invalid:
		return http.StatusBadRequest, "InvalidRequest"
	case domain.NotFound:
		return http.StatusNotFound, "NoSuchKey"
	case domain.UnsupportedImage:
		return http.StatusBadRequest, "UnsupportedImage"
	case domain.CorruptImage:
		return http.StatusBadRequest, "CorruptImage"
	case domain.TooLarge:
		return http.StatusBadRequest, "EntityTooLarge"
	case domain.Unavailable:
		return http.StatusServiceUnavailable, "SlowDown"
	}
	return http.StatusInternalServerError, "InternalError"
}

// header makes a message fit for the header that carries it.
func header(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, s)
	return fmt.Sprintf("%.512s", s)
}
