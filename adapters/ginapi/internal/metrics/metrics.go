// Package metrics counts what the front end serves, for Prometheus.
package metrics

import (
	"net/http"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/imagify-api/imagify/app"
)

// Metrics are the front end's.
type Metrics struct {
	requests    *prometheus.CounterVec
	duration    *prometheus.HistogramVec
	inFlight    prometheus.Gauge
	uploadBytes prometheus.Counter
	originals   prometheus.Counter
	thumbnails  prometheus.Counter
	handler     http.Handler
}

// New registers a server's metrics, those of its sweeps included.
func New(reg *prometheus.Registry, version string, sweeps func() app.SweepStatus) (*Metrics, error) {
	m := &Metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "imagify_http_requests_total", Help: "Requests answered, by route, method and class of status.",
		}, []string{"route", "method", "status"}),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "imagify_http_request_duration_seconds", Help: "Time from a request's header to the end of its answer.",
			Buckets: []float64{.001, .005, .025, .1, .5, 2.5, 10, 60},
		}, []string{"route", "method"}),
		inFlight:    prometheus.NewGauge(prometheus.GaugeOpts{Name: "imagify_http_requests_in_flight", Help: "Requests being answered."}),
		uploadBytes: prometheus.NewCounter(prometheus.CounterOpts{Name: "imagify_upload_bytes_total", Help: "Bytes read from uploads, refused ones included."}),
	}
	sent := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "imagify_sent_bytes_total", Help: "Bytes of images sent, by what they are.",
	}, []string{"variant"})
	m.originals, m.thumbnails = sent.WithLabelValues("original"), sent.WithLabelValues("thumbnail")
	build := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "imagify_build_info", Help: "Always 1; the label tells the version.", ConstLabels: prometheus.Labels{"version": version},
	})
	build.Set(1)
	for _, c := range []prometheus.Collector{
		m.requests, m.duration, m.inFlight, m.uploadBytes, sent, build, newSweeps(sweeps),
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	} {
		if err := reg.Register(c); err != nil {
			return nil, err
		}
	}
	m.handler = promhttp.HandlerFor(reg, promhttp.HandlerOpts{DisableCompression: true})
	return m, nil
}

// Handler shows the metrics.
func (m *Metrics) Handler() http.Handler { return m.handler }

// Begin counts a request that is being answered, until End.
func (m *Metrics) Begin() { m.inFlight.Inc() }

// End ends what Begin began.
func (m *Metrics) End() { m.inFlight.Dec() }

// Uploaded counts bytes read from an upload.
func (m *Metrics) Uploaded(n int64) { m.uploadBytes.Add(float64(n)) }

// Sent counts bytes of an image that went out.
func (m *Metrics) Sent(original bool, n int64) {
	if original {
		m.originals.Add(float64(n))
	} else {
		m.thumbnails.Add(float64(n))
	}
}

// Route are a route's metrics. Each is looked up once, when it is first
// needed, so that /metrics shows only what happened.
type Route struct {
	all          *Metrics
	path, method string
	byClass      [6]atomic.Pointer[prometheus.Counter]
	duration     atomic.Pointer[prometheus.Observer]
}

// classes are the labels for a status's first digit; 0 stands for an answer that was never begun.
var classes = [6]string{"none", "1xx", "2xx", "3xx", "4xx", "5xx"}

// Of returns the metrics of the route of a method and a path; an empty method stands for all others.
func (m *Metrics) Of(method, path string) *Route {
	if method == "" {
		method = "other"
	}
	return &Route{all: m, path: path, method: method}
}

// Observe counts an answer, by its status and by how long it took.
func (m *Route) Observe(status int, took time.Duration) {
	class := status / 100
	if class >= len(classes) {
		class = 0
	}
	counter := m.byClass[class].Load()
	if counter == nil {
		c := m.all.requests.WithLabelValues(m.path, m.method, classes[class])
		counter = &c
		m.byClass[class].Store(counter)
	}
	(*counter).Inc()
	duration := m.duration.Load()
	if duration == nil {
		d := m.all.duration.WithLabelValues(m.path, m.method)
		duration = &d
		m.duration.Store(duration)
	}
	(*duration).Observe(took.Seconds())
}
