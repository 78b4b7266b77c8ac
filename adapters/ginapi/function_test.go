package ginapi_test

import (
	"bytes"
	"database/sql"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	_ "github.com/go-sql-driver/mysql"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/imagify-api/imagify/adapters/lambdaresizer/lambdatest"
	"github.com/imagify-api/imagify/adapters/mysqlrepo"
	"github.com/imagify-api/imagify/adapters/redisstate"
	"github.com/imagify-api/imagify/adapters/s3blob"
	"github.com/imagify-api/imagify/app"
	"github.com/imagify-api/imagify/domain"
	"github.com/imagify-api/imagify/ports/porttest/realserver"
)

// maxEnvironments bounds a function's environments; the client asks no more at once.
const maxEnvironments = 4

// behind is what the functions of TestPromiseFunctionURL work with: the built binary
// and the servers that they share.
var behind struct {
	binary string
	mysql  *realserver.MySQL
	s3     *realserver.S3Server
	worlds atomic.Int64
}

// The contract and the promises on imagify-lambda: the built binary in environments
// that stand still between two events, behind a function URL, on MySQL, S3 and Redis.
// Left out are those whose cause the platform keeps away from a function (slow clients,
// bodies over its own limit, plain HTTP), or that need a hand inside the process.
func TestPromiseFunctionURL(t *testing.T) {
	var err error
	behind.binary, err = lambdatest.Build(t.Context(), t.TempDir())
	require.NoError(t, err)
	behind.mysql, behind.s3 = realserver.StartMySQL(t), realserver.S3(t)
	t.Setenv("AWS_ACCESS_KEY_ID", behind.s3.AccessKey)
	t.Setenv("AWS_SECRET_ACCESS_KEY", behind.s3.SecretKey)
	t.Setenv("AWS_EC2_METADATA_DISABLED", "true")

	promises := map[string]func(*testing.T){
		"A1": promiseA1, "A2": promiseA2, "A3": promiseA3, "A4": promiseA4, "A8": promiseA8, "A10": promiseA10, "L1": promiseL1,
		"S1": promiseS1, "S7": promiseS7, "T1": promiseT1, "T2": promiseT2, "T3": promiseT3, "T4": promiseT4, "T6": promiseT6,
		"A6": functionA6, "L5": functionL5, "S8": functionS8, "T7": functionT7,
	}
	contract := map[string]func(*testing.T){
		"TiersDecideWhatIsSeen": TestTiersDecideWhatIsSeen, "DeletedImage": TestDeletedImage, "Paging": TestPaging, "AdminAPI": TestAdminAPI,
		"ViewsUnderARace": TestViewsUnderARace, "BrowsersAreSentToSignIn": TestBrowsersAreSentToSignIn, "WhereNothingIs": TestWhereNothingIs,
		"HeadAnswersAsGet": TestHeadAnswersAsGet, "Quota": TestQuota, "IdempotencyKey": TestIdempotencyKey,
		"PagesAreGuarded": TestPagesAreGuarded, "PagesSayNoInlineScript": TestPagesSayNoInlineScript, "Assets": TestAssets, "Browsable": TestBrowsable,
	}
	if os.Getenv("IMAGIFY_FULL") == "1" { // these wait for a minute to pass
		contract["LinksInUse"], contract["Tokens"], contract["RateLimit"] = TestLinksInUse, TestTokens, TestRateLimit
	}
	t.Run("all", func(t *testing.T) { // ends before the servers do
		for id, try := range promises {
			t.Run(id, func(t *testing.T) {
				t.Parallel()
				try(t)
			})
		}
		for name, try := range contract { // parallel by themselves
			t.Run(name, try)
		}
	})
}

// startFunction gives the world a function for its server. Beside it runs a node in
// this process, for what tests do to users and tiers by hand.
func (w *world) startFunction(t testing.TB, s setup) {
	t.Helper()
	n := strconv.FormatInt(behind.worlds.Add(1), 10)
	w.clock.real = true

	admin, err := sql.Open("mysql", "root@tcp("+behind.mysql.Addr+")/")
	require.NoError(t, err)
	_, err = admin.ExecContext(ctx, "CREATE DATABASE w"+n)
	require.NoError(t, err)
	require.NoError(t, admin.Close())
	database := behind.mysql.URL("w" + n)
	db, err := mysqlrepo.Open(ctx, database, mysqlrepo.Options{})
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, db.Close()) })
	_, err = db.MigrateUp(ctx)
	require.NoError(t, err)

	storage := "s3://" + behind.s3.Bucket(t, "bucket-"+n) + "?region=us-east-1&path_style=true&file_keys=true&endpoint=" + behind.s3.URL
	s.app.Blobs, err = s3blob.Open(ctx, storage)
	require.NoError(t, err)

	w.redis = realserver.Redis(t)
	redis := "redis://" + w.redis.Addr
	state, err := redisstate.Open(redis, redisstate.Options{})
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, state.Close()) })
	s.app.Records, s.app.RateLimits, s.app.LinkCache, s.app.Notices = db.Records(), state, state, state
	t.Cleanup(w.startService(t, s.app))

	var proxies []string
	for _, p := range s.api.TrustedProxies {
		proxies = append(proxies, p.String())
	}
	l := lambdatest.New(lambdatest.Function{
		Path: behind.binary, MaxConcurrency: maxEnvironments, Freeze: true, Log: w.logs,
		Env: []string{
			"IMAGIFY_DATABASE_URL=" + database, "IMAGIFY_STORAGE_URL=" + storage, "IMAGIFY_REDIS_URL=" + redis, "IMAGIFY_SECRET_KEY=" + string(s.app.SecretKeys[0]),
			"IMAGIFY_PUBLIC_URL=" + s.api.PublicURL, "IMAGIFY_TRUSTED_PROXIES=" + strings.Join(proxies, ","),
			fmt.Sprintf("IMAGIFY_CDN_MAX_AGE=%.0f", s.api.CDNMaxAge.Seconds()),
		},
	})
	t.Cleanup(l.Close)
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(l.Output())
		}
	})
	front := httptest.NewTLSServer(l.Handler(lambdatest.FunctionURL))
	t.Cleanup(front.Close)
	w.url = front.URL
	transport := front.Client().Transport.(*http.Transport)
	transport.DisableCompression, transport.MaxConnsPerHost = true, maxEnvironments
	w.http = &http.Client{
		Transport:     newValidator(t, w, transport),
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// functionA6: what a frozen environment remembers does not count once it is thawed.
func functionA6(t *testing.T) {
	w := newWorld(t)
	who := w.user("anna", domain.EnterpriseTier)
	img := w.upload(who)
	l := w.link(who, img.ID, `{"expires_in":300}`)
	rounds := 1
	if os.Getenv("IMAGIFY_FULL") == "1" {
		rounds = 10
	}
	for range rounds {
		for _, u := range []string{img.Original, img.Thumbnails["200"].URL, l.URL} {
			w.get(nobody, u).want(200)
		}
		w.tiers("anna")
		time.Sleep(2100 * time.Millisecond) // what another node may take to hear of it
		w.get(nobody, img.Original).fail(403, domain.Denied)
		w.get(nobody, img.Thumbnails["200"].URL).fail(403, domain.Denied)
		w.get(nobody, l.URL).fail(410, domain.LinkExpired)
		w.tiers("anna", domain.EnterpriseTier)
		time.Sleep(2100 * time.Millisecond)
	}
}

// tiers puts a user into the tiers, on the node beside the function.
func (w *world) tiers(name string, tiers ...string) {
	w.t.Helper()
	if tiers == nil {
		tiers = []string{}
	}
	_, err := w.svc.UpdateUser(ctx, w.root, name, app.UserChange{Tiers: &tiers})
	require.NoError(w.t, err)
}

// functionL5: without Redis a function still tells the living from the dead.
func functionL5(t *testing.T) {
	w := newWorld(t)
	who := w.user("anna", domain.EnterpriseTier)
	img := w.upload(who)
	valid, revoked := w.link(who, img.ID, `{"expires_in":300}`), w.link(who, img.ID, `{"expires_in":300}`)
	w.do(who, "DELETE", "/v1/links/"+revoked.ID, nil).want(204)
	w.redis.Kill()
	for range 5 {
		w.get(nobody, revoked.URL).fail(410, domain.LinkExpired)
		if a := w.get(nobody, valid.URL); a.status != 200 {
			a.fail(503, domain.Unavailable)
			assert.NotEmpty(t, a.header.Get("Retry-After"))
		}
		w.get(nobody, img.Thumbnails["200"].URL).want(200)
	}
}

// functionS8: the upload's bound is what the platform's bound for an event leaves.
func functionS8(t *testing.T) {
	w := newWorld(t)
	who := w.user("anna", domain.EnterpriseTier)
	const limit = 4_500_000
	data := must(io.ReadAll(padded(limit + 1)))
	send := func(data []byte) answer {
		return w.do(with(who, "Content-Type: image/jpeg"), "POST", "/v1/images", bytes.NewReader(data))
	}
	var img imageJSON
	send(data[:limit]).want(201).json(&img)
	assert.True(t, bytes.Equal(data[:limit], w.get(nobody, img.Original).want(200).body))
	keys := w.keys()
	typ, body := form(part{"file", "a.jpg", string(data)})
	for _, a := range []answer{
		send(data).fail(413, domain.TooLarge),
		w.do(with(who, "Content-Type: "+typ), "POST", "/v1/images", bytes.NewReader(body)).fail(413, domain.TooLarge),
	} {
		var p struct{ Limit int64 }
		a.json(&p)
		assert.EqualValues(t, limit, p.Limit)
	}
	assert.Equal(t, keys, w.keys(), "nothing refused was kept")
}

// functionT7: a function speaks https only, and its cookies say so.
func functionT7(t *testing.T) {
	w := newWorld(t)
	w.user("anna", domain.EnterpriseTier)
	a, c := w.signIn(nobody, "anna", password, "/")
	a.want(303)
	assert.Equal(t, "__Host-imagify_session", c.Name)
	assert.True(t, c.Secure && c.HttpOnly)
	assert.NotEmpty(t, a.header.Get("Strict-Transport-Security"))
	img := w.upload(with(cookie(c.Name, c.Value), "Origin: "+w.url))
	assert.True(t, strings.HasPrefix(img.Original, "https://"), img.Original)
}
