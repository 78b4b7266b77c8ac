package heif

import (
	"bytes"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/imagify-api/imagify/adapters/nativeresizer/work"
)

// sharedTile is a file whose grid of 64 × 64 tiles is one item again and again. Its data is read
// through extents that all name the same bytes, before a whole picture.
func sharedTile(t testing.TB, data []byte, extents, properties int, refs ...[]byte) []byte {
	t.Helper()
	const side = 64
	hvcC, picture := stream(t, "main")
	grid := cat([]byte{0, 1, side - 1, side - 1}, u32(88*side), u32(72*side))
	tile := append([]byte{1, 2}, bytes.Repeat([]byte{2}, properties-2)...)
	locations := cat(u16(1), u16(1), u16(0), u16(1), u32(0), u32(len(grid)), u16(2), u16(1), u16(0), u16(extents+1))
	for range extents {
		locations = cat(locations, u32(len(grid)), u32(len(data)))
	}
	locations = cat(locations, u32(len(grid)+len(data)), u32(len(picture)))
	return cat(box("ftyp", []byte("heic"), u32(0), []byte("mif1heic")), box("meta",
		u32(0), fullBox("hdlr", u32(0), []byte("pict"), make([]byte, 13)), fullBox("pitm", u16(1)),
		box("iinf", u32(0), u16(2), box("infe", u32(2<<24), u16(1), u16(0), []byte("grid\x00")), box("infe", u32(2<<24), u16(2), u16(0), []byte("hvc1\x00"))),
		box("iloc", u32(1<<24), u16(0x4400), u16(2), locations),
		box("iprp", box("ipco", hvcC, ispe(88, 72)), fullBox("ipma", u32(2), u16(1), []byte{0}, u16(2), []byte{byte(properties)}, tile)),
		fullBox("iref", append([][]byte{ref("dimg", 1, slices.Repeat([]int{2}, side*side)...)}, refs...)...),
		box("idat", grid, data, picture)))
}

// What a file may say before its picture begins is bounded, and looking it up is not repeated for each of its tiles.
func TestMetadataIsBounded(t *testing.T) {
	data := []byte{0, 0, 0, 3, 39 << 1, 1, 0}
	var unsupported UnsupportedError
	for name, c := range map[string]struct {
		file []byte
		ok   bool
	}{
		"as many properties as an item may have": {sharedTile(t, data, 1, maxItemProperties), true},
		"one property more":                      {sharedTile(t, data, 1, maxItemProperties+1), false},
		"as many references as a file may have":  {sharedTile(t, data, 1, 2, bytes.Repeat(ref("auxl", 9, 7), maxReferences-64*64)), true},
		"one reference more":                     {sharedTile(t, data, 1, 2, bytes.Repeat(ref("auxl", 9, 7), maxReferences-64*64+1)), false},
	} {
		_, err := header(t, c.file)
		sc := NewScanner(Options{})
		_, _ = sc.Write(c.file)
		if c.ok {
			require.NoError(t, err, name)
			require.NoError(t, sc.Finish(), name)
			continue
		}
		require.ErrorAs(t, err, &unsupported, name)
	}
	f := still(t)
	for range maxProperties {
		f.props = append(f.props, box("free"))
	}
	_, err := header(t, f.bytes())
	require.ErrorAs(t, err, &unsupported)
}

// Data that many tiles share is paid for by each, and so is what holds no slice.
func TestSharedDataIsPaidForByEachTile(t *testing.T) {
	noSlice := cat(u32(4000), []byte{39 << 1, 1}, make([]byte, 3998)) // supplemental information
	file := sharedTile(t, noSlice, 3000, 2)
	require.Less(t, len(file), 128<<10)
	d := NewDecoder(bytes.NewReader(file), Options{Work: work.New(2 * 3000 * int64(len(noSlice)))})
	_, err := d.Decode(t.Context(), 1)
	require.ErrorIs(t, err, work.ErrExceeded)
}

// A picture of more NAL units than any level of HEVC allows is not decoded, nor is a list of them made.
func TestUnitsAreBounded(t *testing.T) {
	one := []byte{0, 0, 0, 2, 39 << 1, 1}
	nals, err := units(bytes.Repeat(one, maxUnits), 4)
	require.NoError(t, err)
	assert.Len(t, nals, maxUnits)
	var unsupported UnsupportedError
	_, err = units(bytes.Repeat(one, maxUnits+1), 4)
	require.ErrorAs(t, err, &unsupported)
}

// A parameter set is work, wherever it stands.
func TestParameterSetsAreWork(t *testing.T) {
	hvcC, _ := stream(t, "main")
	f := still(t)
	arrays := hvcC[8+22+1:]
	again := cat(hvcC[8:8+22], []byte{byte(3 * 80)}, bytes.Repeat(arrays, 80))
	f.props[0] = box("hvcC", again)
	d := NewDecoder(bytes.NewReader(f.bytes()), Options{Work: work.New(100_000)})
	defer d.Close()
	_, err := d.Header(t.Context())
	require.ErrorIs(t, err, work.ErrExceeded)
}

// While a client is waited for the scanner holds little, whatever the metadata claims.
func TestTheScannerHoldsLittle(t *testing.T) {
	f := still(t, box("free", make([]byte, 1<<20)))
	file := f.bytes()
	sc := NewScanner(Options{})
	for chunk := range slices.Chunk(file, 4<<10) {
		_, err := sc.Write(chunk)
		require.NoError(t, err)
		require.LessOrEqual(t, cap(sc.held), 128<<10)
	}
	require.NoError(t, sc.Finish(), "what is longer is left to the decoder")
	cut := NewScanner(Options{})
	_, err := cut.Write(file[:1<<19])
	require.NoError(t, err)
	require.ErrorIs(t, cut.Finish(), ErrTruncated)
}
