package inflate

// What things cost, in units of package work. BenchmarkCost compares them with the time.
const (
	// costBlock is a block's header and end, with a look-up for its end code.
	costBlock = 20
	// costTables is to read the lengths of two codes and to build their tables, without
	// their words: those that fit into the first table, and those that need a second one.
	costTables   = 1200
	costWord     = 15
	costLongWord = 60
	// costLiteral is a literal. Short codes go two at a time, long ones one by one through
	// a second table.
	costLiteral = 3
	// costMatch is a match without its bytes, of which so many are a unit.
	costMatch     = 8
	costCopyBytes = 4
	// costStoredBytes is how many stored bytes are a unit.
	costStoredBytes = 2

	// settleAt is how many units are spent together.
	settleAt = 10_000
)

// costWords is what the words of codes of these lengths cost.
func costWords(lengths []uint8) (units int64) {
	for _, l := range lengths {
		switch {
		case l > distBits:
			units += costLongWord
		case l > 0:
			units += costWord
		}
	}
	return units
}

// spend adds to the costs, and tells the budget once there are some.
func (z *Reader) spend(units int64) error {
	if z.cost += units; z.cost < settleAt {
		return nil
	}
	return z.settle()
}

// settle tells the budget what was spent.
func (z *Reader) settle() error {
	units := z.cost
	z.cost = 0
	return z.budget.Spend(units)
}
