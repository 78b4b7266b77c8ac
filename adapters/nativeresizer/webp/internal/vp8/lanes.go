package vp8

import "encoding/binary"

// Four samples at a time are spread to lanes of 16 bits, of which a word has four.
const lanes = 0x0001000100010001

// spread spreads the first four samples of pix.
func spread(pix []byte) uint64 {
	v := binary.LittleEndian.Uint32(pix)
	return uint64(v&0x00ff00ff) | uint64(v>>8&0x00ff00ff)<<32
}

// join stores lanes of 256 + v, v from -256 to 767, as samples of v within 0 to 255.
func join(pix []byte, d uint64) {
	high := d >> 9 & lanes // v ≥ 256
	some := (d>>8 | d>>9) & lanes
	d = (d | high*255) & (some * 255)
	binary.LittleEndian.PutUint32(pix, uint32(d)|uint32(d>>32)<<8)
}

// fill4 sets four samples.
func fill4(pix []byte, v byte) { binary.LittleEndian.PutUint32(pix, uint32(v)*0x01010101) }
