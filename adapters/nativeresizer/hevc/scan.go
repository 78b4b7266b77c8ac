package hevc

// Scans (6.5.3 to 6.5.5), by scanIdx.
const (
	scanDiagonal = iota
	scanHorizontal
	scanVertical
)

// scanTable is the order of a block's positions.
type scanTable struct{ x, y [64]uint8 }

// scanTables are of blocks of 1, 2, 4 and 8 positions a side, by the log2 of that.
var scanTables = func() (t [3][4]scanTable) {
	for log2 := range 4 {
		n := 1 << log2
		i := 0
		for sum := range 2*n - 1 {
			for x := range n { // from the bottom left up
				if y := sum - x; y >= 0 && y < n {
					t[scanDiagonal][log2].x[i], t[scanDiagonal][log2].y[i] = uint8(x), uint8(y)
					i++
				}
			}
		}
		for i := range n * n {
			t[scanHorizontal][log2].x[i], t[scanHorizontal][log2].y[i] = uint8(i%n), uint8(i/n)
			t[scanVertical][log2].x[i], t[scanVertical][log2].y[i] = uint8(i/n), uint8(i%n)
		}
	}
	return t
}()

// zOrder is the order in which blocks of 4 × 4 luma samples of a CTB are coded (6.5.2), at y<<4 + x.
var zOrder = func() (t [256]uint8) {
	for y := range 16 {
		for x := range 16 {
			v := 0
			for b := range 4 {
				v |= (x>>b&1)<<(2*b) | (y>>b&1)<<(2*b+1)
			}
			t[y<<4+x] = uint8(v)
		}
	}
	return t
}()
