package gif

import (
	"bytes"
	stdgif "image/gif"
	"sort"
	"syscall"
	"testing"
)

func cpuMS() float64 {
	var r syscall.Rusage
	syscall.Getrusage(0, &r)
	return float64(r.Utime.Sec+r.Stime.Sec)*1e3 + float64(r.Utime.Usec+r.Stime.Usec)/1e3
}

func TestZZCPU(t *testing.T) {
	for _, noise := range []bool{false, true} {
		fr := frame{0, 0, 1600, 1200, 8, false, false, -1, noise}
		data := file(fr.width, fr.height, fr.encode())
		var v, w, s []float64
		for range 9 {
			c := cpuMS()
			decode(data, 1, 1)
			v = append(v, cpuMS()-c)
			c = cpuMS()
			decode(data, 3, 3)
			w = append(w, cpuMS()-c)
			c = cpuMS()
			stdgif.Decode(bytes.NewReader(data))
			s = append(s, cpuMS()-c)
		}
		sort.Float64s(v)
		sort.Float64s(s)
		sort.Float64s(w)
		t.Logf("noise %v cpu 1:1 %.1f 1:3 %.1f std %.1f", noise, v[4], w[4], s[4])
	}
}
