// Package worst is the search for the inputs that cost a codec the most: fuzzing that
// goes after units of work a byte and time a unit, where the usual goes after new code.
//
// Each codec has a target FuzzWorst… that calls [Search]; `make worst-inputs` finds and
// runs them all. What a search finds becomes a generator in the codec's costly inputs.
package worst

import (
	"math"
	"runtime"
	"testing"
	"time"

	"github.com/imagify-api/imagify/adapters/nativeresizer/work"
)

// An input is reported when it takes this long, on the processor, and a unit of it takes
// more than that: then something in it is not counted.
const (
	suspicious = 100 * time.Millisecond
	maxPerUnit = 8.0 // ns; three times the costliest that is known, on a busy machine
)

// maxSize bounds inputs, in bytes, and maxUnits what one may cost: what is costly is so in
// small inputs too, and a search needs many.
const (
	maxSize  = 64 << 10
	maxUnits = 200_000_000
)

// Search looks for inputs that cost decode more, beginning with the seeds. Decode
// spends what it does of the budget, and its error does not matter.
func Search(f *testing.F, seeds map[string][]byte, decode func(data []byte, b *work.Budget)) {
	for _, s := range seeds {
		f.Add(s[:min(len(s), maxSize)])
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) == 0 || len(data) > maxSize {
			return
		}
		b := work.New(maxUnits)
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		before := threadTime()
		decode(data, b)
		took := threadTime() - before
		units := max(b.Spent(), 1)
		perByte, perUnit := float64(units)/float64(len(data)), float64(took)/float64(units)
		// The fuzzer keeps what reaches new code: so each step upwards is code of its own.
		step(int(4 * math.Log2(perByte)))
		if took > suspicious/8 {
			step(48 + int(8*math.Log2(max(perUnit, 1))))
		}
		if took > suspicious && perUnit > maxPerUnit {
			t.Errorf("%d bytes take %v for %d units, %.1f ns each: something in them is not counted", len(data), took, units, perUnit)
		}
	})
}

var reached [64]int

// step is one branch for each n.
func step(n int) {
	switch min(max(n, 0), 63) {
	case 0:
		reached[0]++
	case 1:
		reached[1]++
	case 2:
		reached[2]++
	case 3:
		reached[3]++
	case 4:
		reached[4]++
	case 5:
		reached[5]++
	case 6:
		reached[6]++
	case 7:
		reached[7]++
	case 8:
		reached[8]++
	case 9:
		reached[9]++
	case 10:
		reached[10]++
	case 11:
		reached[11]++
	case 12:
		reached[12]++
	case 13:
		reached[13]++
	case 14:
		reached[14]++
	case 15:
		reached[15]++
	case 16:
		reached[16]++
	case 17:
		reached[17]++
	case 18:
		reached[18]++
	case 19:
		reached[19]++
	case 20:
		reached[20]++
	case 21:
		reached[21]++
	case 22:
		reached[22]++
	case 23:
		reached[23]++
	case 24:
		reached[24]++
	case 25:
		reached[25]++
	case 26:
		reached[26]++
	case 27:
		reached[27]++
	case 28:
		reached[28]++
	case 29:
		reached[29]++
	case 30:
		reached[30]++
	case 31:
		reached[31]++
	case 32:
		reached[32]++
	case 33:
		reached[33]++
	case 34:
		reached[34]++
	case 35:
		reached[35]++
	case 36:
		reached[36]++
	case 37:
		reached[37]++
	case 38:
		reached[38]++
	case 39:
		reached[39]++
	case 40:
		reached[40]++
	case 41:
		reached[41]++
	case 42:
		reached[42]++
	case 43:
		reached[43]++
	case 44:
		reached[44]++
	case 45:
		reached[45]++
	case 46:
		reached[46]++
	case 47:
		reached[47]++
	case 48:
		reached[48]++
	case 49:
		reached[49]++
	case 50:
		reached[50]++
	case 51:
		reached[51]++
	case 52:
		reached[52]++
	case 53:
		reached[53]++
	case 54:
		reached[54]++
	case 55:
		reached[55]++
	case 56:
		reached[56]++
	case 57:
		reached[57]++
	case 58:
		reached[58]++
	case 59:
		reached[59]++
	case 60:
		reached[60]++
	case 61:
		reached[61]++
	case 62:
		reached[62]++
	case 63:
		reached[63]++
	}
}
