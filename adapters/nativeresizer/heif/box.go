package heif

import "encoding/binary"

// fields reads big-endian numbers from the front of a box. Beyond the end it reads zeros
// and remembers that it did.
type fields struct {
	data []byte
	over bool
}

func (f *fields) take(n int) []byte {
	if n > len(f.data) {
		f.over, f.data = true, nil
		return make([]byte, min(n, 8))
	}
	b := f.data[:n]
	f.data = f.data[n:]
	return b
}

func (f *fields) u8() int      { return int(f.take(1)[0]) }
func (f *fields) u16() int     { return int(binary.BigEndian.Uint16(f.take(2))) }
func (f *fields) u32() uint32  { return binary.BigEndian.Uint32(f.take(4)) }
func (f *fields) kind() string { return string(f.take(4)) }

// sized reads a number of 0, 4 or 8 bytes.
func (f *fields) sized(n int) uint64 {
	switch n {
	case 4:
		return uint64(f.u32())
	case 8:
		return binary.BigEndian.Uint64(f.take(8))
	}
	return 0
}

// id reads an item's number of 2 or 4 bytes.
func (f *fields) id(wide bool) uint32 {
	if wide {
		return f.u32()
	}
	return uint32(f.u16())
}

// full reads the version and flags of a full box (ISO/IEC 14496-12, 4.2).
func (f *fields) full() (version int, flags uint32) {
	v := f.u32()
	return int(v >> 24), v & 0xffffff
}

// each calls fn for the boxes in data, in order.
func each(data []byte, fn func(kind string, body []byte) error) error {
	for len(data) > 0 {
		f := fields{data: data}
		size, kind := uint64(f.u32()), f.kind()
		switch size {
		case 0:
			size = uint64(len(data))
		case 1:
			size = f.sized(8)
		}
		header := uint64(len(data) - len(f.data))
		if f.over || size < header || size > uint64(len(data)) {
			return FormatError("box with a size that does not fit")
		}
		if err := fn(kind, data[header:size]); err != nil {
			return err
		}
		data = data[size:]
	}
	return nil
}

// extent is a part of an item's data (8.11.3).
type extent struct{ offset, length uint64 }

type item struct {
	id       uint32
	kind     string
	method   int // of construction
	external bool
	extents  []extent
	props    []association
}

// association is a property of an item: the index from 1 on in ipco.
type association struct {
	index     int
	essential bool
}

type property struct {
	kind string
	body []byte
}

// referenceKey is an item at one end of references of a kind.
type referenceKey struct {
	kind string
	id   uint32
}

// metadata is what a meta box tells (ISO/IEC 14496-12, 8.11; ISO/IEC 23008-12, 6).
type metadata struct {
	handler    string
	primary    uint32
	hasPrimary bool
	items      map[uint32]*item
	// refersTo has what each item refers to, referrers what refers to it, in the order of the file.
	refersTo, referrers map[referenceKey][]uint32
	referred            int // how many references there are
	props               []property
	idat                []byte
}

// Bounds of a meta box, whatever it claims.
const (
	maxExtents      = 1 << 16
	maxAssociations = 1 << 18
	maxProperties   = 1<<15 - 1 // no association has more bits for an index
	maxReferences   = 1 << 17
	// maxItemProperties are those of one item, which are looked through for each tile that it
	// is. Cameras write about ten.
	maxItemProperties = 64
)

func parseMeta(body []byte, maxItems int) (*metadata, error) {
	if len(body) < 4 {
		return nil, FormatError("meta box is too short")
	}
	m := &metadata{
		items: make(map[uint32]*item), refersTo: make(map[referenceKey][]uint32), referrers: make(map[referenceKey][]uint32),
	}
	var locations, associations [][]byte
	err := each(body[4:], func(kind string, body []byte) error {
		switch kind {
		case "hdlr":
			f := fields{data: body}
			f.take(8)
			m.handler = f.kind()
		case "pitm":
			f := fields{data: body}
			version, _ := f.full()
			m.primary, m.hasPrimary = f.id(version > 0), true
			if f.over {
				return FormatError("primary item box is cut")
			}
		case "iinf":
			return m.info(body, maxItems)
		case "iloc":
			locations = append(locations, body)
		case "iref":
			return m.readReferences(body)
		case "idat":
			m.idat = body
		case "iprp":
			return each(body, func(kind string, body []byte) error {
				switch kind {
				case "ipco":
					return each(body, func(kind string, body []byte) error {
						if len(m.props) == maxProperties {
							return UnsupportedError("file with too many properties")
						}
						m.props = append(m.props, property{kind, body})
						return nil
					})
				case "ipma":
					associations = append(associations, body)
				}
				return nil
			})
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	if m.handler != "pict" {
		return nil, UnsupportedError("file without a picture")
	}
	total := 0
	for _, b := range locations {
		if err := m.locations(b, &total); err != nil {
			return nil, err
		}
	}
	total = 0
	for _, b := range associations {
		if err := m.associations(b, &total); err != nil {
			return nil, err
		}
	}
	return m, nil
}

// info reads iinf (8.11.6).
func (m *metadata) info(body []byte, maxItems int) error {
	f := fields{data: body}
	if version, _ := f.full(); version == 0 {
		f.u16()
	} else {
		f.u32()
	}
	if f.over {
		return FormatError("item information is cut")
	}
	return each(f.data, func(kind string, body []byte) error {
		if kind != "infe" {
			return nil
		}
		f := fields{data: body}
		version, _ := f.full()
		if version < 2 {
			return nil // an item without a type is no picture
		}
		it := &item{id: f.id(version > 2)}
		f.u16()
		it.kind = f.kind()
		if f.over {
			return FormatError("item information entry is cut")
		}
		if m.items[it.id] == nil {
			if len(m.items) >= maxItems {
				return UnsupportedError("file with too many items")
			}
			m.items[it.id] = it
		}
		return nil
	})
}

// locations reads iloc (8.11.3). Items that no information is about are passed over.
func (m *metadata) locations(body []byte, total *int) error {
	f := fields{data: body}
	version, _ := f.full()
	if version > 2 {
		return UnsupportedError("version of the item locations")
	}
	sizes := f.u16()
	offsetSize, lengthSize, baseSize, indexSize := sizes>>12, sizes>>8&15, sizes>>4&15, sizes&15
	if version == 0 {
		indexSize = 0
	}
	for _, n := range []int{offsetSize, lengthSize, baseSize, indexSize} {
		if n != 0 && n != 4 && n != 8 {
			return FormatError("sizes of item locations")
		}
	}
	count := int64(f.id(version == 2))
	for range count {
		id := f.id(version == 2)
		method := 0
		if version > 0 {
			method = f.u16() & 15
		}
		external := f.u16() != 0
		base := f.sized(baseSize)
		n := f.u16()
		if f.over {
			return FormatError("item locations are cut")
		}
		if *total += n; *total > maxExtents {
			return UnsupportedError("file with too many extents")
		}
		it := m.items[id]
		known := it != nil && it.extents == nil
		if known {
			it.method, it.external = method, external
		}
		for range n {
			f.sized(indexSize)
			offset, length := f.sized(offsetSize), f.sized(lengthSize)
			if f.over {
				return FormatError("item locations are cut")
			}
			if offset += base; offset < base {
				return FormatError("item beyond all files")
			}
			if known {
				it.extents = append(it.extents, extent{offset, length})
			}
		}
	}
	return nil
}

// readReferences reads iref (8.11.12).
func (m *metadata) readReferences(body []byte) error {
	f := fields{data: body}
	version, _ := f.full()
	if f.over {
		return FormatError("item references are cut")
	}
	return each(f.data, func(kind string, body []byte) error {
		f := fields{data: body}
		from, n := referenceKey{kind, f.id(version > 0)}, f.u16()
		width := 2
		if version > 0 {
			width = 4
		}
		if f.over || n*width > len(f.data) {
			return FormatError("item references are cut")
		}
		if m.referred += n; m.referred > maxReferences {
			return UnsupportedError("file with too many references")
		}
		for range n {
			to := referenceKey{kind, f.id(version > 0)}
			m.refersTo[from] = append(m.refersTo[from], to.id)
			m.referrers[to] = append(m.referrers[to], from.id)
		}
		return nil
	})
}

// associations reads ipma (ISO/IEC 23008-12, 9.3).
func (m *metadata) associations(body []byte, total *int) error {
	f := fields{data: body}
	version, flags := f.full()
	count := int64(f.u32())
	for range count {
		id := f.id(version > 0)
		n := f.u8()
		if f.over {
			return FormatError("property associations are cut")
		}
		if *total += n; *total > maxAssociations {
			return UnsupportedError("file with too many properties")
		}
		it := m.items[id]
		for range n {
			v, bits := f.u8(), 7
			if flags&1 != 0 {
				v, bits = v<<8|f.u8(), 15
			}
			if f.over {
				return FormatError("property associations are cut")
			}
			index := v & (1<<bits - 1)
			if index > len(m.props) {
				return FormatError("property that does not exist")
			}
			if it != nil && index > 0 {
				if len(it.props) == maxItemProperties {
					return UnsupportedError("item with too many properties")
				}
				it.props = append(it.props, association{index, v>>bits != 0})
			}
		}
	}
	return nil
}

// property returns the first property of a kind of an item.
func (m *metadata) property(it *item, kind string) ([]byte, bool) {
	for _, a := range it.props {
		if p := m.props[a.index-1]; p.kind == kind {
			return p.body, true
		}
	}
	return nil, false
}

// from returns what the references of a kind of an item lead to.
func (m *metadata) from(id uint32, kind string) []uint32 { return m.refersTo[referenceKey{kind, id}] }

// to returns the items that have a reference of a kind to an item, in the order of the file.
func (m *metadata) to(id uint32, kind string) []uint32 { return m.referrers[referenceKey{kind, id}] }
