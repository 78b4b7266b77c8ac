package app

import (
	"context"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

const (
	// idleLook is how often the process looks whether it has become idle.
	idleLook = 10 * time.Second
	// busyBytes is what is allocated between two looks where there is load, and worthBytes
	// what has to have been allocated since the last time for the memory to be worth handing back.
	busyBytes  = 16 << 20
	worthBytes = 64 << 20
)

// runIdleMemory hands the memory that work on pictures has left back to the system once the
// load is over: without load the collector does not run, and what decoding took would stay resident.
func runIdleMemory(ctx context.Context) {
	allocated := func() uint64 {
		sample := []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}}
		metrics.Read(sample)
		if sample[0].Value.Kind() != metrics.KindUint64 {
			return 0 // this runtime has no such figure
		}
		return sample[0].Value.Uint64()
	}
	t := time.NewTicker(idleLook)
	defer t.Stop()
	handedBack := uint64(0)
	for before := allocated(); ; {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
		now := allocated()
		if now-before < busyBytes && now-handedBack > worthBytes {
			runtime.GC() // what pools keep outlives one collection
			debug.FreeOSMemory()
			handedBack = now
		}
		before = now
	}
}
