package png

import (
	"bytes"
	"context"
	"os"
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
	for _, f := range []string{"p13", "d9", "p13a"} {
		data, err := os.ReadFile("/tmp/photos/" + f + ".png")
		if err != nil {
			continue
		}
		var v []float64
		for range 9 {
			c := cpuMS()
			if _, err := NewDecoder(bytes.NewReader(data), Options{}).Decode(context.Background(), 7, 7); err != nil {
				t.Fatal(err)
			}
			v = append(v, cpuMS()-c)
		}
		sort.Float64s(v)
		t.Logf("%s cpu median %.1f min %.1f", f, v[len(v)/2], v[0])
	}
}
