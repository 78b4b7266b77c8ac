//go:build !race

package bildresizer_test

// raceEnabled says that the race detector watches, which makes the decoders many times slower.
const raceEnabled = false
