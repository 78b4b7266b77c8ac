package settings

import (
	"math"
	"strconv"
	"strings"

	"github.com/imagify-api/imagify/domain"
)

// units are what may follow a number.
var units = map[string]int64{
	"": 1, "B": 1,
	"K": 1000, "M": 1000_000, "G": 1000_000_000, "KB": 1000, "MB": 1000_000, "GB": 1000_000_000,
	"KIB": 1 << 10, "MIB": 1 << 20, "GIB": 1 << 30,
}

// parseSize reads a positive number with or without a unit, such as 256MiB or 100M, in either case.
func parseSize(name, text, example string) (int64, error) {
	digits := strings.TrimRight(text, "BKMGIbkmgi ")
	n, err := strconv.ParseInt(digits, 10, 64)
	unit, known := units[strings.ToUpper(strings.TrimSpace(text[len(digits):]))]
	if err != nil || !known || n < 1 || n > math.MaxInt64/unit {
		return 0, domain.Errorf(domain.Invalid, "%s must be a positive number such as %s, with K, M, G, KiB, MiB, GiB or no unit", name, example)
	}
	return n * unit, nil
}
