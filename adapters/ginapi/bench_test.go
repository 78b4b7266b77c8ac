package ginapi_test

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/imagify-api/imagify/adapters/ginapi"
	"github.com/imagify-api/imagify/domain"
)

// sink is a writer that costs nothing.
type sink struct{ h http.Header }

func (s *sink) Header() http.Header         { return s.h }
func (s *sink) Write(p []byte) (int, error) { return len(p), nil }
func (s *sink) WriteHeader(int)             {}

// BenchmarkWarmThumbnail is the front end's and the core's share of a warm signed thumbnail.
func BenchmarkWarmThumbnail(b *testing.B) {
	w := newWorld(b)
	who := w.user("anna", domain.EnterpriseTier)
	img := w.upload(who)
	list := "/v1/images?limit=30"
	for range 29 {
		w.upload(who)
	}
	l := w.link(who, img.ID, `{"expires_in":30000,"variant":"thumbnail:200"}`)
	w.get(nobody, img.Thumbnails["200"].URL).want(200)
	for name, log := range map[string]slog.Handler{"log": slog.NewJSONHandler(discard{}, nil), "quiet": slog.DiscardHandler} {
		srv, err := ginapi.New(w.svc, ginapi.Options{Logger: slog.New(log)})
		if err != nil {
			b.Fatal(err)
		}
		for what, path := range map[string]string{"thumbnail": img.Thumbnails["200"].URL, "link": l.URL, "list": list} {
			b.Run(what+"/"+name, func(b *testing.B) {
				r := httptest.NewRequest(http.MethodGet, strings.TrimPrefix(path, w.url), nil)
				if what == "list" {
					who(r)
				}
				b.ReportAllocs()
				for b.Loop() {
					srv.ServeHTTP(&sink{h: make(http.Header, 16)}, r)
				}
			})
		}
	}
}

type discard struct{}

func (discard) Write(p []byte) (int, error) { return len(p), nil }
