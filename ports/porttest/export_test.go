package porttest

import "time"

// SetPatience shortens the wait for what a broken adapter never does.
func SetPatience(d time.Duration) { patience = d }
