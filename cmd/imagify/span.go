package main

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// span is a length of time on the command line: Go's notation, such as 90m or 1h30m, and whole days
// before it, such as 3d or 1d12h.
type span time.Duration

// UnmarshalText implements encoding.TextUnmarshaler.
func (s *span) UnmarshalText(text []byte) error {
	d, err := parseSpan(string(text))
	*s = span(d)
	return err
}

const day = 24 * time.Hour

func parseSpan(text string) (time.Duration, error) {
	bad := fmt.Errorf("%q is not a duration: write it like 90m, 12h or 3d", text)
	days, rest, found := strings.Cut(text, "d")
	if !found {
		days, rest = "0", text
	}
	n, err := strconv.ParseUint(days, 10, 16)
	if err != nil {
		return 0, bad
	}
	total := time.Duration(n) * day
	if rest == "" && found {
		return total, nil
	}
	d, err := time.ParseDuration(rest)
	switch {
	case err != nil:
		return 0, bad
	case d < 0:
		return 0, errors.New("a duration must not be negative")
	case total+d < total:
		return 0, bad
	}
	return total + d, nil
}
