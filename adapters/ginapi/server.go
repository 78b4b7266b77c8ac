package ginapi

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/imagify-api/imagify/adapters/ginapi/internal/metrics"
	"github.com/imagify-api/imagify/adapters/ginapi/internal/request"
	"github.com/imagify-api/imagify/adapters/ginapi/openapi"
	"github.com/imagify-api/imagify/adapters/ginapi/pages"
	"github.com/imagify-api/imagify/app"
)

// Options are a Server's settings; all of them are optional.
type Options struct {
	// PublicURL is the base of the URLs handed out, such as https://img.example.com;
	// empty: the request's own scheme and host.
	PublicURL string
	// TrustedProxies are the peers whose X-Forwarded-For, -Host and -Proto headers are believed.
	TrustedProxies []netip.Prefix
	// CDNMaxAge is for how long a shared cache may keep a signed thumbnail; 0: none may.
	CDNMaxAge time.Duration
	// Logger gets one line a request; nil: slog.Default().
	Logger *slog.Logger
	// Registry gets the metrics, and /metrics shows it; nil: one of its own.
	Registry *prometheus.Registry
	// Version is told by the OpenAPI document and the metrics; empty: "dev".
	Version string
	// RequestTimeout bounds a JSON request from its header to its answer; 0: 30 s.
	RequestTimeout time.Duration
	// IdleTimeout bounds each wait for the next bytes of an upload, and each piece
	// of a body on its way out; 0: 30 s.
	IdleTimeout time.Duration
	// UploadTimeout bounds reading an upload; 0: 15 minutes.
	UploadTimeout time.Duration
	// MaxByteRequests bounds how many requests for image bytes are served at a
	// time; those beyond are 503. One client address (of IPv6 a /64) may have a
	// sixteenth of them; beyond it gets 429. 0: 4096.
	MaxByteRequests int64
}

// Server is the HTTP API with its pages. It is an http.Handler, safe for concurrent use.
type Server struct {
	svc      *app.Service
	log      *slog.Logger
	metrics  *metrics.Metrics
	engine   *gin.Engine
	api      []request.Route // in the document
	pages    []request.Route // not in it
	document []byte
	ready    readiness
}

// New makes a Server of a Service. It does no input or output. Where nobody
// chose one, gin's process-wide mode becomes "release".
func New(svc *app.Service, o Options) (*Server, error) {
	if svc == nil {
		return nil, errors.New("ginapi: a Service is required")
	}
	if err := o.complete(); err != nil {
		return nil, err
	}
	counters, err := metrics.New(o.Registry, o.Version, svc.SweepStatus)
	if err != nil {
		return nil, err
	}
	html, err := pages.New()
	if err != nil {
		return nil, err
	}
	requests := &request.Server{
		Service: svc, Log: o.Logger, Metrics: counters, PublicURL: o.PublicURL, TrustedProxies: o.TrustedProxies, CDNMaxAge: o.CDNMaxAge,
		RequestTimeout: o.RequestTimeout, IdleTimeout: o.IdleTimeout, UploadTimeout: o.UploadTimeout, MaxByteRequests: o.MaxByteRequests,
		BrowsablePage: html.Browsable, ErrorPage: html.Error,
	}
	if err := requests.Init(); err != nil {
		return nil, err
	}
	s := &Server{svc: svc, log: o.Logger, metrics: counters}
	s.api, s.pages = append(s.table(), html.DocumentedRoutes()...), html.Routes()
	if s.document, err = openapi.Document(s.api, o.Version, o.PublicURL); err != nil {
		return nil, err
	}
	html.Browse(s.api)
	s.engine = newEngine(requests, slices.Concat(s.api, s.pages))
	return s, nil
}

// complete fills in the defaults, and says which option is wrong.
func (o *Options) complete() error {
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	for _, d := range []*time.Duration{&o.RequestTimeout, &o.IdleTimeout} {
		if *d == 0 {
			*d = 30 * time.Second
		}
	}
	if o.UploadTimeout == 0 {
		o.UploadTimeout = 15 * time.Minute
	}
	if o.MaxByteRequests == 0 {
		o.MaxByteRequests = 4096
	}
	if o.RequestTimeout < 0 || o.IdleTimeout < 0 || o.UploadTimeout < 0 || o.CDNMaxAge < 0 || o.MaxByteRequests < 0 {
		return errors.New("ginapi: an option is negative")
	}
	if o.Version == "" {
		o.Version = "dev"
	}
	for _, p := range o.TrustedProxies {
		if !p.IsValid() {
			return errors.New("ginapi: TrustedProxies holds an invalid prefix")
		}
	}
	if o.PublicURL != "" {
		var err error
		if o.PublicURL, err = ParsePublicURL(o.PublicURL); err != nil {
			return fmt.Errorf("ginapi: PublicURL %w", err)
		}
	}
	if o.Registry == nil {
		o.Registry = prometheus.NewRegistry()
	}
	return nil
}

// ParsePublicURL returns the base of the URLs handed out as browsers write an origin (RFC
// 6454, section 6.1): scheme and host in small letters, without the scheme's usual port and
// without a slash at the end. The error says what Options.PublicURL must be.
func ParsePublicURL(text string) (string, error) {
	wrong := errors.New("must be like https://host or https://host:port, and nothing after it")
	u, err := url.Parse(text)
	if err != nil || u.User != nil || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "" || u.Opaque != "" {
		return "", wrong
	}
	scheme, host := strings.ToLower(u.Scheme), strings.ToLower(u.Host)
	usual := map[string]string{"http": ":80", "https": ":443"}[scheme]
	host = strings.TrimSuffix(strings.TrimSuffix(host, usual), ":")
	if usual == "" || u.Hostname() == "" || !request.ValidHost(host) {
		return "", wrong
	}
	return scheme + "://" + host, nil
}

func newEngine(requests *request.Server, routes []request.Route) *gin.Engine {
	if gin.Mode() == gin.DebugMode && os.Getenv(gin.EnvGinMode) == "" {
		gin.SetMode(gin.ReleaseMode)
	}
	e := gin.New()
	e.RedirectTrailingSlash = false
	e.HandleMethodNotAllowed = true
	e.ForwardedByClientIP = false
	for i := range routes {
		rt := &routes[i]
		e.Handle(rt.Method, ginPath(rt.Path), requests.Handler(rt))
		if rt.Method == http.MethodGet {
			head := *rt
			head.Method = http.MethodHead
			e.Handle(http.MethodHead, ginPath(rt.Path), requests.Handler(&head))
		}
	}
	e.NoRoute(requests.Handler(&request.Route{Path: request.Nowhere, Handle: noRoute}))
	e.NoMethod(requests.Handler(&request.Route{Path: request.Nowhere, Handle: noMethod}))
	return e
}

// ginPath turns {name} into gin's :name.
func ginPath(p string) string {
	return strings.NewReplacer("{", ":", "}", "").Replace(p)
}

// ServeHTTP serves one request.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.engine.ServeHTTP(w, r) }

// NewHTTPServer returns a server for the handler with bounds on what a silent or
// talkative client may cost. It sets no deadline for bodies: a Server sets its
// own for each request. One public client address may have 256 connections open, the
// proxies (Options.TrustedProxies) any number: behind them are many clients.
func NewHTTPServer(h http.Handler, logger *slog.Logger, proxies ...netip.Prefix) *http.Server {
	if logger == nil {
		logger = slog.Default()
	}
	return &http.Server{
		Handler:           h,
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    32 << 10,
		ErrorLog:          slog.NewLogLogger(logger.Handler(), slog.LevelWarn),
		ConnContext:       boundSendBuffer,
		ConnState:         newConnections(proxies).state,
	}
}

// sendBuffer is what the kernel may hold of an answer that the client has not taken yet, in
// bytes; Linux doubles it for its own bookkeeping. By itself the kernel would grow it to
// megabytes, which would still arrive after a permission ended. Over 100 ms to the client it
// leaves about 2 MB a second.
const sendBuffer = 96 << 10

func boundSendBuffer(ctx context.Context, conn net.Conn) context.Context {
	if secured, ok := conn.(interface{ NetConn() net.Conn }); ok {
		conn = secured.NetConn()
	}
	if c, ok := conn.(interface{ SetWriteBuffer(int) error }); ok {
		_ = c.SetWriteBuffer(sendBuffer)
	}
	return ctx
}
