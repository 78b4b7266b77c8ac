package heif

import (
	"bytes"
	"encoding/binary"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func u16(v int) []byte { return binary.BigEndian.AppendUint16(nil, uint16(v)) }
func u32(v int) []byte { return binary.BigEndian.AppendUint32(nil, uint32(v)) }

func cat(parts ...[]byte) []byte { return bytes.Join(parts, nil) }

func box(kind string, parts ...[]byte) []byte {
	body := cat(parts...)
	return cat(u32(8+len(body)), []byte(kind), body)
}

// fullBox is a box of version 0 without flags.
func fullBox(kind string, parts ...[]byte) []byte { return box(kind, u32(0), cat(parts...)) }

// builtItem is an item of a file that a test builds.
type builtItem struct {
	id    int
	kind  string
	data  []byte
	idat  bool
	props []int // from 1 on
}

// built is a file that a test builds.
type built struct {
	brand    string
	primary  int
	items    []builtItem
	props    [][]byte
	refs     [][]byte
	extents  int // that data is cut into
	metaLast bool
	cut      int // bytes left out at the end
}

// ref is references of a kind.
func ref(kind string, from int, to ...int) []byte {
	b := cat(u16(from), u16(len(to)))
	for _, id := range to {
		b = append(b, u16(id)...)
	}
	return box(kind, b)
}

func (f built) bytes() []byte {
	if f.brand == "" {
		f.brand = "heic"
	}
	f.extents = max(f.extents, 1)
	ftyp := box("ftyp", []byte(f.brand), u32(0), []byte("mif1heic"))
	var idat, mdat []byte
	meta := func(at int) []byte {
		idat, mdat = nil, nil
		var infos, locations, assoc []byte
		for _, it := range f.items {
			infos = append(infos, box("infe", u32(2<<24), u16(it.id), u16(0), []byte(it.kind), []byte{0})...)
			n := min(f.extents, max(len(it.data), 1))
			method := 0
			base := at + len(mdat)
			if it.idat {
				method, base = 1, len(idat)
				idat = append(idat, it.data...)
			} else {
				mdat = append(mdat, it.data...)
			}
			locations = cat(locations, u16(it.id), u16(method), u16(0), u16(n))
			from := 0
			for i := range n {
				to := len(it.data) * (i + 1) / n
				locations = cat(locations, u32(base+from), u32(to-from))
				from = to
			}
			assoc = cat(assoc, u16(it.id), []byte{byte(len(it.props))})
			for _, p := range it.props {
				assoc = append(assoc, byte(p))
			}
		}
		parts := [][]byte{
			u32(0), fullBox("hdlr", u32(0), []byte("pict"), make([]byte, 13)), fullBox("pitm", u16(f.primary)),
			box("iinf", u32(0), u16(len(f.items)), infos),
			box("iloc", u32(1<<24), u16(0x4400), u16(len(f.items)), locations),
			box("iprp", box("ipco", f.props...), fullBox("ipma", u32(len(f.items)), assoc)),
		}
		if len(f.refs) > 0 {
			parts = append(parts, fullBox("iref", f.refs...))
		}
		if len(idat) > 0 {
			parts = append(parts, box("idat", idat))
		}
		return box("meta", parts...)
	}
	var out []byte
	if f.metaLast {
		m := meta(len(ftyp) + 8)
		out = cat(ftyp, box("mdat", mdat), m)
	} else {
		size := len(meta(0))
		m := meta(len(ftyp) + size + 8)
		out = cat(ftyp, m, box("mdat", mdat))
	}
	return out[:len(out)-f.cut]
}

// stream returns a picture of the decoder's testdata: its configuration, its data, and its size.
func stream(t testing.TB, name string) (hvcC, data []byte) {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join("..", "hevc", "testdata", name+".hevc"))
	require.NoError(t, err)
	var arrays []byte
	count := 0
	for _, nal := range bytes.Split(raw, []byte{0, 0, 1}) {
		nal = bytes.TrimRight(nal, "\x00")
		if len(nal) == 0 {
			continue
		}
		if kind := nal[0] >> 1; kind >= 32 && kind <= 34 {
			arrays = cat(arrays, []byte{0x80 | kind}, u16(1), u16(len(nal)), nal)
			count++
		} else if kind < 32 {
			data = cat(data, u32(len(nal)), nal)
		}
	}
	head := make([]byte, 22)
	head[0], head[21] = 1, 3
	return box("hvcC", head, []byte{byte(count)}, arrays), data
}

func ispe(w, h int) []byte { return fullBox("ispe", u32(w), u32(h)) }

func nclx(primaries, transfer, matrix int, full byte) []byte {
	return box("colr", []byte("nclx"), u16(primaries), u16(transfer), u16(matrix), []byte{full << 7})
}

// still is a file of one picture of 88 × 72 pixels, with more properties.
func still(t testing.TB, props ...[]byte) built {
	hvcC, data := stream(t, "main")
	f := built{primary: 1, props: append([][]byte{hvcC, ispe(88, 72)}, props...)}
	it := builtItem{id: 1, kind: "hvc1", data: data}
	for i := range f.props {
		it.props = append(it.props, i+1)
	}
	f.items = []builtItem{it}
	return f
}

// grid is a file of a grid of the same tile, of 88 × 72 pixels each.
func gridFile(t testing.TB, columns, rows, w, h int) built {
	hvcC, data := stream(t, "main")
	f := built{primary: 9, props: [][]byte{hvcC, ispe(88, 72), ispe(w, h)}}
	var tiles []int
	for i := range columns * rows {
		f.items = append(f.items, builtItem{id: 10 + i, kind: "hvc1", data: data, props: []int{1, 2}})
		tiles = append(tiles, 10+i)
	}
	f.items = append(f.items, builtItem{
		id: 9, kind: "grid", idat: true, props: []int{3},
		data: cat([]byte{0, 0, byte(rows - 1), byte(columns - 1)}, u16(w), u16(h)),
	})
	f.refs = [][]byte{ref("dimg", 9, tiles...)}
	return f
}
