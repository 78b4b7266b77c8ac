package vp8

import "testing"

func TestZZ(t *testing.T) {
	data := []byte("0\b\x00\x9d\x01*0\x00 \x004 z888777700\x03\xdd7a0b\xc892ay\xb7ZA%\x95AA7XZ2700000000000000000000000000000000")
	d := &decoder{}
	w, h, err := d.readHeader(data)
	t.Logf("%d %d %v filtered %v simple %v map %v parts %d skip %d", w, h, err, d.filtered, d.simple, d.updateMap, len(d.parts), d.skipProb)
	for _, s := range d.segments {
		t.Logf("%+v", s)
	}
	want, _ := reference(data)
	for _, f := range []bool{true, false} {
		got, _ := Decode(t.Context(), data, f)
		for y := range 8 {
			t.Log(want.Y[y*want.YStride:][:24])
			t.Log(got.Y[y*got.YStride:][:24])
		}
	}
}
