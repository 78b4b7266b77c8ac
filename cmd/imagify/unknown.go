package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/imagify-api/imagify/cmd/internal/settings"
)

// clientSettings are the variables that the command line reads beside the server's settings.
var clientSettings = []string{"IMAGIFY_SERVER", "IMAGIFY_TOKEN"}

// unknownSettings says of each IMAGIFY_ variable that is no setting which one may be meant. A
// misspelled setting is otherwise a default that nobody chose. A variable is NAME or NAME=value.
func unknownSettings(variables []string) []string {
	known := slices.Clone(clientSettings)
	for _, s := range settings.All() {
		known = append(known, s.Name)
	}
	var out []string
	for _, v := range variables {
		name, _, _ := strings.Cut(v, "=")
		if !strings.HasPrefix(name, "IMAGIFY_") || slices.Contains(known, name) {
			continue
		}
		far := func(setting string) int {
			if strings.HasPrefix(setting, name) {
				return 1 // an ending left out is one slip, however long it is
			}
			return distance(name, setting)
		}
		nearest := slices.MinFunc(known, func(a, b string) int { return far(a) - far(b) })
		out = append(out, fmt.Sprintf("%s is not a setting and has no effect; the nearest is %s", name, nearest))
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// distance is the Levenshtein distance of two names, in bytes.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := diagonal
			if a[i] != b[j] {
				change++
			}
			diagonal = row[j+1]
			row[j+1] = min(change, row[j]+1, diagonal+1)
		}
	}
	return row[len(b)]
}
