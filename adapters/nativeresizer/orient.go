package nativeresizer

import "github.com/imagify-api/imagify/adapters/nativeresizer/resample"

// mirrored tells in which of the coded picture's directions an orientation
// (Exif 2.32, 4.6.4.A) runs backwards.
func mirrored(orientation int) (x, y bool) {
	switch orientation {
	case 2, 8:
		return true, false
	case 3, 7:
		return true, true
	case 4, 6:
		return false, true
	}
	return false, false
}

// orient turns a plane the way the orientation says, into new memory unless there is nothing to turn.
func orient(p resample.Plane, orientation int) resample.Plane {
	mx, my := mirrored(orientation)
	swapped := orientation >= 5 && orientation <= 8
	if !mx && !my && !swapped {
		return p
	}
	out := resample.New(p.Width, p.Height, p.Channels)
	if swapped {
		out = resample.New(p.Height, p.Width, p.Channels)
	}
	// Going on by a pixel of the output moves by dx in the source, by a row by dy.
	ch := p.Channels
	at, dx, dy := 0, ch, p.Stride
	if mx {
		at, dx = at+(p.Width-1)*ch, -ch
	}
	if my {
		at, dy = at+(p.Height-1)*p.Stride, -p.Stride
	}
	if swapped {
		dx, dy = dy, dx
	}
	for y := range out.Height {
		row := out.Pix[y*out.Stride:][:out.Width*ch]
		from := at + y*dy
		if ch == 1 {
			for x := range row {
				row[x] = p.Pix[from]
				from += dx
			}
			continue
		}
		for ; len(row) >= ch; row = row[ch:] {
			copy(row[:ch], p.Pix[from:from+ch])
			from += dx
		}
	}
	return out
}
