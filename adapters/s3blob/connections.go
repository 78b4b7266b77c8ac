package s3blob

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptrace"
	"sync/atomic"
	"time"
)

// silence is how long a connection that was used before may be silent when the
// answer is due: firewalls and failovers end connections without telling, and every
// idle one may be as dead. On a new connection a slow service has Options.Timeout.
const silence = 2 * time.Second

// errSilent is the error of a try on a connection that gave no answer. The SDK tries
// again, because ConnectionError says so.
type errSilent struct{}

func (errSilent) Error() string { return "a connection that was used before is silent" }

// ConnectionError is what the SDK's retryer asks for.
func (errSilent) ConnectionError() bool { return true }

// doer sends the SDK's requests. A try on a silent connection ends early and takes
// the idle connections with it, so that the next one dials.
type doer struct {
	client *http.Client
	// idle closes the idle connections.
	idle    func()
	silence time.Duration
}

func newDoer(transport *http.Transport) *doer {
	return &doer{
		client: &http.Client{Transport: transport, CheckRedirect: func(r *http.Request, _ []*http.Request) error {
			switch r.Response.StatusCode {
			case http.StatusTemporaryRedirect, http.StatusPermanentRedirect:
				return nil // a new bucket's, with the same method and signature
			}
			return http.ErrUseLastResponse // the SDK tells what is wrong with the region
		}},
		idle: transport.CloseIdleConnections, silence: silence,
	}
}

// Do implements the SDK's HTTPClient.
func (d *doer) Do(r *http.Request) (*http.Response, error) {
	ctx, cancel := context.WithCancelCause(r.Context())
	watch := time.AfterFunc(time.Hour, func() { cancel(errSilent{}) })
	watch.Stop()
	var reused atomic.Bool
	// The time begins when there is something to answer to, and with each piece of the
	// body that goes out.
	due := func() {
		if reused.Load() {
			watch.Reset(d.silence)
		}
	}
	r = r.WithContext(httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GotConn: func(i httptrace.GotConnInfo) {
			reused.Store(i.Reused)
			due()
		},
		PutIdleConn:          func(error) { watch.Stop() },
		GotFirstResponseByte: func() { watch.Stop(); reused.Store(false) },
	}))
	if r.Body != nil && r.Body != http.NoBody {
		r.Body = &tracedBody{r.Body, due}
	}
	res, err := d.client.Do(r)
	watch.Stop()
	reused.Store(false)
	if err != nil {
		if errors.Is(context.Cause(ctx), errSilent{}) {
			d.idle()
			err = errSilent{}
		}
		cancel(nil)
		return nil, err
	}
	res.Body = &answerBody{res.Body, cancel}
	return res, nil
}

// tracedBody tells of each piece of a request's body that is taken.
type tracedBody struct {
	io.ReadCloser
	taken func()
}

func (b *tracedBody) Read(p []byte) (int, error) {
	b.taken()
	return b.ReadCloser.Read(p)
}

// answerBody ends the request's context when the answer has been read.
type answerBody struct {
	io.ReadCloser
	cancel context.CancelCauseFunc
}

func (b *answerBody) Close() error {
	err := b.ReadCloser.Close()
	b.cancel(nil)
	return err
}
