package realserver

import (
	"os/exec"
	"runtime"
	"sync"
)

// starter is one goroutine on one thread that never ends: Linux delivers the
// parent-death signal when the starting thread ends, not the process.
var starter = sync.OnceValue(func() chan<- func() {
	work := make(chan func())
	go func() {
		runtime.LockOSThread()
		for f := range work {
			f()
		}
	}()
	return work
})

func startLocked(cmd *exec.Cmd) error {
	err := make(chan error)
	starter() <- func() { err <- cmd.Start() }
	return <-err
}
