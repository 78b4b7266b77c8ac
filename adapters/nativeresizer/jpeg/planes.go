package jpeg

import (
	"image"
	"image/color"
)

// Plane is a decoded component.
type Plane struct {
	// Pix holds the samples in rows of Stride bytes, of which the first Width are
	// of the image. The rows beyond Height and the samples beyond Width are
	// padding to whole blocks.
	Pix           []byte
	Stride        int
	Width, Height int
	// H and V are the sampling factors, as in [ComponentInfo] but for [Options.Subsample]. At full size
	// the plane's width is that of the image times H divided by the greatest H of
	// all planes, rounded up, and at a scale that divided by the scale, rounded up.
	H, V int
}

// Planes is a decoded image.
type Planes struct {
	Scale         Scale
	Width, Height int // of the image at this scale, rounded up
	Model         ColorModel
	// Inverted says that CMYK and YCCK planes store the complement of the ink, as
	// Adobe's files do: 255 is none in the K plane, and YCbCr to RGB gives 255-C,
	// 255-M, 255-Y for C, M, Y themselves when it is not set.
	Inverted bool
	Planes   []Plane
	// Truncated says that the file ended before its end of image marker. What was
	// missing is 128, or less detailed if the file is progressive.
	Truncated bool
	// Damaged says that entropy coded data was invalid, or missing within the
	// file. Decoding goes on at the next restart marker, if there is one; what lies
	// between is 128, or less detailed. Not all damage can be noticed, and
	// less of it the smaller the scale, since less is decoded.
	Damaged bool

	hMax, vMax int
}

// Gray returns a gray image as an [image.Gray] that shares its samples, or nil if the
// image is not gray.
func (p *Planes) Gray() *image.Gray {
	if p.Model != Gray {
		return nil
	}
	y := &p.Planes[0]
	return &image.Gray{Pix: y.Pix, Stride: y.Stride, Rect: image.Rect(0, 0, p.Width, p.Height)}
}

// YCbCr returns a YCbCr image as an [image.YCbCr] that shares its samples. It
// returns nil if the image has another model or a sampling that image.YCbCr
// does not have.
func (p *Planes) YCbCr() *image.YCbCr {
	if p.Model != YCbCr {
		return nil
	}
	ratio, ok := p.ratio()
	if !ok {
		return nil
	}
	y, cb, cr := &p.Planes[0], &p.Planes[1], &p.Planes[2]
	return &image.YCbCr{
		Y: y.Pix, Cb: cb.Pix, Cr: cr.Pix,
		YStride: y.Stride, CStride: cb.Stride,
		SubsampleRatio: ratio,
		Rect:           image.Rect(0, 0, p.Width, p.Height),
	}
}

// ratio returns the subsampling of three planes in the terms of package image.
func (p *Planes) ratio() (image.YCbCrSubsampleRatio, bool) {
	y, cb, cr := &p.Planes[0], &p.Planes[1], &p.Planes[2]
	if y.H != p.hMax || y.V != p.vMax || cb.H != cr.H || cb.V != cr.V || y.H%cb.H != 0 || y.V%cb.V != 0 {
		return 0, false
	}
	switch [2]int{y.H / cb.H, y.V / cb.V} {
	case [2]int{1, 1}:
		return image.YCbCrSubsampleRatio444, true
	case [2]int{2, 1}:
		return image.YCbCrSubsampleRatio422, true
	case [2]int{2, 2}:
		return image.YCbCrSubsampleRatio420, true
	case [2]int{1, 2}:
		return image.YCbCrSubsampleRatio440, true
	case [2]int{4, 1}:
		return image.YCbCrSubsampleRatio411, true
	case [2]int{4, 2}:
		return image.YCbCrSubsampleRatio410, true
	}
	return 0, false
}

// Image returns the image as an image of the standard library: *image.Gray,
// *image.YCbCr, *image.RGBA for RGB, *image.CMYK for CMYK and YCCK, which are
// turned so that 255 is full ink. Gray and most YCbCr images share their samples
// with p; other samplings are brought to 4:4:4 by repeating samples.
func (p *Planes) Image() image.Image {
	switch p.Model {
	case Gray:
		return p.Gray()
	case YCbCr:
		if m := p.YCbCr(); m != nil {
			return m
		}
		m := image.NewYCbCr(image.Rect(0, 0, p.Width, p.Height), image.YCbCrSubsampleRatio444)
		p.expand(0, m.Y, m.YStride, 1)
		p.expand(1, m.Cb, m.CStride, 1)
		p.expand(2, m.Cr, m.CStride, 1)
		return m
	case RGB:
		m := image.NewRGBA(image.Rect(0, 0, p.Width, p.Height))
		fill(m.Pix, 255)
		for i := range 3 {
			p.expand(i, m.Pix[i:], m.Stride, 4)
		}
		return m
	}
	m := image.NewCMYK(image.Rect(0, 0, p.Width, p.Height))
	for i := range 4 {
		p.expand(i, m.Pix[i:], m.Stride, 4)
	}
	if p.Model == YCCK {
		for i := 0; i+3 < len(m.Pix); i += 4 {
			r, g, b := color.YCbCrToRGB(m.Pix[i], m.Pix[i+1], m.Pix[i+2])
			m.Pix[i], m.Pix[i+1], m.Pix[i+2] = 255-r, 255-g, 255-b
		}
	}
	if p.Inverted {
		for i := range m.Pix {
			m.Pix[i] = 255 - m.Pix[i]
		}
	}
	return m
}

// expand writes plane i at the size of the image, samples step bytes apart.
func (p *Planes) expand(i int, out []byte, stride, step int) {
	pl := &p.Planes[i]
	for y := range p.Height {
		row := pl.Pix[min(y*pl.V/p.vMax, pl.Height-1)*pl.Stride:][:pl.Width]
		dst := out[y*stride:]
		if pl.H == p.hMax && step == 1 {
			copy(dst[:p.Width], row)
			continue
		}
		for x := range p.Width {
			dst[x*step] = row[min(x*pl.H/p.hMax, len(row)-1)]
		}
	}
}
