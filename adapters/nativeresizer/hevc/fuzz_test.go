package hevc

import (
	"errors"
	"testing"

	"github.com/imagify-api/imagify/adapters/nativeresizer/work"
)

// known reports whether an error is of those that the package documents for bad data.
func known(err error) bool {
	var f FormatError
	var u UnsupportedError
	return errors.As(err, &f) || errors.As(err, &u) || errors.Is(err, ErrTruncated) || errors.Is(err, ErrTooLarge) || errors.Is(err, work.ErrExceeded)
}

// FuzzDecode decodes byte streams: no panic, rows that are whole, errors that are documented.
func FuzzDecode(f *testing.F) {
	for name := range streams {
		f.Add(readTestdata(f, name))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var size [3][2]int
		var d Decoder
		next := [3]int{}
		err := d.Decode(t.Context(), new(ParameterSets), Info{}, split(data), Options{MaxPixels: 1 << 16, Work: work.New(1 << 30)}, func(b Band) error {
			for c, p := range b.Planes {
				if p.Y != next[c] || p.Rows < 1 || len(p.Pix) < (p.Rows-1)*p.Stride+p.Width {
					t.Fatalf("component %d: rows %d to %d after %d", c, p.Y, p.Y+p.Rows, next[c])
				}
				next[c] += p.Rows
				size[c] = [2]int{p.Width, next[c]}
				for _, v := range p.Pix[:p.Width] {
					if int(v) >= 1<<p.Depth {
						t.Fatalf("sample %d of %d bits", v, p.Depth)
					}
				}
			}
			return nil
		})
		switch {
		case err != nil && !known(err):
			t.Fatal(err)
		case err == nil && size[0][0] == 0:
			t.Fatal("no picture")
		}
	})
}

// FuzzParameterSets reads parameter sets: what is taken has sizes that make sense.
func FuzzParameterSets(f *testing.F) {
	for name := range streams {
		for _, nal := range split(readTestdata(f, name)) {
			if kind, _, _ := nalHeader(nal); kind == nalSPS || kind == nalPPS {
				f.Add(nal)
			}
		}
	}
	f.Fuzz(func(t *testing.T, nal []byte) {
		var p ParameterSets
		if err := p.Add(nal); err != nil && !known(err) {
			t.Fatal(err)
		}
		for _, s := range p.sps {
			if s == nil {
				continue
			}
			if i := s.info(); i.Width < 1 || i.Height < 1 || i.Width > i.CodedWidth || i.Height > i.CodedHeight || MemoryNeeded(i, true) <= 0 {
				t.Fatalf("%+v", i)
			}
		}
	})
}

// FuzzWorst looks for slices that cost more than what is spent for them before: the coefficients and
// flags that are decoded, each counted, against the units.
func FuzzWorst(f *testing.F) {
	for name := range streams {
		for _, nal := range split(readTestdata(f, name)) {
			if kind, _, _ := nalHeader(nal); kind < 32 {
				f.Add(name, nal)
			}
		}
	}
	sets := make(map[string][][]byte)
	for name := range streams {
		for _, nal := range split(readTestdata(f, name)) {
			if kind, _, _ := nalHeader(nal); kind == nalSPS || kind == nalPPS {
				sets[name] = append(sets[name], nal)
			}
		}
	}
	f.Fuzz(func(t *testing.T, name string, slice []byte) {
		ps := sets[name]
		if ps == nil {
			return
		}
		budget := work.New(1 << 40)
		var d Decoder
		err := d.Decode(t.Context(), new(ParameterSets), Info{}, append(append([][]byte{}, ps...), slice), Options{Work: budget}, func(Band) error { return nil })
		if err != nil && !known(err) {
			t.Fatal(err)
		}
		if d.sps == nil {
			return
		}
		// No more than a picture and its bytes can cost, whatever the slice says.
		samples := int64(d.sps.widthCtbs*d.sps.heightCtbs) << (2 * d.sps.log2Ctb) * 3
		if most := unitsPerSample*samples + unitsPerByte*int64(len(slice)) + UnitsPerParameterSet*int64(len(ps)+1); budget.Spent() > most {
			t.Fatalf("%d units for %d bytes and %d samples", budget.Spent(), len(slice), samples)
		}
	})
}
