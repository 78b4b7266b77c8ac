//go:build !(linux || darwin || freebsd)

package app

import (
	"errors"
	"math"
	"os"
)

// tryLock never gets another process's lock where there are none: what a process that died
// has left in the spool is then the operator's to remove.
func tryLock(*os.File) (bool, error) { return false, nil }

// freeBytes is not known here; a write that does not fit fails.
func freeBytes(string) (int64, error) { return math.MaxInt64, nil }

func sameDisk(a, b string) bool { return a == b }

func isFull(err error) bool { return errors.Is(err, errors.ErrUnsupported) }
