package ginapi

import (
	"net/http"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/imagify-api/imagify/app"
)

type metrics struct {
	requests    *prometheus.CounterVec
	duration    *prometheus.HistogramVec
	inFlight    prometheus.Gauge
	uploadBytes prometheus.Counter
	originals   prometheus.Counter
	thumbnails  prometheus.Counter
	page        http.Handler
}

func newMetrics(reg *prometheus.Registry, version string) (*metrics, error) {
	m := &metrics{
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
		m.requests, m.duration, m.inFlight, m.uploadBytes, sent, build,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	} {
		if err := reg.Register(c); err != nil {
			return nil, err
		}
	}
	m.page = promhttp.HandlerFor(reg, promhttp.HandlerOpts{DisableCompression: true})
	return m, nil
}

// routeMetrics are a route's own. Each is looked up once, when it is first
// needed, so that /metrics shows only what happened.
type routeMetrics struct {
	all           *metrics
	route, method string
	byClass       [6]atomic.Pointer[prometheus.Counter]
	duration      atomic.Pointer[prometheus.Observer]
}

// classes are the labels for a status's first digit; 0 stands for an answer that was never begun.
var classes = [6]string{"none", "1xx", "2xx", "3xx", "4xx", "5xx"}

func (m *metrics) of(rt *route) *routeMetrics {
	method := rt.method
	if method == "" {
		method = "other"
	}
	return &routeMetrics{all: m, route: rt.path, method: method}
}

func (m *routeMetrics) observe(status int, took time.Duration) {
	class := status / 100
	if class >= len(classes) {
		class = 0
	}
	counter := m.byClass[class].Load()
	if counter == nil {
		c := m.all.requests.WithLabelValues(m.route, m.method, classes[class])
		counter = &c
		m.byClass[class].Store(counter)
	}
	(*counter).Inc()
	duration := m.duration.Load()
	if duration == nil {
		d := m.all.duration.WithLabelValues(m.route, m.method)
		duration = &d
		m.duration.Store(duration)
	}
	(*duration).Observe(took.Seconds())
}

// sent counts image bytes.
func (m *metrics) sent(c *app.Content, n int64) {
	if c.Variant.IsOriginal() {
		m.originals.Add(float64(n))
	} else {
		m.thumbnails.Add(float64(n))
	}
}
