package main

import (
	"bytes"
	"encoding/json"
	"image"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	awslambda "github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/imagify-api/imagify/adapters/lambdaresizer/lambdatest"
)

// client speaks to the API behind a front, as admin unless it says otherwise.
type client struct {
	t    *testing.T
	base string
	http *http.Client
}

func (c client) do(method, path string, body []byte, header ...string) (*http.Response, []byte) {
	c.t.Helper()
	if !strings.HasPrefix(path, "https://") {
		path = c.base + path
	} else { // a URL that was handed out: what the front answers to
		u, err := url.Parse(path)
		require.NoError(c.t, err)
		path = c.base + u.RequestURI()
	}
	r, err := http.NewRequestWithContext(c.t.Context(), method, path, bytes.NewReader(body))
	require.NoError(c.t, err)
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	if _, given := r.Header["Authorization"]; !given {
		r.SetBasicAuth("admin", "admin password")
	} else if r.Header.Get("Authorization") == "" {
		r.Header.Del("Authorization")
	}
	res, err := c.http.Do(r)
	require.NoError(c.t, err)
	defer res.Body.Close()
	got, err := io.ReadAll(res.Body)
	require.NoError(c.t, err)
	return res, got
}

// The whole API, on the real binary, behind either front.
func TestAPI(t *testing.T) {
	t.Parallel()
	path := bootstrap(t)
	for _, front := range []lambdatest.Front{lambdatest.FunctionURL, lambdatest.HTTPAPI, lambdatest.RESTAPI} {
		t.Run(string(front), func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			l := lambdatest.New(lambdatest.Function{Path: path, Env: []string{
				"IMAGIFY_STORAGE_URL=file://" + filepath.Join(dir, "blobs"), "IMAGIFY_DATABASE_URL=sqlite:" + filepath.Join(dir, "imagify.db"),
				"IMAGIFY_DATA=" + dir, "IMAGIFY_SECRET_KEY=a secret key of the tests", "IMAGIFY_ADMIN_PASSWORD=admin password", "IMAGIFY_PUBLIC_URL=https://img.example.org",
			}})
			t.Cleanup(l.Close)
			server := httptest.NewServer(l.Handler(front))
			t.Cleanup(server.Close)
			c := client{t, server.URL, server.Client()}

			res, body := c.do("GET", "/healthz", nil)
			require.Equal(t, http.StatusOK, res.StatusCode, "%s\n%s", body, l.Output())
			res, body = c.do("GET", "/v1/me", nil, "Authorization", "")
			require.Equal(t, http.StatusUnauthorized, res.StatusCode)
			assert.Contains(t, string(body), `"code":"unauthenticated"`)

			res, body = c.do("POST", "/v1/admin/users", []byte(`{"username":"anna","password":"correct horse","tiers":["EnterpriseTierUsers"]}`), "Content-Type", "application/json")
			require.Equal(t, http.StatusCreated, res.StatusCode, "%s", body)
			anna := []string{"Authorization", "Basic YW5uYTpjb3JyZWN0IGhvcnNl"}

			original := photo(t)
			res, body = c.do("POST", "/v1/images", original, append(anna, "Content-Type", "image/jpeg")...)
			require.Equal(t, http.StatusCreated, res.StatusCode, "%s", body)
			var img struct {
				ID         string
				Original   string
				Thumbnails map[string]struct{ URL string }
			}
			require.NoError(t, json.Unmarshal(body, &img))
			assert.True(t, strings.HasPrefix(img.Original, "https://img.example.org/v1/"), img.Original)

			res, body = c.do("GET", img.Thumbnails["200"].URL, nil, "Authorization", "")
			require.Equal(t, http.StatusOK, res.StatusCode, "%s", body)
			assert.Equal(t, "image/jpeg", res.Header.Get("Content-Type"))
			assert.Equal(t, "nosniff", res.Header.Get("X-Content-Type-Options"))
			m, _, err := image.Decode(bytes.NewReader(body))
			require.NoError(t, err)
			assert.Equal(t, image.Pt(267, 200), m.Bounds().Size())
			res, body = c.do("GET", img.Thumbnails["200"].URL, nil, "Authorization", "", "If-None-Match", res.Header.Get("ETag"))
			assert.Equal(t, http.StatusNotModified, res.StatusCode)
			assert.Empty(t, body)
			res, body = c.do("GET", img.Original, nil, "Authorization", "")
			assert.Equal(t, http.StatusOK, res.StatusCode)
			assert.Equal(t, original, body)
			res, body = c.do("GET", img.Original, nil, "Authorization", "", "Range", "bytes=2-5")
			assert.Equal(t, http.StatusPartialContent, res.StatusCode)
			assert.Equal(t, original[2:6], body)
			res, body = c.do("HEAD", img.Original, nil, "Authorization", "")
			assert.Equal(t, http.StatusOK, res.StatusCode)
			assert.Empty(t, body)

			res, body = c.do("POST", "/v1/images/"+img.ID+"/links", []byte(`{"expires_in":300,"max_views":1}`), append(anna, "Content-Type", "application/json")...)
			require.Equal(t, http.StatusCreated, res.StatusCode, "%s", body)
			var link struct{ URL string }
			require.NoError(t, json.Unmarshal(body, &link))
			for _, want := range []int{http.StatusOK, http.StatusGone} {
				res, _ = c.do("GET", link.URL, nil, "Authorization", "")
				assert.Equal(t, want, res.StatusCode)
			}

			// What fits Lambda but not its limit for uploads is refused in words; what does
			// not, by the platform.
			res, body = c.do("POST", "/v1/images", make([]byte, maxUpload+1), append(anna, "Content-Type", "image/jpeg")...)
			assert.Equal(t, http.StatusRequestEntityTooLarge, res.StatusCode)
			var problem struct {
				Code  string
				Limit int64
			}
			require.NoError(t, json.Unmarshal(body, &problem), "%s", body)
			assert.Equal(t, "too_large", problem.Code)
			assert.EqualValues(t, maxUpload, problem.Limit)
			res, _ = c.do("POST", "/v1/images", make([]byte, 5<<20), append(anna, "Content-Type", "image/jpeg")...)
			assert.Equal(t, http.StatusRequestEntityTooLarge, res.StatusCode)

			res, body = c.do("DELETE", "/v1/images/"+img.ID, nil, anna...)
			assert.Equal(t, http.StatusNoContent, res.StatusCode, "%s", body)
			res, _ = c.do("GET", img.Original, nil, "Authorization", "")
			assert.Equal(t, http.StatusNotFound, res.StatusCode)
			assert.EqualValues(t, 1, l.Starts(), "one environment did it all\n%s", l.Output())

			// The sweep, by the event of a schedule.
			sdk := awslambda.New(awslambda.Options{Region: "eu-central-1", BaseEndpoint: &l.URL, Credentials: credentials.NewStaticCredentialsProvider("key", "secret", "")})
			out, err := sdk.Invoke(t.Context(), &awslambda.InvokeInput{FunctionName: aws.String("imagify"), Payload: []byte(`{"sweep":{}}`)})
			require.NoError(t, err)
			require.Nil(t, out.FunctionError, "%s", out.Payload)
			assert.Contains(t, string(out.Payload), `"AlreadyBusy":false`)
		})
	}
}
