package heif

import (
	"bytes"
	"image"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// grain is a picture whose samples say where they are coded, to be turned and cut step by step.
type grain [][]image.Point

func grains(w, h int) grain {
	g := make(grain, h)
	for y := range g {
		for x := range w {
			g[y] = append(g[y], image.Pt(x, y))
		}
	}
	return g
}

// turned is a quarter anticlockwise.
func (g grain) turned() grain {
	w, h := len(g[0]), len(g)
	out := grains(h, w)
	for y := range w {
		for x := range h {
			out[y][x] = g[x][w-1-y]
		}
	}
	return out
}

// mirrored exchanges top and bottom, or left and right.
func (g grain) mirrored(sides bool) grain {
	w, h := len(g[0]), len(g)
	out := grains(w, h)
	for y := range h {
		for x := range w {
			if sides {
				out[y][x] = g[y][w-1-x]
			} else {
				out[y][x] = g[h-1-y][x]
			}
		}
	}
	return out
}

func (g grain) cut(x, y, w, h int) grain {
	var out grain
	for _, row := range g[y : y+h] {
		out = append(out, row[x:x+w])
	}
	return out
}

// coded is where the samples that are left are coded.
func (g grain) coded() image.Rectangle {
	var r image.Rectangle
	for _, row := range g {
		for _, p := range row {
			r = r.Union(image.Rectangle{Min: p, Max: p.Add(image.Pt(1, 1))})
		}
	}
	return r
}

// TestCleanApertureIsOfThePictureAsItLies: what clap cuts depends on the turns that stand before it, and on those alone.
func TestCleanApertureIsOfThePictureAsItLies(t *testing.T) {
	for quarters := range 4 {
		for mirror := range 3 { // none, top and bottom, left and right
			for _, mirrorFirst := range []bool{false, true} {
				g := grains(88, 72)
				turn := func(props [][]byte) [][]byte {
					for range quarters {
						g = g.turned()
					}
					return append(props, box("irot", []byte{byte(quarters)}))
				}
				flip := func(props [][]byte) [][]byte {
					if mirror == 0 {
						return props
					}
					g = g.mirrored(mirror == 2)
					return append(props, box("imir", []byte{byte(mirror - 1)}))
				}
				// A second one before the turns, so that the first crop is no longer at the origin.
				props := [][]byte{clap(80, 1, 60, 1, -4, 1, 2, 1)}
				g = g.cut(0, 8, 80, 60)
				if mirrorFirst {
					props = turn(flip(props))
				} else {
					props = flip(turn(props))
				}
				w, h := len(g[0]), len(g)
				props = append(props, clap(w-30, 1, h-20, 1, 7, 1, -4, 1))
				g = g.cut(15+7, 10-4, w-30, h-20)
				f := still(t, props...)
				d := NewDecoder(bytes.NewReader(f.bytes()), Options{})
				header, err := d.Header(t.Context())
				require.NoError(t, err)
				assert.Equal(t, g.coded(), header.layers[0].crop, "irot %d, imir %d, imir first: %v", quarters, mirror-1, mirrorFirst)
			}
		}
	}
}

// alphaProperty is auxC of alpha.
func alphaProperty() []byte { return fullBox("auxC", []byte("urn:mpeg:hevc:2015:auxid:1\x00")) }

// TestAlphaOfTilesIsCutAsTheirGrid: alpha that each tile of a grid has by itself covers what is shown of the grid.
func TestAlphaOfTilesIsCutAsTheirGrid(t *testing.T) {
	f := gridFile(t, 2, 2, 170, 140)
	f.props = append(f.props, alphaProperty(), clap(100, 1, 60, 1, 10, 1, -20, 1), nclx(1, 13, 6, 1))
	f.items[4].props = []int{3, 5}
	for i := range 4 {
		f.items = append(f.items, builtItem{id: 20 + i, kind: "hvc1", data: f.items[i].data, props: []int{1, 2, 4}})
		f.refs = append(f.refs, ref("auxl", 20+i, 10+i))
		f.items[i].props = []int{1, 2, 6}
	}
	out, h := decodeAll(t, f.bytes(), 1)
	require.True(t, h.Alpha)
	l := out[0].Layers[0]
	require.NotNil(t, l.Alpha)
	require.Equal(t, [2]int{100, 60}, [2]int{l.Alpha.Width, l.Alpha.Height})
	// Both are of the same stream: alpha is luma.
	assert.Equal(t, l.Planes[0].Pix, l.Alpha.Pix)
}

// TestAlphaIsOfFullRange, whatever range its colour tells (ISO/IEC 23008-12, 6.5.8): opaque is the largest value.
func TestAlphaIsOfFullRange(t *testing.T) {
	want, _ := decodeAll(t, still(t, nclx(1, 13, 6, 1)).bytes(), 1)
	for name, colour := range map[string][]byte{"limited": nclx(1, 13, 6, 0), "full": nclx(1, 13, 6, 1)} {
		f := still(t, alphaProperty(), colour)
		alpha := f.items[0]
		alpha.id, alpha.props = 2, []int{1, 2, 3, 4}
		f.items[0].props = []int{1, 2}
		f.items = append(f.items, alpha)
		f.refs = [][]byte{ref("auxl", 2, 1)}
		out, _ := decodeAll(t, f.bytes(), 1)
		require.NotNil(t, out[0].Layers[0].Alpha, name)
		assert.Equal(t, want[0].Layers[0].Planes[0].Pix, out[0].Layers[0].Alpha.Pix, name)
	}
}

// TestExtentsAreBounded, added up over all items: each costs memory, but none needs bytes in the file.
func TestExtentsAreBounded(t *testing.T) {
	body := func(n ...int) []byte {
		b := cat(u32(0), u16(0), u16(len(n)))
		for i, n := range n {
			b = cat(b, u16(i), u16(0), u16(n))
		}
		return b
	}
	read := func(b []byte) error {
		total := 0
		return (&metadata{items: map[uint32]*item{}}).locations(b, &total)
	}
	require.NoError(t, read(body(maxExtents/2, maxExtents/2)))
	assert.ErrorAs(t, read(body(maxExtents/2, maxExtents/2, 1)), new(UnsupportedError))
}

// TestAssociationsAreBounded, added up over all items.
func TestAssociationsAreBounded(t *testing.T) {
	total := maxAssociations - 3
	m := &metadata{items: map[uint32]*item{}}
	three := cat(u32(0), u32(1), u16(1), []byte{3, 0, 0, 0})
	require.NoError(t, m.associations(three, &total))
	assert.ErrorAs(t, m.associations(three, &total), new(UnsupportedError))
}

// TestPictureFarSmallerThanWhatIsDecodedForIt: a small picture cannot have a huge alpha decoded.
func TestPictureFarSmallerThanWhatIsDecodedForIt(t *testing.T) {
	file := func(rows int) []byte {
		f := gridFile(t, 27, rows, 27*88, rows*72)
		f.primary = 1
		f.props = append(f.props, alphaProperty())
		last := len(f.items) - 1
		f.items[last].props = []int{3, 4}
		f.items = append(f.items, builtItem{id: 1, kind: "hvc1", data: f.items[0].data, props: []int{1, 2}})
		f.refs = append(f.refs, ref("auxl", 9, 1))
		return f.bytes()
	}
	h, err := header(t, file(24)) // 4.1 million samples
	require.NoError(t, err)
	assert.True(t, h.Alpha)
	_, err = header(t, file(26))
	assert.ErrorAs(t, err, new(UnsupportedError))
}

// TestTooLargeEXIFCountsAsNone and is no reason to refuse the picture.
func TestTooLargeEXIFCountsAsNone(t *testing.T) {
	f := still(t)
	f.items = append(f.items, builtItem{id: 5, kind: "Exif", data: cat(u32(6), []byte("Exif\x00\x00MM\x00*"))})
	f.refs = [][]byte{ref("cdsc", 5, 1)}
	size := int64(len(f.items[1].data))
	for limit, want := range map[int64]string{size: "MM\x00*", size - 1: ""} {
		d := NewDecoder(bytes.NewReader(f.bytes()), Options{MaxEXIF: limit})
		out, err := d.Decode(t.Context(), 1)
		require.NoError(t, err)
		assert.Equal(t, want, string(out[0].EXIF))
		assert.Equal(t, want != "", d.header.EXIF)
	}
}

// TestDataLargerThanItsPicture is refused by the header, before the data is held.
func TestDataLargerThanItsPicture(t *testing.T) {
	f := still(t)
	most := 8*88*72 + 1<<20
	f.items[0].data = make([]byte, most)
	h, err := header(t, f.bytes())
	require.NoError(t, err)
	assert.EqualValues(t, 8*h.Pixels+1<<20, most)
	f.items[0].data = make([]byte, most+1)
	_, err = header(t, f.bytes())
	assert.ErrorAs(t, err, new(UnsupportedError))
}

// TestOverlayPixelsAreAddedUp: its pictures are held beside one another.
func TestOverlayPixelsAreAddedUp(t *testing.T) {
	f := still(t)
	f.primary = 7
	f.items = append(f.items, builtItem{
		id: 7, kind: "iovl", idat: true,
		data: cat([]byte{0, 0}, make([]byte, 8), u16(120), u16(90), make([]byte, 12)),
	})
	f.refs = [][]byte{ref("dimg", 7, 1, 1, 1)}
	data := f.bytes()
	_, err := NewDecoder(bytes.NewReader(data), Options{MaxPixels: 3 * 88 * 72}).Header(t.Context())
	require.NoError(t, err)
	_, err = NewDecoder(bytes.NewReader(data), Options{MaxPixels: 3*88*72 - 1}).Header(t.Context())
	assert.ErrorIs(t, err, ErrTooLarge)
}
