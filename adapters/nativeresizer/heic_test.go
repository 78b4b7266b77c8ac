//go:build !noheic

package nativeresizer

import (
	"bytes"
	"fmt"
	"image"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/imagify-api/imagify/adapters/internal/corpustest"
	"github.com/imagify-api/imagify/domain"
)

// TestHEICFiles inspects and resizes every valid HEIC of the set.
func TestHEICFiles(t *testing.T) {
	r, err := New(Options{})
	require.NoError(t, err)
	for _, row := range corpustest.OpenHEIC(t) {
		if row.Kind == "annexb" {
			continue
		}
		t.Run(row.Path, func(t *testing.T) {
			if strings.Contains(row.Path, "200mp") {
				t.Skip("more pixels than allowed")
			}
			data := row.Read(t)
			info, err := r.Inspect(t.Context(), bytes.NewReader(data), domain.ImageLimits{MaxPixels: 100e6, MaxFrames: 1})
			if row.Kind == "track" {
				require.ErrorIs(t, err, domain.UnsupportedImage)
				return
			}
			require.NoError(t, err)
			assert.Equal(t, domain.HEIC, info.Format)
			if !strings.Contains(row.Path, "exif8_no_irot") && !strings.Contains(row.Path, "samsung_4000x1848") { // EXIF turns these
				assert.Equal(t, row.Size, fmt.Sprintf("%dx%d", info.Width, info.Height))
			}
			thumbs, err := r.Resize(t.Context(), bytes.NewReader(data), []int{200, 64})
			require.NoError(t, err)
			for i, th := range thumbs {
				m, _, err := image.Decode(bytes.NewReader(th.Data))
				require.NoError(t, err)
				assert.Equal(t, min([]int{200, 64}[i], info.Height), m.Bounds().Dy())
			}
		})
	}
}

// TestBrokenHEICFiles: none makes the process fail, and each refusal has a code.
func TestBrokenHEICFiles(t *testing.T) {
	r, err := New(Options{})
	require.NoError(t, err)
	for _, row := range corpustest.OpenBrokenHEIC(t) {
		if strings.HasSuffix(row.Path, ".hevc") {
			continue
		}
		t.Run(row.Path, func(t *testing.T) {
			data := row.Read(t)
			info, err := r.Inspect(t.Context(), bytes.NewReader(data), domain.ImageLimits{MaxPixels: 100e6, MaxFrames: 1})
			if testing.Verbose() {
				t.Logf("%s: %v: %v", row.Note, info.Width, err)
			}
			if err != nil {
				assert.Contains(t, []domain.Code{domain.CorruptImage, domain.UnsupportedImage, domain.TooLarge}, domain.CodeOf(err), "%v", err)
				assert.NotContains(t, err.Error(), "panic")
				return
			}
			_, err = r.Resize(t.Context(), bytes.NewReader(data), []int{100})
			require.NoError(t, err)
		})
	}
}
