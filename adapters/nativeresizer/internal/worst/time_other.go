//go:build !linux

package worst

import "time"

var start = time.Now()

// threadTime is wall-clock time where a thread's own is not to be had.
func threadTime() time.Duration { return time.Since(start) }
