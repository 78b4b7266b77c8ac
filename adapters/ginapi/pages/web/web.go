// Package web holds the pages' templates and assets: all of them are in the
// binary, and no page needs another host.
package web

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"html/template"
	"io"
	"io/fs"
	"path"
	"strings"
)

//go:embed static templates vendor/*.gz vendor/*.woff2
var files embed.FS

// Asset is a file that pages load. Its name changes with its content, so that it may be kept for ever.
type Asset struct {
	// ContentType is the header's value.
	ContentType string
	// Gzip is the content, compressed; nil where that would gain nothing.
	Gzip  []byte
	plain []byte // nil where only the compressed form is kept
}

// Plain returns the content uncompressed.
func (a *Asset) Plain() ([]byte, error) {
	if a.plain != nil {
		return a.plain, nil
	}
	return gunzip(a.Gzip)
}

func gunzip(b []byte) ([]byte, error) {
	r, err := gzip.NewReader(bytes.NewReader(b))
	if err != nil {
		return nil, err
	}
	return io.ReadAll(r)
}

// Site is the pages' templates and assets, ready to be served. It is never changed and may be shared.
type Site struct {
	assets map[string]*Asset // by the name in URLs
	names  map[string]string // by the file's own name
	pages  map[string]*template.Template
}

// AssetPath is what stands before an asset's name in a URL.
const AssetPath = "/assets/"

var contentTypes = map[string]string{
	".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml", ".woff2": "font/woff2",
}

// Load reads what is embedded.
func Load() (*Site, error) {
	s := &Site{assets: map[string]*Asset{}, names: map[string]string{}, pages: map[string]*template.Template{}}
	// Style sheets come last: they name the others.
	for _, pattern := range []string{"vendor/*", "static/*.svg", "static/*.js", "static/*.css"} {
		found, err := fs.Glob(files, pattern)
		if err != nil {
			return nil, err
		}
		for _, f := range found {
			b, err := files.ReadFile(f)
			if err != nil {
				return nil, err
			}
			if err := s.add(path.Base(f), b); err != nil {
				return nil, err
			}
		}
	}
	return s, s.parse()
}

func (s *Site) add(file string, b []byte) error {
	name, compressed := strings.CutSuffix(file, ".gz")
	ext := path.Ext(name)
	a := &Asset{ContentType: contentTypes[ext]}
	if a.ContentType == "" {
		return fmt.Errorf("web: %s has no content type", file)
	}
	switch {
	case compressed:
		a.Gzip = b
	case ext == ".woff2": // compressed in itself
		a.plain = b
	default:
		if ext == ".css" {
			for own, hashed := range s.names {
				b = bytes.ReplaceAll(b, []byte(AssetPath+own), []byte(AssetPath+hashed))
			}
		}
		a.plain = b
		var z bytes.Buffer
		w, err := gzip.NewWriterLevel(&z, gzip.BestCompression)
		if err != nil {
			return err
		}
		if _, err := w.Write(b); err != nil {
			return err
		}
		if err := w.Close(); err != nil {
			return err
		}
		a.Gzip = z.Bytes()
	}
	sum := sha256.Sum256(b)
	s.names[name] = strings.TrimSuffix(name, ext) + "-" + hex.EncodeToString(sum[:6]) + ext
	s.assets[s.names[name]] = a
	return nil
}

// Asset returns the asset of a name as it stands in URLs; nil if there is none.
func (s *Site) Asset(name string) *Asset { return s.assets[name] }

// Render writes a part of a page: "layout" is the whole, any other that its template defines alone.
func (s *Site) Render(w io.Writer, page, part string, data any) error {
	t := s.pages[page]
	if t == nil {
		return fmt.Errorf("web: no page %q", page)
	}
	return t.ExecuteTemplate(w, part, data)
}

// parse makes one template set a page, each with the layout and the shared parts.
func (s *Site) parse() error {
	shared, err := template.New("").Funcs(s.funcs()).ParseFS(files, "templates/shared/*.html")
	if err != nil {
		return err
	}
	entries, err := fs.Glob(files, "templates/*.html")
	if err != nil {
		return err
	}
	for _, e := range entries {
		t, err := shared.Clone()
		if err != nil {
			return err
		}
		if t, err = t.ParseFS(files, e); err != nil {
			return err
		}
		s.pages[strings.TrimSuffix(path.Base(e), ".html")] = t
	}
	return nil
}
