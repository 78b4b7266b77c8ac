package worst

import (
	"syscall"
	"time"
)

// threadTime is the processor time of this thread.
func threadTime() time.Duration {
	const rusageThread = 1
	var r syscall.Rusage
	if syscall.Getrusage(rusageThread, &r) != nil {
		return 0
	}
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}
