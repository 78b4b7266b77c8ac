package heif

import "math"

// maxLayers bounds the pictures of an overlay.
const maxLayers = 64

// overlay resolves a primary picture that lies on a canvas (ISO/IEC 23008-12, 6.6.2.2). Pictures
// that are turned, or have other than one layer of their own, are not taken.
func (r *resolver) overlay(h *Header, it *item) error {
	body, err := r.small(it)
	if err != nil {
		return err
	}
	from := r.m.from(it.id, "dimg")
	f := fields{data: body}
	version, flags := f.u8(), f.u8()
	if version != 0 {
		return UnsupportedError("version of an overlay")
	}
	for i := range h.fill {
		h.fill[i] = uint16(f.u16())
	}
	number := func() int64 {
		if flags&1 != 0 {
			return int64(int32(f.u32()))
		}
		return int64(int16(f.u16()))
	}
	var w, ht int64
	if flags&1 != 0 {
		w, ht = int64(f.u32()), int64(f.u32())
	} else {
		w, ht = int64(f.u16()), int64(f.u16())
	}
	if f.over || w < 1 || ht < 1 || w > math.MaxInt32 || ht > math.MaxInt32 || len(from) == 0 {
		return FormatError("overlay")
	}
	if len(from) > maxLayers {
		return UnsupportedError("overlay of too many pictures")
	}
	if r.o.MaxPixels > 0 && w*ht > r.o.MaxPixels {
		return ErrTooLarge
	}
	canvas := &layer{width: int(w), height: int(ht), orientation: 1}
	canvas.crop.Max.X, canvas.crop.Max.Y = canvas.width, canvas.height
	var pixels int64
	for _, id := range from {
		x, y := number(), number()
		if f.over {
			return FormatError("overlay is cut")
		}
		l, err := r.picture(id)
		if err != nil {
			return err
		}
		a, premultiplied, err := r.alpha(id, l)
		if err != nil {
			return err
		}
		if l.orientation != 1 || a != nil && a.orientation != 1 {
			return UnsupportedError("overlay of pictures that are turned")
		}
		if pixels += int64(l.width) * int64(l.height); r.o.MaxPixels > 0 && pixels > r.o.MaxPixels {
			return ErrTooLarge
		}
		placed := *l
		placed.x, placed.y = int(x), int(y)
		h.layers, h.alphas = append(h.layers, &placed), append(h.alphas, a)
		h.Premultiplied = h.Premultiplied || premultiplied
	}
	if err := r.transform(canvas, it); err != nil {
		return err
	}
	if canvas.crop.Dx() != canvas.width || canvas.crop.Dy() != canvas.height {
		return UnsupportedError("overlay that is cut")
	}
	h.Overlay = true
	h.Width, h.Height, h.Orientation, h.Turned = canvas.width, canvas.height, canvas.orientation, canvas.turned
	return nil
}
