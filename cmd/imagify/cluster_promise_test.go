package main

import (
	"testing"
	"time"

	"github.com/imagify-api/imagify/ports/porttest/realserver"
)

// The promises on two nodes over MySQL, S3 and Redis.
func TestClusterPromise(t *testing.T) {
	c := newCluster(t, realserver.StartMySQL(t))
	clocks := c.startClocks(t)
	for _, p := range []struct {
		ids string
		try func(*testing.T)
	}{
		{"A1", c.promiseA1},
		{"A4", c.promiseA4},
		{"A10", c.promiseA10},
		{"L1", c.promiseL1},
		{"R7", c.promiseR7},
		{"R8", c.promiseR8},
		{"R1", c.promiseR1},
		{"R9", c.promiseR9},
		{"A6", c.promiseA6},
		{"A7", c.promiseA7},
		{"L8", c.promiseL8},
		{"D2", c.promiseD2},
		{"D4", c.promiseD4},
		{"L5", c.promiseL5},
		{"L7", c.promiseL7},
		{"R6", c.promiseR6},
		{"R3", c.promiseR3},
		{"R4", c.promiseR4},
		{"R5", c.promiseR5},
		{"L2,L6", clocks.check}, // from here on the servers themselves are killed
		{"L3,L4", func(t *testing.T) { c.promiseL3(t, clocks.expired()) }},
		{"D5", c.promiseD5},
		{"D1,D2,D3", func(t *testing.T) { c.promiseD1(t, scaled(2, 50)) }},
		{"A5", c.promiseA5}, // the last: it asks for every key there is
	} {
		began := time.Now()
		t.Run(p.ids, p.try)
		t.Logf("%s took %v", p.ids, time.Since(began).Round(100*time.Millisecond))
	}
}

// What the database decides, on MariaDB too.
func TestClusterPromiseMariaDB(t *testing.T) {
	c := newCluster(t, realserver.StartMariaDB(t))
	for _, p := range []struct {
		ids string
		try func(*testing.T)
	}{
		{"R7", c.promiseR7},
		{"R8", c.promiseR8},
		{"R9", c.promiseR9},
		{"A6", c.promiseA6},
		{"L8", c.promiseL8},
		{"D4", c.promiseD4},
		{"L3,L4", func(t *testing.T) { c.promiseL3(t, nil) }},
		{"R5", c.promiseR5},
		{"D5", c.promiseD5},
		{"D1,D2,D3", func(t *testing.T) { c.promiseD1(t, scaled(1, 10)) }},
	} {
		began := time.Now()
		t.Run(p.ids, p.try)
		t.Logf("%s took %v", p.ids, time.Since(began).Round(100*time.Millisecond))
	}
}
