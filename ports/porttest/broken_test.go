package porttest_test

import (
	"context"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/imagify-api/imagify/ports/porttest"
)

// brokenEnv tells a subprocess which broken adapter to run the suite on.
const brokenEnv = "IMAGIFY_PORTTEST_BROKEN"

// broken is an adapter with one fault, and the suite's subtest that must find it.
type broken struct {
	fault string
	finds string // suite/subtest
	run   func(t *testing.T)
}

// control is an adapter without a fault: what passes with it and fails with a
// broken one fails because of the fault.
const control = "no fault at all"

func everyBroken() []broken {
	var all []broken
	for _, list := range [][]broken{brokenDirectories(), brokenImages(), brokenLinks(), brokenFeeds(), brokenBlobs(), brokenStates(), brokenResizers(), brokenStored()} {
		all = append(all, list...)
	}
	return all
}

// TestBrokenAdapter runs a suite on a broken adapter, in a subprocess of
// TestSuitesFindFaults: there a failure is what is wanted.
func TestBrokenAdapter(t *testing.T) {
	name := os.Getenv(brokenEnv)
	if name == "" {
		return
	}
	porttest.SetPatience(300 * time.Millisecond)
	fault, finds, _ := strings.Cut(name, " @ ")
	for _, b := range everyBroken() {
		if b.fault == fault && b.finds == finds {
			b.run(t)
		}
	}
}

func TestSuitesFindFaults(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, b := range everyBroken() {
		name := b.fault + " @ " + b.finds
		require.False(t, seen[name], "twice: %s", name)
		seen[name] = true
		t.Run(b.finds+"/"+b.fault, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
			defer cancel()
			parts := strings.Split(b.finds, "/")
			pattern := "^TestBrokenAdapter$"
			for _, p := range parts {
				pattern += "/^" + p + "$"
			}
			cmd := exec.CommandContext(ctx, os.Args[0], "-test.run="+pattern, "-test.v", "-test.timeout=90s")
			cmd.Env = append(os.Environ(), brokenEnv+"="+name)
			out, err := cmd.CombinedOutput()
			line := "TestBrokenAdapter/" + b.finds
			if b.fault == control {
				require.NoError(t, err, "%s", out)
				assert.Contains(t, string(out), "--- PASS: "+line)
				return
			}
			var exit *exec.ExitError
			require.ErrorAs(t, err, &exit, "the suite passes an adapter that is broken: %s\n%s", b.fault, out)
			assert.Contains(t, string(out), "--- FAIL: "+line+" ")
			assert.NotContains(t, string(out), "panic:", "a fault is found, not run into")
		})
	}
}
