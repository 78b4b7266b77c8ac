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

	"github.com/imagify-api/imagify/adapters/ginapi/web"
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

// Server is the HTTP API. It is an http.Handler, safe for concurrent use.
type Server struct {
	svc    *app.Service
	o      Options
	log    *slog.Logger
	engine *gin.Engine
	routes []route // the API
	pages  []route

	publicURL    string // without a trailing slash; empty: from the request
	publicSecure bool
	origins      *http.CrossOriginProtection
	metrics      *metrics
	drains       drains
	openapi      []byte
	schemas      obj // of the document
	site         *web.Site
	downloads    *downloads
	ready        readiness
}

// New makes a Server of a Service. It does no input or output. Where nobody
// chose one, gin's process-wide mode becomes "release".
func New(svc *app.Service, o Options) (*Server, error) {
	if svc == nil {
		return nil, errors.New("ginapi: a Service is required")
	}
	s := &Server{svc: svc, o: o, log: o.Logger, origins: http.NewCrossOriginProtection()}
	if s.log == nil {
		s.log = slog.Default()
	}
	for _, d := range []*time.Duration{&s.o.RequestTimeout, &s.o.IdleTimeout} {
		if *d == 0 {
			*d = 30 * time.Second
		}
	}
	if s.o.UploadTimeout == 0 {
		s.o.UploadTimeout = 15 * time.Minute
	}
	if s.o.MaxByteRequests == 0 {
		s.o.MaxByteRequests = 4096
	}
	if s.o.RequestTimeout < 0 || s.o.IdleTimeout < 0 || s.o.UploadTimeout < 0 || s.o.CDNMaxAge < 0 || s.o.MaxByteRequests < 0 {
		return nil, errors.New("ginapi: an option is negative")
	}
	s.downloads = newDownloads(s.o.MaxByteRequests)
	if s.o.Version == "" {
		s.o.Version = "dev"
	}
	for _, p := range o.TrustedProxies {
		if !p.IsValid() {
			return nil, errors.New("ginapi: TrustedProxies holds an invalid prefix")
		}
	}
	if o.PublicURL != "" {
		var err error
		if s.publicURL, err = ParsePublicURL(o.PublicURL); err != nil {
			return nil, fmt.Errorf("ginapi: PublicURL %w", err)
		}
		s.publicSecure = strings.HasPrefix(s.publicURL, "https:")
		if err := s.origins.AddTrustedOrigin(s.publicURL); err != nil {
			return nil, err
		}
	}
	if s.o.Registry == nil {
		s.o.Registry = prometheus.NewRegistry()
	}
	var err error
	if s.metrics, err = newMetrics(s.o.Registry, s.o.Version); err != nil {
		return nil, err
	}
	if err := s.o.Registry.Register(newSweepMetrics(svc.SweepStatus)); err != nil {
		return nil, err
	}
	s.routes, s.schemas = s.table(), schemas()
	if s.openapi, err = s.document(); err != nil {
		return nil, err
	}
	if s.site, err = web.Load(); err != nil {
		return nil, err
	}
	s.pages = append(pageRoutes(), adminPageRoutes()...)
	s.engine = s.newEngine()
	return s, nil
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
	if usual == "" || u.Hostname() == "" || !validHost(host) {
		return "", wrong
	}
	return scheme + "://" + host, nil
}

func (s *Server) newEngine() *gin.Engine {
	if gin.Mode() == gin.DebugMode && os.Getenv(gin.EnvGinMode) == "" {
		gin.SetMode(gin.ReleaseMode)
	}
	e := gin.New()
	e.RedirectTrailingSlash = false
	e.HandleMethodNotAllowed = true
	e.ForwardedByClientIP = false
	for _, rt := range slices.Concat(s.routes, s.pages) {
		r := &rt
		e.Handle(r.method, ginPath(r.path), s.wrap(r))
		if r.method == http.MethodGet {
			head := *r
			head.method = http.MethodHead
			e.Handle(http.MethodHead, ginPath(r.path), s.wrap(&head))
		}
	}
	e.NoRoute(s.wrap(&route{path: "none", handle: noRoute}))
	e.NoMethod(s.wrap(&route{path: "none", handle: noMethod}))
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
// own for each request.
func NewHTTPServer(h http.Handler, logger *slog.Logger) *http.Server {
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
